//! `quorate upgrade`: from one release to the next.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use clap::Subcommand;
use serde_json::{Value, json};

/// What can be done when nodes run another release than before.
#[derive(Subcommand)]
pub(crate) enum UpgradeVerb {
    /// Show the level of what the cluster writes, the release of each node, and whether the level can be raised.
    Status,
    /// Raise the level, once all nodes run the new release and all is well. From then on the release before cannot be used again.
    /// Say why with -m.
    Finalize {
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
    },
}

const NODES: &[Column] = &[
    ("NODE", "/node"),
    ("NAME", "/name"),
    ("RELEASE", "/release"),
    ("KNOWS FROM", "/levels/min"),
    ("TO", "/levels/max"),
];

impl UpgradeVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let seen = client.get("/upgrade").await?;
        match self {
            Self::Status => show(&seen, output),
            Self::Finalize { dry_run: true } => {
                show(&seen, output);
                tell("nothing was changed");
            }
            Self::Finalize { dry_run: false } => {
                let done = client.post("/upgrade/finalize", &json!({ "from": seen["level"] })).await?;
                show(&done, output);
            }
        }
        Ok(())
    }
}

fn show(upgrade: &Value, output: &Output) {
    let level = upgrade["level"].as_u64().unwrap_or_default();
    output.sentence(&format!("the cluster is at level {level}: {}", meaning(upgrade, level)), upgrade);
    output.rows(&upgrade["nodes"], NODES);
    match upgrade["state"].as_str() {
        Some("can_finalize") => tell("next: quorate upgrade finalize -m REASON, once all is well"),
        Some("mixed") => tell("next: upgrade the other nodes, one after the other"),
        _ => {}
    }
}

fn meaning(upgrade: &Value, level: u64) -> String {
    match upgrade["state"].as_str() {
        Some("can_finalize") => format!(
            "all nodes know level {}; until it is finalized, each can go back to the release before; afterwards none can",
            level + 1
        ),
        Some("mixed") => format!("some nodes know level {} already; each can still go back", level + 1),
        _ => "no node knows a higher one, so there is nothing to finalize".to_owned(),
    }
}
