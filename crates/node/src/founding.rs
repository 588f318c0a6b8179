//! Founding a cluster: its pepper, its first admin key, and what its configuration file says it begins with.

use crate::{Beginning, mint_key};
use anyhow::{Context, anyhow, bail};
use quorate_catalog::{Actor, ApiKeyText, Apply, Command, Founding, Outcome, Pepper};
use quorate_domain::{Clock, ClusterId, LogTime, Secret};
use quorate_gateway::admin::{Initialised, SetupError};
use quorate_gateway::replica::{Replica, Unavailable};
use quorate_gateway::time_zones;
use quorate_ledger::{Expected, Rejection};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// For one proposal or one read.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks for a leader.
const PAUSE: Duration = Duration::from_millis(200);
/// The file of the first admin key, where no one asked for it over the admin API.
const TOKEN_FILE: &str = "admin-token";

/// Why a node founds a cluster.
pub(crate) enum Founder {
    /// Its configuration file says so, or an operator said so at an earlier start. Nobody waits for the admin key; if
    /// a crash came before it, there is one to be made.
    Alone,
    /// An operator said so, and waits for the admin key.
    Caller(oneshot::Sender<Result<Initialised, SetupError>>),
}

/// A cluster that refuses what the configuration file begins with, because of what was changed since.
#[derive(Debug, thiserror::Error)]
#[error("the configuration file cannot be applied: {0}")]
pub(crate) struct FileRejected(String);

/// What a founder has to do once Raft runs. Safe to repeat after a crash anywhere in between.
pub(crate) struct Foundation {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) cluster: ClusterId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) data_dir: PathBuf,
    pub(crate) beginning: Beginning,
}

impl Foundation {
    /// As [`Foundation::lay`], for a cluster that is there already. Only a file that it rejects stops the node; a
    /// cluster without a majority just now does not.
    pub(crate) async fn keep_laid(self, founder: Founder) -> anyhow::Result<()> {
        match self.lay(founder).await {
            Err(error) if error.is::<FileRejected>() => Err(error),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "what the configuration file begins with could not be written");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Makes the cluster usable: its first admin key, and what the configuration file says it begins with.
    pub(crate) async fn lay(self, founder: Founder) -> anyhow::Result<()> {
        // As long as it takes: a founder that restarts has to wait for the others like everybody else.
        while let Err(unavailable) = self.replica.read_barrier(LIMIT).await {
            if unavailable == Unavailable::Stopped {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let is_new = self.replica.catalog().read().foundation().is_none();
        match founder {
            Founder::Alone if is_new => {
                let token = mint_key()?;
                // First the file: a key that nobody knows would lock everybody out for ever.
                keep(&token, &self.data_dir)?;
                self.found(&token).await?;
            }
            Founder::Alone => {}
            Founder::Caller(caller) => drop(caller.send(self.found_for_caller().await)),
        }
        begin(&*self.replica, &self.beginning, self.clock.wall()).await
    }

    async fn found_for_caller(&self) -> Result<Initialised, SetupError> {
        let failed = |error: anyhow::Error| SetupError::Failed(format!("{error:#}"));
        let token = mint_key().map_err(failed)?;
        // The caller may have hung up; the key must not be lost with the connection.
        keep(&token, &self.data_dir).map_err(failed)?;
        self.found(&token).await.map_err(failed)?;
        Ok(Initialised { cluster: self.cluster, node: self.replica.node(), admin_token: token })
    }

    /// Draws a pepper and has the cluster begin with it and with this admin key.
    async fn found(&self, admin: &Secret<String>) -> anyhow::Result<()> {
        let pepper = Secret::new(drawn()?);
        let founding = Founding {
            cluster: self.cluster,
            admin: ApiKeyText::id_in(admin.expose())?,
            admin_digest: Pepper::new(pepper.clone()).digest(admin.expose()),
            pepper,
        };
        match self
            .replica
            .propose_catalog(Command::Found(founding), LIMIT)
            .await
            .context("found the cluster")?
        {
            Outcome::Applied { .. } => Ok(()),
            Outcome::Rejected(rejection) => bail!("found the cluster: {rejection}"),
        }
    }
}

/// Keeps the first admin key where only the node's owner can read it.
fn keep(token: &Secret<String>, data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(TOKEN_FILE);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("write {}", path.display()))?;
    file.write_all(token.expose().as_bytes())?;
    file.sync_all()?;
    tracing::info!(path = %path.display(), "the first admin key is in this file: set QUORATE_TOKEN_FILE");
    Ok(())
}

fn drawn<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the operating system gave no random bytes: {error}"))?;
    Ok(bytes)
}

/// Writes what the configuration file names and the cluster does not have. What it has stays as it is: since the
/// file was written, an operator may have changed it.
async fn begin(replica: &dyn Replica, beginning: &Beginning, now: LogTime) -> anyhow::Result<()> {
    let changes = beginning.missing_in(&replica.catalog().read());
    if !changes.is_empty() {
        let reason = Some("configuration file".to_owned());
        let apply = Apply { actor: Actor::Node(replica.node()), reason, changes };
        if let Outcome::Rejected(rejection) = replica.propose_catalog(Command::Apply(apply), LIMIT).await? {
            return Err(FileRejected(rejection.to_string()).into());
        }
    }
    for wanted in beginning.budgets.iter().cloned() {
        time_zones::tell(replica, &wanted.spec.kind, now, LIMIT).await?;
        let put = wanted.command(Expected::Absent);
        if let quorate_ledger::Outcome::Rejected(rejection) = replica.propose_ledger(put, LIMIT).await?
            && !matches!(rejection, Rejection::BudgetExists(_))
        {
            return Err(FileRejected(rejection.to_string()).into());
        }
    }
    Ok(())
}
