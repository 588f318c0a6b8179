//! Wrong versions of windows that follow each other: of what was granted before one began.

use crate::mutants::mutation::{Edit, Mutation};

const AHEAD: &str = "crates/wallet/src/ahead.rs";
const BUDGET: &str = "crates/ledger/src/budget.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "next-window-by-an-own-clock",
        why: "a window is spent from once the log says that it has begun, not once the one before it is over here",
        edits: &[Edit {
            file: AHEAD,
            right: "account.window().id.start() <= self.journalled_log_time()",
            wrong: "account.window().id.start().millis() <= self.journalled_log_time().millis() + 10_000",
        }],
        breaks: &["I15", "I2"],
    },
    Mutation {
        name: "next-window-before-the-journal-knows",
        why: "a node that spends of a window before its journal knows that it has begun gives back at a crash what it spent",
        edits: &[Edit {
            file: AHEAD,
            right: "account.window().id.start() <= self.journalled_log_time()",
            wrong: "account.window().id.start() <= self.log_time()",
        }],
        breaks: &["I2"],
    },
    Mutation {
        name: "charged-before-it-began",
        why: "of a window that had not begun when a node died, nothing is charged for its crash",
        edits: &[Edit {
            file: "crates/ledger/src/begun.rs",
            right: "mark.session != self.session || mark.window.start() <= self.upto",
            wrong: "mark.session != self.session || mark.window.start() <= self.upto || !mark.spent_bound.is_zero()",
        }],
        breaks: &["I6"],
    },
    Mutation {
        name: "next-window-begins-empty",
        why: "what was granted of a window ahead is granted when it begins",
        edits: &[Edit {
            file: BUDGET,
            right: "let ahead = self.next.take().map(|next| *next);",
            wrong: "let ahead = self.next.take().map(|next| *next).filter(|_| false);",
        }],
        breaks: &["I1", "I3", "G1"],
    },
    Mutation {
        name: "late-answer-revives-a-window",
        why: "an answer about a window that is over here by now opens it no second time",
        edits: &[Edit {
            file: AHEAD,
            right: "self.account(budget).is_some_and(|open| open.window().id > answered.id)",
            wrong: "self.account(budget).is_some_and(|open| open.window().id > answered.id) && false",
        }],
        breaks: &["I1", "I3", "I4"],
    },
];
