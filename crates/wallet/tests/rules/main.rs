//! The rules of a wallet, one sentence and one short script each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that finds something else has failed"
)]

mod ahead;
mod central;
mod cluster;
mod endings;
mod estimates;
mod grants;
mod midnight;
mod overspend;
mod speeches;
mod strays;
mod verdicts;
