//! Changes by operators and by the autopilot, and what draining nodes report. Every check comes before the first change.

use super::Membership;
use crate::autopilot::VOTERS_MAX;
use crate::command::Rejection;
use crate::seats::Ballot;
use crate::{By, Change, Named, Order, Report, Standing, What};
use quorate_domain::{BootId, LogTime, NodeId};
use std::collections::BTreeSet;

impl Membership {
    pub(super) fn order(&mut self, at: LogTime, order: Order) -> Result<(), Rejection> {
        let Order { expected, by, change } = order;
        let revision = self.revision;
        if expected != revision {
            return Err(Rejection::Conflict { expected, revision });
        }
        match change {
            Change::Drain { node, within } => {
                let named = self.member(node)?;
                let was_serving = self.is_serving(node);
                self.stand(node, |standing| standing.drained_by(at, by.clone(), within));
                self.note_if(was_serving, (at, by), What::Draining(named));
            }
            Change::Undrain { node } => {
                let named = self.member(node)?;
                let was_serving = self.is_serving(node);
                self.stand(node, |_| Standing::Serving);
                self.note_if(!was_serving, (at, by), What::Undrained(named));
            }
            Change::Remove { node, voters } => self.remove((at, by), node, voters)?,
            Change::Replace { node, successor } => {
                let named = self.member(node)?;
                let before = self.nodes.get_mut(&node).and_then(|record| record.replaced.replace(successor));
                self.note_if(before != Some(successor), (at, by), What::ToBeReplaced(named));
            }
            Change::Seat { voters } => {
                self.check_voters(&voters, None)?;
                self.seat((at, by), voters);
            }
            Change::Promote { node, voters } => self.let_vote((at, by), node, voters, Ballot::Free)?,
            Change::Demote { node, voters } => self.let_vote((at, by), node, voters, Ballot::KeptOut)?,
            Change::Autopilot(settings) => {
                let is_new = self.autopilot != settings;
                self.autopilot = settings;
                self.note_if(is_new, (at, by), What::Autopilot(settings));
            }
        }
        Ok(())
    }

    /// What a node says of its drain. A report of an earlier start says nothing of this one.
    pub(super) fn report(
        &mut self,
        at: LogTime,
        (node, boot): (NodeId, BootId),
        report: Report,
    ) -> Result<(), Rejection> {
        let named = self.member(node)?;
        if self.get(node).is_none_or(|record| record.boot != boot) {
            return Ok(());
        }
        let was_draining =
            self.get(node).is_some_and(|record| matches!(record.standing, Standing::Draining(_)));
        self.stand(node, |standing| standing.reported(at, report));
        if was_draining && report == Report::Drained {
            self.revision += 1;
            self.note_own(at, node, |_| What::Drained(named));
        }
        Ok(())
    }

    fn remove(
        &mut self,
        when: (LogTime, By),
        node: NodeId,
        voters: BTreeSet<NodeId>,
    ) -> Result<(), Rejection> {
        let named = self.member(node)?;
        self.check_voters(&voters, Some(node))?;
        if let Some(record) = self.nodes.remove(&node) {
            self.retired.insert(record.storage);
        }
        let waiting = self.nodes.values_mut().filter(|record| record.replaces == Some(node));
        waiting.for_each(|record| record.replaces = None);
        self.seat(when.clone(), voters);
        self.note_if(true, when, What::Removed(named));
        Ok(())
    }

    fn let_vote(
        &mut self,
        when: (LogTime, By),
        node: NodeId,
        voters: BTreeSet<NodeId>,
        ballot: Ballot,
    ) -> Result<(), Rejection> {
        let named = self.member(node)?;
        self.check_voters(&voters, None)?;
        let before = self.nodes.get_mut(&node).map(|record| std::mem::replace(&mut record.ballot, ballot));
        let what = match ballot {
            Ballot::Free => What::LetIn(named),
            Ballot::KeptOut => What::KeptOut(named),
        };
        self.note_if(before != Some(ballot), when.clone(), what);
        self.seat(when, voters);
        Ok(())
    }

    fn check_voters(&self, voters: &BTreeSet<NodeId>, leaving: Option<NodeId>) -> Result<(), Rejection> {
        let stays = |voter: &NodeId| self.nodes.contains_key(voter) && Some(*voter) != leaving;
        let fits = (1..=VOTERS_MAX).contains(&voters.len()) && voters.iter().all(stays);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        if fits { Ok(()) } else { Err(Rejection::Voters(number(voters.len()), number(VOTERS_MAX))) }
    }

    fn seat(&mut self, when: (LogTime, By), voters: BTreeSet<NodeId>) {
        let before = std::mem::replace(&mut self.voters, voters.clone());
        self.note_if(before != voters, when, What::Seated { before, after: voters });
    }

    fn member(&self, node: NodeId) -> Result<Named, Rejection> {
        self.named(node).ok_or(Rejection::Unknown(node))
    }

    fn is_serving(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|record| record.standing.is_serving())
    }

    fn stand(&mut self, node: NodeId, change: impl FnOnce(Standing) -> Standing) {
        if let Some(record) = self.nodes.get_mut(&node) {
            record.standing = change(std::mem::take(&mut record.standing));
        }
    }

    /// What changed nothing is no event, and leaves plans true.
    fn note_if(&mut self, changed: bool, (at, by): (LogTime, By), what: What) {
        if changed {
            self.revision += 1;
            self.events.note(at, by, what);
        }
    }
}
