//! Nobody is told before its patience is over that a bucket is spent who could be served in its turn within it (G2).

use crate::campaign::Violation;
use crate::node::Node;
use crate::plan::RequestPlan;
use crate::world::{World, place_of};
use quorate_domain::{BudgetId, PlaceId};
use quorate_ledger::{Budget, SessionState};
use quorate_wallet::{Cause, Refusal};

impl World {
    /// Judges a refusal before anybody of its batch has left the line. Those in front who could not be served themselves do not
    /// count.
    pub(crate) fn check_hope(&mut self, place: usize, id: PlaceId, refusal: &Refusal) {
        let Refusal::Denied { budget, need, cause: Cause::Spent, .. } = *refusal else { return };
        let Some((hoped_for, taken)) = self.hope(&self.nodes[place], id, budget) else { return };
        if hoped_for >= taken + i128::from(need.get()) {
            let what = format!(
                "{need} of bucket {budget} is denied before its time: {hoped_for} may be had, {taken} is taken by others"
            );
            self.violation.get_or_insert(Violation { id: "G2".to_owned(), what });
        }
    }

    /// At least so much can be had of a bucket within the patience of a request, and no more of it is taken before it or in doubt.
    fn hope(&self, node: &Node, id: PlaceId, budget: BudgetId) -> Option<(i128, i128)> {
        let of = place_of(budget);
        let bucket = node.replica.budget(budget)?;
        let number = *node.tickets.get(&id)?;
        let leaks = leaks_within(bucket, self.patience_of(number)?)?;
        let hoped_for = self.requests[number].least(of)? + leaks;
        let there = bucket.free_at(node.replica.time()).saturating_add(bucket.current().outstanding());
        let least = |request: &RequestPlan| i128::from(self.plan.budgets[of].least_of(request));
        let could_be_served = |number: usize| {
            let patience = self.patience_of(number).unwrap_or(0);
            // A unit that has leaked in part already may be whole by then.
            let leaks = leaks_within(bucket, patience).unwrap_or(0) + 1;
            least(&self.plan.requests[number]) <= i128::from(there.get()) + leaks
        };
        let before = node.tickets.range(..id).map(|(_, number)| *number);
        let before = before.filter(|number| self.plan.requests[*number].path.contains(&of));
        let ahead: i128 = before
            .filter(|number| could_be_served(*number))
            .map(|number| least(&self.plan.requests[number]))
            .sum();
        Some((hoped_for, ahead + in_doubt(node, bucket)))
    }

    /// All the patience of a request in microseconds, while it has any.
    fn patience_of(&self, number: usize) -> Option<u64> {
        let request = &self.plan.requests[number];
        (self.mono(request.node) < self.requests[number].deadline).then_some(request.patience_us)
    }
}

fn leaks_within(bucket: &Budget, patience_us: u64) -> Option<i128> {
    let refill_ms = bucket.spec().kind.refill()?.span().millis();
    Some(i128::from(bucket.spec().limit.get()) * i128::from(patience_us / 1_000) / i128::from(refill_ms))
}

/// What dead sessions hold of it, as the node sees it.
fn in_doubt(node: &Node, bucket: &Budget) -> i128 {
    let is_live =
        |session| node.replica.session(session).is_some_and(|life| life.state == SessionState::Live);
    let dead = bucket.current().holdings().filter(|(session, _)| !is_live(*session));
    dead.map(|(_, holding)| i128::from(holding.outstanding().get())).sum()
}
