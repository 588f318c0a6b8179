//! Nobody is kept waiting beyond its patience (L2): a node that runs serves or refuses, whatever it can reach.

use crate::campaign::Violation;
use crate::node::Node;
use crate::plan::Plan;

/// So long a request may wait at each budget of its path after its patience is over: half a second for proof, and what it
/// takes a node to look and to write its journal twice.
const AT_EACH_BUDGET_US: u64 = 700_000;

/// Looks for a request that is neither served nor refused in time by a node that does not stand still.
pub(crate) fn check<'a>(
    now: u64,
    nodes: impl Iterator<Item = &'a Node>,
    plan: &Plan,
) -> Result<(), Violation> {
    let runs = |node: &&Node| node.is_up && !node.is_paused;
    for (node, number) in nodes.filter(runs).flat_map(|node| node.waiting().map(move |number| (node, number)))
    {
        let request = &plan.requests[number];
        // By its own clock it is in time.
        let clock = plan.clock(node.place);
        let since =
            (clock.shows_at(request.at_us) + request.patience_us).max(clock.shows_at(node.runs_since));
        let limit = AT_EACH_BUDGET_US * request.path.len() as u64;
        if clock.shows_at(now).saturating_sub(since) > limit {
            let what = format!("request {number} is neither served nor refused since {since}");
            return Err(Violation { id: "L2".to_owned(), what });
        }
    }
    Ok(())
}
