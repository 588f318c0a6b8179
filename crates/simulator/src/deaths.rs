//! Plans for deaths and cuts at the one moment that matters: messages of a life that is over, deaths between an answer and the
//! journal, and nodes that go on with what they hold of a bucket while nobody hears them.

use crate::plan::{
    BudgetPlan, Direction, DiskFate, Fault, KindPlan, Making, Plan, RequestPlan, Timing, What,
};
use crate::race::{plan, small, timing};
use quorate_domain::{Refill, Unit};
use quorate_ledger::Reserve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The node that dies, or is cut off.
const LOST: usize = 0;
/// One that goes on.
const OTHER: usize = 1;
/// When it happens.
const MOMENT_US: u64 = 1_000_000;
/// What a bucket holds.
const CAPACITY: u64 = 1_000;

/// The plan of such a death for a few of the seeds.
pub(crate) fn of(seed: u64) -> Option<Plan> {
    match seed % 64 {
        3 => Some(stale_opening(seed)),
        19 => Some(told_and_dead(seed)),
        35 => Some(spends_what_has_lapsed(seed)),
        51 => Some(spends_what_is_doubted(seed)),
        _ => None,
    }
}

/// A node dies while it opens a session, comes back, opens another one and spends; then the first opening arrives.
fn stale_opening(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let crash =
        |at_us| Fault { at_us, what: What::Crash { node: LOST, for_us: 5_000, disk: DiskFate::Kept } };
    let again_at = MOMENT_US + 5_000 + draw.random_range(1..4_000);
    let requests = (0..40).map(|number| small(number * 50_000, LOST, 4, 60_000)).collect();
    let timing = Timing { doubled: 300, ..timing(4_000, 300) };
    plan(seed, 2_000, timing, requests, vec![crash(MOMENT_US), crash(again_at)])
}

/// A provider bills beyond the bound, and the node dies in the moments after the client has heard the end: while it writes what it
/// owes two budgets.
fn told_and_dead(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let ends = MOMENT_US + draw.random_range(0..2_000);
    let of_both = |request| RequestPlan { path: vec![0, 1], ..request };
    let overran = |number: u64| of_both(small(ends - 200_000 - number, LOST, 25, 200_000));
    // The first has a grant made, and room below the journal's mark.
    let first = std::iter::once(of_both(small(100_000, LOST, 0, 1_000)));
    let requests = first.chain((0..draw.random_range(1..4)).map(overran)).collect();
    let mute = What::CutOff { node: LOST, for_us: 70_000, which: Direction::From };
    let crash = What::Crash { node: LOST, for_us: 80_000, disk: DiskFate::Kept };
    let faults = vec![
        Fault { at_us: ends - 5_000, what: mute },
        Fault { at_us: ends + draw.random_range(1..15_000), what: crash },
    ];
    let timing = Timing { sync_us: 30_000, ..timing(2_000, 0) };
    let plan = plan(seed, 2_000, timing, requests, faults);
    let budgets = [plan.budgets.clone(), plan.budgets.clone()].concat();
    Plan { budgets, ..plan }
}

/// A node is cut off and declared dead. What it held is taken as spent one refill later, and leaks; and then it spends it, unless
/// its own clock, however wrong, has told it in time that the grant has lapsed.
fn spends_what_has_lapsed(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let declared = MOMENT_US + draw.random_range(0..300_000);
    let spends_at = declared + 3_500_000 + draw.random_range(0..1_000_000);
    let drift_ppm = draw.random_range(-450_000..=450_000);
    Plan { drift_ppm: vec![drift_ppm, 0], ..cut_off(seed, Refill::Second, declared, spends_at) }
}

/// The same within the time for which its grant is good: what it holds must not have leaked yet.
fn spends_what_is_doubted(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let declared = MOMENT_US + draw.random_range(0..1_000_000);
    cut_off(seed, Refill::Minute, declared, 18_000_000 + draw.random_range(0..8_000_000))
}

/// One node holds part of a bucket and is cut off while it is declared dead. Later it and another one spend all they can.
fn cut_off(seed: u64, refill: Refill, declared: u64, spends_at: u64) -> Plan {
    let part = |number: u64, at_us, node, bound| RequestPlan {
        bound,
        actual: Some(bound),
        patience_us: 300_000,
        ..small(at_us + number, node, 0, 2_000)
    };
    let first = part(0, declared - 400_000, LOST, 4);
    let held = (0..130).map(|number| part(number * 100, spends_at, LOST, 4));
    let rest = (0..24).map(|number| part(number * 100, spends_at - 50_000, OTHER, CAPACITY / 25));
    let requests = std::iter::once(first).chain(held).chain(rest).collect();
    let for_us = spends_at + 2_000_000 - declared;
    let which = Direction::Both;
    let faults = vec![
        Fault { at_us: declared - 100_000, what: What::CutOff { node: LOST, for_us, which } },
        Fault { at_us: declared, what: What::Expire { node: LOST } },
    ];
    let budget = BudgetPlan {
        kind: KindPlan::Bucket(refill),
        unit: Unit::Tokens,
        limit: CAPACITY,
        reserve: Reserve::Bound,
        making: Making::Written,
    };
    Plan { nodes: 2, budgets: vec![budget], ..plan(seed, CAPACITY, timing(1_000, 0), requests, faults) }
}
