//! The request path and the admin API. Reaches consensus only through the traits in [`replica`].
//!
//! Start with [`Funds`], then the request path.

pub mod admin;
mod funds;
pub mod replica;
pub mod server;

pub use funds::{Cause, Funds, JournalFailure, Refusal, Treasurer};
