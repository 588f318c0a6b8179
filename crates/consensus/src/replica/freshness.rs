//! How this node keeps its lease, and how it helps others to keep theirs (docs/adr/0010-freshness-lease.md).

use super::core::Core;
use super::everywhere;
use super::rounds::Asker;
use crate::transport::{Lane, Request, Response};
use parking_lot::Mutex;
use quorate_domain::{MonoTime, NodeId, Span};
use quorate_lease::{Confirmed, Departures, Lease, Renewals, RevocationBound};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// After a renewal that came to nothing, unless the leader changes before.
const PAUSE: Duration = Duration::from_millis(50);

/// What a node knows of leases: its own, and how long those of others may last.
#[derive(Debug)]
pub(super) struct Freshness {
    pub(super) bound: RevocationBound,
    pub(super) lease: Arc<Lease>,
    /// Milliseconds of the longest bound that any node was heard to keep to.
    longest: AtomicU64,
    /// Who has left the cluster. They may be fresh for a while.
    departures: Mutex<Departures>,
    rounds: mpsc::Sender<Asker>,
}

impl Freshness {
    pub(super) fn new(bound: RevocationBound, rounds: mpsc::Sender<Asker>) -> Self {
        let longest = AtomicU64::new(bound.span().millis());
        Self { bound, lease: Arc::new(Lease::default()), longest, departures: Mutex::default(), rounds }
    }

    /// The bound after which no node is fresh that hears nothing: the longest of all nodes', if they differ.
    pub(super) fn longest(&self) -> RevocationBound {
        RevocationBound::new(Span::from_millis(self.longest.load(Ordering::Acquire))).unwrap_or(self.bound)
    }

    /// Notes the bound another node keeps to. All should keep to the same.
    pub(super) fn heard(&self, node: NodeId, bound: Span) {
        if bound == self.bound.span() {
            return;
        }
        let longest = bound.millis().min(RevocationBound::MAX.millis());
        if self.longest.fetch_max(longest, Ordering::AcqRel) < longest {
            let (theirs, ours) = (bound.millis(), self.bound.span().millis());
            tracing::warn!(peer = node.get(), theirs, ours, "another node has another revocation bound");
        }
    }

    /// Notes who is gone, and says who of them may be fresh still.
    pub(super) fn departed(&self, gone: &BTreeSet<NodeId>, now: MonoTime) -> BTreeSet<NodeId> {
        let mut departures = self.departures.lock();
        departures.note(gone, now);
        departures.maybe_fresh(self.longest(), now).collect()
    }

    /// The index of the log up to which everything was committed when this was called, or later; `None` unless a majority
    /// confirms that this node leads.
    pub(super) async fn confirmed(&self) -> Option<u64> {
        let (asker, answer) = oneshot::channel();
        self.rounds.send(asker).await.ok()?;
        answer.await.ok()
    }
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    let freshness = &core.freshness;
    let beat = Duration::from(freshness.bound.beat());
    let mut renewals = Renewals::new(freshness.bound, Arc::clone(&freshness.lease));
    let mut leader = core.leader.subscribe();
    loop {
        everywhere::note_departures(&core);
        leader.mark_unchanged();
        let begun = core.clock.mono();
        let asked = renewals.ask(begun);
        let confirmed = tokio::select! {
            confirmed = ask(&core) => confirmed,
            () = tokio::time::sleep(beat) => None,
            // Nobody waits for a leader that is paused when there is another one.
            _ = leader.changed() => None,
        };
        let pause = match confirmed {
            Some(confirmed) => {
                core.metrics.lease.renewed.inc();
                renewals.answered(asked, confirmed);
                note_log_time(&core);
                beat.saturating_sub(core.clock.mono().since(begun))
            }
            None => {
                core.metrics.lease.failed.inc();
                PAUSE
            }
        };
        follow(&core, &mut renewals, (&mut leader, pause)).await;
    }
}

/// Asks whoever leads.
async fn ask(core: &Core) -> Option<Confirmed> {
    let (leader, bound) = (core.leader()?, core.freshness.bound.span());
    if leader == core.node {
        return Some(Confirmed { index: core.freshness.confirmed().await?, bound });
    }
    let question = Request::Renew { node: core.node, bound };
    let within = Duration::from(core.freshness.bound.beat());
    let answer = core.link(leader)?.ask(Lane::Control, &question, within).await.ok()?;
    let Response::Renewed { index, bound } = answer else { return None };
    core.freshness.heard(leader, bound);
    Some(Confirmed { index, bound })
}

/// Applies what is awaited, until the next renewal is due or another leader may be asked.
async fn follow(
    core: &Core,
    renewals: &mut Renewals,
    (leader, pause): (&mut watch::Receiver<Option<NodeId>>, Duration),
) {
    let mut applied = core.applied.clone();
    // What was applied before counts, too.
    applied.mark_changed();
    let mut due = std::pin::pin!(tokio::time::sleep(pause));
    loop {
        tokio::select! {
            () = &mut due => return,
            _ = leader.changed() => return,
            Ok(()) = applied.changed(), if renewals.awaits_entries() => {
                renewals.applied(*applied.borrow_and_update());
                note_log_time(core);
            }
        }
    }
}

/// Notes what log time was at a renewal: should it be the last one, time goes on from there by this node's own clock.
fn note_log_time(core: &Core) {
    let log = core.state.time();
    core.freshness.lease.saw(log, core.clock.mono());
}

#[cfg(test)]
mod tests {
    use super::*;
    fn freshness() -> Freshness {
        Freshness::new(RevocationBound::DEFAULT, mpsc::channel(1).0)
    }

    #[test]
    fn the_longest_bound_that_was_heard_of_is_waited_for_and_a_shorter_one_changes_nothing() {
        let (freshness, node) = (freshness(), NodeId::new(2));
        let longest_after = |millis| {
            freshness.heard(node, Span::from_millis(millis));
            freshness.longest().span().millis()
        };
        assert_eq!([1_500, 3_000, 2_500, u64::MAX].map(longest_after), [2_000, 3_000, 3_000, 20_000]);
    }
}
