//! What happens next: events at simulated microseconds, one after the other.

use crate::plan::Direction;
use quorate_ledger::{Command, Outcome};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Arrives(usize),
    Leaves(usize),
    Bills(usize),
    Fault(usize),
    /// A fault of this kind is over.
    Returns(usize),
    Heals(usize, Direction),
    Resumes(usize),
    LeaderBack,
    Tick,
    /// A node has something to do, or it is time to look.
    Looks(usize),
    /// A message of this life of a node reaches the log.
    Proposed {
        node: usize,
        life: u64,
        exchange: u64,
        command: Command,
    },
    /// The log's answer reaches the node.
    Answered {
        node: usize,
        life: u64,
        exchange: u64,
        outcome: Outcome,
    },
    /// A node's exchange took too long.
    GivesUp {
        node: usize,
        life: u64,
        exchange: u64,
    },
    /// A node's write to its journal is done: of what it overspends, or of its accounts.
    OverspentSynced {
        node: usize,
        life: u64,
    },
    Synced {
        node: usize,
        life: u64,
    },
    /// A node's replica moves.
    Applies {
        node: usize,
        life: u64,
        upto: usize,
    },
    /// A node knows that its replica was not behind.
    Barrier {
        node: usize,
        life: u64,
        upto: usize,
    },
}

/// All events to come. Of two at the same time the one comes first that was put in first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// When, which of those that were put in, and its place.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    /// Places that are free again.
    vacant: Vec<usize>,
    numbered: u64,
}

impl Queue {
    pub(crate) fn put(&mut self, at: u64, event: Event) {
        self.numbered += 1;
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.order.push(Reverse((at, self.numbered, place)));
    }

    pub(crate) fn next(&mut self) -> Option<(u64, Event)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        self.vacant.push(place);
        Some((at, self.events[place].take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_their_time_and_then_as_they_were_put_in() {
        let mut queue = Queue::default();
        for (at, number) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.put(at, Event::Arrives(number));
        }
        queue.next();
        queue.put(4, Event::Arrives(4));
        let rest: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        let expected = "[(3, Arrives(3)), (4, Arrives(4)), (5, Arrives(0)), (5, Arrives(2))]";
        assert_eq!(format!("{rest:?}"), expected);
    }
}
