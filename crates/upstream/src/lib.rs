//! Talks to providers: connections, authentication, streams, timeouts.
//!
//! Never decides where to send or what to charge: it sends one attempt and says what came of it, above all whether the
//! provider may have worked for it. Start with [`Upstream::provider`] and [`Provider::send`].

mod attempt;
mod client;
mod credentials;
mod error;
mod headers;
mod permit;
mod provider;
mod refused;
mod response;

pub use attempt::Attempt;
pub use client::{PoolSettings, Upstream};
pub use credentials::{CredentialError, Credentials};
pub use error::{AttemptError, ProviderUnusable, Sent, TransportError};
pub use headers::forwardable;
pub use permit::{Permit, Unconditional};
pub use provider::{Provider, ProviderSettings, Timeouts};
pub use response::{Reply, UpstreamBody, UpstreamResponse};
