//! The cluster's agreement: openraft on RocksDB, a framed transport between peers, snapshots, membership, and the
//! watermark journal of the node's wallet. It decides nothing about keys or budgets: it applies commands in order.
//!
//! Start with [`Replica::start`], which gives a cheap handle and a [`Runner`] for the owner to spawn. Commands go in
//! through [`Replica::propose`] on any node; what came of them is read from [`Replica::state`], after
//! [`Replica::read_barrier`] where the read must be linearizable. The [`Journal`] stands beside, independent of Raft.
//! Inside: `codec` (bytes), `host` (the machine), `machine` (the state), `store` (the disk), `trust` (certificates), `transport` (peers), `replica` (the tasks), `recovery` (what is done while no node runs).

mod codec;
pub mod host;
mod journal;
mod machine;
mod metrics;
mod raft;
mod raft_runtime;
pub mod recovery;
mod replica;
mod store;
mod transport;
mod trust;

pub use codec::CodecError;

pub use journal::Journal;
pub use machine::{Batch, Command, Fingerprint, OpId, Outcome, Proposal, State};
pub use metrics::{JournalMetrics, Metrics};
pub use replica::{
    CERTIFICATE_LIFETIME, ChangeError, Identity, MachineLimits, PeerStatus, ProposeError, ReadError, Replica,
    Role, RunError, Runner, Settings, SnapshotPolicy, Start, StartError, Status, Timings,
};
pub use store::{StoreError, Underway, WriterWork};
pub use transport::Refusal;
