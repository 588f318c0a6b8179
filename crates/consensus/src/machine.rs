//! The replicated state: catalogue, ledger and members, changed by nothing but committed entries.
//!
//! Start with [`Command`], then [`State::apply`]. Pure but for its locks: log time comes with the entry.

mod command;
mod dedup;
mod history;
mod state;

pub use command::{Batch, Command, OpId, Outcome, Proposal};
pub use history::Fingerprint;
pub(crate) use history::HISTORY_VERSION;
pub(crate) use state::Frozen;
pub use state::State;
