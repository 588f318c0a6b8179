//! What the gateway needs of consensus and of the journal. The traits are the seam between the three worlds: real
//! Raft in production, a simulated cluster, a single in-memory replica in tests.

use bytes::Bytes;
use parking_lot::RwLock;
use quorate_catalog::Catalog;
use quorate_domain::{Amount, BootId, BudgetId, Clock, LogTime, MonoTime, NodeId, SessionId, Span, WindowId};
use quorate_idempotency::Records;
use quorate_lease::{Lease, Standing};
use quorate_ledger::{Begun, Ledger, Mark};
use quorate_membership::{DiskUse, JoinToken, Membership, Rejection, Sight, Unfit};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;

/// A future that a trait object can return.
pub type Eventually<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why something could not be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No leader was found, or no quorum answered; nothing was changed.
    #[error("no quorum of the cluster could be reached")]
    NoQuorum,
    /// Time ran out. It may have been applied, or may still be.
    #[error("the cluster did not answer in time; the change may still take effect")]
    TimedOut,
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopped,
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// It could not be agreed on.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The cluster does not take it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The cluster does not write this yet.
    #[error("the cluster is at level {level}, and this needs level {needs}")]
    Level {
        /// The cluster's.
        level: u32,
        /// The lowest at which it is written.
        needs: u32,
    },
    /// The machine could not make what is needed for it.
    #[error("{0}")]
    Failed(String),
}

/// The replicated state of the cluster, as one node sees it.
pub trait Replica: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> NodeId;

    /// This start of its process.
    fn boot(&self) -> BootId;

    /// The local copy of the configuration. Hold the lock for moments only.
    fn catalog(&self) -> &RwLock<Catalog>;

    /// The local copy of the budgets. Hold the lock for moments only.
    fn ledger(&self) -> &RwLock<Ledger>;

    /// Agrees on a change of the configuration; returns once it is applied here or, on a follower, at the leader.
    fn propose_catalog(
        &self,
        command: quorate_catalog::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>>;

    /// Agrees on a command to the ledger.
    fn propose_ledger(
        &self,
        command: quorate_ledger::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_ledger::Outcome, Unavailable>>;

    /// The local copy of the records of requests with an `Idempotency-Key`. Hold the lock for moments only; who needs the
    /// ledger too locks the ledger first.
    fn idempotency(&self) -> &RwLock<Records>;

    /// Agrees on a change of the records.
    fn propose_idempotency(
        &self,
        command: quorate_idempotency::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>>;

    /// Who belongs to the cluster. Hold the lock for moments only.
    fn membership(&self) -> &RwLock<Membership>;

    /// Agrees on a change of who belongs to the cluster.
    fn propose_membership(
        &self,
        command: quorate_membership::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_membership::Outcome, Unavailable>>;

    /// Makes a join token that is good for so long and so many nodes.
    fn create_token(
        &self,
        ttl: Span,
        uses: u32,
        actor: String,
    ) -> Eventually<'_, Result<JoinToken, NotChanged>>;

    /// Begins to replace the root of the cluster's authority.
    fn rotate_root(&self) -> Eventually<'_, Result<(), NotChanged>>;

    /// Returns once the local copies hold everything that was acknowledged anywhere before the call.
    fn read_barrier(&self, limit: Duration) -> Eventually<'_, Result<(), Unavailable>>;

    /// The index of the latest applied entry; changes with each.
    fn applied(&self) -> watch::Receiver<u64>;

    /// Until when this node may admit requests by its local copy of the keys.
    fn lease(&self) -> &Lease;

    /// How long a lease lasts at most, and with it a key that was revoked.
    fn revocation_bound(&self) -> Span;

    /// Waits until no node goes by what was withdrawn from the configuration any more: every member has applied the
    /// change, or its lease has ended. It was committed at `since` or before, and the local copy has it.
    fn everywhere(&self, since: MonoTime) -> Eventually<'_, Standing>;

    /// All of the state as the local copy has it, as the bytes of a file. It holds every secret of the cluster.
    fn snapshot(&self) -> Eventually<'_, Result<Vec<Bytes>, Unavailable>>;

    /// How the cluster looks from here, for people.
    fn status(&self) -> ClusterStatus;

    /// What the leader sees of the members.
    fn sight(&self, limit: Duration) -> Eventually<'_, Result<Sight, Unavailable>>;

    /// Has leadership handed over, to a certain node or to any, whoever has it.
    fn transfer_leadership(&self, to: Option<NodeId>) -> Eventually<'_, Result<(), String>>;
}

/// What the expiry of keys is judged by: log time, which goes on by the node's own clock where its lease has ended.
pub(crate) fn log_time(replica: &dyn Replica, clock: &dyn Clock) -> LogTime {
    let applied = replica.ledger().read().time();
    replica.lease().log_time(applied, clock.mono())
}

/// How the cluster looks from one node.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ClusterStatus {
    /// The cluster, as a hexadecimal number.
    pub cluster: String,
    /// The node that answers.
    pub node: NodeId,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// Its Raft term.
    pub term: u64,
    /// The last entry in its log.
    pub last_log: Option<u64>,
    /// The last entry it knows to be committed.
    pub committed: Option<u64>,
    /// The last entry it has applied.
    pub applied: Option<u64>,
    /// The last entry in its newest snapshot.
    pub snapshot: Option<u64>,
    /// The digest of all that it has applied and of what came of it; none before the first entry.
    pub history: Option<HistoryStatus>,
    /// Voters on which the same log had other outcomes, also those that are silent since.
    pub differs_from: Vec<NodeId>,
    /// Why it should not lead while another one can.
    pub unfit: Option<Unfit>,
    /// How full its disk is.
    pub disk: Option<DiskUse>,
    /// By how many milliseconds its clock is ahead of most others'. None without a majority.
    pub clock_skew_ms: Option<i64>,
    /// All members.
    pub members: Vec<MemberStatus>,
}

/// How far a node has come and what came of it: at the same index the same on every node.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct HistoryStatus {
    /// The last applied entry.
    pub applied: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// One member of the cluster, as another sees it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct MemberStatus {
    /// Its id.
    pub node: NodeId,
    /// Where its peers reach it.
    pub peer_address: String,
    /// Whether it votes; a learner follows without a vote.
    pub is_voter: bool,
    /// How many entries it is behind. Only the leader knows.
    pub lag: Option<u64>,
    /// Up to which entry its history was last found equal to that of the node that answers. None while it never was.
    pub equal_at: Option<u64>,
    /// For how many milliseconds the node that answers has heard nothing of it. None of itself, and while it never did.
    pub silent_ms: Option<u64>,
    /// By how many milliseconds its clock is ahead of that of the node that answers.
    pub clock_ahead_ms: Option<i64>,
    /// Why it says that it should not lead.
    pub unfit: Option<Unfit>,
    /// How full it says that its disk is.
    pub disk: Option<DiskUse>,
}

/// The node's journal of watermarks.
pub trait Journal: Send + Sync + 'static {
    /// Raised with each write, and durable; tells a disk that was rolled back.
    fn generation(&self) -> u64;

    /// The marks of earlier sessions, of windows that had begun as far as the journal knows.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn load(&self) -> Result<Vec<Mark>, String>;

    /// Returns once the marks are durable, and which windows had begun. An error means that the disk cannot be trusted: the node
    /// must stop.
    fn write(&self, begun: Begun, marks: Vec<Mark>) -> Eventually<'_, Result<(), String>>;

    /// How much the node may have overspent of each budget, in all its sessions.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn load_overspent(&self) -> Result<Vec<(BudgetId, Amount)>, String>;

    /// Returns once these bounds are durable, as [`Journal::write`].
    fn write_overspent(&self, bounds: Vec<(BudgetId, Amount)>) -> Eventually<'_, Result<(), String>>;

    /// Forgets what was overspent of budgets that are gone.
    fn forget_overspent(&self, budgets: Vec<BudgetId>) -> Eventually<'_, Result<(), String>>;

    /// Forgets the marks of these windows of a session: the ledger knows all of them.
    fn forget(
        &self,
        session: SessionId,
        windows: Vec<(BudgetId, WindowId)>,
    ) -> Eventually<'_, Result<(), String>>;

    /// Forgets the marks of sessions before this one, which the ledger has settled; and lets the generation go on where the
    /// ledger is, which had heard of `heard`.
    fn forget_before(&self, session: SessionId, heard: u64) -> Eventually<'_, Result<(), String>>;
}
