//! `GET /v1/models`: the routes that a key may use, in OpenAI's form.

use super::Proxy;
use super::admit::shown;
use crate::error::RequestError;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::HeaderMap;
use quorate_catalog::Route;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(super) struct Listed {
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize)]
pub(super) struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl Model {
    fn of(route: &Route) -> Self {
        let created = route.created_at.millis() / 1_000;
        Self { id: route.spec.name.to_string(), object: "model", created, owned_by: "quorate" }
    }
}

pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    headers: HeaderMap,
) -> Result<Json<Listed>, RequestError> {
    let key = proxy.authenticate(&headers)?;
    let catalog = proxy.parts.replica.catalog().read();
    let may_use = |route: &&Arc<Route>| key.spec.allowed_models.contains(route.spec.name.as_str());
    let data = catalog.routes().values().filter(may_use).map(|route| Model::of(route)).collect();
    Ok(Json(Listed { object: "list", data }))
}

pub(super) async fn show(
    State(proxy): State<Arc<Proxy>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Model>, RequestError> {
    let key = proxy.authenticate(&headers)?;
    // A path that is no text names no model.
    let name = path.map_or_else(|_| String::new(), |Path(name)| name);
    let route = proxy.parts.replica.catalog().read().route(&name);
    let route = route.filter(|_| key.spec.allowed_models.contains(&name));
    route.map(|route| Json(Model::of(&route))).ok_or_else(|| RequestError::ModelNotFound(shown(&name)))
}
