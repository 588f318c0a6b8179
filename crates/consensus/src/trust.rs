//! Why peers believe each other: certificates, and what each node shows of itself (docs/adr/0023-identity-and-trust.md).
//!
//! `mint` makes keys and certificates, `keyring` keeps those of this node, `verify` checks a peer's chain, `register` knows who
//! this node is and judges the cards of others.

mod keyring;
mod mint;
mod register;
mod verify;

pub(crate) use keyring::{Held, Keyring, Stranger};
pub(crate) use mint::{KeySeed, Lifetime, PublicKey, draw, public, root, sign};
pub(crate) use register::{Myself, OnDisks, Register};
pub(crate) use verify::{foreign_cluster, is_certificate_of};

#[cfg(test)]
pub(crate) mod tests;
