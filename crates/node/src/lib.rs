//! A node: settings → build → spawn → drain. Nothing here decides about requests or budgets; it puts the parts
//! together and ends them in order. Start with [`serve`].

mod beginning;
mod bridge;
mod clock;
mod declared;
mod doubts;
mod entrance;
mod exit_code;
mod founding;
mod leaving;
mod log;
mod mint;
mod next_step;
mod offline;
mod problems;
mod reference;
mod reserve;
mod serve;
mod settings;
mod stop;
mod tasks;
mod ticker;
mod waiting_room;
mod watchdog;

pub use beginning::Beginning;
pub use bridge::{BridgedJournal, BridgedReplica};
pub use clock::SystemClock;
pub use declared::Config;
pub use exit_code::ExitCode;
pub use mint::mint_key;
pub use next_step::{exit_code, next_step};
pub use offline::{OfflineError, Recovery, inspect_snapshot, restore_snapshot};
pub use quorate_consensus::recovery::{Applied, Contents, Plan, Restored, Verified};
pub use reference::{ReferenceError, environment, resolve};
pub use serve::serve;
pub use settings::{ClusterSettings, ConfigError, FirstStart, Settings};
pub use tasks::{Ended, OnEnd, Tasks};
pub use ticker::keep_time;
