//! `quorate probe`: what a load balancer asks, for containers and scripts that have no other way to ask it.

use crate::client::Client;
use crate::error::CliError;
use crate::output::Output;
use clap::{Args, ValueEnum};
use serde_json::json;

/// Ask the node at --server whether it is alive or ready. Needs no key; ends with 0 if it is, with 7 if it is not, and with
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
    /// Whether clients should be sent there.
    Readyz,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
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
