//! What is done with the data of a cluster while no node runs on it: files of the state ([`BackupFile`]), a new cluster from one
//! ([`restore`]), and how a cluster goes on that has lost its quorum for good ([`plan`], [`apply`], [`verify`]).
//!
//! `survey`, `words`, `told`, `beyond` and `rebirth` decide and are pure; `copy`, `backup`, `restore` and `deed` read and write files
//! (docs/adr/0026-backup-and-lineage.md).

mod backup;
mod beyond;
mod copy;
mod deed;
mod error;
mod inspect;
mod plan;
mod rebirth;
mod restore;
mod survey;
mod told;
mod verify;
mod words;

pub use backup::{BackupFile, Contents};
pub use deed::{Applied, apply, plan};
pub use error::RecoveryError;
pub use inspect::inspect;
pub use plan::{At, Charged, CopyRead, LeftBehind, Plan, Uncertain, Unknowable};
pub use restore::{Restored, Wanted, restore};
pub use verify::{Verified, verify};

#[cfg(test)]
mod tests;
