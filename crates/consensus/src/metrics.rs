//! Every metric of this crate: name, help and unit on one screen. The owner registers them once per process.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use quorate_domain::{Clock, LogTime, MonoTime};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// All metrics of a replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) raft: RaftMetrics,
    pub(crate) proposals: ProposalMetrics,
    pub(crate) lease: LeaseMetrics,
    pub(crate) log: SyncMetrics,
    pub(crate) snapshot: SnapshotMetrics,
    pub(crate) machine: MachineMetrics,
}

/// The journal's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    pub(crate) sync: SyncMetrics,
}

/// Where this node stands in the group.
#[derive(Clone, Debug, Default)]
pub(crate) struct RaftMetrics {
    pub(crate) is_leader: Gauge,
    pub(crate) leader: Gauge,
    pub(crate) term: Gauge,
    pub(crate) last_log: Gauge,
    pub(crate) committed: Gauge,
    pub(crate) applied: Gauge,
    pub(crate) lag: Gauge,
    pub(crate) compared: Gauge,
    pub(crate) differing: Gauge,
    pub(crate) leader_changes: Counter,
}

/// What became of proposals.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProposalMetrics {
    pub(crate) pending: Gauge,
    pub(crate) done: Counter,
    pub(crate) failed: Counter,
    pub(crate) retried: Counter,
}

/// How this node's lease is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseMetrics {
    pub(crate) renewed: Counter,
    pub(crate) failed: Counter,
}

/// The newest snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotMetrics {
    pub(crate) bytes: Gauge,
    taken: Gauge,
}

/// What the machine is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct MachineMetrics {
    pub(crate) disk_used: Gauge<f64, AtomicU64>,
    pub(crate) skew: Gauge<f64, AtomicU64>,
    pub(crate) unfit: Gauge,
    pub(crate) stalls: Counter,
}

/// How long the disk takes, and how much one wait for it serves.
#[derive(Clone)]
pub(crate) struct SyncMetrics {
    clock: Arc<dyn Clock>,
    seconds: Histogram,
    entries: Histogram,
}

impl Metrics {
    /// Registers all metrics of a replica.
    pub fn register(registry: &mut Registry, clock: Arc<dyn Clock>) -> Self {
        let raft = RaftMetrics::default();
        let mut gauge = |name, help, metric: &Gauge| registry.register(name, help, metric.clone());
        gauge("raft_is_leader", "1 on the leader, 0 elsewhere", &raft.is_leader);
        gauge("raft_leader", "Id of the leader this node follows, 0 if it knows none", &raft.leader);
        gauge("raft_term", "Current term", &raft.term);
        gauge("raft_last_log_index", "Index of the last entry in the log", &raft.last_log);
        gauge("raft_committed_index", "Index of the last entry known to be committed", &raft.committed);
        gauge("raft_applied_index", "Index of the last entry applied to the state", &raft.applied);
        gauge("raft_apply_lag", "Entries committed but not yet applied", &raft.lag);
        gauge(
            "replicas_compared",
            "Other voters whose history the last comparison could tell equal or different",
            &raft.compared,
        );
        gauge(
            "replicas_differing",
            "Voters on which the same log had other outcomes than here",
            &raft.differing,
        );
        let proposals = ProposalMetrics::default();
        gauge("proposals_pending", "Proposals waiting for their outcome", &proposals.pending);
        let snapshot = SnapshotMetrics::default();
        gauge("snapshot_bytes", "Size of the newest snapshot", &snapshot.bytes);
        gauge("snapshot_time_seconds", "Log time of the newest snapshot, since 1970", &snapshot.taken);
        let mut counter = |name, help, metric: &Counter| registry.register(name, help, metric.clone());
        counter("raft_leader_changes", "Times the leader changed, as seen here", &raft.leader_changes);
        counter("proposals_done", "Proposals that got an outcome", &proposals.done);
        counter("proposals_failed", "Proposals given up", &proposals.failed);
        counter("proposals_retried", "Groups of proposals sent again", &proposals.retried);
        let lease = LeaseMetrics::default();
        counter(
            "lease_renewals",
            "Renewals of this node's freshness lease that the leader answered",
            &lease.renewed,
        );
        counter("lease_renewals_failed", "Renewals of it that came to nothing", &lease.failed);
        let log = SyncMetrics::register(registry, clock, "raft_log");
        let machine = MachineMetrics::register(registry);
        Self { raft, proposals, lease, log, snapshot, machine }
    }
}

impl JournalMetrics {
    /// Registers the journal's metrics.
    pub fn register(registry: &mut Registry, clock: Arc<dyn Clock>) -> Self {
        Self { sync: SyncMetrics::register(registry, clock, "journal") }
    }
}

impl MachineMetrics {
    fn register(registry: &mut Registry) -> Self {
        let machine = Self::default();
        let used = "How much of the file system under the data is used, from 0 to 1";
        registry.register("disk_used_ratio", used, machine.disk_used.clone());
        let skew = "By how much this node's clock is ahead of most others'; 0 while no majority was heard";
        registry.register_with_unit("clock_skew", skew, Unit::Seconds, machine.skew.clone());
        let unfit = "1 while this node should not lead: its disk is almost full or slow, or its clock is off";
        registry.register("unfit_to_lead", unfit, machine.unfit.clone());
        let stalls = "Writes to the log or the journal that took more than two seconds";
        registry.register("disk_stalls", stalls, machine.stalls.clone());
        machine
    }
}

impl SnapshotMetrics {
    pub(crate) fn taken(&self, bytes: u64, at: LogTime) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.taken.set(i64::try_from(at.millis() / 1_000).unwrap_or(i64::MAX));
    }
}

impl SyncMetrics {
    fn register(registry: &mut Registry, clock: Arc<dyn Clock>, prefix: &str) -> Self {
        // 30 µs, a fast disk's fsync, to about a second.
        let seconds = Histogram::new(exponential_buckets(0.000_03, 2.0, 16));
        let entries = Histogram::new(exponential_buckets(1.0, 4.0, 8));
        let help = "Time of one write with fsync";
        registry.register_with_unit(format!("{prefix}_sync"), help, Unit::Seconds, seconds.clone());
        registry.register(format!("{prefix}_entries_per_sync"), "Entries one fsync served", entries.clone());
        Self { clock, seconds, entries }
    }

    pub(crate) fn start(&self) -> MonoTime {
        self.clock.mono()
    }

    pub(crate) fn synced(&self, started: MonoTime, entries: u64) {
        self.seconds.observe(self.clock.mono().since(started).as_secs_f64());
        // A count of entries is far below 2^52, where a float stops being exact.
        self.entries.observe(entries as f64);
    }
}

impl fmt::Debug for SyncMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncMetrics").finish_non_exhaustive()
    }
}
