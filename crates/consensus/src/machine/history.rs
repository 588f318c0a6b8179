//! A running digest of all that was applied and of what came of it: replicas that differ in one outcome differ in it for ever.

use super::Outcome;
use crate::codec::{self, EntryV1};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt;

/// Indices whose digest is remembered: as many as a replica applies while another one asks it.
const REMEMBERED: usize = 4_096;

/// The version of what is digested: the bytes of `EntryV1` and of outcomes, as all programs have written them so far. A
/// program that makes other bytes of what an old log holds must raise it, or it would differ from programs that do not.
/// Histories of two versions are never compared, neither those of two nodes nor what one node goes on from.
pub(crate) const HISTORY_VERSION: u32 = 1;
const _: () =
    assert!(HISTORY_VERSION == 1, "snapshots do not tell the version of their history: first store it there");

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

    /// What the digest was at that index, if it is remembered and of that version.
    pub(super) fn at(&self, version: u32, index: u64) -> Option<Fingerprint> {
        if version != HISTORY_VERSION {
            return None;
        }
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
    use crate::codec::tests::frozen;
    use crate::codec::{Kind, LogIdV1, PayloadV1};
    use quorate_membership::{Outcome as Members, Rejection};

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
        let outcomes = [Members::Done, Members::Rejected(Rejection::NotFounded)].map(Outcome::Membership);
        for (history, outcome) in [&mut ours, &mut theirs].into_iter().zip(outcomes) {
            history.note(&entry(1), &[]);
            history.note(&entry(2), &[outcome]);
            history.note(&entry(3), &[]);
        }
        assert_eq!(
            [0, 1].map(|index| ours.at(HISTORY_VERSION, index)),
            [0, 1].map(|index| theirs.at(HISTORY_VERSION, index))
        );
        assert_ne!(ours.at(HISTORY_VERSION, 2), theirs.at(HISTORY_VERSION, 2));
        assert_ne!(ours.now(), theirs.now());
        assert_eq!((ours.at(HISTORY_VERSION, 3), ours.at(HISTORY_VERSION, 4)), (ours.now(), None));
    }

    #[test]
    fn who_has_applied_nothing_has_no_history_and_is_told_of_no_other_than_that_of_the_first_entry() {
        let (fresh, mut begun) = (History::default(), History::default());
        begun.note(&entry(0), &[]);
        assert_eq!((fresh.now(), fresh.at(HISTORY_VERSION, 0)), (None, None));
        assert!(begun.at(HISTORY_VERSION, 0).is_some() && begun.at(HISTORY_VERSION, 0) == begun.now());
        let first = begun.now();
        begun.note(&entry(1), &[]);
        assert_eq!(begun.at(HISTORY_VERSION, 0), first);
        assert_eq!(begun.earlier, [first.unwrap()], "nothing stands before the first entry");
        let restored = History::since(fresh.now());
        assert_eq!((restored.now(), restored.at(HISTORY_VERSION, 0)), (None, None));
    }

    #[test]
    fn a_program_of_another_version_is_told_nothing() {
        let mut history = History::default();
        history.note(&entry(0), &[]);
        assert_eq!(
            [HISTORY_VERSION - 1, HISTORY_VERSION, HISTORY_VERSION + 1].map(|version| history.at(version, 0)),
            [None, history.now(), None]
        );
    }

    #[test]
    fn what_is_digested_are_the_bytes_that_were_stored_whatever_they_are_read_into() {
        let (entries, outcomes) = (frozen(&["v1_entry_", "v1_command_"]), frozen(&["v1_outcome_"]));
        assert!(entries.len() > 50 && outcomes.len() > 4, "the samples are where they were");
        let sum_of =
            |parts: [&[u8]; 2]| <[u8; 32]>::from(Sha256::digest([&[0; 32], parts[0], parts[1]].concat()));
        let digest =
            |entry: &EntryV1, outcomes: &[Outcome]| Digester::default().after(None, entry, outcomes).sha256;
        for sample in &entries {
            let entry = codec::decode(Kind::Entry, sample).unwrap();
            let stored = sum_of([codec::open(Kind::Entry, sample).unwrap(), &[0; 8]]);
            assert_eq!(digest(&entry, &[]), stored, "raise HISTORY_VERSION: {entry:?}");
        }
        let mut blank = Vec::new();
        codec::append(&mut blank, &entry(1));
        for sample in &outcomes {
            let outcomes: Vec<Outcome> = codec::decode(Kind::State, sample).unwrap();
            let stored = sum_of([&blank, codec::open(Kind::State, sample).unwrap()]);
            assert_eq!(digest(&entry(1), &outcomes), stored, "raise HISTORY_VERSION: {outcomes:?}");
        }
    }

    #[test]
    fn the_latest_indices_are_remembered_and_a_snapshot_begins_anew() {
        let mut history = History::default();
        (1..=2 * REMEMBERED as u64).for_each(|index| history.note(&entry(index), &[]));
        let oldest = REMEMBERED as u64;
        assert!(
            history.at(HISTORY_VERSION, oldest).is_some()
                && history.at(HISTORY_VERSION, oldest - 1).is_none()
        );
        let since = History::since(history.now());
        assert_eq!((since.now(), since.at(HISTORY_VERSION, oldest)), (history.now(), None));
    }
}
