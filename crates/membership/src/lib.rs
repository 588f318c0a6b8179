//! Who belongs to the cluster, and who may come in: the table of nodes, join tokens, the certificate authority.
//!
//! Pure: commands in, outcomes out; no I/O, no clock, no randomness. A refusal is an outcome. Start with [`Membership`]
//! and [`Command`]; `card` says which node a peer may take for which (docs/adr/0023-identity-and-trust.md).

mod authority;
mod card;
mod command;
mod members;
mod node;
mod token;

pub use authority::{Authority, Certificate, Next, Phase, Root, RootId};
pub use card::{Card, Mismatch, judge};
pub use command::{Admission, Command, Founding, Introduction, NewToken, Outcome, Rejection};
pub use members::Membership;
pub use node::{Levels, NodeRecord, Profile, StorageId};
pub use token::{JoinToken, Token, TokenError, TokenId, Tokens};
