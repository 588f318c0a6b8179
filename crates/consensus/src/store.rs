//! What a node keeps on its disk for Raft: the log and the vote in RocksDB, the state in memory and in snapshot files.
//!
//! Start with [`writer`]: one thread writes, syncs, and calls back in order (docs/adr/0002-storage-layout.md).

mod database;
mod error;
mod log;
mod machine;
mod snapshot;
mod stored;
mod tail;
mod underway;
mod writer;

pub(crate) use database::{Database, Keyspace, LOG, META};
pub use error::StoreError;
pub(crate) use log::LogStore;
pub(crate) use machine::StateStore;
pub(crate) use snapshot::{Incoming, SnapshotFile, Snapshots};
pub(crate) use stored::StoredLog;
pub use underway::Underway;
pub use writer::WriterWork;
pub(crate) use writer::{Change, Done, Writer};

#[cfg(test)]
mod tests;
