//! Wrong versions of reports and accounts: of what is said to be spent, returned and overrun.

use crate::mutants::mutation::{Edit, Mutation};

const LEDGER_ACCOUNT: &str = "crates/ledger/src/account.rs";
const ACCOUNT: &str = "crates/wallet/src/account.rs";
const OVERDRAFT: &str = "crates/wallet/src/overdraft.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "deltas",
        why: "a report that arrives twice is counted twice",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "used: known.used.max(report.used),",
            wrong: "used: known.used.saturating_add(report.used),",
        }],
        breaks: &["I1", "I3", "I5", "I6", "L2"],
    },
    Mutation {
        name: "latest-report-counts",
        why: "an old copy of a report takes back what a newer one has said",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "returned: known.returned.max(report.returned),",
            wrong: "returned: report.returned,",
        }],
        breaks: &["I1", "I4", "I5", "G1"],
    },
    Mutation {
        name: "overrun-not-reported",
        why: "what a provider billed beyond its bound is missing from the ledger",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "overrun: known.overrun.max(report.overrun),",
            wrong: "overrun: known.overrun,",
        }],
        breaks: &["G1"],
    },
    Mutation {
        name: "overrun-lost-with-the-node",
        why: "a client was told of the end of a request, and a crash takes its overrun out of the books",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "let overrun = known.overrun.max(proof.overrun);",
            wrong: "let overrun = known.overrun;",
        }],
        breaks: &["G1"],
    },
    Mutation {
        name: "refunds-counted-twice",
        why: "what a closed account gives back it cannot have below its watermark any more",
        edits: &[Edit {
            file: ACCOUNT,
            right: "            book.watermark = book.watermark.saturating_sub(refund);\n        } else {",
            wrong: "            if let Some(closed) = &mut book.closed { closed.room = closed.room.saturating_add(refund); }\n        } else {",
        }],
        breaks: &["G1", "I1", "I2", "I3", "I5"],
    },
    Mutation {
        name: "headroom-kept-when-given-back",
        why: "what was given back is granted to others, and must not be spent here",
        edits: &[Edit {
            file: ACCOUNT,
            right: "let below = Amount::new(self.headroom.swap(0, Ordering::AcqRel));",
            wrong: "let below = Amount::new(self.headroom.load(Ordering::Acquire));",
        }],
        breaks: &["G1", "I1", "I2", "I3", "L2"],
    },
    Mutation {
        name: "two-accounts-of-a-window",
        why: "a second account of a window that is over gives back what the first has spent",
        edits: &[Edit {
            file: "crates/wallet/src/wallet.rs",
            right: "at_hand.or_else(|| self.retired.lock().get(&(budget, window)).cloned())",
            wrong: "at_hand",
        }],
        breaks: &["I1", "I3", "I5", "I6"],
    },
    Mutation {
        name: "overspend-lost-with-the-node",
        why: "what a node had overspent when it died is forgotten",
        edits: &[Edit {
            file: OVERDRAFT,
            right: "Draft { settled: bound, durable: bound, ..Draft::default() }",
            wrong: "Draft { settled: Amount::ZERO, durable: bound, ..Draft::default() }",
        }],
        breaks: &["G1"],
    },
    Mutation {
        name: "overspent-before-it-is-written",
        why: "a request overspends before the journal says so, and its node dies",
        edits: &[Edit {
            file: OVERDRAFT,
            right: "draft.durable_entries >= self.number",
            wrong: "draft.entries >= self.number",
        }],
        breaks: &["G1"],
    },
    Mutation {
        name: "overspend-counted-anew",
        why: "what is told of overspending a second time is counted a second time",
        edits: &[Edit {
            file: "crates/ledger/src/ledger/overspend.rs",
            right: "let more = told.total.saturating_sub(known);",
            wrong: "let more = told.total.min(told.total.saturating_sub(known).saturating_mul(u64::MAX));",
        }],
        breaks: &["I1"],
    },
    Mutation {
        name: "overspend-granted-again",
        why: "what was spent without a grant is there no more to be granted",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "self.overrun.saturating_add(self.overspend)",
            wrong: "self.overrun",
        }],
        breaks: &["I1"],
    },
];
