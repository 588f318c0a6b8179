//! Makes a failing plan small: leaves out requests and faults as long as the same promise is broken.

use crate::plan::Plan;
use crate::world::run;

/// So many runs at the most.
const RUNS_MAX: usize = 2_000;

/// The smallest plan found that breaks the same promise. Source: Zeller and Hildebrandt, "Simplifying and isolating
/// failure-inducing input" (2002), delta debugging over the two lists of a plan.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    let Some(id) = run(plan, false).violation.map(|violation| violation.id) else { return plan.clone() };
    let mut budget = RUNS_MAX;
    let mut fails = |plan: &Plan| {
        budget = budget.saturating_sub(1);
        budget > 0 && run(plan, false).violation.is_some_and(|violation| violation.id == id)
    };
    let mut smallest = plan.clone();
    loop {
        let before = (smallest.requests.len(), smallest.faults.len());
        smallest = without(smallest, |plan| &mut plan.faults, &mut fails);
        smallest = without(smallest, |plan| &mut plan.requests, &mut fails);
        if (smallest.requests.len(), smallest.faults.len()) == before {
            return smallest;
        }
    }
}

/// Leaves out parts of one list, half of it first, then ever smaller ones.
fn without<T: Clone>(
    mut plan: Plan,
    list: impl Fn(&mut Plan) -> &mut Vec<T>,
    fails: &mut impl FnMut(&Plan) -> bool,
) -> Plan {
    let mut size = list(&mut plan).len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < list(&mut plan).len() {
            let mut smaller = plan.clone();
            let to = (from + size).min(list(&mut smaller).len());
            list(&mut smaller).drain(from..to);
            if fails(&smaller) {
                plan = smaller;
            } else {
                from = to;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    plan
}
