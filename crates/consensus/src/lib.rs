//! The cluster's agreement: openraft on RocksDB, a framed transport between peers, snapshots, membership, and the
//! watermark journal of the node's wallet. It decides nothing about keys or budgets: it applies commands in order.
//!
//! Start with [`State`] and [`Command`]. What the owner (crate `node`) uses, in the order it uses it:
//!
//! ```text
//! // Binds the peer listener, opens the data directory, starts Raft. `Start::Found` and `Start::Join { seeds }`
//! // mean something on a fresh directory only; a node that has an identity resumes whatever it is told.
//! Replica::start(settings: Settings, clock: Arc<dyn Clock>, metrics: Metrics, start: Start)
//!     -> Result<(Replica, Runner), StartError>
//! Runner::run(self, stop: CancellationToken) -> Result<(), RunError>      // spawn this; hands leadership over at the end
//!
//! // `Replica` is a cheap handle; all of these work on any node.
//! replica.propose(command: Command) -> Result<Outcome, ProposeError>      // five seconds at most
//! replica.propose_within(command: Command, limit: Duration) -> Result<Outcome, ProposeError>
//! replica.read_barrier(limit: Duration) -> Result<(), ReadError>          // then read `state()`
//! replica.state() -> &Arc<State>                                          // .catalog / .ledger / .nodes: RwLock
//! replica.applied() -> watch::Receiver<u64>                               // changes after every applied entry
//! replica.leader() -> watch::Receiver<Option<NodeId>>
//! replica.node() -> NodeId;  replica.cluster() -> ClusterId;  replica.boot() -> BootId
//! replica.status() -> Status;  replica.remove(node);  replica.transfer_leadership(to: Option<NodeId>)
//!
//! // The wallet's durable watermarks, independent of Raft.
//! Journal::open(dir: &Path, metrics: JournalMetrics) -> Result<Journal, StoreError>
//! journal.generation() -> u64                                             // raised and durable at every open
//! journal.load() -> Result<Vec<Mark>, StoreError>
//! journal.write(marks: Vec<Mark>) -> Result<(), StoreError>     (async)   // durable when it returns
//! journal.forget_before(session: SessionId) -> Result<(), StoreError>     // (async) drops marks of older sessions
//! journal.close()                                                         // blocks until what waits is written
//! ```

mod codec;
mod journal;
mod machine;
mod metrics;
mod raft;
mod replica;
mod store;
mod transport;

pub use codec::CodecError;

pub use journal::Journal;
pub use machine::{
    Batch, Command, NodeCommand, NodeOutcome, NodeRecord, Nodes, OpId, Outcome, Proposal, State, StateHash,
    StorageId,
};
pub use metrics::{JournalMetrics, Metrics};
pub use replica::{
    ChangeError, Identity, PeerStatus, ProposeError, ReadError, Replica, Role, RunError, Runner, Settings,
    SnapshotPolicy, Start, StartError, Status, Timings,
};
pub use store::StoreError;
pub use transport::Refusal;
