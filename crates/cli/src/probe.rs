//! `quorate probe`: what a load balancer asks, for containers and scripts that have no other way to ask it.

use crate::client::Client;
use crate::error::CliError;
use crate::output::Output;
use clap::{Args, ValueEnum};
use serde_json::json;

/// Ask the node at --server how it is. Needs no key; ends with 0 if it is, with 7 if it is not, and with
/// 5 if nobody answers.
#[derive(Args)]
pub(crate) struct Probe {
    /// What to ask.
    what: Question,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Question {
    /// Whether the process answers.
    Livez,
    /// Whether the node has caught up with the log once since it started.
    Startupz,
    /// Whether clients should be sent there.
    Readyz,
    /// Whether changes would be made.
    #[value(name = "readyz/admin")]
    ReadyzAdmin,
    /// Whether the cluster has a quorum, and keeps it when one more voter fails.
    Clusterz,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Startupz => "/startupz",
            Self::Readyz => "/readyz",
            Self::ReadyzAdmin => "/readyz/admin",
            Self::Clusterz => "/clusterz",
        }
    }
}

impl Probe {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let said = client.probe(self.what.path()).await?;
        output.sentence(said.trim_end(), &json!({ "said": said }));
        Ok(())
    }
}
