//! The leader's rounds: a majority confirms that it still leads, for all who asked meanwhile.
//!
//! A round begins after the question came, so that its answer says what was committed at that moment or later. Many
//! nodes share one, and there is at most one at a time: leases of two seconds cost the cluster ten rounds a second, however
//! many nodes there are.

use super::core::Core;
use openraft::ReadPolicy;
use quorate_domain::MonoTime;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Who wants to know up to which entry everything was committed. Dropped unanswered if this node does not lead.
pub(crate) type Asker = oneshot::Sender<u64>;

/// Askers that may wait: a few from every node of a large cluster.
pub(super) const ASKERS_MAX: usize = 1_024;

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>, mut askers: mpsc::Receiver<Asker>) {
    let pace = Duration::from(core.freshness.bound.pace());
    let mut begun: Option<MonoTime> = None;
    while let Some(first) = askers.recv().await {
        if let Some(begun) = begun {
            tokio::time::sleep(pace.saturating_sub(core.clock.mono().since(begun))).await;
        }
        begun = Some(core.clock.mono());
        let mut waiting = vec![first];
        while let Ok(asker) = askers.try_recv() {
            waiting.push(asker);
        }
        let Some(index) = confirm(&core).await else { continue };
        for asker in waiting {
            // Whoever has given up asks again.
            let _ = asker.send(index);
        }
    }
}

/// A leader that no majority follows any more waits in vain, and must not keep those who ask it later.
async fn confirm(core: &Core) -> Option<u64> {
    let round = core.raft.get_read_linearizer(ReadPolicy::ReadIndex);
    let confirmed = tokio::time::timeout(core.timings.election_max, round).await.ok()?.ok()?;
    Some(confirmed.read_log_id().index())
}
