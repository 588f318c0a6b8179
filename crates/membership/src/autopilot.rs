//! The autopilot: who should vote, by what the leader sees. It wishes for one thing at a time; the leader proposes it.
//!
//! Pure. It keeps an odd number of voters, grows only by learners that were caught up for a while, and never wishes for
//! what would leave a quorum to nodes that are not reachable.

use crate::event::ids;
use crate::seats::{self, Ballot};
use crate::{Change, Membership, NodeRecord};
use quorate_domain::{NodeId, Span};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// More voters make each write slower and nothing safer; other nodes serve as learners.
pub const VOTERS_MAX: usize = 7;
/// Within so many entries of the end of the log, a node votes without holding it up.
pub const CAUGHT_UP: u64 = 1_000;
/// Who was not heard of for so long is not counted on: a few elections.
const CONTACT: Span = Span::from_millis(5_000);

/// For how long learners must have been caught up that join a single voter.
const STABLE_FOR_ONE: Span = Span::from_millis(1_000);

/// What the autopilot goes by. Part of the replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutopilotSettings {
    /// Whether it acts.
    pub mode: Mode,
    /// How many voters there should be.
    pub target: u32,
    /// For how long a learner must have been caught up; while there is one voter, a second is enough.
    pub stable: Span,
    /// For how long a voter must be silent until a learner takes its seat.
    pub dead_voter: Span,
    /// For how long a learner must be silent until it is removed.
    pub dead_learner: Span,
}

/// Whether the autopilot acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It does.
    Active,
    /// Seats stay as they are until somebody changes them; replacements that were asked for go on.
    Paused,
}

impl Default for AutopilotSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Active,
            target: 5,
            stable: Span::from_millis(10_000),
            dead_voter: Span::from_millis(15 * 60_000),
            dead_learner: Span::from_millis(24 * 60 * 60_000),
        }
    }
}

impl AutopilotSettings {
    /// The largest odd number of voters that is wanted.
    #[must_use]
    pub fn goal(&self) -> usize {
        let target = usize::try_from(self.target).unwrap_or(VOTERS_MAX).clamp(1, VOTERS_MAX);
        target - usize::from(target % 2 == 0)
    }
}

/// What the leader sees of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Entries it lacks; `None` while nothing was heard of it.
    pub lag: Option<u64>,
    /// For how long nothing was heard of it.
    pub silent: Span,
    /// For how long it has been caught up; `None` if it is not.
    pub caught_up: Option<Span>,
}

impl Seen {
    /// Whether it can be counted on now.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.silent < CONTACT
    }
}

/// What the leader sees of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Who leads.
    pub leader: NodeId,
    /// The voters in force; while they change, those before and those after.
    pub voters: BTreeSet<NodeId>,
    /// The members of Raft's group, the leader too.
    pub nodes: BTreeMap<NodeId, Seen>,
}

impl Sight {
    /// Whether a node can be counted on now.
    #[must_use]
    pub fn reaches(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(Seen::is_reachable)
    }

    fn silent(&self, node: NodeId) -> Span {
        self.nodes.get(&node).map_or(Span::default(), |seen| seen.silent)
    }
}

/// What should change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The change.
    pub change: Change,
    /// Why, for the event.
    pub why: String,
}

/// What the autopilot wishes for now, if anything.
#[must_use]
pub fn wish(table: &Membership, sight: &Sight) -> Option<Wish> {
    // One thing at a time: what was wished for before must have come about.
    if table.cluster().is_none() || sight.voters != *table.voters() {
        return None;
    }
    let wish = succession(table, sight).or_else(|| match table.autopilot().mode {
        Mode::Paused => None,
        Mode::Active => swap(table, sight).or_else(|| resize(table, sight)).or_else(|| clean(table, sight)),
    })?;
    is_safe(table, sight, &wish.change).then_some(wish)
}

/// A newcomer that is ready takes the place it came for.
fn succession(table: &Membership, sight: &Sight) -> Option<Wish> {
    table.iter().find_map(|(new, record)| {
        let old = record.replaces?;
        let gone = table.get(old)?;
        let seen = sight.nodes.get(&new)?;
        if !is_stable(table, seen) {
            return None;
        }
        let mut voters = table.voters().clone();
        if voters.remove(&old) && record.ballot == Ballot::Free {
            voters.insert(new);
        }
        let change = Change::Remove { node: old, voters: seats::odd(table, sight, voters)? };
        Some(Wish { change, why: format!("{} takes the place of {}", record.name, gone.name) })
    })
}

/// A learner takes the seat of a voter that is gone for good.
fn swap(table: &Membership, sight: &Sight) -> Option<Wish> {
    let settings = table.autopilot();
    let dead = table.voters().iter().copied().filter(|voter| sight.silent(*voter) > settings.dead_voter);
    let dead = dead.max_by_key(|voter| sight.silent(*voter))?;
    let mut voters = table.voters().clone();
    voters.remove(&dead);
    let heir = seats::best(table, &voters, candidates(table, sight))?;
    voters.insert(heir);
    let why = format!("node {dead} was silent for {} s", sight.silent(dead).millis() / 1_000);
    Some(Wish { change: Change::Seat { voters }, why })
}

/// More voters while there are learners for two more; fewer if fewer are wanted.
fn resize(table: &Membership, sight: &Sight) -> Option<Wish> {
    let (before, goal) = (table.voters(), table.autopilot().goal());
    let after = if before.len() > goal {
        seats::shrunk(table, sight, before.clone(), goal)?
    } else {
        grown(table, sight, before.clone(), goal)
    };
    if after == *before {
        return None;
    }
    let why = format!("{} of {goal} voters", ids(before));
    Some(Wish { change: Change::Seat { voters: after }, why })
}

fn grown(table: &Membership, sight: &Sight, before: BTreeSet<NodeId>, goal: usize) -> BTreeSet<NodeId> {
    // An even number comes from elsewhere: one more makes it odd. Otherwise two at once, never through an even number.
    let more = if before.len().is_multiple_of(2) { 1 } else { 2 };
    if before.len() + more > goal {
        return before;
    }
    let mut after = before.clone();
    for _ in 0..more {
        let Some(next) = seats::best(table, &after, candidates(table, sight)) else { return before };
        after.insert(next);
    }
    after
}

/// A learner that is gone for good leaves the table.
fn clean(table: &Membership, sight: &Sight) -> Option<Wish> {
    let limit = table.autopilot().dead_learner;
    let is_learner = |node: &NodeId| !table.voters().contains(node) && *node != sight.leader;
    let learners = table.iter().map(|(id, _)| id).filter(is_learner);
    let dead =
        learners.filter(|learner| sight.silent(*learner) > limit).max_by_key(|id| sight.silent(*id))?;
    let why = format!("it was silent for {} h", sight.silent(dead).millis() / 3_600_000);
    Some(Wish { change: Change::Remove { node: dead, voters: table.voters().clone() }, why })
}

/// Learners that may have a seat now.
fn candidates(table: &Membership, sight: &Sight) -> impl Fn(NodeId, &NodeRecord) -> bool {
    move |node, record| {
        let seen = sight.nodes.get(&node);
        seats::may_vote(record) && seen.is_some_and(|seen| is_stable(table, seen))
    }
}

fn is_stable(table: &Membership, seen: &Seen) -> bool {
    let stable = table.autopilot().stable;
    // Nothing is worse than what is in one place alone.
    let enough = if table.voters().len() == 1 { stable.min(STABLE_FOR_ONE) } else { stable };
    seen.is_reachable() && seen.caught_up.is_some_and(|caught_up| caught_up >= enough)
}

/// Whether a majority of the voters before and of those after can be reached.
fn is_safe(table: &Membership, sight: &Sight, change: &Change) -> bool {
    let after = match change {
        Change::Seat { voters } | Change::Remove { voters, .. } => voters,
        Change::Drain { .. }
        | Change::Undrain { .. }
        | Change::Replace { .. }
        | Change::Promote { .. }
        | Change::Demote { .. }
        | Change::Autopilot(_) => return true,
    };
    [table.voters(), after].into_iter().all(|voters| seats::spare(voters, sight) >= 0)
}

impl fmt::Display for AutopilotSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Active => "active",
            Mode::Paused => "paused",
        };
        let seconds = |span: Span| span.millis() / 1_000;
        write!(
            f,
            "{mode}, {} voters, stable after {} s, dead voters after {} s, dead learners after {} s",
            self.goal(),
            seconds(self.stable),
            seconds(self.dead_voter),
            seconds(self.dead_learner)
        )
    }
}
