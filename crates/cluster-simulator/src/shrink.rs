//! Makes a failing plan small: leaves out faults and requests as long as the same promise is broken. Each try is a process.

use crate::campaign::report_of;
use crate::plan::Plan;

/// So many runs at the most.
const RUNS_MAX: usize = 400;

/// The smallest plan found that breaks the same promise, by halves of its lists, then ever smaller parts (Zeller and Hildebrandt,
/// "Simplifying and isolating failure-inducing input", 2002).
///
/// # Errors
/// When the plan as it is breaks none.
pub fn shrink(plan: &Plan) -> Result<Plan, String> {
    let broken = |plan: &Plan| report_of(plan).map_or_else(Some, |report| report.violation.map(|it| it.id));
    let id = broken(plan).ok_or("this plan breaks no promise")?;
    let mut runs = 0;
    let mut fails = |plan: &Plan| {
        runs += 1;
        runs < RUNS_MAX && broken(plan).as_ref() == Some(&id)
    };
    let mut smallest = plan.clone();
    loop {
        let before = (smallest.requests.len(), smallest.faults.len());
        smallest = without(smallest, |plan| &mut plan.faults, &mut fails);
        smallest = without(smallest, |plan| &mut plan.requests, &mut fails);
        if (smallest.requests.len(), smallest.faults.len()) == before {
            return Ok(smallest);
        }
    }
}

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
