//! More that goes wrong in some runs. Drawn apart from the rest of a plan, which is the same with and without.

use crate::plan::{Fault, Plan, What};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Monotonic clocks run true to one part in a thousand (G3): no node's is further off.
const DRIFT_PPM: i64 = 1_000;
/// Makes of a seed another one.
const APART: u64 = 0x7_20B1E;

/// In some runs providers keep their usage to themselves, in some clocks drift, in some replicas are replaced by snapshots.
pub(crate) fn more(mut plan: Plan) -> Plan {
    let mut draw = ChaCha8Rng::seed_from_u64(plan.seed ^ APART);
    if draw.random_bool(0.1) {
        for request in plan.requests.iter_mut().filter(|request| request.actual <= Some(request.bound)) {
            request.actual = request.actual.filter(|_| draw.random_bool(0.7));
        }
    }
    if draw.random_bool(0.2) {
        plan.drift_ppm = (0..plan.nodes).map(|_| draw.random_range(-DRIFT_PPM..=DRIFT_PPM)).collect();
    }
    if draw.random_bool(0.2) {
        let snapshots: Vec<_> = (0..draw.random_range(1..=6)).map(|_| snapshot(&mut draw, &plan)).collect();
        plan.faults.extend(snapshots);
        plan.faults.sort_by_key(|fault| fault.at_us);
    }
    plan
}

/// Aimed at the moments after a request has come, when its node has asked for a grant.
fn snapshot(draw: &mut impl Rng, plan: &Plan) -> Fault {
    let request = &plan.requests[draw.random_range(0..plan.requests.len())];
    let at_us = request.at_us + draw.random_range(0..=2 * plan.timing.message_us);
    Fault { at_us, what: What::Snapshot { node: request.node } }
}
