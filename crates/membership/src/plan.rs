//! Plans: what would happen if. One pure function of the table and of what the leader sees; applying a plan is one order with
//! the revision it was made at.

use crate::autopilot::CAUGHT_UP;
use crate::command::Rejection;
use crate::event::ids;
use crate::seats::{self, Ballot, quorum, spare};
use crate::{AutopilotSettings, Change, Membership, NodeRecord, Sight, Standing, Successor};
use quorate_domain::{NodeId, Span};
use serde::Serialize;
use std::collections::BTreeSet;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// That a node leaves its work.
    Drain(NodeId, Option<Span>),
    /// That it takes work again.
    Undrain(NodeId),
    /// That it leaves for good.
    Remove(NodeId),
    /// That one that comes takes its place.
    Replace(NodeId, Successor),
    /// That it votes, instead of this one if told.
    Promote(NodeId, Option<NodeId>),
    /// That it does not vote.
    Demote(NodeId),
    /// Other settings of the autopilot.
    Autopilot(AutopilotSettings),
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The revision it was made at.
    pub revision: u64,
    /// What would change; `None` if it is so already.
    #[serde(skip)]
    pub change: Option<Change>,
    /// Who votes.
    pub voters_before: BTreeSet<NodeId>,
    /// Who would.
    pub voters_after: BTreeSet<NodeId>,
    /// How many must agree.
    pub quorum_before: usize,
    /// How many would have to.
    pub quorum_after: usize,
    /// How many more voters may fail.
    pub tolerance: Tolerance,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// How many more voters may fail at the same time; below zero there is no quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tolerance {
    /// Now.
    pub before: i64,
    /// While voters change: both majorities are needed.
    pub during: i64,
    /// When it is done; of a drain: when the node is stopped.
    pub after: i64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What came of it.
    pub verdict: Verdict,
    /// In words.
    pub text: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Warned,
    /// Forbids it.
    Refused,
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn of(table: &Membership, sight: &Sight, ask: &Ask) -> Result<Self, Rejection> {
        let mut draft = Draft { table, sight, checks: Vec::new(), leaving: None };
        let before = table.voters().clone();
        let (change, after) = draft.choose(ask)?;
        if change.is_some() {
            draft.judge(ask, &before, &after);
        }
        let spare_after = draft.spare_after(&after);
        let spare_before = spare(&before, sight);
        let tolerance = Tolerance {
            before: spare_before,
            during: spare_before.min(spare(&after, sight)),
            after: spare_after,
        };
        Ok(Self {
            revision: table.revision(),
            change,
            quorum_before: quorum(before.len()),
            quorum_after: quorum(after.len()),
            voters_before: before,
            voters_after: after,
            tolerance,
            checks: draft.checks,
        })
    }

    /// Why it must not be done, if so.
    pub fn refusals(&self) -> impl Iterator<Item = &str> {
        let refused = self.checks.iter().filter(|check| check.verdict == Verdict::Refused);
        refused.map(|check| check.text.as_str())
    }
}

struct Draft<'a> {
    table: &'a Membership,
    sight: &'a Sight,
    checks: Vec<Check>,
    /// The node that will be stopped, though it keeps its vote.
    leaving: Option<NodeId>,
}

impl<'a> Draft<'a> {
    /// What would change, and who would vote then. Nothing if it is so already.
    fn choose(&mut self, ask: &Ask) -> Result<(Option<Change>, BTreeSet<NodeId>), Rejection> {
        let same = self.table.voters().clone();
        Ok(match *ask {
            Ask::Drain(node, within) => {
                let record = self.member(node)?;
                self.leaving = Some(node);
                (record.standing.is_serving().then_some(Change::Drain { node, within }), same)
            }
            Ask::Undrain(node) => {
                let record = self.member(node)?;
                ((!record.standing.is_serving()).then_some(Change::Undrain { node }), same)
            }
            Ask::Replace(node, successor) => {
                let record = self.member(node)?;
                let is_new = record.replaced != Some(successor);
                (is_new.then_some(Change::Replace { node, successor }), same)
            }
            Ask::Remove(node) => {
                self.member(node)?;
                let voters = self.without(node);
                (Some(Change::Remove { node, voters: voters.clone() }), voters)
            }
            Ask::Demote(node) => {
                let record = self.member(node)?;
                let is_out = record.ballot == Ballot::KeptOut && !same.contains(&node);
                let voters = self.without(node);
                ((!is_out).then(|| Change::Demote { node, voters: voters.clone() }), voters)
            }
            Ask::Promote(node, instead) => {
                let record = self.member(node)?;
                let is_in = record.ballot == Ballot::Free && same.contains(&node);
                let voters = self.with(node, instead)?;
                ((!is_in).then(|| Change::Promote { node, voters: voters.clone() }), voters)
            }
            Ask::Autopilot(settings) => {
                ((settings != *self.table.autopilot()).then_some(Change::Autopilot(settings)), same)
            }
        })
    }

    /// The voters without this one: a learner that is caught up takes its seat, or there are fewer, an odd number.
    fn without(&mut self, node: NodeId) -> BTreeSet<NodeId> {
        let mut voters = self.table.voters().clone();
        if !voters.remove(&node) {
            return voters;
        }
        let can_vote =
            |id, record: &NodeRecord| id != node && seats::may_vote(record) && self.is_caught_up(id);
        if let Some(heir) = seats::best(self.table, &voters, can_vote) {
            voters.insert(heir);
            self.fine(format!("{} takes its seat, and is caught up", self.name(heir)));
        }
        match seats::odd(self.table, self.sight, voters.clone()) {
            Some(odd) => odd,
            None => voters,
        }
    }

    fn with(&mut self, node: NodeId, instead: Option<NodeId>) -> Result<BTreeSet<NodeId>, Rejection> {
        let mut voters = self.table.voters().clone();
        if !voters.insert(node) {
            return Ok(voters);
        }
        let gives = match instead {
            Some(instead) => {
                let name = &self.member(instead)?.name;
                if !voters.contains(&instead) || instead == node {
                    self.refuse(format!("{name} has no seat to give"));
                }
                Some(instead)
            }
            None if voters.len().is_multiple_of(2) => self.weakest_beside(node),
            None => None,
        };
        if let Some(gives) = gives {
            voters.remove(&gives);
            self.fine(format!("{} gives its seat: the number stays odd", self.name(gives)));
        }
        if !self.is_caught_up(node) {
            self.refuse(format!("{} is not caught up yet", self.name(node)));
        }
        Ok(voters)
    }

    fn weakest_beside(&self, node: NodeId) -> Option<NodeId> {
        let mut others = self.table.voters().clone();
        others.remove(&node);
        seats::weakest(self.table, self.sight, &others)
    }

    fn judge(&mut self, ask: &Ask, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) {
        match ask {
            Ask::Undrain(_) | Ask::Autopilot(_) => return,
            Ask::Remove(node) => self.judge_removal(*node),
            Ask::Replace(node, _) => self.judge_replacement(*node),
            Ask::Drain(node, _) => self.judge_drain(*node),
            Ask::Promote(..) | Ask::Demote(_) => {}
        }
        if self.sight.voters != *before {
            self.refuse("another change of voters is under way; wait for it".to_owned());
        }
        self.judge_quorum(ask, before, after);
    }

    /// The heart of it: no step may leave a quorum to nodes that are down, and nothing that is planned may use up the last spare
    /// voter while others are down.
    fn judge_quorum(&mut self, ask: &Ask, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) {
        let (reachable, all) = (self.reachable(before), before.len());
        if after.is_empty() {
            return self.refuse("it is the only voter, and nobody could take its seat".to_owned());
        }
        if matches!(ask, Ask::Replace(..)) {
            return;
        }
        if after != before && after.len().is_multiple_of(2) {
            let count = after.len();
            return self.refuse(format!(
                "{count} voters tolerate no more than {}: wait for another learner",
                count - 1
            ));
        }
        if spare(before, self.sight) < 0 {
            let needed = quorum(all);
            return self.refuse(format!(
                "{reachable} of {all} voters are reachable, and {needed} are needed to agree on anything"
            ));
        }
        let (left, spare_after) = (self.reachable_after(after), self.spare_after(after));
        let needed = quorum(after.len());
        let down = self.down_beside(before, subject(ask));
        let takes_a_reachable_one =
            subject(ask).is_some_and(|node| before.contains(&node) && self.sight.reaches(node));
        if takes_a_reachable_one && !down.is_empty() && spare_after < 1 {
            let names = self.names(&down);
            self.refuse(format!(
                "{reachable} of {all} voters are reachable; without a reachable one {left} of {} would be, and {needed} are needed: \
                 start or replace {names} first",
                after.len()
            ));
        } else if spare_after < 0 && self.leaving.is_none() {
            self.refuse(format!(
                "{left} of {} voters would be reachable, and {needed} are needed",
                after.len()
            ));
        } else if spare_after < 0 {
            self.warn(
                "while it is stopped, nothing can be agreed on: it is the only voter or one of two"
                    .to_owned(),
            );
        } else if spare_after < 1 && spare(before, self.sight) > 0 {
            self.warn(format!("no voter may fail then: {left} of {} are needed", needed.max(left)));
        } else {
            self.fine(format!(
                "quorum safe: {left} of {} voters, {needed} needed, {spare_after} may fail",
                after.len()
            ));
        }
    }

    fn judge_removal(&mut self, node: NodeId) {
        let Some(record) = self.table.get(node) else { return };
        let name = &record.name;
        match (&record.standing, self.sight.reaches(node)) {
            (Standing::Drained { .. }, _) => self.fine(format!("{name} is drained")),
            (Standing::Serving | Standing::Draining(_), true) => {
                self.refuse(format!("{name} has not drained: quorate node drain {name}"));
            }
            (Standing::Serving | Standing::Draining(_), false) => self.warn(format!(
                "{name} is not reachable and did not drain: what it holds of budgets stays charged until it is resolved"
            )),
        }
        if node == self.sight.leader {
            self.warn(format!("{name} leads; it hands leadership over first"));
        }
        self.warn(format!("storage {} is retired for ever", record.storage));
    }

    fn judge_replacement(&mut self, node: NodeId) {
        let Some(record) = self.table.get(node) else { return };
        let name = &record.name;
        if self.sight.reaches(node) {
            self.warn(format!("{name} is reachable: it goes on until the newcomer is caught up"));
        } else {
            self.fine(format!("{name} is not reachable"));
        }
        self.fine("the newcomer votes in its place once it is caught up, in one change".to_owned());
    }

    fn judge_drain(&mut self, node: NodeId) {
        let others = self.table.iter().filter(|(id, record)| *id != node && record.standing.is_serving());
        let serving = others.filter(|(id, _)| self.sight.reaches(*id)).count();
        match serving {
            0 => self.warn("no other node serves".to_owned()),
            count => self.fine(format!("{count} other nodes serve")),
        }
        if node == self.sight.leader {
            self.fine("it leads, and hands leadership over".to_owned());
        }
    }

    fn is_caught_up(&self, node: NodeId) -> bool {
        let seen = self.sight.nodes.get(&node);
        seen.is_some_and(|seen| seen.is_reachable() && seen.lag.is_some_and(|lag| lag < CAUGHT_UP))
    }

    fn reachable(&self, voters: &BTreeSet<NodeId>) -> usize {
        voters.iter().filter(|voter| self.sight.reaches(**voter)).count()
    }

    /// Those that count when it is done: a node that drains is going to be stopped.
    fn reachable_after(&self, after: &BTreeSet<NodeId>) -> usize {
        let stopped = self.leaving.is_some_and(|node| after.contains(&node) && self.sight.reaches(node));
        self.reachable(after) - usize::from(stopped)
    }

    fn spare_after(&self, after: &BTreeSet<NodeId>) -> i64 {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        number(self.reachable_after(after)) - number(quorum(after.len()))
    }

    fn down_beside(&self, voters: &BTreeSet<NodeId>, node: Option<NodeId>) -> BTreeSet<NodeId> {
        voters.iter().copied().filter(|voter| Some(*voter) != node && !self.sight.reaches(*voter)).collect()
    }

    fn member(&self, node: NodeId) -> Result<&'a NodeRecord, Rejection> {
        self.table.get(node).ok_or(Rejection::Unknown(node))
    }

    fn name(&self, node: NodeId) -> String {
        self.table.get(node).map_or_else(|| format!("node {node}"), |record| record.name.to_string())
    }

    fn names(&self, nodes: &BTreeSet<NodeId>) -> String {
        nodes.iter().map(|node| self.name(*node)).collect::<Vec<_>>().join(", ")
    }

    fn fine(&mut self, text: String) {
        self.checks.push(Check { verdict: Verdict::Fine, text });
    }

    fn warn(&mut self, text: String) {
        self.checks.push(Check { verdict: Verdict::Warned, text });
    }

    fn refuse(&mut self, text: String) {
        self.checks.push(Check { verdict: Verdict::Refused, text });
    }
}

/// The node that would count no more.
const fn subject(ask: &Ask) -> Option<NodeId> {
    match ask {
        Ask::Drain(node, _) | Ask::Remove(node) | Ask::Demote(node) | Ask::Replace(node, _) => Some(*node),
        Ask::Undrain(_) | Ask::Promote(..) | Ask::Autopilot(_) => None,
    }
}

/// `voters {1,2,3} → {1,2,4}`, or that they stay.
impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tolerance { before, during, after } = self.tolerance;
        write!(f, "voters {} → {}", ids(&self.voters_before), ids(&self.voters_after))?;
        write!(f, ", quorum {} → {}", self.quorum_before, self.quorum_after)?;
        write!(f, ", may fail: {before} → {during} → {after}")
    }
}
