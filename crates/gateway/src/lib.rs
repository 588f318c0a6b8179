//! The request path and the admin API. Reaches consensus only through the traits in [`replica`].
//!
//! Start with [`Funds`], then the request path.

pub mod admin;
mod error;
mod funds;
mod metrics;
mod proxy;
pub mod replica;
pub mod server;

pub use error::{Denial, ErrorCode, RequestError, Retry, Source};
pub use funds::{Cause, Funds, JournalFailure, Refusal, Treasurer};
pub use metrics::Metrics;
pub use proxy::{Limits, Parts, Proxy};
