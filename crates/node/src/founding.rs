//! Founding a cluster: its pepper, its first admin key, and what its configuration file says it begins with.

use crate::{Beginning, mint_key};
use anyhow::{Context, anyhow, bail};
use quorate_catalog::{
    Actor, ApiKeyText, Apply, Catalog, Change, Command, Founding, NewKey, Outcome, Pepper, Role,
};
use quorate_domain::{ClusterId, Secret};
use quorate_gateway::admin::{Initialised, SetupError};
use quorate_gateway::replica::{Replica, Unavailable};
use quorate_ledger::{Expected, PutBudget, Rejection};
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
    /// Its configuration file says so.
    File,
    /// An operator said so before a crash. If the crash came before the admin key, there is one to be made.
    Resumed,
    /// An operator said so, and waits for the admin key.
    Caller(oneshot::Sender<Result<Initialised, SetupError>>),
}

/// What a founder has to do once Raft runs. Safe to repeat after a crash anywhere in between.
pub(crate) struct Foundation {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) cluster: ClusterId,
    pub(crate) data_dir: PathBuf,
    pub(crate) beginning: Beginning,
}

impl Foundation {
    /// As [`Foundation::lay`], for a cluster that is there already: what goes wrong is told, and does not stop the
    /// node.
    pub(crate) async fn keep_laid(self, founder: Founder) -> anyhow::Result<()> {
        if let Err(error) = self.lay(founder).await {
            tracing::error!(?error, "what the configuration file begins with could not be written");
        }
        Ok(())
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
            Founder::File | Founder::Resumed if is_new => {
                let token = mint_key()?;
                // First the file: a key that nobody knows would lock everybody out for ever.
                keep(&token, &self.data_dir)?;
                self.found(&token).await?;
            }
            Founder::File => {}
            Founder::Caller(caller) => drop(caller.send(self.found_for_caller().await)),
            Founder::Resumed => return Ok(()),
        }
        begin(&*self.replica, &self.beginning).await
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
    tracing::info!(path = %path.display(), "the first admin key is in this file");
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
async fn begin(replica: &dyn Replica, beginning: &Beginning) -> anyhow::Result<()> {
    let changes = {
        let catalog = replica.catalog().read();
        let absent = beginning.changes.iter().filter(|change| !has(&catalog, change));
        absent.cloned().chain(new_keys(&catalog, beginning)).collect::<Vec<_>>()
    };
    if !changes.is_empty() {
        let reason = Some("configuration file".to_owned());
        let apply = Apply { actor: Actor::Node(replica.node()), reason, changes };
        if let Outcome::Rejected(rejection) = replica.propose_catalog(Command::Apply(apply), LIMIT).await? {
            bail!("the configuration file cannot be applied: {rejection}");
        }
    }
    for spec in beginning.budgets.iter().cloned() {
        let put = quorate_ledger::Command::PutBudget(PutBudget { spec, expected: Expected::Absent });
        if let quorate_ledger::Outcome::Rejected(rejection) = replica.propose_ledger(put, LIMIT).await?
            && !matches!(rejection, Rejection::BudgetExists(_))
        {
            bail!("a budget of the configuration file cannot be applied: {rejection}");
        }
    }
    Ok(())
}

fn new_keys(catalog: &Catalog, beginning: &Beginning) -> Vec<Change> {
    let new_key = |(text, spec): &(ApiKeyText, quorate_catalog::KeySpec)| {
        let id = ApiKeyText::id_in(text.expose()).ok().filter(|id| catalog.key(*id).is_none())?;
        let digest = catalog.digest(text.expose())?;
        Some(Change::CreateKey(NewKey { id, role: Role::Client, spec: spec.clone(), digest }))
    };
    beginning.keys.iter().filter_map(new_key).collect()
}

/// Whether the catalogue has an object of that name.
fn has(catalog: &Catalog, change: &Change) -> bool {
    match change {
        Change::PutProvider { spec, .. } => catalog.provider(spec.name.as_str()).is_some(),
        Change::PutModel { spec, .. } => catalog.model(spec.name.as_str()).is_some(),
        Change::PutRoute { spec, .. } => catalog.route(spec.name.as_str()).is_some(),
        Change::PutOrganisation { spec, .. } => catalog.organisation(spec.name.as_str()).is_some(),
        Change::PutTeam { spec, .. } => catalog.team(spec.name.as_str()).is_some(),
        Change::PutUser { spec, .. } => catalog.user(spec.name.as_str()).is_some(),
        Change::DeleteProvider { .. }
        | Change::DeleteModel { .. }
        | Change::DeleteRoute { .. }
        | Change::DeleteOrganisation { .. }
        | Change::DeleteTeam { .. }
        | Change::DeleteUser { .. }
        | Change::CreateKey(_)
        | Change::UpdateKey { .. }
        | Change::RotateKey { .. }
        | Change::RevokeKey { .. } => false,
    }
}
