//! How a node hears of its peers' machines, and stays out of the lead while its own is not fit for it
//! (docs/adr/0027-machine-faults.md).

use super::core::Core;
use super::runner;
use super::status::{self, Status};
use super::vitals::{Heard, Pulse, SKEW_WARN_MS};
use crate::transport::{Lane, Request, Response};
use futures_util::future::join_all;
use quorate_domain::{MonoTime, NodeId, Span};
use quorate_membership::Unfit;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds: a small question to each member.
const EVERY: Duration = Duration::from_secs(1);
/// Whoever is slower says nothing exact about its clock.
const PATIENCE: Duration = Duration::from_millis(900);
/// Without a leader for so many elections, who is unfit stands too: those that are fit may lack entries.
const ELECTIONS: u32 = 8;

/// What is remembered from round to round.
#[derive(Default)]
struct Watch {
    leaderless_since: Option<MonoTime>,
    unfit: Option<Unfit>,
    is_skewed: bool,
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let status = status::status(&core);
        let members: BTreeSet<NodeId> = status.peers.iter().map(|peer| peer.node).collect();
        join_all(members.iter().filter(|peer| **peer != core.node).map(|peer| ask(&core, *peer))).await;
        let now = core.clock.mono();
        core.vitals.lock().look(now, &members);
        watch.warn_of_clock(&core);
        watch.stand_or_stand_back(&core, &status, now).await;
    }
}

/// What this node says of its machine.
pub(super) fn pulse(core: &Core) -> Pulse {
    let vitals = core.vitals.lock();
    let unfit = vitals.unfit(core.clock.mono(), &core.limits);
    Pulse { wall: core.clock.wall(), unfit, disk: vitals.disk }
}

async fn ask(core: &Core, peer: NodeId) {
    let Some(link) = core.link(peer) else { return };
    let asked = core.clock.mono();
    let Ok(Response::Pulse(pulse)) = link.ask(Lane::Control, &Request::Pulse, PATIENCE).await else { return };
    let at = core.clock.mono();
    // The answer was written half a round trip ago, give or take as much.
    let halfway = Span::of(at.since(asked) / 2);
    let ahead_ms = signed(pulse.wall.plus(halfway).millis()) - signed(core.clock.wall().millis());
    core.vitals.lock().heard(peer, Heard { at, ahead_ms, pulse });
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

impl Watch {
    fn warn_of_clock(&mut self, core: &Core) {
        let skew_ms = core.vitals.lock().skew_ms;
        // Seconds with a fraction, for people who look at graphs.
        core.metrics.machine.skew.set(skew_ms.unwrap_or(0) as f64 / 1_000.0);
        let is_skewed = skew_ms.is_some_and(|ms| ms.unsigned_abs() > SKEW_WARN_MS);
        if is_skewed && !self.is_skewed {
            tracing::warn!(ahead_ms = skew_ms, "this node's clock is not that of most others");
        }
        self.is_skewed = is_skewed;
    }

    /// Leaves the lead to a node that is fit, and does not stand for election while there is one. If nobody is elected all the
    /// same, it stands.
    async fn stand_or_stand_back(&mut self, core: &Core, status: &Status, now: MonoTime) {
        self.leaderless_since = match status.leader {
            Some(_) => None,
            None => self.leaderless_since.or(Some(now)),
        };
        let patience = Span::of(core.timings.election_max * ELECTIONS);
        let is_stuck = self.leaderless_since.is_some_and(|since| now >= since.plus(patience));
        let (unfit, fit) = {
            let vitals = core.vitals.lock();
            (vitals.unfit(now, &core.limits), vitals.fit_peers(now))
        };
        self.tell(core, unfit);
        let fit_voters = status.peers.iter().filter(|peer| peer.votes && fit.contains(&peer.node));
        let heir = fit_voters.min_by_key(|peer| peer.lag.unwrap_or(u64::MAX));
        core.raft.runtime_config().elect(unfit.is_none() || heir.is_none() || is_stuck);
        if let (Some(reason), Some(heir)) = (unfit, heir)
            && core.leads()
        {
            tracing::warn!(?reason, to = heir.node.get(), "this node leaves the lead to another one");
            if let Err(error) = runner::hand_over_to(core, heir.node).await {
                tracing::warn!(%error, "leadership was not handed over");
            }
        }
    }

    fn tell(&mut self, core: &Core, unfit: Option<Unfit>) {
        core.metrics.machine.unfit.set(i64::from(unfit.is_some()));
        match (self.unfit, unfit) {
            (before, Some(reason)) if before != unfit => {
                tracing::warn!(?reason, "this node should not lead while another one can");
            }
            (Some(_), None) => tracing::info!("this node may lead again"),
            (_, Some(_)) | (None, None) => {}
        }
        self.unfit = unfit;
    }
}
