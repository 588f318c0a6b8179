//! The replicated quota state machine: budgets, sessions, grants. Commands in, outcomes out.
//!
//! Pure: it reads no clock, draws no random number and does no I/O, so every replica computes the same balances.
//! It never learns what a request is; it only hands slices of budgets (grants) to sessions of nodes and counts
//! what they report. Start with [`Command`], then [`Ledger::apply`], then [`Account`].

mod account;
mod budget;
mod command;
mod ledger;
mod outcome;
mod report;
mod session;

pub use account::{Account, Holding, Mode};
pub use budget::{Budget, BudgetSpec, Kind};
pub use command::{
    Ask, Command, Evidence, Expected, Mark, OpenSession, PutBudget, Resolve, SpendingReport, Sync,
};
pub use ledger::{Ledger, Violation};
pub use outcome::{Answer, Outcome, Rejection, Shortage};
pub use report::{BudgetReport, HoldingReport};
pub use session::{NodeRecord, Session, SessionState};
