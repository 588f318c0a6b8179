//! The catalogue itself and what is read from it.

use crate::table::Table;
use crate::{
    ApiKey, Digest, Model, ModelSpec, Organisation, OrganisationSpec, Pepper, Provider, ProviderSpec, Route,
    RouteSpec, Team, TeamSpec, User, UserSpec,
};
use quorate_domain::{ClusterId, KeyId, LogTime, Name, Revision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All replicated configuration. A clone shares every object with the original.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    pub(crate) foundation: Option<Foundation>,
    pub(crate) revision: Revision,
    pub(crate) providers: Table<ProviderSpec>,
    pub(crate) models: Table<ModelSpec>,
    pub(crate) routes: Table<RouteSpec>,
    pub(crate) organisations: Table<OrganisationSpec>,
    pub(crate) teams: Table<TeamSpec>,
    pub(crate) users: Table<UserSpec>,
    pub(crate) keys: BTreeMap<KeyId, Arc<ApiKey>>,
}

/// What a cluster began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foundation {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// When it began.
    pub at: LogTime,
    pub(crate) pepper: Pepper,
}

impl Catalog {
    /// What the cluster began with; `None` before it is founded.
    #[must_use]
    pub const fn foundation(&self) -> Option<&Foundation> {
        self.foundation.as_ref()
    }

    /// The number of the last change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The digest by which the catalogue would know a key text; `None` before the cluster is founded.
    #[must_use]
    pub fn digest(&self, text: &str) -> Option<Digest> {
        self.foundation.as_ref().map(|foundation| foundation.pepper.digest(text))
    }

    /// A provider by name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<Arc<Provider>> {
        self.providers.get(name).cloned()
    }

    /// A model by name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<Arc<Model>> {
        self.models.get(name).cloned()
    }

    /// A route by the name that clients use.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<Arc<Route>> {
        self.routes.get(name).cloned()
    }

    /// An organisation by name.
    #[must_use]
    pub fn organisation(&self, name: &str) -> Option<Arc<Organisation>> {
        self.organisations.get(name).cloned()
    }

    /// A team by name.
    #[must_use]
    pub fn team(&self, name: &str) -> Option<Arc<Team>> {
        self.teams.get(name).cloned()
    }

    /// A user by name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        self.users.get(name).cloned()
    }

    /// A key by id, revoked ones too.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<Arc<ApiKey>> {
        self.keys.get(&id).cloned()
    }

    /// All providers, by name.
    #[must_use]
    pub const fn providers(&self) -> &BTreeMap<Name, Arc<Provider>> {
        &self.providers
    }

    /// All models, by name.
    #[must_use]
    pub const fn models(&self) -> &BTreeMap<Name, Arc<Model>> {
        &self.models
    }

    /// All routes, by name.
    #[must_use]
    pub const fn routes(&self) -> &BTreeMap<Name, Arc<Route>> {
        &self.routes
    }

    /// All organisations, by name.
    #[must_use]
    pub const fn organisations(&self) -> &BTreeMap<Name, Arc<Organisation>> {
        &self.organisations
    }

    /// All teams, by name.
    #[must_use]
    pub const fn teams(&self) -> &BTreeMap<Name, Arc<Team>> {
        &self.teams
    }

    /// All users, by name.
    #[must_use]
    pub const fn users(&self) -> &BTreeMap<Name, Arc<User>> {
        &self.users
    }

    /// All keys, by id, revoked ones too.
    #[must_use]
    pub const fn keys(&self) -> &BTreeMap<KeyId, Arc<ApiKey>> {
        &self.keys
    }
}
