//! Quorate as it is measured: authentication, budgets on key, team and organisation, durable settlement, all on.

use crate::http::{Connection, request};
use crate::process::{MEASURED_CORE, Running, poll};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// More than any run spends.
const LIMIT: u64 = 1_000_000_000_000;

/// What `quorate dev` writes once it serves.
#[derive(Debug, Deserialize)]
struct Ready {
    admin_token: String,
    nodes: Vec<ReadyNode>,
}

#[derive(Debug, Deserialize)]
struct ReadyNode {
    id: u64,
    client_url: String,
    admin_url: String,
}

/// A cluster and its admin API.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) target: Target,
    pub(crate) leader: Administrator,
}

/// A connection to a node's admin API.
#[derive(Debug)]
pub(crate) struct Administrator {
    connection: Connection,
    token: String,
}

impl Administrator {
    /// Connects.
    async fn open(address: SocketAddr, token: &str) -> Result<Self> {
        Ok(Self { connection: Connection::open(address).await?, token: token.to_owned() })
    }

    /// Sends a request and takes the answer apart.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let bytes = request(method, &format!("/admin/v1{path}"), &self.token, &body);
        let status = self.connection.exchange(&bytes).await?;
        let answer = self.connection.body();
        ensure!(
            (200..300).contains(&status),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(answer)
        );
        serde_json::from_slice(answer).with_context(|| format!("{method} {path}: no JSON"))
    }
}

/// Starts that many nodes on the measured core, and creates what requests need.
pub(crate) async fn start(
    name: &'static str,
    nodes: usize,
    binary: &Path,
    folder: &Path,
    upstream: SocketAddr,
) -> Result<Cluster> {
    let folder = folder.join(name.replace(' ', "-"));
    fs::create_dir_all(&folder)?;
    let (ready_file, log) = (folder.join("ready.json"), folder.join("dev.log"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut command = vec![text(binary), "dev".to_owned(), "--nodes".to_owned(), nodes.to_string()];
    command.extend(["--data-dir".to_owned(), text(&folder.join("data"))]);
    command.extend(["--ready-file".to_owned(), text(&ready_file)]);
    let mut process = Running::start(MEASURED_CORE, &command, &log)?;
    let written = || {
        process.check(&log)?;
        Ok(fs::read(&ready_file).ok())
    };
    let ready: Ready = serde_json::from_slice(&poll("the ready file", written).await?)?;
    let mut leader = leader(&ready).await?;
    let key = set_up(&mut leader, upstream).await?;
    let addresses = ready.nodes.iter().map(|node| address(&node.client_url)).collect::<Result<_>>()?;
    Ok(Cluster { target: Target { name, addresses, key, process }, leader })
}

fn address(url: &str) -> Result<SocketAddr> {
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .with_context(|| format!("no address: {url}"))
}

async fn leader(ready: &Ready) -> Result<Administrator> {
    let first = ready.nodes.first().context("a cluster without nodes")?;
    let mut administrator = Administrator::open(address(&first.admin_url)?, &ready.admin_token).await?;
    let leader = administrator.call("GET", "/cluster", &Value::Null).await?["leader"].as_u64();
    match ready.nodes.iter().find(|node| Some(node.id) == leader && node.id != first.id) {
        Some(node) => Administrator::open(address(&node.admin_url)?, &ready.admin_token).await,
        None => Ok(administrator),
    }
}

/// Provider, model, route, an organisation with a team, and a key: each with a budget. Returns the key's secret.
async fn set_up(administrator: &mut Administrator, upstream: SocketAddr) -> Result<String> {
    let document = json!({
        "providers": [{"name": "instant", "base_url": format!("http://{upstream}/v1")}],
        "models": [{
            "name": "bench-model", "provider": "instant", "upstream_model": "bench",
            "price": {"input": "1", "output": "2"}, "context_tokens": 128_000, "output_tokens_max": 4_096,
        }],
        "routes": [{"name": "bench", "targets": [{"model": "bench-model"}]}],
        "organisations": [{"name": "acme"}],
        "teams": [{"name": "search", "organisation": "acme"}],
    });
    administrator.call("POST", "/apply", &document).await?;
    for subject in ["org:acme", "team:search"] {
        let budget = json!({"subject": subject, "unit": "tokens", "limit": LIMIT});
        administrator.call("POST", "/budgets", &budget).await?;
    }
    let key = json!({"owner": {"team": "search"}, "budgets": [{"unit": "tokens", "limit": LIMIT}]});
    let created = administrator.call("POST", "/keys", &key).await?;
    created["secret"].as_str().map(str::to_owned).context("a new key without its secret")
}
