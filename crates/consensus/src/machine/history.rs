//! A running digest of all that was applied and of what came of it: replicas that differ in one outcome differ in it for ever.

use super::Outcome;
use crate::codec::{self, EntryV1};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;

/// Indices whose digest is remembered: as many as a replica applies while another one asks it.
const REMEMBERED: usize = 4_096;

/// A digest at an index of the log: equal on all nodes that applied that index (invariant I9).
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The last applied entry.
    pub applied: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// The digest now, and what it was at the latest entries.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Nothing before the first entry: its index is 0, so that no number could say so.
    now: Option<Fingerprint>,
    earlier: VecDeque<Fingerprint>,
}

/// Makes digests. Apart from the history, so that nobody who reads that waits for a sum.
#[derive(Debug, Default)]
pub(super) struct Digester {
    /// Room for what is summed: its pieces are too small to be summed one by one.
    bytes: Vec<u8>,
}

impl History {
    /// Goes on from where a snapshot was taken. What was before that is not known.
    pub(super) const fn since(now: Option<Fingerprint>) -> Self {
        Self { now, earlier: VecDeque::new() }
    }

    /// The digest of everything so far, once there is anything.
    pub(super) const fn now(&self) -> Option<Fingerprint> {
        self.now
    }

    /// What the digest was at that index, if it is remembered.
    pub(super) fn at(&self, index: u64) -> Option<Fingerprint> {
        let now = self.now?;
        if now.applied == index {
            return Some(now);
        }
        let at = self.earlier.binary_search_by_key(&index, |earlier| earlier.applied).ok()?;
        self.earlier.get(at).copied()
    }

    /// Goes on to the digest of the next entry.
    pub(super) fn push(&mut self, next: Fingerprint) {
        if self.earlier.len() == REMEMBERED {
            self.earlier.pop_front();
        }
        self.earlier.extend(self.now.replace(next));
    }
}

impl Digester {
    /// The digest after an entry and what came of it, given the one before.
    pub(super) fn after(
        &mut self,
        before: Option<Fingerprint>,
        entry: &EntryV1,
        outcomes: &[Outcome],
    ) -> Fingerprint {
        self.bytes.clear();
        codec::append(&mut self.bytes, entry);
        codec::append(&mut self.bytes, &outcomes);
        let before = before.unwrap_or_default().sha256;
        let sum = Sha256::new_with_prefix(before).chain_update(&self.bytes);
        Fingerprint { applied: entry.log_id.index, sha256: sum.finalize().into() }
    }
}

impl Fingerprint {
    /// The digest as people read it.
    #[must_use]
    pub fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hex(), self.applied)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{LogIdV1, PayloadV1};
    use crate::machine::NodeOutcome;

    fn entry(index: u64) -> EntryV1 {
        EntryV1 { log_id: LogIdV1 { term: 1, node: 1, index }, payload: PayloadV1::Blank }
    }

    impl History {
        fn note(&mut self, entry: &EntryV1, outcomes: &[Outcome]) {
            self.push(Digester::default().after(self.now(), entry, outcomes));
        }
    }

    #[test]
    fn one_different_outcome_makes_all_that_follows_different() {
        let (mut ours, mut theirs) = (History::default(), History::default());
        let outcomes = [NodeOutcome::Removed, NodeOutcome::NotFounded].map(Outcome::Node);
        for (history, outcome) in [&mut ours, &mut theirs].into_iter().zip(outcomes) {
            history.note(&entry(1), &[]);
            history.note(&entry(2), &[outcome]);
            history.note(&entry(3), &[]);
        }
        assert_eq!([0, 1].map(|index| ours.at(index)), [0, 1].map(|index| theirs.at(index)));
        assert_ne!(ours.at(2), theirs.at(2));
        assert_ne!(ours.now(), theirs.now());
        assert_eq!((ours.at(3), ours.at(4)), (ours.now(), None));
    }

    #[test]
    fn who_has_applied_nothing_has_no_history_and_is_told_of_no_other_than_that_of_the_first_entry() {
        let (fresh, mut begun) = (History::default(), History::default());
        begun.note(&entry(0), &[]);
        assert_eq!((fresh.now(), fresh.at(0)), (None, None));
        assert!(begun.at(0).is_some() && begun.at(0) == begun.now());
        let first = begun.now();
        begun.note(&entry(1), &[]);
        assert_eq!(begun.at(0), first);
        let restored = History::since(fresh.now());
        assert_eq!((restored.now(), restored.at(0)), (None, None));
    }

    #[test]
    fn the_latest_indices_are_remembered_and_a_snapshot_begins_anew() {
        let mut history = History::default();
        (1..=2 * REMEMBERED as u64).for_each(|index| history.note(&entry(index), &[]));
        let oldest = REMEMBERED as u64;
        assert!(history.at(oldest).is_some() && history.at(oldest - 1).is_none());
        let since = History::since(history.now());
        assert_eq!((since.now(), since.at(oldest)), (history.now(), None));
    }
}
