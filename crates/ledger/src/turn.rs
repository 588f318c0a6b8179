//! Whose turn it was when a round began: what was owed to those who stood before a request in line.
//!
//! A request is not turned away wrongly because something was unreserved that others had come for before it.

use crate::line::Line;
use quorate_domain::{Amount, PlaceId, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The last calls in line at one instant. Those who may still wait stand behind all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns(BTreeMap<(SessionId, PlaceId), Turn>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    /// What those before it needed.
    ahead: Amount,
    /// What it needed itself.
    need: Amount,
}

impl Turn {
    const fn through(&self) -> Amount {
        self.ahead.saturating_add(self.need)
    }
}

impl Turns {
    /// As the line stands now, those of silent sessions apart.
    pub(crate) fn of(line: &Line, is_silent: impl Fn(SessionId) -> bool) -> Self {
        let mut ahead = Amount::ZERO;
        let calls = line.all().take_while(|waiting| waiting.place.is_last_call);
        let turns = calls.filter(|waiting| !is_silent(waiting.session)).map(|waiting| {
            let turn = Turn { ahead, need: waiting.place.need };
            ahead = turn.through();
            ((waiting.session, waiting.place.id), turn)
        });
        Self(turns.collect())
    }

    /// What was owed to those who stood before a request. One that the session had not mentioned, or that had patience
    /// still, stood behind those that the session had mentioned.
    #[must_use]
    pub fn ahead_of(&self, session: SessionId, id: PlaceId) -> Amount {
        let first = (session, PlaceId::new(0));
        let Some(((_, found), turn)) = self.0.range(first..=(session, id)).next_back() else {
            return Amount::ZERO;
        };
        if *found == id { turn.ahead } else { turn.through() }
    }
}
