//! The rules of the ledger, one sentence and one short script each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that finds something else has failed"
)]

mod ahead;
mod buckets;
mod calendars;
mod central;
mod doubts;
mod end_users;
mod grants;
mod overspend;
mod prospects;
mod rounds;
mod script;
mod sessions;
