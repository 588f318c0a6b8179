//! `quorate node`: who belongs to the cluster, and what each node is for.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use crate::plan::{Done, How};
use crate::span;
use crate::watch::{self, Until};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a drain is waited for if no deadline is said.
const DEADLINE_MS: u64 = 10 * 60_000;
/// How long a removed node may take to be out of Raft's membership.
const REMOVAL: Duration = Duration::from_secs(30);

/// What can be done with a node.
#[derive(Subcommand)]
pub(crate) enum NodeVerb {
    /// List the nodes.
    List,
    /// Show all of one node.
    Show {
        /// Its name or id.
        node: String,
    },
    /// Follow what a node does, until it serves or has drained.
    Watch {
        /// Its name or id.
        node: String,
    },
    /// Have a node leave its work: unready, hand leadership over, finish requests, return all grants. Its process goes on.
    Drain(Drain),
    /// Have a node take work again.
    Undrain {
        /// Its name or id.
        node: String,
        #[command(flatten)]
        how: How,
    },
    /// Take a node out for good. It must have drained, or be gone; a learner that is caught up takes its seat.
    Remove {
        /// Its name or id.
        node: String,
        #[command(flatten)]
        how: How,
    },
    /// Let a node that comes take the place of this one.
    Replace {
        /// Its name or id.
        node: String,
        /// Whoever comes next, not only one with the same name or address.
        #[arg(long)]
        by_anyone: bool,
        #[command(flatten)]
        how: How,
    },
    /// Give a node a vote.
    Promote {
        /// Its name or id.
        node: String,
        /// The node that gives its seat.
        #[arg(long, value_name = "NODE")]
        instead_of: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Take a node's vote, until it is promoted.
    Demote {
        /// Its name or id.
        node: String,
        #[command(flatten)]
        how: How,
    },
}

/// A drain.
#[derive(Args)]
pub(crate) struct Drain {
    /// Its name or id.
    #[arg(required_unless_present = "itself", conflicts_with = "itself")]
    node: Option<String>,
    /// The node at the address of --server drains itself: for a preStop hook.
    #[arg(long = "self", id = "itself")]
    itself: bool,
    /// How long to wait for requests to end, as 10m. Then the command ends with exit 6, and the drain goes on.
    #[arg(long, value_parser = span::millis)]
    deadline: Option<u64>,
    /// Do not wait.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    how: How,
}

const COLUMNS: &[Column] = &[
    ("NODE", "/name"),
    ("ID", "/id"),
    ("ROLE", "/role"),
    ("STATE", "/standing/state"),
    ("ZONE", "/zone"),
    ("LAG", "/lag"),
    ("REACHABLE", "/is_reachable"),
    ("PEER ADDRESS", "/peer_address"),
    ("RELEASE", "/release"),
];

impl NodeVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::List => output.list(&client.get("/nodes").await?, COLUMNS),
            Self::Show { node } => output.show(&client.get(&format!("/nodes/{node}")).await?),
            Self::Watch { node } => watch::follow(client, &node, Until::Rest, None).await?,
            Self::Drain(drain) => drain.run(client, output).await?,
            Self::Undrain { node, how } => {
                if change(client, output, (how, "undrain", &node), json!({})).await? != Done::Planned {
                    tell(&format!("{node} takes work again"));
                }
            }
            Self::Remove { node, how } => remove(client, output, how, &node).await?,
            Self::Replace { node, by_anyone, how } => {
                let body = json!({ "by_anyone": by_anyone });
                if change(client, output, (how, "replace", &node), body).await? != Done::Planned {
                    tell(
                        "next: quorate token create, and start the new node with the token and an empty data directory",
                    );
                }
            }
            Self::Promote { node, instead_of, how } => {
                let body = json!({ "instead_of": instead_of });
                if change(client, output, (how, "promote", &node), body).await? == Done::Applied {
                    tell(&format!("{node} votes"));
                }
            }
            Self::Demote { node, how } => {
                if change(client, output, (how, "demote", &node), json!({})).await? == Done::Applied {
                    tell(&format!("{node} votes no more, until: quorate node promote {node}"));
                }
            }
        }
        Ok(())
    }
}

async fn change(
    client: &Client,
    output: &Output,
    (how, verb, node): (How, &str, &str),
    body: Value,
) -> Result<Done, CliError> {
    let path = format!("/nodes/{node}/{verb}");
    how.change(client, output, (&format!("{verb} {node}"), &path), &body).await
}

async fn remove(client: &Client, output: &Output, how: How, node: &str) -> Result<(), CliError> {
    // By its id from here on: names are free again when their node is gone.
    let id = client.get(&format!("/nodes/{node}")).await?["id"].as_u64().unwrap_or_default();
    if change(client, output, (how, "remove", node), json!({})).await? == Done::Planned {
        return Ok(());
    }
    watch::until_gone(client, id, REMOVAL).await?;
    tell(&format!("REMOVED {node} (node {id}). Its data directory can never be used again"));
    Ok(())
}

impl Drain {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let node = match (self.node, self.itself) {
            (Some(node), _) => node,
            (None, true) => client.get("/nodes/self").await?["name"].as_str().unwrap_or("self").to_owned(),
            (None, false) => return Err(CliError::Usage("name a node, or say --self".to_owned())),
        };
        let deadline = self.deadline.unwrap_or(DEADLINE_MS);
        let done =
            change(client, output, (self.how, "drain", &node), json!({ "deadline_ms": deadline })).await?;
        if done == Done::Planned || self.detach {
            return Ok(());
        }
        watch::follow(client, &node, Until::Drained, Some(Duration::from_millis(deadline))).await?;
        tell(&format!("Undo: quorate node undrain {node}"));
        Ok(())
    }

    /// As `rolling-restart` drains.
    pub(crate) async fn surely(
        client: &Client,
        output: &Output,
        node: &str,
        deadline: Option<u64>,
    ) -> Result<(), CliError> {
        let node = Some(node.to_owned());
        let drain = Self { node, itself: false, deadline, detach: false, how: How::surely() };
        drain.run(client, output).await
    }
}
