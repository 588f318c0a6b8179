//! What a replica needs of the machine it runs on: disk, network, randomness. The seam between the machine and a simulated one
//! (docs/adr/0020-cluster-simulation.md); everything above it is the same in both.
//!
//! [`Host::machine`] is the real one. Nothing here is called while a request is admitted.

mod disk;
mod files;
mod look;
mod network;
mod randomness;
mod rocks;
mod tcp;

pub use disk::{Content, Disk, Durability, Hands, Job, Room, Table, Tables, Visit, Write};
pub use network::{BoxedFuture, Network, Socket, Stream};
pub use randomness::{Lots, seed_this_thread};

pub(crate) use disk::run_blocking;
pub(crate) use look::look;
pub(crate) use randomness::{fill, random};

use files::MachineDisk;
use std::sync::Arc;
use tcp::Tcp;

/// What a replica runs on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where it keeps its data.
    pub disk: Arc<dyn Disk>,
    /// How it reaches its peers.
    pub network: Arc<dyn Network>,
}

impl Host {
    /// The machine: RocksDB and files, threads for what blocks, TCP.
    #[must_use]
    pub fn machine() -> Self {
        Self { disk: Arc::new(MachineDisk), network: Arc::new(Tcp) }
    }
}
