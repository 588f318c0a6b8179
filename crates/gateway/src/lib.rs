//! The request path and the admin API. Reaches consensus only through the traits in [`replica`].
//!
//! Start with [`Funds`], then the request path.

pub mod admin;
mod error;
mod funds;
mod gauges;
mod health;
mod metrics;
mod operations;
mod proxy;
pub mod replica;
pub mod server;
mod stopwatch;
pub mod time_zones;

/// The router of a listener, so that its owner need not know the library.
pub use axum::Router;
pub use error::{Denial, ErrorCode, NotExecuted, RequestError, Retry, Source};
pub use funds::{Cause, Funds, JournalFailure, Refusal, Treasurer};
pub use metrics::Metrics;
pub use operations::Operations;
pub use proxy::{IdempotencyLimits, Limits, Parts, Proxy};
