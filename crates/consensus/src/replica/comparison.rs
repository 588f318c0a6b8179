//! Compares this replica with the others, and stops it if most of them differ from it (I9, docs/adr/0015-history.md).

use super::compared::{self, Answers};
use super::core::Core;
use super::everywhere::APPLY_PATIENCE;
use super::status;
use crate::machine::{Fingerprint, HISTORY_VERSION};
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
        let answers = ask_all(&core, &voters, ours.applied).await;
        report(&core, &voters, ours, &answers);
        // By this comparison alone: what is remembered of a node that stopped says nothing about the others.
        let different = compared::different(ours, &answers);
        if compared::are_most(&different, &voters) {
            return (ours, different);
        }
    }
}

fn voters(core: &Core) -> BTreeSet<NodeId> {
    let voters = status::status(core).peers.into_iter().filter(|peer| peer.votes);
    voters.map(|peer| peer.node).collect()
}

/// What the others say that can tell.
async fn ask_all(core: &Core, voters: &BTreeSet<NodeId>, index: u64) -> Answers {
    let others = voters.iter().filter(|voter| **voter != core.node);
    let asked = others.map(|voter| async move { Some((*voter, ask(core, *voter, index).await?)) });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn ask(core: &Core, voter: NodeId, index: u64) -> Option<Fingerprint> {
    let question = Request::History { version: HISTORY_VERSION, index };
    let answer = core.link(voter)?.ask(Lane::Control, &question, APPLY_PATIENCE * 2).await.ok()?;
    let Response::History(theirs) = answer else { return None };
    theirs
}

fn report(core: &Core, voters: &BTreeSet<NodeId>, ours: Fingerprint, answers: &Answers) {
    let mut known = core.compared.borrow().clone();
    let before = known.differing();
    known.note(voters, ours, answers);
    let different = known.differing();
    core.compared.send_replace(known);
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    core.metrics.raft.compared.set(number(answers.len()));
    core.metrics.raft.differing.set(number(different.len()));
    if !different.is_subset(&before) {
        let index = ours.applied;
        tracing::error!(index, ?different, "replicas differ: the same log had other outcomes on other nodes");
    }
}
