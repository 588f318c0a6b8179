//! `quorate cluster`.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use crate::rolling::RollingRestart;
use crate::status;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

/// What can be done with a cluster as a whole.
#[derive(Subcommand)]
pub(crate) enum ClusterVerb {
    /// Found a cluster of the node that is asked. Shows the first admin key, this once.
    Init,
    /// Let the node that is asked join a cluster.
    Join {
        /// The file that holds a join token of the cluster.
        #[arg(long, value_name = "FILE")]
        join_token_file: PathBuf,
    },
    /// Say how the cluster is. Exit 0: healthy; 10: degraded; 11: no quorum; 12: the next failure of a voter would leave it without.
    Status {
        /// Look again every two seconds.
        #[arg(long, short)]
        watch: bool,
    },
    /// Show the latest changes of who belongs, who votes and who drains, the newest first.
    Events,
    /// Have leadership handed to another voter.
    TransferLeader {
        /// Its name or id; whoever has most of the log if it is missing.
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
    /// Restart all nodes, one after the other: drain, run a command that restarts it, wait until it is back.
    RollingRestart(RollingRestart),
    /// Declare the session of a node dead that will not come back: what it holds is in doubt then, and can be resolved.
    /// Say why with -m.
    Expire {
        /// The session, as `budget explain` shows it.
        session: u64,
    },
}

const EVENTS: &[Column] =
    &[("NO", "/number"), ("AT", "/at"), ("BY", "/by"), ("WHAT", "/what"), ("REASON", "/reason")];

impl ClusterVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Init => {
                output.show(&client.post("/cluster/init", &json!({})).await?);
                tell("this is the only time the admin token is shown; keep it, and set QUORATE_TOKEN");
                tell("next: quorate token create, for other nodes to join with; or quorate provider create");
            }
            Self::Join { join_token_file } => {
                let what = || format!("read the join token file {}", join_token_file.display());
                let text = std::fs::read_to_string(&join_token_file)
                    .map_err(|cause| CliError::Io { what: what(), cause })?;
                output.show(&client.join(text.trim()).await?);
            }
            Self::Status { watch } => status::show(client, output, watch).await?,
            Self::Events => output.list(&client.get("/cluster/events").await?, EVENTS),
            Self::TransferLeader { to } => {
                let done = client.post("/cluster/transfer-leader", &json!({ "to": to })).await?;
                output.sentence(&format!("node {} leads", done["leader"]), &done);
            }
            Self::RollingRestart(restart) => restart.run(client, output).await?,
            Self::Expire { session } => {
                client.post(&format!("/sessions/{session}/expire"), &json!({})).await?;
                tell(&format!(
                    "session {session} is dead; what it held is in doubt: see quorate budget explain"
                ));
            }
        }
        Ok(())
    }
}
