//! What this replica knows of the others' histories, by what they answered last. Asks nobody: answers in, knowledge out.

use crate::machine::Fingerprint;
use quorate_domain::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The answers of one comparison. Who is silent or cannot tell is not among them.
pub(super) type Answers = BTreeMap<NodeId, Fingerprint>;

/// Another voter's history beside this replica's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Up to this index.
    Equal { at: u64 },
    /// And so they remain, until one of the two applies its log anew. They had been found equal up to this index before.
    Different { equal_at: Option<u64> },
}

/// Every voter that ever answered, as it was found last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared(BTreeMap<NodeId, Found>);

impl Compared {
    /// Takes in the answers of a comparison. Who is silent remains as it was found, who votes no more is forgotten.
    pub(super) fn note(&mut self, voters: &BTreeSet<NodeId>, ours: Fingerprint, answers: &Answers) {
        self.0.retain(|voter, _| voters.contains(voter));
        for (voter, theirs) in answers {
            let found = if *theirs == ours {
                Found::Equal { at: ours.applied }
            } else {
                Found::Different { equal_at: self.equal_at(*voter) }
            };
            self.0.insert(*voter, found);
        }
    }

    /// Voters that were found to differ and not to be equal since.
    pub(super) fn differing(&self) -> BTreeSet<NodeId> {
        let differing = self.0.iter().filter(|(_, found)| match found {
            Found::Equal { .. } => false,
            Found::Different { .. } => true,
        });
        differing.map(|(voter, _)| *voter).collect()
    }

    /// Up to which index a voter was last found equal. `None` if it never was: then nothing is known of it, unless it differs.
    pub(super) fn equal_at(&self, voter: NodeId) -> Option<u64> {
        match self.0.get(&voter)? {
            Found::Equal { at } => Some(*at),
            Found::Different { equal_at } => *equal_at,
        }
    }
}

/// Who answered with another digest at the same index.
pub(super) fn different(ours: Fingerprint, answers: &Answers) -> BTreeSet<NodeId> {
    answers.iter().filter(|(_, theirs)| **theirs != ours).map(|(voter, _)| *voter).collect()
}

/// Whether so many differ that whoever differs from them is taken to be the one that is wrong.
pub(super) fn are_most(different: &BTreeSet<NodeId>, voters: &BTreeSet<NodeId>) -> bool {
    2 * different.len() > voters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn at(applied: u64, byte: u8) -> Fingerprint {
        Fingerprint { applied, sha256: [byte; 32] }
    }

    fn answers(all: &[(u64, Fingerprint)]) -> Answers {
        all.iter().map(|(id, theirs)| (NodeId::new(*id), *theirs)).collect()
    }

    #[test]
    fn a_voter_that_differs_is_known_to_until_it_is_found_equal_or_votes_no_more() {
        let (mut known, voters) = (Compared::default(), nodes(&[1, 2, 3]));
        known.note(&voters, at(5, 0), &answers(&[(2, at(5, 1)), (3, at(5, 1))]));
        assert_eq!(known.differing(), nodes(&[2, 3]));
        known.note(&voters, at(6, 0), &answers(&[]));
        assert_eq!(known.differing(), nodes(&[2, 3]), "silence is no answer");
        known.note(&voters, at(7, 0), &answers(&[(2, at(7, 0))]));
        assert_eq!(known.differing(), nodes(&[3]));
        known.note(&nodes(&[1, 2]), at(8, 0), &answers(&[]));
        assert_eq!(known.differing(), nodes(&[]));
    }

    #[test]
    fn who_was_never_compared_is_told_from_who_was_found_equal() {
        let (mut known, voters) = (Compared::default(), nodes(&[1, 2, 3]));
        known.note(&voters, at(5, 0), &answers(&[(2, at(5, 0))]));
        known.note(&voters, at(6, 0), &answers(&[]));
        let equal_at = |known: &Compared| [2, 3].map(|id| known.equal_at(NodeId::new(id)));
        assert_eq!((known.differing(), equal_at(&known)), (nodes(&[]), [Some(5), None]));
        known.note(&voters, at(7, 0), &answers(&[(2, at(7, 1)), (3, at(7, 1))]));
        known.note(&voters, at(8, 0), &answers(&[(2, at(8, 1))]));
        assert_eq!((known.differing(), equal_at(&known)), (nodes(&[2, 3]), [Some(5), None]));
    }

    #[test]
    fn a_node_that_stopped_does_not_help_to_stop_another_one() {
        let (mut known, voters) = (Compared::default(), nodes(&[1, 2, 3]));
        known.note(&voters, at(5, 0), &answers(&[(2, at(5, 1)), (3, at(5, 0))]));
        let of_the_other = answers(&[(3, at(9, 1))]);
        known.note(&voters, at(9, 0), &of_the_other);
        assert_eq!(known.differing(), nodes(&[2, 3]));
        assert!(
            !are_most(&different(at(9, 0), &of_the_other), &voters),
            "of 1 and 3 nobody knows which is wrong"
        );
    }

    #[test]
    fn a_replica_is_wrong_if_most_voters_differ_from_it() {
        let are_most = |different, voters| are_most(&nodes(different), &nodes(voters));
        assert!(are_most(&[2, 3], &[1, 2, 3]));
        assert!(!are_most(&[2], &[1, 2, 3]), "one of three is wrong itself");
        assert!(!are_most(&[2], &[1, 2]), "of two, nobody knows which");
        assert!(are_most(&[2], &[2]), "a learner follows the only voter");
        assert!(!are_most(&[], &[1]));
    }
}
