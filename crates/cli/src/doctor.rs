//! `quorate doctor`: what is wrong with a machine and with a cluster, and what to do about it, before anybody is called at night.

mod cluster;
mod finding;
mod machine;

use crate::arguments::Connection;
use crate::client::Client;
use crate::error::CliError;
use crate::output::Output;
use clap::Args;
use finding::{Findings, State};
use serde_json::Value;
use std::path::PathBuf;

/// Check a node's file and its machine (--config), the cluster (--server and an admin key), or both. Changes nothing.
#[derive(Args)]
pub(crate) struct Doctor {
    /// The configuration file of a node of this machine.
    #[arg(long, short)]
    config: Option<PathBuf>,
}

impl Doctor {
    pub(crate) async fn run(self, connection: Connection, output: &Output) -> Result<(), CliError> {
        let has_key = connection.token.is_some() || connection.token_file.is_some();
        let mut findings = Findings::default();
        if let Some(config) = &self.config {
            machine::examine(config, &mut findings);
        }
        if has_key || self.config.is_none() {
            cluster::examine(&Client::new(connection)?, &mut findings).await;
        } else {
            findings.ok("cluster", "not asked: no admin key was given");
        }
        output.sentence(&findings.lines(), &Value::Array(findings.json()));
        match findings.worst() {
            State::Ok => Ok(()),
            State::Warn | State::Fail => {
                Err(CliError::Found(findings.worst().exit_code(), findings.summary()))
            }
        }
    }
}
