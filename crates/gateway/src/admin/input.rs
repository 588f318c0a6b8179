//! What comes with a request: a JSON body, the version a change is meant for, a name in the path.

use super::AdminError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use quorate_domain::{Name, Revision};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A JSON object, not yet looked at. An empty body is an empty object.
pub(super) struct Body(Map<String, Value>);

/// The version that a change is meant for: `If-Match: "12"`, `If-None-Match: *` or `?expected_revision=12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    None,
    Absent,
    Revision(Revision),
}

/// The name at the end of a path. It may have slashes, as in `/models/openai/gpt-4o`.
pub(super) struct Named(pub(super) Name);

/// The number in a path.
pub(super) struct Numbered(pub(super) u64);

impl Body {
    /// Reads it as what the path takes.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, AdminError> {
        serde_json::from_value(Value::Object(self.0)).map_err(|error| AdminError::Body(error.to_string()))
    }

    /// Puts in the name from the path, which the body may repeat but not contradict.
    pub(super) fn named(mut self, name: &Name) -> Result<Self, AdminError> {
        let name = Value::String(name.to_string());
        match self.0.insert("name".to_owned(), name.clone()) {
            Some(other) if other != name => {
                Err(AdminError::Body(format!("the body says name {other}, the path says {name}")))
            }
            Some(_) | None => Ok(self),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| unread(&error))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| AdminError::Body(error.to_string()))
    }
}

fn unread(rejection: &BytesRejection) -> AdminError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return AdminError::BodyTooLarge;
    }
    AdminError::Body(rejection.body_text())
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AdminError> {
        let headers = &parts.headers;
        if text(headers, &header::IF_NONE_MATCH)?.is_some_and(|tag| tag == "*") {
            return Ok(Self::Absent);
        }
        let in_query = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .find_map(|pair| pair.strip_prefix("expected_revision="));
        match text(headers, &header::IF_MATCH)?.map(|tag| tag.trim_matches('"')).or(in_query) {
            None | Some("*") => Ok(Self::None),
            Some(number) => {
                number.parse().map(|number| Self::Revision(Revision::new(number))).map_err(|_| {
                    AdminError::Request(format!(
                        "{number:?} is not a revision: give the number that was shown"
                    ))
                })
            }
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>, AdminError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value
        .to_str()
        .map(|text| Some(text.trim()))
        .map_err(|_| AdminError::Request(format!("{name} is not plain text")))
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let Path(text) = path::<String, S>(parts, state).await?;
        Name::parse(&text).map(Self).map_err(|error| AdminError::Request(error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        path::<u64, S>(parts, state).await.map(|Path(number)| Self(number))
    }
}

async fn path<T: DeserializeOwned + Send, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<Path<T>, AdminError> {
    Path::from_request_parts(parts, state).await.map_err(|error| AdminError::Request(error.body_text()))
}

impl From<Precondition> for quorate_catalog::Expected {
    fn from(precondition: Precondition) -> Self {
        match precondition {
            Precondition::None => Self::Any,
            Precondition::Absent => Self::Absent,
            Precondition::Revision(revision) => Self::Revision(revision),
        }
    }
}

impl From<Precondition> for quorate_ledger::Expected {
    fn from(precondition: Precondition) -> Self {
        match precondition {
            Precondition::None => Self::Any,
            Precondition::Absent => Self::Absent,
            Precondition::Revision(revision) => Self::Revision(revision),
        }
    }
}
