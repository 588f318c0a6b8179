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

impl Precondition {
    /// What the headers say, or the query. Said twice, nobody knows which is meant.
    pub(super) fn of(headers: &HeaderMap, in_query: Option<&str>) -> Result<Self, AdminError> {
        let (new, matching) = (text(headers, &header::IF_NONE_MATCH)?, text(headers, &header::IF_MATCH)?);
        match (new, matching, in_query) {
            (None, None, None) => Ok(Self::None),
            (Some("*"), None, None) => Ok(Self::Absent),
            (None, Some(tag), None) => revision(tag.trim_matches('"')),
            (None, None, Some(number)) => revision(number),
            (Some(_), None, None) => Err(AdminError::Request("If-None-Match takes only *".to_owned())),
            (Some(_), _, _) | (_, Some(_), Some(_)) => {
                let one = "give one of If-Match, If-None-Match and expected_revision";
                Err(AdminError::Request(one.to_owned()))
            }
        }
    }
}

fn revision(number: &str) -> Result<Precondition, AdminError> {
    let wrong =
        || AdminError::Request(format!("{number:?} is not a revision: give the number that was shown"));
    number.parse().map(|number| Precondition::Revision(Revision::new(number))).map_err(|_| wrong())
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
