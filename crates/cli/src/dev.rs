//! `quorate dev`: a cluster of real processes on this machine, with a fake provider or with your own.

mod fake;
mod layout;
mod member;

use crate::client::Client;
use crate::error::CliError;
use crate::output::tell;
use clap::Args;
use layout::Layout;
use member::Member;
use quorate_fake_provider::{Behaviour, FakeProvider};
use serde_json::{Value, json};
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use toml::Table;

/// Starts a cluster, waits until it serves, and stops it at Ctrl-C or SIGTERM. The same directory again brings the
/// same cluster back.
#[derive(Args)]
pub(crate) struct Dev {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=7))]
    nodes: u64,
    /// Where the nodes keep their data and their logs.
    #[arg(long, default_value = "quorate-dev")]
    data_dir: PathBuf,
    /// Written once the cluster serves: the admin token and the addresses, as JSON.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// A configuration file with providers, models, routes, keys and budgets of your own, instead of the fake provider.
    /// At each start the cluster is brought to what it says; keys and budgets are added only.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// A machine under load needs this long to start seven nodes.
const START_LIMIT: Duration = Duration::from_secs(90);
/// The tables of a configuration file that the admin API applies.
const OBJECTS: [&str; 6] = ["providers", "models", "routes", "organisations", "teams", "users"];
/// Nobody watches a development cluster for ten seconds before it is whole.
const STABLE_MS: u64 = 1_000;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Dev {
    pub(crate) async fn run(self) -> Result<(), CliError> {
        let own = self.config.as_deref().map(layout::read_config).transpose()?;
        let layout = Layout::prepare(&self.data_dir, own.as_ref(), self.nodes)?;
        let mut members = Vec::new();
        if let Some(own) = own {
            let cluster = self.live(&layout, &mut members, Serving::Own(own));
            let ended = until_told_to_stop(cluster, pending()).await;
            stop_all(members).await;
            return ended;
        }
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = FakeProvider::bind(anywhere, Behaviour::default()).await;
        let (address, provider) =
            bound.map_err(|cause| CliError::Io { what: "start the fake provider".to_owned(), cause })?;
        let cluster = self.live(&layout, &mut members, Serving::Fake(format!("http://{address}")));
        let provider = async {
            provider.await;
            Ok(())
        };
        tokio::pin!(provider);
        let ended = until_told_to_stop(cluster, provider.as_mut()).await;
        // The provider outlives the nodes: requests that end in the drain still need it.
        tokio::select! {
            () = stop_all(members) => ended,
            _ = provider => ended,
        }
    }

    /// Starts everything, tells where it is, and notes which nodes end.
    async fn live(
        &self,
        layout: &Layout,
        members: &mut Vec<Member>,
        serving: Serving,
    ) -> Result<(), CliError> {
        members.push(Member::start(layout, 1)?);
        let token = found(layout, &mut members[0]).await?;
        for id in 2..=self.nodes {
            // One after the other, so that the node ids of the cluster are those of the folders. Nodes that have
            // theirs need each other to be ready.
            if !layout.has_started(id) {
                all_ready(members).await?;
                let made = members[0].client(Some(token.clone()))?.post("/tokens", &json!({})).await?;
                layout.give_join_token(made["token"].as_str().unwrap_or_default())?;
            }
            members.push(Member::start(layout, id)?);
        }
        all_ready(members).await?;
        let first = members[0].client(Some(token.clone()))?;
        first.put("/autopilot", &json!({ "stable_ms": STABLE_MS })).await?;
        members[0].until(async || votes_are_given(&first).await == Some(true)).await?;
        first.post("/apply", &serving.objects()).await?;
        self.announce(layout, members, &token, serving.fake_url())?;
        member::note_ends(members).await;
        Ok(())
    }

    fn announce(
        &self,
        layout: &Layout,
        members: &[Member],
        token: &str,
        fake: Option<String>,
    ) -> Result<(), CliError> {
        let nodes: Vec<Value> = members.iter().map(Member::ready).collect();
        let ready = json!({ "admin_token": token, "fake_provider_url": fake, "nodes": nodes });
        if let Some(file) = &self.ready_file {
            layout::write_at_once(file, &format!("{ready:#}\n"))?;
        }
        tell(&format!("{} nodes serve; logs and data are in {}", members.len(), layout.folder().display()));
        for member in members {
            tell(&format!(
                "  node {}: clients {}  operators {}",
                member.id, member.client_url, member.admin_url
            ));
        }
        if let Some(url) = fake {
            tell(&format!(
                "  fake provider {url}, behind the routes gpt-4o, gpt-4o-mini and text-embedding-3-small"
            ));
        }
        if let Some(first) = members.first() {
            let token_file = layout.token_file();
            tell("in another shell:");
            tell(&format!(
                "  export QUORATE_SERVER={} QUORATE_TOKEN_FILE={}",
                first.admin_url,
                token_file.display()
            ));
            tell("  quorate key create --budget 100k");
        }
        tell("Ctrl-C stops the cluster");
        Ok(())
    }
}

/// Who answers the requests of a development cluster.
enum Serving {
    /// The fake provider at this address.
    Fake(String),
    /// The providers of a configuration file.
    Own(Table),
}

impl Serving {
    /// What the cluster is brought to at each start. Keys and budgets are not objects: the first node's file adds them.
    fn objects(&self) -> Value {
        match self {
            Self::Fake(url) => fake::objects(url),
            Self::Own(config) => {
                OBJECTS.iter().filter_map(|name| Some((*name, json!(config.get(*name)?)))).collect()
            }
        }
    }

    fn fake_url(self) -> Option<String> {
        match self {
            Self::Fake(url) => Some(url),
            Self::Own(_) => None,
        }
    }
}

/// Founds the cluster on its first start, and gives back the admin token of then.
async fn found(layout: &Layout, first: &mut Member) -> Result<String, CliError> {
    let client = first.client(None)?;
    let mut answer = client.post("/cluster/init", &json!({})).await;
    let mut waited = Duration::ZERO;
    while matches!(answer, Err(CliError::NoNode { .. })) && waited < START_LIMIT {
        first.check_alive()?;
        tokio::time::sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
        answer = client.post("/cluster/init", &json!({})).await;
    }
    match answer {
        Ok(done) => layout.keep_token(done["admin_token"].as_str().unwrap_or_default()),
        Err(CliError::Refused { code, .. }) if code == "already_initialised" => layout.kept_token(),
        Err(error) => Err(error),
    }
}

async fn all_ready(members: &mut [Member]) -> Result<(), CliError> {
    for member in members {
        tell(&format!("waiting for node {}", member.id));
        let client = member.client(None)?;
        member.until(async || client.is_ready().await).await?;
    }
    Ok(())
}

/// Whether as many nodes vote as the autopilot would have of them: an odd number.
async fn votes_are_given(client: &Client) -> Option<bool> {
    let target = client.get("/autopilot").await.ok()?["target"].as_u64()?;
    let (nodes, status) = (client.get("/nodes").await.ok()?, client.get("/cluster").await.ok()?);
    let count = |list: &Value, field: &str| {
        let items = list.as_array().into_iter().flatten();
        items.filter(|item| item[field] == true).count() as u64
    };
    let wanted = count(&nodes["items"], "may_vote").min(target);
    let voters = count(&status["members"], "is_voter");
    Some(voters > 0 && voters + u64::from(wanted.is_multiple_of(2)) >= wanted)
}

async fn until_told_to_stop(
    cluster: impl Future<Output = Result<(), CliError>>,
    provider: impl Future<Output = Result<(), CliError>>,
) -> Result<(), CliError> {
    let no_signals = |cause| CliError::Io { what: "listen for signals".to_owned(), cause };
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    tokio::select! {
        ended = cluster => ended,
        ended = provider => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

async fn stop_all(members: Vec<Member>) {
    tell("stopping");
    members.iter().for_each(Member::ask_to_stop);
    for member in members {
        member.wait_for_end().await;
    }
}
