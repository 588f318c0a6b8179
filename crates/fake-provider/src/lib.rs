//! An LLM provider for demos and tests: OpenAI-compatible, with settable faults and a bill of its own.
//!
//! Its bill is the truth that budgets are held against: it counts what was generated, whatever was delivered, and
//! whatever its answers claim. Start with [`FakeProvider::bind`] and [`Behaviour`]; the control paths are in
//! `control.rs`. One process serves one address; tests that need several providers start several.

mod behaviour;
mod bill;
mod chat;
mod clock;
mod control;
mod embeddings;
mod instant;
mod prompt;
mod reply;
mod server;
mod stats;
mod stream;
mod text;

pub use behaviour::{Behaviour, OnDisconnect, UsageReport};
pub use bill::{Entry, Outcome, Totals};
pub use server::FakeProvider;
