//! A node's side of the grants: reserve before a request, settle after.
//!
//! The hot path is a handful of atomic operations: no lock is held, nothing is written to disk, nobody is asked.
//! That is safe because of two rules (docs/INVARIANTS.md, I2): a node spends only what the ledger granted to its
//! session, and only below a *watermark* that its journal holds already. The slow path (asking for grants, raising
//! watermarks, giving back, turning away) is decided here and carried out by the treasurer in `gateway`.
//!
//! Pure but for atomics and locks: no I/O, no clock, no tasks. Start with [`Wallet::reserve`].

mod account;
mod ahead;
mod asker;
mod cost;
mod forward;
mod life;
mod line;
mod mark;
mod overdraft;
mod pace;
mod refusal;
mod reservation;
mod speech;
mod verdict;
mod wallet;

pub use account::{Account, Statement};
pub use cost::{Cost, Need};
pub use mark::{Marked, Marks};
pub use overdraft::{Overdrafts, OverspendMark};
pub use refusal::{Cause, Refusal};
pub use reservation::{Overrun, Reservation};
pub use speech::Speech;
pub use wallet::{Charge, Wallet, Withheld};
