//! Wrong versions of central mode: of the line, of rounds, and of what they prove to a request that is turned away (G2).

use crate::mutants::mutation::{Edit, Mutation};

const CENTRAL: &str = "crates/ledger/src/central.rs";
const LEDGER_ACCOUNT: &str = "crates/ledger/src/account.rs";
const PROSPECT: &str = "crates/ledger/src/prospect.rs";
const ACCOUNT: &str = "crates/wallet/src/account.rs";
const VERDICT: &str = "crates/wallet/src/verdict.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "no-barrier",
        why: "that a request was not served says nothing about what lies unreserved in grants: only a round does",
        edits: &[Edit {
            file: PROSPECT,
            right: "let Some(shown) = proof else { return Prospect::Open };",
            wrong: "let Some(shown) = proof else {\n            return Prospect::Held { doubtful: Amount::ZERO, lost: Amount::ZERO };\n        };",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "one-round",
        why: "a holder that had not heard of central mode when the round began may have spent unseen meanwhile",
        edits: &[Edit {
            file: CENTRAL,
            right: "self.unproven = holders.iter().filter(is_unaware).map(held).collect();",
            wrong: "self.unproven = holders.iter().filter(is_unaware).map(held).take(0).collect();",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "recall-without-granted",
        why: "who answers a round without knowing of a grant that is on its way has not returned it",
        edits: &[
            Edit {
                file: CENTRAL,
                right: "if is_complete && round == self.round {",
                wrong: "if (is_complete || true) && round == self.round {",
            },
            Edit {
                file: "crates/wallet/src/speech.rs",
                right: "&View::of(shown, self.session())",
                wrong: "&View { granted: account.granted(), ..View::of(shown, self.session()) }",
            },
        ],
        breaks: &["G2", "L2"],
    },
    Mutation {
        name: "answer-to-any-round",
        why: "an answer to an earlier round was given before this one began",
        edits: &[Edit {
            file: CENTRAL,
            right: "if is_complete && round == self.round {",
            wrong: "if is_complete && round <= self.round {",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "proof-from-before",
        why: "a round that began before the request came proves nothing about the time it has waited",
        edits: &[Edit {
            file: CENTRAL,
            right: "self.tally.as_ref().filter(|tally| tally.round >= from)",
            wrong: "self.tally.as_ref()",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "arrivals-not-counted",
        why: "what comes back while the round is under way was unreserved when it began",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "central.arrived(session, new.returned.saturating_sub(old.returned));",
            wrong: "central.arrived(session, Amount::ZERO);",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "owed-to-itself",
        why: "what is owed to a request itself is not owed to those before it",
        edits: &[Edit {
            file: "crates/ledger/src/turn.rs",
            right: "position(|turn| (turn.session, turn.id) == (session, id));",
            wrong: "position(|turn| (turn.session, turn.id) == (session, id)).map(|at| at + 1);",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "too-large-takes-all",
        why: "one that needs more than there is leaves all of it to those behind it",
        edits: &[Edit {
            file: "crates/ledger/src/turn.rs",
            right: "None => left,",
            wrong: "None => Amount::ZERO,",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "answered-too-early",
        why: "what comes back with an answer was unreserved when the round began",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "self.speaks(session);\n        let granted",
            wrong: "self.speaks(session);\n        if let (Some(heard), Mode::Central(central)) = (report.heard, &mut self.mode) {\n            central.answer(session, heard.round, heard.granted == merged.granted);\n        }\n        let granted",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "served-with-too-little",
        why: "less than its need is of no use to a request",
        edits: &[Edit {
            file: "crates/ledger/src/line.rs",
            right: "(self.need <= pool).then",
            wrong: "(!pool.is_zero()).then",
        }],
        breaks: &["I13"],
    },
    Mutation {
        name: "replica-not-asked",
        why: "a replica that is behind shows a budget as spent that was raised or returned to since",
        edits: &[Edit {
            file: VERDICT,
            right: "Prospect::Spent if is_known => denied",
            wrong: "Prospect::Spent => denied",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "replica-asked-before",
        why: "what the replica showed before the request came says nothing about the time it has waited",
        edits: &[Edit {
            file: VERDICT,
            right: "as_of.is_some_and(|as_of| known_from.is_some_and(|from| from <= as_of))",
            wrong: "as_of.is_some()",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "answer-without-return",
        why: "who answers a round and keeps what is free hides it from the round",
        edits: &[Edit {
            file: ACCOUNT,
            right: "filter(|(id, _)| waits(*id)));\n                book.closed = Some(closed);\n                book.return_free();",
            wrong: "filter(|(id, _)| waits(*id)));\n                book.closed = Some(closed);",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "refunds-kept",
        why: "a refund that a closed account keeps and spends by itself was unreserved, and no round has seen it",
        edits: &[
            Edit {
                file: ACCOUNT,
                right: "            book.returned = book.returned.saturating_add(refund);\n            book.watermark = book.watermark.saturating_sub(refund);",
                wrong: "            if let Some(closed) = &mut book.closed { closed.room = closed.room.saturating_add(refund); }",
            },
            Edit {
                file: ACCOUNT,
                right: "let amount = *closed.designated.get(&id)?;",
                wrong: "let meant = closed.designated.get(&id).copied();\n        let amount = meant.unwrap_or(most);\n        if closed.room < amount.saturating_add(closed.designated()).saturating_sub(meant.unwrap_or_default()) {\n            return None;\n        }",
            },
            Edit {
                file: ACCOUNT,
                right: "let below = closed.room.saturating_sub(meant).min(free);",
                wrong: "let free = above;\n        let below = Amount::ZERO;",
            },
        ],
        breaks: &["G2", "L2", "I5"],
    },
    Mutation {
        name: "old-quotes-served",
        why: "what was granted by name in slices is part of a slice that others have spent from since",
        edits: &[Edit {
            file: LEDGER_ACCOUNT,
            right: "terms: &Terms<'_>) {\n        self.forget_all_served();\n        self.last_round",
            wrong: "terms: &Terms<'_>) {\n        self.last_round",
        }],
        breaks: &["G2", "I5", "L2", "L3"],
    },
    Mutation {
        name: "silent-holder-awaited",
        why: "a round waits for ever for a holder that does not answer, and nobody gets proof",
        edits: &[Edit {
            file: "crates/wallet/src/asker.rs",
            right: "if self.is_overdue(talk, budget, round) {",
            wrong: "if self.is_overdue(talk, budget, round) && false {",
        }],
        breaks: &["L2"],
    },
    Mutation {
        name: "doubt-not-named",
        why: "a denial that rests on what the dead hold has to say so",
        edits: &[Edit {
            file: "crates/wallet/src/verdict.rs",
            right: "denied(Cause::InDoubt, shortage.in_doubt)",
            wrong: "denied(Cause::InDoubt, Amount::ZERO)",
        }],
        breaks: &["G2"],
    },
    Mutation {
        name: "old-asks-heard",
        why: "an old copy of a message brings back who has left the line, and takes out who has come",
        edits: &[Edit {
            file: "crates/ledger/src/ledger.rs",
            right: "        if is_new {\n            self.hear(",
            wrong: "        if is_new || true {\n            self.hear(",
        }],
        breaks: &["L2"],
    },
    Mutation {
        name: "told-of-another-mode",
        why: "what the ledger was told of the line in the other mode means nothing any more",
        edits: &[Edit {
            file: "crates/wallet/src/speech.rs",
            right: "== Followed::ModeChanged",
            wrong: "== Followed::ModeChanged && false",
        }],
        breaks: &["L2"],
    },
    Mutation {
        name: "never-reopened",
        why: "slices are granted again, and the account that was closed spends none of them",
        edits: &[Edit { file: ACCOUNT, right: "None => self.reopen(&mut book),", wrong: "None => {}" }],
        breaks: &["L2"],
    },
    Mutation {
        name: "last-come-first-served",
        why: "the line is no line: who came first is passed over",
        edits: &[Edit {
            file: "crates/ledger/src/line.rs",
            right: "(!waiting.place.is_last_call, waiting.arrival)",
            wrong: "(!waiting.place.is_last_call, u64::MAX - waiting.arrival)",
        }],
        breaks: &["L3"],
    },
];
