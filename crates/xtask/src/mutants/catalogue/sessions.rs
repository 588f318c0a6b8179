//! Wrong versions of lives and deaths: of fencing, of expiry, and of what a dead session leaves behind.

use crate::mutants::mutation::{Edit, Mutation};

const LEDGER: &str = "crates/ledger/src/ledger.rs";
const JOURNALS: &str = "crates/ledger/src/ledger/journals.rs";
const LEDGER_ACCOUNT: &str = "crates/ledger/src/account.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "no-fencing",
        why: "a session in doubt is counted as dead, and nothing it still does may change that",
        edits: &[Edit {
            file: LEDGER,
            right: "if life.state != SessionState::Live {\n            return Ok(Outcome::Fenced);",
            wrong: "if false {\n            return Ok(Outcome::Fenced);",
        }],
        breaks: &["G1", "G2", "I3", "I4", "I5", "I6"],
    },
    Mutation {
        name: "no-fencing-of-earlier-lives",
        why: "messages of an earlier life are still on their way, and what they are granted nobody holds",
        edits: &[Edit {
            file: JOURNALS,
            right: "            self.close_holding(session, budget, window, &proof);\n        }\n        self.sessions.remove(&session);",
            wrong: "            self.close_holding(session, budget, window, &proof);\n        }",
        }],
        breaks: &["G1", "I3", "I4", "I5", "I6"],
    },
    Mutation {
        name: "an-old-disk-is-believed",
        why: "an old copy of a journal knows nothing of what was spent after it was made",
        edits: &[Edit {
            file: JOURNALS,
            right: "if *generation >= known =>",
            wrong: "if *generation > 0 =>",
        }],
        breaks: &["G1", "G2", "I3", "I6"],
    },
    Mutation {
        name: "expiry-credits",
        why: "a session that is declared dead may be alive, and spend what it holds",
        edits: &[Edit {
            file: LEDGER,
            right: "        self.doubt(session);\n        Ok(Outcome::Done)",
            wrong: "        for (budget, window) in self.sessions[&session].holds.clone() {\n            self.close_holding(session, budget, window, &Proof::default());\n        }\n        self.doubt(session);\n        Ok(Outcome::Done)",
        }],
        breaks: &["G1", "I3"],
    },
    Mutation {
        name: "stale-opening-accepted",
        why: "an earlier life's journal says nothing about the session that was opened after it",
        edits: &[Edit { file: LEDGER, right: "if open.previous != latest {", wrong: "if false {" }],
        breaks: &["G1", "G4", "I3"],
    },
    Mutation {
        name: "no-clamp",
        why: "the journal's bound may be above what is left after returns, and what was returned is granted to others",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "spent.min(known.kept()).max(known.used)",
            wrong: "spent.max(known.used)",
        }],
        breaks: &["I1", "I6"],
    },
    Mutation {
        name: "debts-end-with-doubt",
        why: "clients were told of what went beyond the grants of a session that was declared dead, also once its doubt was resolved",
        edits: &[Edit { file: JOURNALS, right: "if more > Amount::ZERO {", wrong: "if false {" }],
        breaks: &["G1"],
    },
    Mutation {
        name: "settled-is-all-it-spent",
        why: "a dead node's requests go on at their providers, and are billed",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "spent_bound: mark.spent_bound,",
            wrong: "spent_bound: mark.settled,",
        }],
        breaks: &["G1", "I3"],
    },
    Mutation {
        name: "closed-while-holding",
        why: "a session that has something outstanding is forgotten with it",
        edits: &[Edit {
            file: LEDGER,
            right: "if holds.iter().any(outstanding) {",
            wrong: "if holds.iter().any(outstanding) && false {",
        }],
        breaks: &["G1", "I1", "I3", "I5", "I6"],
    },
];
