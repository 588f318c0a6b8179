//! Compares this replica with the others, and stops it if they agree that it is wrong (I9, docs/adr/0015-history.md).

use super::core::Core;
use super::everywhere::APPLY_PATIENCE;
use super::status;
use crate::machine::Fingerprint;
use crate::transport::{Lane, Request, Response};
use futures_util::future::join_all;
use quorate_domain::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Between two comparisons: a small question to each voter.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs until most voters are found to differ from this replica. Returns where, and who.
pub(super) async fn run(core: Arc<Core>) -> (Fingerprint, BTreeSet<NodeId>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        // Voters are known before anything is applied, as by a node that is being taken in. It has nothing to compare yet.
        let Some(ours) = core.state.history() else { continue };
        let voters = voters(&core);
        let different = ask_all(&core, &voters, ours).await;
        report(&core, ours, &different);
        if are_most(&different, &voters) {
            return (ours, different);
        }
    }
}

/// Whether so many differ that whoever differs from them is the one that is wrong.
fn are_most(different: &BTreeSet<NodeId>, voters: &BTreeSet<NodeId>) -> bool {
    2 * different.len() > voters.len()
}

fn voters(core: &Core) -> BTreeSet<NodeId> {
    let voters = status::status(core).peers.into_iter().filter(|peer| peer.votes);
    voters.map(|peer| peer.node).collect()
}

/// Who has another digest at the same index. Who cannot tell is not among them.
async fn ask_all(core: &Core, voters: &BTreeSet<NodeId>, ours: Fingerprint) -> BTreeSet<NodeId> {
    let others = voters.iter().filter(|voter| **voter != core.node);
    let asked = others.map(|voter| async { (*voter, ask(core, *voter, ours.applied).await) });
    let is_different = |(voter, theirs): (NodeId, Option<Fingerprint>)| (theirs? != ours).then_some(voter);
    join_all(asked).await.into_iter().filter_map(is_different).collect()
}

async fn ask(core: &Core, voter: NodeId, index: u64) -> Option<Fingerprint> {
    let question = Request::History { index };
    let answer = core.link(voter)?.ask(Lane::Control, &question, APPLY_PATIENCE * 2).await.ok()?;
    let Response::History(theirs) = answer else { return None };
    theirs
}

fn report(core: &Core, ours: Fingerprint, different: &BTreeSet<NodeId>) {
    let count = i64::try_from(different.len()).unwrap_or(i64::MAX);
    core.metrics.raft.differing.set(count);
    let is_new = core.differs_from.send_if_modified(|known| {
        let is_new = known != different;
        known.clone_from(different);
        is_new
    });
    if is_new && !different.is_empty() {
        let index = ours.applied;
        tracing::error!(index, ?different, "replicas differ: the same log had other outcomes on other nodes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_wrong_if_most_voters_differ_from_it() {
        let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<BTreeSet<_>>();
        let are_most = |different, voters| are_most(&nodes(different), &nodes(voters));
        assert!(are_most(&[2, 3], &[1, 2, 3]));
        assert!(!are_most(&[2], &[1, 2, 3]), "one of three is wrong itself");
        assert!(!are_most(&[2], &[1, 2]), "of two, nobody knows which");
        assert!(are_most(&[2], &[2]), "a learner follows the only voter");
        assert!(!are_most(&[], &[1]));
    }
}
