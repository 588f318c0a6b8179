//! What providers, models, routes, organisations, teams and users have in common: list, create, show, set, delete.

use super::caller::{Administrator, Editor, Reader};
use super::input::{Body, Named};
use super::{Admin, AdminError, view};
use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use quorate_catalog::{
    Catalog, Change, Expected, ModelSpec, Object, OrganisationSpec, ProviderSpec, RouteSpec, TeamSpec,
    UserSpec,
};
use quorate_domain::Name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of named object, as the API sees it.
pub(super) trait Resource: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What one of it is called.
    const KIND: &'static str;

    fn name(&self) -> &Name;
    fn table(catalog: &Catalog) -> &BTreeMap<Name, Arc<Object<Self>>>;
    fn put(expected: Expected, spec: Self) -> Change;
    fn delete(expected: Expected, name: Name) -> Change;

    /// What people may see of it.
    fn shown(&self) -> Value {
        view::plain(self)
    }
}

macro_rules! resource {
    ($spec:ty, $kind:literal, $table:ident, $put:ident, $delete:ident $(, $own:item)?) => {
        impl Resource for $spec {
            const KIND: &'static str = $kind;

            fn name(&self) -> &Name {
                &self.name
            }

            fn table(catalog: &Catalog) -> &BTreeMap<Name, Arc<Object<Self>>> {
                catalog.$table()
            }

            fn put(expected: Expected, spec: Self) -> Change {
                Change::$put { expected, spec }
            }

            fn delete(expected: Expected, name: Name) -> Change {
                Change::$delete { expected, name }
            }

            $($own)?
        }
    };
}

resource!(
    ProviderSpec,
    "provider",
    providers,
    PutProvider,
    DeleteProvider,
    fn shown(&self) -> Value {
        view::plain(&self.masked())
    }
);
resource!(ModelSpec, "model", models, PutModel, DeleteModel);
resource!(RouteSpec, "route", routes, PutRoute, DeleteRoute);
resource!(OrganisationSpec, "organisation", organisations, PutOrganisation, DeleteOrganisation);
resource!(TeamSpec, "team", teams, PutTeam, DeleteTeam);
resource!(UserSpec, "user", users, PutUser, DeleteUser);

/// The paths of one kind.
pub(super) fn resource<R: Resource>(path: &str) -> Router<Arc<Admin>> {
    Router::new()
        .route(path, get(list::<R>).post(create::<R>))
        .route(&format!("{path}/{{*name}}"), get(show::<R>).put(set::<R>).delete(remove::<R>))
}

async fn list<R: Resource>(
    State(admin): State<Arc<Admin>>,
    _: Reader,
) -> Result<impl IntoResponse, AdminError> {
    let catalog = admin.replica()?.catalog().read();
    Ok(view::listed(&R::table(&catalog).values().map(|object| shown(object)).collect::<Vec<_>>()))
}

async fn show<R: Resource>(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Named(name): Named,
) -> Result<impl IntoResponse, AdminError> {
    answer::<R>(&admin, StatusCode::OK, &name)
}

async fn create<R: Resource>(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<impl IntoResponse, AdminError> {
    let spec: R = body.read()?;
    let name = spec.name().clone();
    admin.change(&by, vec![R::put(Expected::Absent, spec)]).await?;
    answer::<R>(&admin, StatusCode::CREATED, &name)
}

async fn set<R: Resource>(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Named(name): Named,
    body: Body,
) -> Result<impl IntoResponse, AdminError> {
    let spec: R = body.named(&name)?.read()?;
    admin.change(&by, vec![R::put(precondition.into(), spec)]).await?;
    answer::<R>(&admin, StatusCode::OK, &name)
}

async fn remove<R: Resource>(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Named(name): Named,
) -> Result<impl IntoResponse, AdminError> {
    admin.change(&by, vec![R::delete(precondition.into(), name)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer<R: Resource>(
    admin: &Admin,
    status: StatusCode,
    name: &Name,
) -> Result<impl IntoResponse + use<R>, AdminError> {
    let object = R::table(&admin.replica()?.catalog().read()).get(name).cloned();
    let object = object.ok_or_else(|| AdminError::Missing(format!("{} {name}", R::KIND)))?;
    Ok(view::versioned(status, object.revision, shown(&object)))
}

fn shown<R: Resource>(object: &Object<R>) -> Value {
    view::with_version(object.spec.shown(), object.revision, object.created_at, object.updated_at)
}
