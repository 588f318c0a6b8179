//! A document of many objects, applied whole or not at all, in whatever order they are written.

use super::caller::Administrator;
use super::input::Body;
use super::{Admin, AdminError};
use axum::Json;
use axum::extract::State;
use quorate_catalog::{
    Change, Expected, ModelSpec, OrganisationSpec, ProviderSpec, RouteSpec, TeamSpec, UserSpec,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Objects as a configuration file or `POST /admin/v1/apply` names them. What is not mentioned stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// Providers.
    pub providers: Vec<ProviderSpec>,
    /// Models.
    pub models: Vec<ModelSpec>,
    /// Routes.
    pub routes: Vec<RouteSpec>,
    /// Organisations.
    pub organisations: Vec<OrganisationSpec>,
    /// Teams.
    pub teams: Vec<TeamSpec>,
    /// Users.
    pub users: Vec<UserSpec>,
}

impl Document {
    /// The changes that bring the catalogue to what the document says. Objects that are so already do not change.
    #[must_use]
    pub fn changes(self) -> Vec<Change> {
        let expected = Expected::Any;
        let providers = self.providers.into_iter().map(|spec| Change::PutProvider { expected, spec });
        let models = self.models.into_iter().map(|spec| Change::PutModel { expected, spec });
        let routes = self.routes.into_iter().map(|spec| Change::PutRoute { expected, spec });
        let organisations =
            self.organisations.into_iter().map(|spec| Change::PutOrganisation { expected, spec });
        let teams = self.teams.into_iter().map(|spec| Change::PutTeam { expected, spec });
        let users = self.users.into_iter().map(|spec| Change::PutUser { expected, spec });
        providers.chain(models).chain(routes).chain(organisations).chain(teams).chain(users).collect()
    }
}

pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Json<Value>, AdminError> {
    let document: Document = body.read()?;
    let revision = admin.change(&by, document.changes()).await?;
    Ok(Json(json!({ "revision": revision })))
}
