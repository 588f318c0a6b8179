//! A node: settings → build → spawn → drain. Nothing here decides about requests or budgets; it puts the parts
//! together and ends them in order. Start with [`serve`].

mod clock;
mod declared;
mod reference;
mod settings;
mod tasks;

pub use clock::SystemClock;
pub use declared::Config;
pub use reference::{ReferenceError, environment, resolve};
pub use settings::{Beginning, ClusterSettings, ConfigError, FirstStart, Settings};
pub use tasks::{Ended, OnEnd, Tasks};
