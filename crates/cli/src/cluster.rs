//! `quorate cluster`.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use clap::Subcommand;
use serde_json::{Value, json};
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
    /// Say how the cluster is.
    Status,
    /// Declare the session of a node dead that will not come back: what it holds is in doubt then, and can be resolved.
    /// Say why with -m.
    Expire {
        /// The session, as `budget explain` shows it.
        session: u64,
    },
}

const MEMBERS: &[Column] =
    &[("NODE", "/node"), ("PEER ADDRESS", "/peer_address"), ("VOTES", "/is_voter"), ("BEHIND", "/lag")];

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
            Self::Status => status(&client.get("/cluster").await?, output)?,
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

fn status(status: &Value, output: &Output) -> Result<(), CliError> {
    let part = |name: &str| status[name].as_str().unwrap_or_default();
    output.sentence(
        &format!("{} (cluster {}): {}", part("verdict").to_uppercase(), part("cluster"), part("sentence")),
        status,
    );
    output.rows(&status["members"], MEMBERS);
    if status["lease_left_ms"] == 0 {
        tell("this node has not heard from a majority for too long: it refuses requests with 503 not_fresh");
    }
    if status["leader"].is_null() {
        return Err(CliError::Refused {
            status: 503,
            code: "unavailable".to_owned(),
            message: "the cluster has no leader that a majority follows".to_owned(),
            next: "start the nodes that are missing, or mend the network between them".to_owned(),
        });
    }
    Ok(())
}
