//! Which target next, after which failure. Pure.
//!
//! The plan decides; the caller sends, waits, and tells it what happened. Start with [`Plan::next_step`].

mod failure;
mod health;
mod plan;

pub use failure::{AttemptFailure, Cause};
pub use health::{Health, Standing};
pub use plan::{GiveUp, Plan, Policy, Step};
