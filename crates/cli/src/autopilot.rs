//! `quorate autopilot`: who decides about votes, and by what.

use crate::client::Client;
use crate::error::CliError;
use crate::output::Output;
use crate::span;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What can be done with the autopilot.
#[derive(Subcommand)]
pub(crate) enum AutopilotVerb {
    /// Show what it goes by.
    Show,
    /// Change what it goes by; what is not said stays.
    Set(Wanted),
    /// Leave votes as they are. Replacements that were asked for go on.
    Pause,
    /// Let it act again.
    Resume,
}

/// What may be set.
#[derive(Args)]
pub(crate) struct Wanted {
    /// How many voters there should be: 1, 3, 5 or 7.
    #[arg(long)]
    target: Option<u32>,
    /// How long a learner must have been caught up, as 10s.
    #[arg(long, value_parser = span::millis)]
    stable: Option<u64>,
    /// How long a voter must be silent until a learner takes its seat, as 15m.
    #[arg(long, value_parser = span::millis)]
    dead_voter: Option<u64>,
    /// How long a learner must be silent until it is removed, as 24h.
    #[arg(long, value_parser = span::millis)]
    dead_learner: Option<u64>,
}

impl AutopilotVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let set = async |body: Value| {
            let done = client.put("/autopilot", &body).await?;
            output.show(&done["autopilot"]);
            Ok(())
        };
        match self {
            Self::Show => {
                output.show(&client.get("/autopilot").await?);
                Ok(())
            }
            Self::Set(Wanted { target, stable, dead_voter, dead_learner }) => {
                set(json!({
                    "target": target, "stable_ms": stable, "dead_voter_ms": dead_voter, "dead_learner_ms": dead_learner,
                }))
                .await
            }
            Self::Pause => set(json!({ "paused": true })).await,
            Self::Resume => set(json!({ "paused": false })).await,
        }
    }
}
