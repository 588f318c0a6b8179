//! Wrong versions of buckets: of what leaks, from when on, and of when a bucket can be said to be empty (I12, G2).

use crate::mutants::mutation::{Edit, Mutation};

const BUCKET: &str = "crates/ledger/src/bucket.rs";
const LEDGER: &str = "crates/ledger/src/ledger.rs";
const VERDICT: &str = "crates/wallet/src/verdict.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "time-is-saved-up",
        why: "what was not spent does not leak: a bucket that is full stays as it is",
        edits: &[Edit {
            file: BUCKET,
            right: ".min(most).max(before)",
            wrong: ".min(most.max(u128::MAX)).max(before)",
        }],
        breaks: &["I12"],
    },
    Mutation {
        name: "time-counts-twice",
        why: "what has leaked up to an entry leaks no second time at the next one",
        edits: &[Edit { file: BUCKET, right: "as_of: self.as_of.max(at),", wrong: "as_of: self.as_of," }],
        breaks: &["I12"],
    },
    Mutation {
        name: "leaks-what-an-entry-tells",
        why: "what an entry tells has leaked nothing before it: nobody knew of it",
        edits: &[Edit {
            file: LEDGER,
            right: "        self.leak(budget);\n        let recorded =\n            self.with_account(budget, window, |account, terms| account.record(session, report, terms));\n",
            wrong: "        let recorded =\n            self.with_account(budget, window, |account, terms| account.record(session, report, terms));\n        self.leak(budget);\n",
        }],
        breaks: &["I12"],
    },
    Mutation {
        name: "empty-by-an-old-clock",
        why: "log time stands still while nothing is agreed on: only an entry after the request shows what has leaked",
        edits: &[Edit {
            file: VERDICT,
            right: "if goes_by_time { ticket.heard_at } else { Some(ticket.since) }",
            wrong: "Some(if goes_by_time { ticket.since } else { ticket.since })",
        }],
        breaks: &["G2"],
    },
];
