//! How peers talk: one framed TCP connection per peer and direction (docs/adr/0003-peer-transport.md).
//!
//! [`link`] asks, [`listener`] answers, [`network`] is what openraft sees of it.

mod frame;
mod handshake;
mod link;
mod listener;
mod message;
mod network;
mod session;
mod told;

pub use handshake::Refusal;
pub(crate) use handshake::{HandshakeError, Local};
pub(crate) use link::{AskError, Caller, Lane, Link, LinkError, LinkTask, Links, ask_once};
pub(crate) use listener::Listener;
pub(crate) use message::{Certified, Joined, LeaderHint, Request, Response};
pub(crate) use network::Network;
pub(crate) use told::Told;

#[cfg(test)]
mod tests;
