//! What the leader sees of the members: who was heard of when, and who has been caught up for how long.
//!
//! Begins anew with each leader, which is on the safe side: a new one knows nobody for long.

use super::core::Core;
use crate::raft::Types;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{Instant as _, RaftMetrics};
use quorate_domain::{MonoTime, NodeId, Span};
use quorate_membership::{CAUGHT_UP, Seen, Sight};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a leader remembers of the members.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    term: u64,
    /// Since when this node leads.
    since: MonoTime,
    /// Since when members have been caught up.
    caught_up: BTreeMap<u64, MonoTime>,
}

impl Outlook {
    /// Looks again. Called by the steward, a few times a second.
    fn look(&mut self, now: MonoTime, metrics: &RaftMetrics<Types>) {
        if self.term != metrics.current_term {
            *self = Self { term: metrics.current_term, since: now, caught_up: BTreeMap::new() };
        }
        let members = metrics.membership_config.nodes().map(|(id, _)| *id);
        let there: BTreeSet<u64> =
            members.filter(|id| lag(metrics, *id).is_some_and(|lag| lag < CAUGHT_UP)).collect();
        self.caught_up.retain(|id, _| there.contains(id));
        for id in there {
            self.caught_up.entry(id).or_insert(now);
        }
    }

    fn seen(&self, now: MonoTime, metrics: &RaftMetrics<Types>, id: u64) -> Seen {
        let leads = Span::of(now.since(self.since));
        if id == metrics.id {
            return Seen { lag: Some(0), silent: Span::default(), caught_up: Some(leads) };
        }
        let heard = metrics.heartbeat.as_ref().and_then(|heard| heard.get(&id).copied().flatten());
        let silent: Option<Duration> = heard.map(|at| at.elapsed());
        let caught_up = self.caught_up.get(&id).map(|since| Span::of(now.since(*since)));
        Seen { lag: lag(metrics, id), silent: silent.map_or(leads, Span::of), caught_up }
    }
}

/// Entries that a member lacks, as the leader knows.
fn lag(metrics: &RaftMetrics<Types>, id: u64) -> Option<u64> {
    let last = metrics.last_log_index.unwrap_or(0);
    let matching = metrics.replication.as_ref()?.get(&id)?.as_ref()?;
    Some(last.saturating_sub(matching.index))
}

/// What this node sees, if it leads.
pub(super) fn sight(core: &Core) -> Option<Sight> {
    if !core.leads() {
        return None;
    }
    let metrics = core.raft.metrics();
    let metrics = metrics.borrow_watched();
    let now = core.clock.mono();
    let mut outlook = core.outlook.lock();
    outlook.look(now, &metrics);
    let members = metrics.membership_config.nodes().map(|(id, _)| *id);
    let nodes = members.map(|id| (NodeId::new(id), outlook.seen(now, &metrics, id))).collect();
    let voters = metrics.membership_config.voter_ids().map(NodeId::new).collect();
    Some(Sight { leader: core.node, voters, nodes })
}
