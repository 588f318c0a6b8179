//! Wrong versions of the watermark journal: nothing is spent that the journal does not cover (I2).

use crate::mutants::mutation::{Edit, Mutation};

const ACCOUNT: &str = "crates/wallet/src/account.rs";
const OVERRUN: &str = "crates/wallet/src/account/overrun.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "no-journal-bound",
        why: "a crash then gives back what was spent above the mark that the journal holds",
        edits: &[Edit {
            file: ACCOUNT,
            right: "let watermark = written.spent_bound.min(book.kept());",
            wrong: "let watermark = book.kept();",
        }],
        breaks: &["I2"],
    },
    Mutation {
        name: "journal-written-later",
        why: "the mark counts before it is on the disk",
        edits: &[Edit {
            file: "crates/wallet/src/mark.rs",
            right: "account.mark(bound)",
            wrong: "let marked = account.mark(bound)?;\n            marked.account.journalled(&marked, now);\n            Some(marked)",
        }],
        breaks: &["I2"],
    },
    Mutation {
        name: "overrun-told-first",
        why: "the client hears of the end of a request whose overrun a crash may still lose",
        edits: &[Edit {
            file: OVERRUN,
            right: "book.durable_overrun.max(book.reported.overrun) >= upto",
            wrong: "book.durable_overrun.max(book.reported.overrun) >= upto || true",
        }],
        breaks: &["G1"],
    },
    Mutation {
        name: "grant-above-the-mark",
        why: "a mark above what is left of the grant lets the account spend what it has returned",
        edits: &[Edit {
            file: ACCOUNT,
            right: "let watermark = written.spent_bound.min(book.kept());",
            wrong: "let watermark = written.spent_bound;",
        }],
        breaks: &["G1", "I2", "I3", "I1"],
    },
];
