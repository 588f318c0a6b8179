//! A node's part in the cluster: what its owner holds, and the tasks behind it.
//!
//! [`Replica`] is the handle; [`Runner`] is the work, to be spawned by the owner. Start with [`Replica::start`].

mod backup;
mod certificates;
mod compared;
mod comparison;
mod core;
mod entrance;
mod entries;
mod error;
mod everywhere;
mod fencing;
mod freshness;
mod handle;
mod identity;
mod join;
mod observe;
mod outlook;
mod proposer;
mod pulse;
mod room;
mod rounds;
mod runner;
mod service;
mod settings;
mod start;
mod status;
mod steward;
mod vitals;

pub use error::{ChangeError, ProposeError, ReadError, RunError, StartError};
pub use handle::Replica;
pub use identity::Identity;
pub(crate) use identity::Place;
pub use runner::Runner;
pub(crate) use service::Service;
pub use settings::{CERTIFICATE_LIFETIME, MachineLimits, Settings, SnapshotPolicy, Start, Timings};
pub use status::{PeerStatus, Role, Status};
pub(crate) use vitals::Pulse;

#[cfg(test)]
mod tests;
