//! What may stand behind the `?` of a path. What a path does not take is refused by name: a mistyped
//! `expected_revision` would otherwise turn a guarded change into an unguarded one.

use super::AdminError;
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The query of a path that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// The query of a path that only shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fresh {
    pub(super) consistency: Option<Consistency>,
}

/// The query of a path that shows what belongs to a subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfSubject {
    pub(super) subject: Option<String>,
    pub(super) consistency: Option<Consistency>,
}

/// The query of a path that changes something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guarded {
    pub(super) expected_revision: Option<String>,
}

/// The query of a path that plans a change of the membership.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    #[serde(default)]
    pub(super) dry_run: bool,
    pub(super) expected_revision: Option<u64>,
}

/// Which state is shown, if not one that holds every change acknowledged before.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Consistency {
    /// What this node has.
    Local,
}

/// Reads the query as what the path takes.
pub(super) fn read<T: DeserializeOwned>(parts: &Parts) -> Result<T, AdminError> {
    let read = Query::try_from_uri(&parts.uri);
    read.map(|Query(asked)| asked).map_err(|error| AdminError::Request(error.body_text()))
}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AdminError> {
        read(parts)
    }
}
