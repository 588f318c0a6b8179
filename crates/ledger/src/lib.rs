//! The replicated quota state machine: budgets, sessions, grants. Commands in, outcomes out.
//!
//! Pure: it reads no clock, draws no random number and does no I/O, so every replica computes the same balances.
//! It never learns what a request is; it only hands slices of budgets (grants) to sessions of nodes and counts
//! what they report. Start with [`Command`], then [`Ledger::apply`], then [`Account`]; how a denial is proven is in
//! [`Central`].

mod account;
mod begun;
mod bucket;
mod budget;
mod central;
mod command;
mod doubt;
mod holding;
mod ledger;
mod line;
mod outcome;
mod prospect;
mod report;
mod session;
mod template;
mod turn;
mod zones;

pub use account::{Account, Mode};
pub use begun::Begun;
pub use budget::{ASKED_AHEAD, Budget, BudgetSpec, Kind, Reserve};
pub use central::{Central, Shown, Tally};
pub use command::{
    Ask, Command, Evidence, Expected, Heard, Mark, MeetEndUser, OpenSession, Overspent, PutBudget,
    PutTemplate, Resolve, SpendingReport, Sync, TellMarks, Urgency,
};
pub use doubt::{AutoResolve, Doubt, Resolution};
pub use holding::Holding;
pub use ledger::{Ledger, Violation};
pub use line::{PLACES_MAX, Place};
pub use outcome::{Answer, Outcome, Rejection, Spell, View};
pub use prospect::{Patience, Prospect, Shortage, Standing};
pub use report::{BudgetReport, EndUsers, HolderState, HoldingReport};
pub use session::{NodeRecord, Session, SessionState};
pub use template::{END_USERS_MAX_DEFAULT, Origin, Template};
pub use turn::Turns;
