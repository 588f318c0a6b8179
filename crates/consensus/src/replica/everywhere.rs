//! Waits until what was withdrawn, as by the revocation of a key, is withdrawn on every node.

use super::core::Core;
use crate::transport::{Lane, Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use quorate_domain::{MonoTime, NodeId};
use quorate_lease::{Standing, Withdrawal};
use std::collections::BTreeSet;
use std::time::Duration;

/// A node that is a little behind has caught up by then; one that is asked again later lost nothing.
pub(super) const APPLY_PATIENCE: Duration = Duration::from_secs(1);
/// Between two questions to a node that cannot be reached.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until every member has applied what this node has, or can be fresh no longer without it. What is withdrawn was
/// committed at `since` or before, and this node has applied it.
pub(super) async fn everywhere(core: &Core, since: MonoTime) -> Standing {
    let index = *core.applied.borrow();
    let others = maybe_fresh(core);
    let mut asked: FuturesUnordered<_> = others.iter().map(|node| applied_by(core, *node, index)).collect();
    let mut withdrawal = Withdrawal::new(others.clone(), core.freshness.longest(), since);
    loop {
        let now = core.clock.mono();
        let Standing::Open(due) = withdrawal.standing(now) else { return withdrawal.standing(now) };
        tokio::select! {
            Some(node) = asked.next() => withdrawal.acknowledged(node),
            () = tokio::time::sleep(due.since(now)) => {}
        }
    }
}

/// All nodes but this one that may be fresh by what they know: whoever was ever given an id, but for those that this node
/// has known to be gone for as long as a lease lasts. A node that is being taken in belongs to them, though this node may
/// not see it among the members yet.
fn maybe_fresh(core: &Core) -> BTreeSet<NodeId> {
    let (here, gone) = core.here_and_gone();
    let mut all = core.freshness.departed(&gone, core.clock.mono());
    all.extend(here);
    all.remove(&core.node);
    all
}

/// Looks who has left, so that it counts from now on, not only from the next withdrawal on.
pub(super) fn note_departures(core: &Core) {
    let (_, gone) = core.here_and_gone();
    // Who may still be fresh of them is asked when something is withdrawn.
    let _still_fresh = core.freshness.departed(&gone, core.clock.mono());
}

/// Resolves once the node says that it has applied the log up to there.
async fn applied_by(core: &Core, node: NodeId, index: u64) -> NodeId {
    loop {
        let answer = match core.link(node) {
            Some(link) => link.ask(Lane::Control, &Request::Applied { index }, APPLY_PATIENCE * 2).await.ok(),
            None => None,
        };
        if let Some(Response::Applied) = answer {
            return node;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
