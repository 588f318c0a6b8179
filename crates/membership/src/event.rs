//! The latest changes to the membership, as part of the state: what an operator reads who comes to a cluster at night.

use crate::{AutopilotSettings, By};
use quorate_domain::{LogTime, Name, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;

/// So many are kept.
const EVENTS_MAX: usize = 1_000;
/// Bytes of what people wrote that are kept: reasons can be long, and each is in every snapshot.
const BYTES_MAX: usize = 256 * 1024;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1.
    pub number: u64,
    /// When.
    pub at: LogTime,
    /// Who asked for it, and why; a node by its own doing: its name.
    pub by: By,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The cluster began with this node.
    Founded(Named),
    /// A node came.
    Admitted(Named),
    /// A node came to take the place of another.
    AdmittedFor(Named, Named),
    /// A node started anew, and serves again.
    Restarted(Named),
    /// A node is to be drained.
    Draining(Named),
    /// It serves again.
    Undrained(Named),
    /// It holds nothing any more.
    Drained(Named),
    /// A node left for good.
    Removed(Named),
    /// A node is to be replaced.
    ToBeReplaced(Named),
    /// Seats went to these.
    Seated {
        /// Who voted.
        before: BTreeSet<NodeId>,
        /// Who votes from now on.
        after: BTreeSet<NodeId>,
    },
    /// A node gets no vote until it is promoted.
    KeptOut(Named),
    /// A node may have a vote again.
    LetIn(Named),
    /// The autopilot goes by other settings.
    Autopilot(AutopilotSettings),
    /// The cluster had lost its quorum for good, and goes on from the copy of this node, in this lineage.
    Recovered(Named, u32),
    /// What is written is of another level.
    Raised {
        /// What it was.
        from: u32,
        /// What it is.
        to: u32,
    },
}

/// A node, as it was called then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: Name,
}

/// The latest events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    latest: VecDeque<Event>,
    bytes: usize,
    count: u64,
}

impl Events {
    /// The latest, the oldest of them first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.latest.iter()
    }

    pub(crate) fn note(&mut self, at: LogTime, by: By, what: What) {
        self.count += 1;
        let event = Event { number: self.count, at, by, what };
        self.bytes += event.words();
        self.latest.push_back(event);
        while self.latest.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.latest.pop_front() else { break };
            self.bytes -= oldest.words();
        }
    }
}

impl Event {
    fn words(&self) -> usize {
        self.by.actor.len() + self.by.reason.as_ref().map_or(0, String::len)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (node {})", self.name, self.id)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Founded(node) => write!(f, "{node} founded the cluster"),
            Self::Admitted(node) => write!(f, "{node} was let in"),
            Self::AdmittedFor(node, old) => write!(f, "{node} was let in to take the place of {old}"),
            Self::Restarted(node) => write!(f, "{node} started again and serves"),
            Self::Draining(node) => write!(f, "{node} is to be drained"),
            Self::Undrained(node) => write!(f, "{node} is not to be drained any more"),
            Self::Drained(node) => write!(f, "{node} is drained"),
            Self::Removed(node) => write!(f, "{node} was removed for good"),
            Self::ToBeReplaced(node) => write!(f, "{node} is to be replaced"),
            Self::Seated { before, after } => write!(f, "voters {} → {}", ids(before), ids(after)),
            Self::KeptOut(node) => write!(f, "{node} gets no vote until it is promoted"),
            Self::LetIn(node) => write!(f, "{node} may vote"),
            Self::Autopilot(settings) => write!(f, "autopilot: {settings}"),
            Self::Recovered(node, lineage) => {
                write!(f, "the cluster was recovered from the copy of {node}, in lineage {lineage}")
            }
            Self::Raised { from, to } => write!(f, "level {from} → {to}"),
        }
    }
}

/// A set of nodes as people write it.
pub(crate) fn ids(nodes: &BTreeSet<NodeId>) -> String {
    let ids: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(events: &mut Events, reason: &str) {
        let by = By { actor: "ann".to_owned(), reason: Some(reason.to_owned()) };
        let named = Named { id: NodeId::new(1), name: "n1".parse().unwrap() };
        events.note(LogTime::from_millis(1), by, What::Draining(named));
    }

    #[test]
    fn the_oldest_make_room_by_number_and_by_what_people_wrote() {
        let mut events = Events::default();
        (0..EVENTS_MAX + 5).for_each(|_| note(&mut events, "why"));
        assert_eq!((events.iter().count(), events.iter().next().unwrap().number), (EVENTS_MAX, 6));
        (0..100).for_each(|_| note(&mut events, &"x".repeat(10_000)));
        let kept = events.iter().count();
        assert!(kept * 10_003 <= BYTES_MAX && kept >= 25, "{kept}");
        assert_eq!(events.bytes, events.iter().map(Event::words).sum::<usize>());
        assert_eq!(events.iter().next_back().unwrap().number, EVENTS_MAX as u64 + 105);
    }
}
