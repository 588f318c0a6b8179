//! What happens in a run, as an explicit list: so that it can be printed, shrunk, and run again.

use crate::campaign::{Counts, Outcome};
use crate::drift::Drift;
use crate::reached::Reached;
use crate::shrink::Listed;
use crate::world::{Report, run};
use crate::{race, trouble};
use quorate_domain::Refill;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A whole run. The seed also draws what is too fine to list: how long each message and each fsync takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The number it was made from.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// How long after a window's beginning the run starts; windows are minutes.
    pub starts_at_ms: u64,
    /// The budgets; every request's path is a part of them, in this order.
    pub budgets: Vec<BudgetPlan>,
    /// The network and the disks.
    pub timing: Timing,
    /// The requests.
    pub requests: Vec<RequestPlan>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// By how many parts in a million each node's own clock is too fast; true where nothing is said.
    pub drift_ppm: Vec<i64>,
}

/// When a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KindPlan {
    /// Never.
    Lifetime,
    /// Each minute.
    Minutes,
    /// Little by little.
    Bucket(Refill),
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetPlan {
    /// When it begins anew.
    pub kind: KindPlan,
    /// What it counts.
    pub unit: quorate_domain::Unit,
    /// Its limit.
    pub limit: u64,
    /// What requests reserve of it.
    pub reserve: quorate_ledger::Reserve,
    /// How it comes to be.
    pub making: Making,
}

/// How a budget comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Making {
    /// Somebody writes it at the beginning.
    Written,
    /// The same, for all end users: it is on no path.
    Template,
    /// It is made from the template before it, when a request has it on its path for the first time.
    FirstSight,
}

/// How the network and the disks behave, in microseconds and parts per thousand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The longest a message takes.
    pub message_us: u64,
    /// The longest a write to the journal takes.
    pub sync_us: u64,
    /// Of a thousand messages, so many are lost.
    pub lost: u32,
    /// Of a thousand messages, so many arrive twice.
    pub doubled: u32,
    /// Of a thousand messages, so many take a hundred times as long.
    pub late: u32,
}

impl Timing {
    /// Whether every message arrives, and in time.
    pub(crate) const fn is_reliable(&self) -> bool {
        self.lost == 0 && self.late == 0
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPlan {
    /// When it comes.
    pub at_us: u64,
    /// To which node.
    pub node: usize,
    /// The budgets on its path, as places in the plan's list, rising.
    pub path: Vec<usize>,
    /// The most it can cost.
    pub bound: u64,
    /// The least it can be cut to, if the budget has no more left.
    pub cut_to: Option<u64>,
    /// What it is expected to use.
    pub expected: u64,
    /// What the provider bills; `None` if it does not say: the most it may be is charged then.
    pub actual: Option<u64>,
    /// How long the provider works.
    pub takes_us: u64,
    /// How long it may wait for budget.
    pub patience_us: u64,
    /// When its client hangs up, counted from its coming.
    pub leaves_after_us: Option<u64>,
    /// Its key says that it goes on without a majority, whatever it costs.
    #[serde(default)]
    pub may_overspend: bool,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What goes wrong, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A node dies and comes back; perhaps without its journal.
    Crash {
        /// The node.
        node: usize,
        /// How long it is gone.
        for_us: u64,
        /// What becomes of its disk.
        disk: DiskFate,
    },
    /// A node can neither be heard nor hear.
    CutOff {
        /// The node.
        node: usize,
        /// For how long.
        for_us: u64,
        /// Only what is sent to it is lost, or only what it sends, or both.
        which: Direction,
    },
    /// A node stands still and does not know it.
    Pause {
        /// The node.
        node: usize,
        /// For how long.
        for_us: u64,
    },
    /// A node's replica is behind, and replaced by a snapshot of the leader's.
    Snapshot {
        /// The node.
        node: usize,
    },
    /// There is no leader, and then another one.
    NoLeader {
        /// For how long.
        for_us: u64,
    },
    /// The leader's clock jumps.
    ClockJump {
        /// By how much.
        by_ms: i64,
    },
    /// An operator sets a limit.
    SetLimit {
        /// The place of the budget in the plan's list.
        budget: usize,
        /// The new limit.
        limit: u64,
    },
    /// An operator declares a node's session dead.
    Expire {
        /// The node.
        node: usize,
    },
    /// A node is stopped in order, and started again.
    Drain {
        /// The node.
        node: usize,
        /// How long it is gone.
        for_us: u64,
    },
}

/// What becomes of the disk of a node that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFate {
    /// It comes back with the node.
    Kept,
    /// It is gone.
    Lost,
    /// Somebody puts back a copy that is older than what the ledger has heard of it, by so many writes at least.
    RolledBack {
        /// How many.
        older: usize,
    },
}

/// Which messages of a node are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Those sent to it.
    To,
    /// Those it sends.
    From,
    /// Both.
    Both,
}

/// What a request costs is drawn below this.
const BOUND_MAX: u64 = 40;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let plan = race::of(seed).unwrap_or_else(|| trouble::more(Self::drawn(seed)));
        // Drawn apart, so that the rest of the plan is the same with and without.
        let mut apart = ChaCha8Rng::seed_from_u64(!seed);
        let is_for_an_end_user = apart.random_bool(0.3);
        let plan = if is_for_an_end_user { plan.for_an_end_user() } else { plan };
        if apart.random_bool(0.5) { plan.by_estimates(&mut apart) } else { plan }
    }

    fn drawn(seed: u64) -> Self {
        let mut draw = ChaCha8Rng::seed_from_u64(seed);
        let nodes = draw.random_range(1..=5);
        let length_us = draw.random_range(1_000_000..8_000_000);
        let timing = timing(&mut draw);
        let budgets: Vec<_> = (0..draw.random_range(1..=4)).map(|_| budget(&mut draw)).collect();
        let count = draw.random_range(20..250);
        let kinds = Habits::of(&mut draw, length_us);
        let mut requests: Vec<_> =
            (0..count).map(|_| request(&mut draw, &kinds, nodes, budgets.len(), length_us)).collect();
        requests.sort_by_key(|request| request.at_us);
        let n_faults = if draw.random_bool(0.4) { 0 } else { draw.random_range(1..=8) };
        let mut faults: Vec<_> = (0..n_faults)
            .map(|_| {
                let at_us = strikes_at(&mut draw, &requests, length_us);
                fault(&mut draw, nodes, &budgets, at_us)
            })
            .collect();
        let again: Vec<_> = faults.iter().filter_map(|fault| crash_again(&mut draw, fault)).collect();
        faults.extend(again);
        let unheard: Vec<_> = faults.iter().filter_map(|fault| unheard(&mut draw, fault)).collect();
        faults.extend(unheard);
        faults.sort_by_key(|fault| fault.at_us);
        let starts_at_ms = 60_000 - draw.random_range(0..length_us / 1_000).min(59_000);
        Self { seed, nodes, starts_at_ms, budgets, timing, requests, faults, drift_ppm: Vec::new() }
    }

    /// Runs it, for the campaign.
    #[must_use]
    pub fn outcome(&self) -> Outcome<Reached> {
        let Report { violation, coverage, trace, admitted, denied, entries, simulated_ms, .. } =
            run(self, false);
        let counts = Counts { admitted, denied, entries, simulated_ms };
        Outcome { violation, coverage, trace, counts }
    }

    /// Whether nothing goes wrong but that messages overtake each other, arrive twice, and tell of new limits.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.timing.is_reliable()
            && self.faults.iter().all(|fault| {
                matches!(fault.what, What::SetLimit { .. } | What::ClockJump { .. } | What::Snapshot { .. })
            })
    }

    /// The clock of a node.
    pub(crate) fn clock(&self, node: usize) -> Drift {
        Drift { ppm: self.drift_ppm.get(node).copied().unwrap_or(0) }
    }
}

impl Listed for Plan {
    fn lengths(&self) -> Vec<usize> {
        vec![self.faults.len(), self.requests.len()]
    }

    fn drop_part(&mut self, list: usize, part: Range<usize>) {
        match list {
            0 => drop(self.faults.drain(part)),
            _ => drop(self.requests.drain(part)),
        }
    }
}

/// What the requests of a run have in common.
struct Habits {
    bound_max: u64,
    takes_us: u64,
    patience_us: u64,
    uses_all: bool,
    cutting: f64,
    leaving: f64,
    overrunning: f64,
    overspending: f64,
    /// Most requests come within moments of one of these instants, so that they meet; none if they come evenly.
    rushes: Vec<u64>,
}

/// A rush lasts about as long as a few messages take.
const RUSH_US: u64 = 60_000;
/// A fault that aims at the end of a request strikes so long after it at most: before all is written and reported.
const AIM_US: u64 = 40_000;

impl Habits {
    fn of(draw: &mut impl Rng, length_us: u64) -> Self {
        Self {
            bound_max: *pick(draw, &[1, 4, 10, BOUND_MAX]),
            takes_us: *pick(draw, &[2_000, 50_000, 400_000]),
            patience_us: *pick(draw, &[0, 0, 20_000, 500_000, 3_000_000]),
            uses_all: draw.random_bool(0.3),
            cutting: *pick(draw, &[0.0, 0.0, 0.5, 1.0]),
            leaving: *pick(draw, &[0.0, 0.1, 0.5]),
            overrunning: *pick(draw, &[0.0, 0.0, 0.02, 0.3]),
            overspending: *pick(draw, &[0.0, 0.0, 0.5]),
            rushes: rushes(draw, length_us),
        }
    }
}

fn rushes(draw: &mut impl Rng, length_us: u64) -> Vec<u64> {
    let count = *pick(draw, &[0, 2, 6]);
    (0..count).map(|_| draw.random_range(0..length_us)).collect()
}

fn comes_at(draw: &mut impl Rng, habits: &Habits, length_us: u64) -> u64 {
    if habits.rushes.is_empty() || draw.random_bool(0.2) {
        return draw.random_range(0..length_us);
    }
    *pick(draw, &habits.rushes) + draw.random_range(0..RUSH_US)
}

fn strikes_at(draw: &mut impl Rng, requests: &[RequestPlan], length_us: u64) -> u64 {
    if draw.random_bool(0.5) {
        return draw.random_range(0..length_us);
    }
    let aim = pick(draw, requests);
    aim.at_us + aim.takes_us + draw.random_range(0..AIM_US)
}

/// A node that has just come back dies again: while it opens its session, as likely as not.
fn crash_again(draw: &mut impl Rng, fault: &Fault) -> Option<Fault> {
    let What::Crash { node, for_us, .. } = fault.what else { return None };
    draw.random_bool(0.5).then(|| Fault {
        at_us: fault.at_us + for_us + draw.random_range(1..20_000),
        what: What::Crash { node, for_us: 5_000, disk: disk(draw, 0.5) },
    })
}

fn disk(draw: &mut impl Rng, kept: f64) -> DiskFate {
    if draw.random_bool(kept) {
        return DiskFate::Kept;
    }
    if draw.random_bool(0.5) {
        DiskFate::Lost
    } else {
        DiskFate::RolledBack { older: *pick(draw, &[0, 0, 3, 30]) }
    }
}

/// A node whose session is declared dead is cut off, and goes on with what it holds.
fn unheard(draw: &mut impl Rng, fault: &Fault) -> Option<Fault> {
    let What::Expire { node } = fault.what else { return None };
    draw.random_bool(0.7).then(|| Fault {
        at_us: fault.at_us.saturating_sub(draw.random_range(0..20_000)),
        what: What::CutOff { node, for_us: 3_000_000, which: Direction::Both },
    })
}

fn pick<'a, T>(draw: &mut impl Rng, among: &'a [T]) -> &'a T {
    &among[draw.random_range(0..among.len())]
}

fn timing(draw: &mut impl Rng) -> Timing {
    Timing {
        message_us: *pick(draw, &[200, 2_000, 20_000]),
        sync_us: *pick(draw, &[200, 3_000, 30_000]),
        lost: *pick(draw, &[0, 0, 20, 100]),
        doubled: *pick(draw, &[0, 50, 200]),
        late: *pick(draw, &[0, 0, 20, 100]),
    }
}

fn budget(draw: &mut impl Rng) -> BudgetPlan {
    use quorate_domain::Unit;
    let unit = *pick(draw, &[Unit::Tokens, Unit::Tokens, Unit::Requests, Unit::Permits]);
    let limit = match unit {
        Unit::Requests => draw.random_range(3..60),
        Unit::Permits => draw.random_range(1..12),
        Unit::Tokens | Unit::NanoUsd => *pick(draw, &[30, 100, 400, 2_000]) + draw.random_range(0..30),
    };
    let kind = match draw.random_range(0..10) {
        0..=2 if unit != Unit::Permits => KindPlan::Minutes,
        3..=4 if unit != Unit::Permits => KindPlan::Bucket(Refill::Minute),
        5..=6 if unit != Unit::Permits => KindPlan::Bucket(Refill::Second),
        _ => KindPlan::Lifetime,
    };
    BudgetPlan { kind, unit, limit, reserve: quorate_ledger::Reserve::Bound, making: Making::Written }
}

fn request(
    draw: &mut impl Rng,
    habits: &Habits,
    nodes: usize,
    budgets: usize,
    length_us: u64,
) -> RequestPlan {
    let bound = draw.random_range(1..=habits.bound_max);
    let actual = if habits.uses_all { bound } else { draw.random_range(0..=bound) };
    let overrun = if draw.random_bool(habits.overrunning) { draw.random_range(1..=bound) } else { 0 };
    let all = draw.random_bool(0.5);
    let mut path: Vec<usize> = (0..budgets).filter(|_| all || draw.random_bool(0.6)).collect();
    if path.is_empty() {
        path.push(draw.random_range(0..budgets));
    }
    RequestPlan {
        at_us: comes_at(draw, habits, length_us),
        node: draw.random_range(0..nodes),
        path,
        bound,
        cut_to: draw.random_bool(habits.cutting).then(|| draw.random_range(1..=bound)),
        expected: bound,
        actual: Some(if overrun > 0 { bound + overrun } else { actual }),
        takes_us: draw.random_range(1..=habits.takes_us),
        patience_us: habits.patience_us,
        leaves_after_us: draw.random_bool(habits.leaving).then(|| draw.random_range(0..=habits.takes_us)),
        may_overspend: draw.random_bool(habits.overspending),
    }
}

fn fault(draw: &mut impl Rng, nodes: usize, budgets: &[BudgetPlan], at_us: u64) -> Fault {
    let node = draw.random_range(0..nodes);
    let for_us = *pick(draw, &[5_000, 80_000, 300_000, 2_000_000]);
    let budget = draw.random_range(0..budgets.len());
    let what = match draw.random_range(0..12) {
        0..=2 => What::Crash { node, for_us, disk: disk(draw, 0.8) },
        3..=4 => {
            let which = *pick(draw, &[Direction::To, Direction::From, Direction::Both]);
            What::CutOff { node, for_us, which }
        }
        5 => What::Pause { node, for_us },
        6 => What::NoLeader { for_us: for_us.min(600_000) },
        7 => What::ClockJump { by_ms: *pick(draw, &[-3_600_000, -1_500, 400, 59_000, 3_600_000]) },
        8..=9 => What::SetLimit { budget, limit: draw.random_range(0..=budgets[budget].limit * 2) },
        10 => What::Expire { node },
        _ => What::Drain { node, for_us },
    };
    Fault { at_us, what }
}
