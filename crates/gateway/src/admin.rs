//! The admin API: everything under `/admin/v1`, for operators and their scripts. JSON in, JSON out.
//!
//! Every request but `init` and `join` of a node without a cluster needs an admin key. Start with [`Admin`], then
//! `resource` for what providers, models, routes and tenants have in common.

mod authority;
mod autopilot;
mod budget;
mod calendar;
mod caller;
mod cluster;
mod document;
mod error;
mod explain;
mod input;
mod key;
mod log;
mod machine;
mod nodes;
mod plans;
mod query;
mod resolve;
mod resource;
mod room;
mod session;
mod setup;
mod snapshot;
mod token;
mod upgrade;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use budget::{BudgetInput, Wanted};
pub use document::Document;
pub use error::AdminError;
pub use log::LogLevel;
pub use setup::{Initialised, Setup, SetupError};

use crate::funds::Funds;
use crate::proxy::Proxy;
use crate::replica::{Replica, Unavailable};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use caller::Administrator;
use quorate_catalog::{
    Apply, Change, Command, ModelSpec, OrganisationSpec, Outcome, ProviderSpec, RouteSpec, TeamSpec, UserSpec,
};
use quorate_domain::{Clock, KeyId, Revision};
use quorate_lease::Standing;
use resource::resource;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A document of a thousand objects fits; a request body that does not is refused with 413.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Longer than an election, so that a change asked for during one is made and not refused.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(5);

/// What the admin API works on.
pub struct Admin {
    clock: Arc<dyn Clock>,
    setup: Arc<dyn Setup>,
    log: Arc<dyn LogLevel>,
    replica: OnceLock<Arc<dyn Replica>>,
    funds: OnceLock<Funds>,
    work: OnceLock<Arc<Proxy>>,
}

impl Admin {
    /// The API of a node that belongs to no cluster yet: it can be told to found one or to join one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, setup: Arc<dyn Setup>, log: Arc<dyn LogLevel>) -> Self {
        Self { clock, setup, log, replica: OnceLock::new(), funds: OnceLock::new(), work: OnceLock::new() }
    }

    /// Opens the rest of the API, now that the node belongs to a cluster. Only the first call counts.
    pub fn attach(&self, replica: Arc<dyn Replica>) {
        self.replica.get_or_init(|| replica);
    }

    /// Lets it show what requests under way on this node have reserved. Only the first call counts.
    pub fn attach_funds(&self, funds: Funds) {
        self.funds.get_or_init(|| funds);
    }

    /// Lets it show how many requests are under way. Only the first call counts.
    pub fn attach_work(&self, proxy: Arc<Proxy>) {
        self.work.get_or_init(|| proxy);
    }

    /// All of `/admin/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        let api = Router::new()
            .merge(resource::<ProviderSpec>("/providers"))
            .merge(resource::<ModelSpec>("/models"))
            .merge(resource::<RouteSpec>("/routes"))
            .merge(resource::<OrganisationSpec>("/organisations"))
            .merge(resource::<TeamSpec>("/teams"))
            .merge(resource::<UserSpec>("/users"))
            .route("/apply", post(document::apply))
            .route("/keys", get(key::list).post(key::create))
            .route("/keys/{id}", get(key::show).put(key::set))
            .route("/keys/{id}/rotate", post(key::rotate))
            .route("/keys/{id}/revoke", post(key::revoke))
            .route("/budgets", get(budget::list).post(budget::create))
            .route("/budgets/{id}", get(budget::show).put(budget::set).delete(budget::remove))
            .route("/budgets/{id}/explain", get(explain::explain))
            .route("/budgets/{id}/resolve", post(resolve::resolve))
            .route("/sessions/{id}/expire", post(session::expire))
            .route("/usage", get(budget::usage))
            .route("/cluster", get(cluster::status))
            .route("/machines", get(machine::show))
            .route("/cluster/init", post(cluster::init))
            .route("/cluster/join", post(cluster::join))
            .route("/cluster/events", get(autopilot::events))
            .route("/cluster/transfer-leader", post(autopilot::transfer))
            .route("/nodes", get(nodes::list))
            .route("/nodes/{node}", get(nodes::show))
            .route("/nodes/{node}/{verb}", post(plans::change))
            .route("/autopilot", get(autopilot::show).put(autopilot::set))
            .route("/tokens", get(token::list).post(token::create))
            .route("/tokens/{id}", delete(token::withdraw))
            .route("/authority", get(authority::show))
            .route("/authority/rotate", post(authority::rotate))
            .route("/upgrade", get(upgrade::show))
            .route("/upgrade/finalize", post(upgrade::finalize))
            .route("/snapshot", get(snapshot::save))
            .route("/log", get(log::show).put(log::set));
        Router::new()
            .nest("/admin/v1", api)
            .fallback(async || AdminError::UnknownPath)
            .method_not_allowed_fallback(async || AdminError::WrongMethod)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(self))
    }

    fn replica(&self) -> Result<&Arc<dyn Replica>, AdminError> {
        self.replica.get().ok_or(AdminError::NotInitialised)
    }

    /// Has changes agreed on, and waits until they show on this node.
    async fn change(&self, by: &Administrator, changes: Vec<Change>) -> Result<Revision, AdminError> {
        let replica = self.replica()?;
        let only_withdraws = |change: &Change| matches!(change, Change::RevokeKey { .. });
        if !changes.iter().all(only_withdraws) {
            room::for_changes(&replica.status())?;
        }
        let told: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let apply = Apply { actor: by.actor(), reason: by.reason.clone(), changes };
        match replica.propose_catalog(Command::Apply(apply), AGREEMENT_LIMIT).await? {
            Outcome::Applied { revision } => {
                told.iter().for_each(|change| by.note(change));
                self.wait_to_show().await?;
                Ok(revision)
            }
            Outcome::Rejected(rejection) => Err(AdminError::Catalog(rejection)),
        }
    }

    /// Has a change of the budgets agreed on, and waits until it shows on this node. `told` is what the log calls it.
    async fn change_ledger(
        &self,
        by: &Administrator,
        told: String,
        command: quorate_ledger::Command,
    ) -> Result<quorate_ledger::Outcome, AdminError> {
        let replica = self.replica()?;
        room::for_changes(&replica.status())?;
        match replica.propose_ledger(command, AGREEMENT_LIMIT).await? {
            quorate_ledger::Outcome::Rejected(rejection) => Err(AdminError::Ledger(rejection)),
            done @ (quorate_ledger::Outcome::Done
            | quorate_ledger::Outcome::BudgetStored { .. }
            | quorate_ledger::Outcome::SessionOpened { .. }
            | quorate_ledger::Outcome::Synced { .. }
            | quorate_ledger::Outcome::Fenced) => {
                by.note(&told);
                self.wait_to_show().await?;
                Ok(done)
            }
        }
    }

    /// Waits until no node goes by what a change withdrew of a key, and says how that is known; or which nodes may go by it still, if the key may do
    /// without a quorum. The change shows on this node.
    async fn withdrawn(&self, id: KeyId) -> Result<Value, AdminError> {
        let since = self.clock.mono();
        let replica = self.replica()?;
        let standing = replica.everywhere(since).await;
        let waited_ms = u64::try_from(self.clock.mono().since(since).as_millis()).unwrap_or(u64::MAX);
        let may_go_on = || replica.catalog().read().key(id).is_some_and(|key| key.may_go_on_without_quorum());
        let (by, silent) = match standing {
            Standing::Acknowledged => ("acknowledged", BTreeSet::new()),
            // The end of their leases does not stop them.
            Standing::WaitedOut(silent) if may_go_on() => ("may_go_on", silent),
            Standing::WaitedOut(silent) => ("waited_out", silent),
            Standing::Open(_) => return Err(AdminError::Replica(Unavailable::TimedOut)),
        };
        Ok(json!({ "by": by, "waited_ms": waited_ms, "silent_nodes": silent }))
    }

    /// A change that was made may not be answered with "unavailable": that would say that it was not made.
    async fn wait_to_show(&self) -> Result<(), AdminError> {
        self.replica()?
            .read_barrier(AGREEMENT_LIMIT)
            .await
            .map_err(|_| AdminError::Replica(Unavailable::TimedOut))
    }
}
