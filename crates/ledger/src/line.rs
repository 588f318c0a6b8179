//! The line of a window: requests of all nodes that wait for what comes back, first come first served.

use quorate_domain::{Amount, PlaceId, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// So many requests of one session stand in the line of one window; the session keeps the others in its own.
pub const PLACES_MAX: usize = 64;

/// A request in line, as its session names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub id: PlaceId,
    /// What it needs: less is of no use to it now.
    pub need: Amount,
    /// What it takes if there is so much.
    pub most: Amount,
    /// Its patience is over: it goes ahead of all who may still wait, to be served or refused now.
    pub is_last_call: bool,
}

/// A request in line, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) session: SessionId,
    pub(crate) place: Place,
    /// Who came earlier has a lower number.
    arrival: u64,
}

/// The line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    arrivals: u64,
    waiting: VecDeque<Waiting>,
}

impl Place {
    /// What it takes of so much: nothing, if that is less than it needs.
    pub(crate) fn takes_of(&self, pool: Amount) -> Option<Amount> {
        (self.need <= pool).then(|| self.most.max(self.need).min(pool))
    }
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    pub(crate) fn served(&mut self, served: &Waiting) {
        self.waiting.retain(|waiting| waiting != served);
    }

    /// The session's requests in line are these and no others. Who stands in line already keeps the place.
    pub(crate) fn update(&mut self, session: SessionId, places: &[Place]) {
        let mut mentioned: BTreeMap<PlaceId, Place> = places.iter().map(|place| (place.id, *place)).collect();
        self.waiting.retain_mut(|waiting| {
            if waiting.session != session {
                return true;
            }
            let known = mentioned.remove(&waiting.place.id);
            known.map(|place| waiting.place = place).is_some()
        });
        for place in places.iter().filter(|place| mentioned.contains_key(&place.id)) {
            self.arrivals += 1;
            self.waiting.push_back(Waiting { session, place: *place, arrival: self.arrivals });
        }
        let order = |waiting: &Waiting| (!waiting.place.is_last_call, waiting.arrival);
        self.waiting.make_contiguous().sort_by_key(order);
    }

    /// Of the session's requests in line only these are there still.
    pub(crate) fn keep(&mut self, session: SessionId, places: &[Place]) {
        let is_there = |waiting: &Waiting| places.iter().any(|place| place.id == waiting.place.id);
        self.waiting.retain(|waiting| waiting.session != session || is_there(waiting));
    }

    pub(crate) fn lose(&mut self, session: SessionId) {
        self.waiting.retain(|waiting| waiting.session != session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u64, is_last_call: bool) -> Place {
        Place { id: PlaceId::new(id), need: Amount::new(1), most: Amount::new(1), is_last_call }
    }

    fn order(line: &Line) -> Vec<(u64, u64)> {
        line.waiting.iter().map(|waiting| (waiting.session.get(), waiting.place.id.get())).collect()
    }

    #[test]
    fn who_stands_in_line_keeps_the_place_and_who_is_not_mentioned_has_left() {
        let (a, b) = (SessionId::new(1), SessionId::new(2));
        let mut line = Line::default();
        line.update(a, &[place(1, false), place(2, false)]);
        line.update(b, &[place(1, false)]);
        line.update(a, &[place(2, false), place(3, false)]);
        assert_eq!(order(&line), [(1, 2), (2, 1), (1, 3)]);
        line.lose(a);
        assert_eq!(order(&line), [(2, 1)]);
    }

    #[test]
    fn a_last_call_goes_ahead_of_those_who_may_wait() {
        let (a, b) = (SessionId::new(1), SessionId::new(2));
        let mut line = Line::default();
        line.update(a, &[place(1, false), place(2, false)]);
        line.update(b, &[place(1, true)]);
        line.update(a, &[place(1, false), place(2, true)]);
        assert_eq!(order(&line), [(1, 2), (2, 1), (1, 1)]);
    }
}
