//! What becomes of requests that carry an `Idempotency-Key`: each is begun in the log before anything is sent to a provider, and
//! ended there before its client has the last byte. Pure: log time comes with the command, and who owns the ledger says
//! which sessions live.
//!
//! Start with [`Command`], then [`Records::apply`] and [`Records::look`]. Why it is so is in docs/adr/0018-idempotency.md.

mod answer;
mod command;
mod digest;
mod record;
mod records;

pub use answer::Answer;
pub use command::{Begin, Command, End, Ending, Outcome};
pub use digest::Digest;
pub use record::{Name, Owner};
pub use records::{Broken, Found, Records};
