//! Wrong versions of buckets: of what leaks, from when on, and of when a bucket can be said to be empty (I12, G2).

use crate::mutants::mutation::{Edit, Mutation};

const ACCOUNT: &str = "crates/ledger/src/account.rs";
const BUCKET: &str = "crates/ledger/src/bucket.rs";
const BUDGET: &str = "crates/ledger/src/budget.rs";
const LEDGER: &str = "crates/ledger/src/ledger.rs";
const RESOLVE: &str = "crates/ledger/src/ledger/resolve.rs";
const PROSPECT: &str = "crates/ledger/src/prospect.rs";
const LINE: &str = "crates/wallet/src/line.rs";
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
        name: "bucket-kept-for-ever",
        why: "what a node holds that was declared dead leaks one refill later, and may not be spent after that",
        edits: &[Edit {
            file: LEDGER,
            right: "until_end.or_else(|| refill.map(Refill::half))",
            wrong: "until_end.or_else(|| refill.map(Refill::half).filter(|_| false))",
        }],
        breaks: &["I12"],
    },
    Mutation {
        name: "debt-is-forgiven",
        why: "what requests used beyond their estimates must leak before anything is granted",
        edits: &[Edit {
            file: ACCOUNT,
            right: "limit.saturating_sub(self.committed).saturating_sub(self.beyond_grants())",
            wrong: "limit.saturating_sub(self.committed)",
        }],
        breaks: &["I12", "I1"],
    },
    Mutation {
        name: "doubt-leaks-at-once",
        why: "a session that is declared dead may be alive, and spend what it holds as long as that is good",
        edits: &[
            Edit {
                file: BUDGET,
                right: "AutoResolve::AsSpent { after: refill.span() }",
                wrong: "AutoResolve::AsSpent { after: if refill.span().millis() > 0 { Span::from_millis(0) } else { refill.span() } }",
            },
            Edit {
                file: RESOLVE,
                right: "let left_ms @ 1.. = doubt.since.plus(refill.span())",
                wrong: "let left_ms @ u64::MAX.. = doubt.since.plus(refill.span())",
            },
        ],
        breaks: &["I12"],
    },
    Mutation {
        name: "debt-leaks-without-being-known",
        why: "what is not known as spent does not leak: a debt that no entry has told of is none",
        edits: &[Edit {
            file: "crates/ledger/src/budget.rs",
            right: "let spent = account.used().saturating_add(account.beyond_grants());",
            wrong: "let spent = account.used().saturating_add(account.beyond_grants()).saturating_add(account.overrun());",
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
    Mutation {
        name: "behind-the-hopeless",
        why: "who is about to be refused takes nothing from those behind",
        edits: &[Edit {
            file: LINE,
            right: "if has_hope(ticket, ahead) {",
            wrong: "if has_hope(ticket, ahead) || true {",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "one-bucketful-for-all",
        why: "what those in front spend leaks within the patience of who stands behind them",
        edits: &[Edit {
            file: PROSPECT,
            right: "let is_first = patience.ahead.is_zero();",
            wrong: "let is_first = patience.ahead.is_zero() || true;",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "lapsed-for-ever",
        why: "a grant by name that has lapsed may never be renewed",
        edits: &[Edit {
            file: VERDICT,
            right: "return if account.has_ended_at(now) { out_of_time(ticket, now) } else { Verdict::Wait };",
            wrong: "return if account.has_ended_at(now) { Verdict::Wait } else { Verdict::Wait };",
        }],
        breaks: &["L2"],
    },
];
