//! The deterministic simulation of whole nodes: openraft, our store, transport, replica and treasurer as they are, on simulated
//! disks, networks and clocks, in one paused runtime; and a judge that sees what no node sees.
//!
//! Start with [`Plan`] (what happens), then [`run`] (how), then `judge` (what must hold). Run it with `make sim-cluster`.
//! What of the real code is not in it, and why: docs/adr/0020-cluster-simulation.md.

mod chance;
mod clock;
mod disk;
mod faults;
mod judge;
mod life;
mod network;
mod node;
mod operators;
mod overspend;
mod plan;
mod process;
mod reached;
mod run;
mod story;
mod traffic;
mod trip;
mod world;

pub use plan::Plan;
pub use process::{outcome_of, report_of};
pub use reached::Reached;
pub use run::{IS_REPEATABLE, Report, run};
