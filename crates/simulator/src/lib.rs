//! The deterministic simulation of the quota protocol: real ledgers and wallets, an unreliable everything else, and an
//! oracle that knows the truth. The same seed gives the same run, event for event.
//!
//! Start with [`Plan`] (what happens), then [`run`] (how), then `oracle` (what must hold). Run it with `make sim`.

mod campaign;
mod coverage;
mod deaths;
mod disk;
mod drift;
mod entries;
mod estimates;
mod event;
mod exchange;
mod fairness;
mod figure;
mod hope;
mod judge;
mod lives;
mod measure;
mod meetings;
mod node;
mod oracle;
mod overspend;
mod patience;
mod plan;
mod promptness;
mod race;
mod rates;
mod request;
mod shrink;
mod trouble;
mod watch;
mod world;

pub use campaign::{Campaign, Findings};
pub use coverage::{Coverage, Reached};
pub use measure::Measured;
pub use oracle::Violation;
pub use plan::{BudgetPlan, Direction, Fault, Making, Plan, RequestPlan, Timing, What};
pub use shrink::shrink;
pub use world::{Report, run};
