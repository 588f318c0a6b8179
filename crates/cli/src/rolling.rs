//! `quorate cluster rolling-restart`: drain → hook → wait until it is back → the next. Stops at the first doubt, and says how to go on.

use crate::client::Client;
use crate::error::CliError;
use crate::node::Drain;
use crate::output::{Output, tell};
use crate::plan::How;
use crate::span;
use crate::status;
use crate::watch::Stopwatch;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// How long a node may take to be back, caught up and serving.
const BACK_WITHIN: Duration = Duration::from_secs(300);
const EVERY: Duration = Duration::from_millis(500);

/// A restart of all nodes, one after the other.
#[derive(Args)]
pub(crate) struct RollingRestart {
    /// What restarts a node that has drained, run by `sh -c` with `QUORATE_NODE`, `QUORATE_NODE_ID` and `QUORATE_ADMIN_ADDRESS` in its environment.
    #[arg(long, value_name = "COMMAND")]
    hook: String,
    /// Begin with this node: where an earlier restart has stopped.
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
    /// How long to wait for requests of each node to end, as 10m.
    #[arg(long, value_parser = span::millis)]
    deadline: Option<u64>,
    #[command(flatten)]
    how: How,
}

impl RollingRestart {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let nodes = self.nodes(&status::look(client).await?.names())?;
        tell(&format!("PLAN restart one after the other: {}", nodes.join(", ")));
        if !self.how.goes_on()? {
            return Ok(());
        }
        for (number, node) in nodes.iter().enumerate() {
            tell(&format!("[{}/{}] {node}", number + 1, nodes.len()));
            self.restart(client, output, node)
                .await
                .map_err(|cause| CliError::Stopped { node: node.clone(), cause: Box::new(cause) })?;
        }
        tell("all nodes were restarted");
        Ok(())
    }

    fn nodes(&self, all: &[String]) -> Result<Vec<String>, CliError> {
        let Some(from) = &self.from else { return Ok(all.to_vec()) };
        let place = all.iter().position(|node| node == from);
        place
            .map(|place| all[place..].to_vec())
            .ok_or_else(|| CliError::Usage(format!("there is no node {from}")))
    }

    async fn restart(&self, client: &Client, output: &Output, node: &str) -> Result<(), CliError> {
        if let Some(doubt) = status::look(client).await?.doubt() {
            return Err(CliError::Doubt(doubt));
        }
        let before = client.get(&format!("/nodes/{node}")).await?;
        Drain::surely(client, output, node, self.deadline).await?;
        self.run_hook(&before).await?;
        wait_until_back(client, &before).await
    }

    async fn run_hook(&self, node: &Value) -> Result<(), CliError> {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        let mut hook = tokio::process::Command::new("sh");
        hook.arg("-c").arg(&self.hook);
        hook.env("QUORATE_NODE", text("name")).env("QUORATE_NODE_ID", node["id"].to_string());
        hook.env("QUORATE_ADMIN_ADDRESS", text("admin_address"));
        let ended =
            hook.status().await.map_err(|cause| CliError::Io { what: "run the hook".to_owned(), cause })?;
        if ended.success() { Ok(()) } else { Err(CliError::Doubt(format!("the hook ended with {ended}"))) }
    }
}

/// Until its process is another one, it serves, and all is as it was.
async fn wait_until_back(client: &Client, before: &Value) -> Result<(), CliError> {
    let begun = Stopwatch::start();
    let mut doubt = "it has not started again".to_owned();
    while begun.elapsed() < BACK_WITHIN {
        match is_back(client, before).await {
            Ok(None) => {
                tell("✓ back, caught up, serving");
                return Ok(());
            }
            Ok(Some(still)) => doubt = still,
            Err(error) => doubt = error.to_string(),
        }
        tokio::time::sleep(EVERY).await;
    }
    Err(CliError::Doubt(doubt))
}

/// What is still missing, if anything.
async fn is_back(client: &Client, before: &Value) -> Result<Option<String>, CliError> {
    let now = client.get(&format!("/nodes/{}", before["id"])).await?;
    if now["starts"].as_u64() <= before["starts"].as_u64() {
        return Ok(Some("it has not started again".to_owned()));
    }
    if now["role"] != "leader" && now["caught_up_ms"].is_null() {
        return Ok(Some("it is not caught up".to_owned()));
    }
    let address = now["admin_address"].as_str().unwrap_or_default();
    if !client.is_ready_at(address).await {
        return Ok(Some("it is not ready".to_owned()));
    }
    Ok(status::look(client).await?.doubt())
}
