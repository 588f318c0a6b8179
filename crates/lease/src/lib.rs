//! The freshness lease: how long a node may go on by what it knows of keys, and when a revocation holds on every node.
//!
//! Knows no message and no clock: it is told when something was sent, what was answered and what time it is. A node asks
//! through [`Renewals`] and looks at its [`Lease`] before each admission; who revokes a key waits for a [`Withdrawal`].
//! Why the two fit together is in docs/adr/0010-freshness-lease.md; `tests/cluster.rs` holds them against each other.

mod bound;
mod departures;
mod lease;
mod renewals;
mod withdrawal;

pub use bound::RevocationBound;
pub use departures::Departures;
pub use lease::{Held, Lease};
pub use renewals::{Asked, Confirmed, Renewals};
pub use withdrawal::{Standing, Withdrawal};
