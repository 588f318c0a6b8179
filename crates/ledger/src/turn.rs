//! Whose turn it was when a round began: what those who stood before a request in line would have left for it.
//!
//! A request is not turned away wrongly because something was unreserved that others had come for before it.

use crate::line::Line;
use quorate_domain::{Amount, PlaceId, SessionId};
use serde::{Deserialize, Serialize};

/// The last calls in line at one instant, in their order. Those who may still wait stand behind all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns(Vec<Turn>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    session: SessionId,
    id: PlaceId,
    need: Amount,
}

impl Turn {
    /// What it leaves of no more than `left`.
    fn leaves_of(&self, left: Amount) -> Amount {
        match left.checked_sub(self.need) {
            Some(rest) => rest.max(self.need.saturating_sub(Amount::new(1))),
            None => left,
        }
    }
}

impl Turns {
    /// As the line stands now, those of silent sessions apart.
    pub(crate) fn of(line: &Line, is_silent: impl Fn(SessionId) -> bool) -> Self {
        let calls = line.all().take_while(|waiting| waiting.place.is_last_call);
        let turns = calls.filter(|waiting| !is_silent(waiting.session)).map(|waiting| Turn {
            session: waiting.session,
            id: waiting.place.id,
            need: waiting.place.need,
        });
        Self(turns.collect())
    }

    /// The most that those who stood before a request can have left of what was there, if that was `at_most`.
    ///
    /// How much was there is not known, but for that bound. Where it was less than the next one needs, that one took
    /// nothing, and all of it was left: so one that is too large takes nobody down with it.
    #[must_use]
    pub fn left_for(&self, session: SessionId, id: PlaceId, at_most: Amount) -> Amount {
        self.before(session, id).iter().fold(at_most, |left, turn| turn.leaves_of(left))
    }

    /// Those who stood here for whom too little was left, each with how much that was at most.
    pub(crate) fn denied(&self, at_most: Amount) -> impl Iterator<Item = ((SessionId, PlaceId), Amount)> {
        let left = self.0.iter().scan(at_most, |left, turn| {
            let before = *left;
            *left = turn.leaves_of(before);
            Some((turn, before))
        });
        let denied = left.filter(|(turn, left)| turn.need > *left);
        denied.map(|(turn, left)| ((turn.session, turn.id), left))
    }

    /// One that the session had not mentioned, or that had patience still, stood behind those that it had.
    fn before(&self, session: SessionId, id: PlaceId) -> &[Turn] {
        let itself = self.0.iter().position(|turn| (turn.session, turn.id) == (session, id));
        let own = |turn: &Turn| turn.session == session && turn.id < id;
        let behind = || Some(self.0.iter().rposition(own)? + 1);
        &self.0[..itself.or_else(behind).unwrap_or(0)]
    }
}
