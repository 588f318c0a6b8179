//! Remembers what came of recent operations, so that a retry gets the first answer instead of a second effect.
//!
//! Part of the replicated state: what is forgotten, and when, depends on the order of the log alone.

use super::{OpId, Outcome};
use quorate_domain::BootId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Operations remembered per process. More than one process can have under way (see `replica::proposer`).
pub(crate) const SEQUENCES_MAX: usize = 1_024;
/// Processes remembered: every node of a large cluster through many restarts.
const BOOTS_MAX: usize = 256;

/// The memory of operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dedup {
    boots: BTreeMap<BootId, Boot>,
    /// Counts operations, to know which process was silent longest.
    used: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Boot {
    last_used: u64,
    /// Everything up to here is forgotten.
    forgotten: u64,
    outcomes: BTreeMap<u64, Outcome>,
}

impl Dedup {
    /// What came of the operation before; `None` if it is new.
    pub(super) fn recall(&self, op: OpId) -> Option<Outcome> {
        let boot = self.boots.get(&op.boot)?;
        match boot.outcomes.get(&op.sequence) {
            Some(outcome) => Some(outcome.clone()),
            None if op.sequence <= boot.forgotten => Some(Outcome::Forgotten),
            None => None,
        }
    }

    /// Remembers an operation, and forgets the oldest of its process and the most silent process if need be.
    pub(super) fn remember(&mut self, op: OpId, outcome: Outcome) {
        self.used += 1;
        let boot = self.boots.entry(op.boot).or_default();
        boot.last_used = self.used;
        boot.outcomes.insert(op.sequence, outcome);
        if boot.outcomes.len() > SEQUENCES_MAX
            && let Some((sequence, _)) = boot.outcomes.pop_first()
        {
            boot.forgotten = sequence;
        }
        if self.boots.len() > BOOTS_MAX {
            self.forget_most_silent();
        }
    }

    fn forget_most_silent(&mut self) {
        let silent = self.boots.iter().min_by_key(|(_, boot)| boot.last_used).map(|(id, _)| *id);
        if let Some(id) = silent {
            self.boots.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_membership as membership;

    fn op(boot: u64, sequence: u64) -> OpId {
        OpId { boot: BootId::new(boot), sequence }
    }

    fn removed() -> Outcome {
        Outcome::Membership(membership::Outcome::Done)
    }

    #[test]
    fn an_operation_is_recalled_until_a_thousand_later_ones_and_then_known_to_be_forgotten() {
        let mut dedup = Dedup::default();
        for sequence in 1..=SEQUENCES_MAX as u64 {
            dedup.remember(op(1, sequence), removed());
        }
        assert_eq!(dedup.recall(op(1, 1)), Some(removed()));
        dedup.remember(op(1, 5_000), removed());
        assert_eq!(dedup.recall(op(1, 1)), Some(Outcome::Forgotten));
        assert_eq!(dedup.recall(op(1, 2)), Some(removed()));
        assert_eq!(dedup.recall(op(1, 4_999)), None);
    }

    #[test]
    fn the_process_that_was_silent_longest_is_forgotten_first() {
        let mut dedup = Dedup::default();
        for boot in 0..BOOTS_MAX as u64 {
            dedup.remember(op(boot, 1), removed());
        }
        dedup.remember(op(0, 2), removed());
        dedup.remember(op(9_999, 1), removed());
        assert_eq!(dedup.recall(op(1, 1)), None);
        assert_eq!(dedup.recall(op(0, 1)), Some(removed()));
    }
}
