//! `quorate token`: what nodes join with.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use crate::span;
use clap::Subcommand;
use serde_json::json;

/// What can be done with join tokens.
#[derive(Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, this once. Whoever has it can bring a node into the cluster.
    Create {
        /// For how long it is good, as 30m or 24h; at most 30 days.
        #[arg(long, default_value = "30m", value_parser = span::millis)]
        ttl: u64,
        /// How many nodes it lets in.
        #[arg(long, default_value_t = 1)]
        uses: u32,
    },
    /// List the tokens there are, without their secrets.
    List,
    /// Take a token back. Nodes that it let in stay.
    Delete {
        /// Its id.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    ("TOKEN", "/id"),
    ("USES LEFT", "/uses_left"),
    ("EXPIRES", "/expires_at"),
    ("CREATED", "/created_at"),
    ("BY", "/created_by"),
];

impl TokenVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Create { ttl, uses } => {
                let made = client.post("/tokens", &json!({ "ttl_ms": ttl, "uses": uses })).await?;
                output.sentence(made["token"].as_str().unwrap_or_default(), &made);
                tell("this is the only time the token is shown; keep it in a file that nobody else can read");
                tell("next: quorate serve --config FILE --join-token-file FILE, on each new node");
            }
            Self::List => output.list(&client.get("/tokens").await?, COLUMNS),
            Self::Delete { id } => {
                client.delete(&format!("/tokens/{id}")).await?;
                tell(&format!("token {id} lets nobody in any more"));
            }
        }
        Ok(())
    }
}
