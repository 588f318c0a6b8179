//! The deterministic simulation of the quota protocol: real ledgers and wallets, an unreliable everything else, and an
//! oracle that knows the truth. The same seed gives the same run, event for event.
//!
//! Start with [`Plan`] (what happens), then [`run`] (how), then `oracle` (what must hold). Run it with `make sim`.
//! [`Campaign`], [`Coverage`], [`Shrunk`] and [`FailingRun`] know nothing of the protocol: the simulation of whole clusters has them, too.

mod campaign;
mod coverage;
mod deaths;
mod disk;
mod drift;
mod entries;
mod estimates;
mod event;
mod exchange;
mod failing;
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
mod owed;
mod patience;
mod plan;
mod promptness;
mod race;
mod rates;
mod reached;
mod request;
mod shrink;
mod trouble;
mod watch;
mod world;

pub use campaign::{Campaign, Counts, Findings, Outcome, Verdict, Violation};
pub use coverage::{Coverage, Reachable};
pub use failing::{FailingRun, SHRINKS_FOR, shrink_within};
pub use measure::Measured;
pub use owed::Overspending;
pub use plan::{BudgetPlan, Direction, Fault, Making, Plan, RequestPlan, Timing, What};
pub use rates::{Rates, Reserved};
pub use reached::Reached;
pub use shrink::{Listed, Shrunk};
pub use world::{Report, run};
