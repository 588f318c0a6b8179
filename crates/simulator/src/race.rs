//! Plans for races that chance alone hardly ever runs: what is unreserved moves past a round, which so sees it nowhere.
//!
//! In two of them a request for nearly all of a budget is about to be turned away. One node holds a large slice, and its
//! requests end without cost at that moment: always enough is unreserved for the large request, and never in sight.

use crate::deaths;
use crate::plan::{BudgetPlan, Direction, Fault, KindPlan, Making, Plan, RequestPlan, Timing, What};
use quorate_domain::Unit;
use quorate_ledger::Reserve;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HOLDER: usize = 0;
const SPENDER: usize = 1;
/// Where the large request comes.
const LARGE: usize = 2;
const SMALL: u64 = 10;
/// When it happens.
const MOMENT_US: u64 = 1_000_000;

/// The plan of a race for a few of the seeds.
pub(crate) fn of(seed: u64) -> Option<Plan> {
    match seed % 16 {
        7 => Some(late_answer(seed)),
        11 => Some(change_of_mode(seed)),
        15 => Some(unseen_spending(seed)),
        _ => deaths::of(seed),
    }
}

/// A third node has not heard of central mode, and spends from its slice what the others' refunds make up for.
fn unseen_spending(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let limit = draw.random_range(200..400);
    // The first has the slice granted.
    let held = draw.random_range(3..10);
    let mut requests = vec![small(100_000, HOLDER, 0, MOMENT_US)];
    for _ in 0..held {
        let ends = MOMENT_US + draw.random_range(20_000..80_000);
        requests.push(small(300_000, HOLDER, 0, ends - 300_000));
    }
    requests.push(small(400_000, SPENDER, 0, 1_000));
    for _ in 0..draw.random_range(1..4) {
        requests.push(small(MOMENT_US + draw.random_range(20_000..80_000), SPENDER, SMALL, 400_000));
    }
    let bound = limit - SMALL * (held + 1) - draw.random_range(0..SMALL);
    let at_us = MOMENT_US - draw.random_range(0..20_000);
    requests.push(RequestPlan { bound, actual: Some(bound), ..small(at_us, LARGE, 0, 400_000) });
    let cut_off = |at_us, node, which| Fault { at_us, what: What::CutOff { node, for_us: 80_000, which } };
    let faults = vec![
        cut_off(MOMENT_US - 20_000, SPENDER, Direction::To),
        cut_off(MOMENT_US + draw.random_range(0..50_000), HOLDER, Direction::From),
    ];
    plan(seed, limit, timing(20_000, 0), requests, faults)
}

/// An answer to a round arrives when the next one has begun, and refunds that came after it are not in it.
fn late_answer(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let limit = draw.random_range(300..500);
    let mut requests = vec![small(100_000, HOLDER, 0, 250_000)];
    let moments: Vec<u64> = (0..8).map(|number| MOMENT_US + number * 600_000).collect();
    let ends: Vec<u64> = moments.iter().map(|moment| moment + draw.random_range(5_000..60_000)).collect();
    requests.extend(ends.iter().map(|end| small(300_000, HOLDER, 0, end - 300_000)));
    for moment in moments {
        for (at_us, excess) in [(moment, SMALL), (moment + draw.random_range(40_000..95_000), 0)] {
            let held = SMALL * ends.iter().filter(|end| **end > at_us).count() as u64;
            let bound = limit - held + excess - draw.random_range(0..SMALL);
            requests.push(RequestPlan { bound, ..small(at_us, LARGE, 0, 1_000) });
        }
    }
    plan(seed, limit, timing(4_000, 150), requests, Vec::new())
}

/// A request is granted what it needs as part of a slice, and central mode begins before its node has heard of that.
fn change_of_mode(seed: u64) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let limit = draw.random_range(9_000..12_000);
    let patient = RequestPlan { bound: 200, patience_us: 3_000_000, ..small(MOMENT_US, HOLDER, 0, 1_000) };
    let at_us = MOMENT_US + draw.random_range(0..20_000);
    let large = RequestPlan { bound: limit - 1_000, ..small(at_us, LARGE, 0, 1_000) };
    let first = RequestPlan { bound: 1, ..small(100_000, HOLDER, 0, 1_000) };
    plan(seed, limit, timing(20_000, 0), vec![first, patient, large], Vec::new())
}

pub(crate) fn timing(message_us: u64, late: u32) -> Timing {
    Timing { message_us, sync_us: 200, lost: 0, doubled: 0, late }
}

pub(crate) fn plan(
    seed: u64,
    limit: u64,
    timing: Timing,
    mut requests: Vec<RequestPlan>,
    faults: Vec<Fault>,
) -> Plan {
    requests.sort_by_key(|request| request.at_us);
    let budget = BudgetPlan {
        kind: KindPlan::Lifetime,
        unit: Unit::Tokens,
        limit,
        reserve: Reserve::Bound,
        making: Making::Written,
    };
    let drift_ppm = Vec::new();
    Plan { seed, nodes: 3, starts_at_ms: 0, budgets: vec![budget], timing, requests, faults, drift_ppm }
}

pub(crate) fn small(at_us: u64, node: usize, actual: u64, takes_us: u64) -> RequestPlan {
    RequestPlan {
        at_us,
        node,
        path: vec![0],
        bound: SMALL,
        expected: SMALL,
        cut_to: None,
        actual: Some(actual),
        takes_us,
        patience_us: 0,
        leaves_after_us: None,
        may_overspend: false,
    }
}
