//! How objects look to people: times as RFC 3339, money as dollars, versions as entity tags, secrets not at all.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use quorate_domain::{Amount, LogTime, NanoUsd, Revision, Unit, UtcOffset};
use serde::Serialize;
use serde_json::{Value, json};

/// One object with its version, which is its entity tag too.
pub(super) fn versioned(status: StatusCode, revision: Revision, object: Value) -> Response {
    let mut response = (status, Json(object)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Many objects.
pub(super) fn listed(items: &[Value]) -> Json<Value> {
    Json(json!({ "items": items }))
}

/// A specification as JSON.
pub(super) fn plain<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Adds the version and the times of an object to what people wrote about it.
pub(super) fn with_version(mut spec: Value, revision: Revision, created: LogTime, updated: LogTime) -> Value {
    if let Value::Object(fields) = &mut spec {
        fields.insert("revision".to_owned(), json!(revision));
        fields.insert("created_at".to_owned(), time(created));
        fields.insert("updated_at".to_owned(), time(updated));
    }
    spec
}

/// Log time as RFC 3339.
pub(super) fn time(at: LogTime) -> Value {
    let millis = i64::try_from(at.millis()).ok();
    let shown = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    shown.map_or(Value::Null, |at| Value::String(at.to_string()))
}

/// Log time as local clocks show it, RFC 3339.
pub(super) fn local_time(at: LogTime, offset: UtcOffset) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at.millis()).ok()?).ok()?;
    let offset = jiff::tz::Offset::from_seconds(offset.seconds()).ok()?;
    Some(at.display_with_offset(offset).to_string())
}

/// An amount: dollars as exact text, everything else as a number.
pub(super) fn amount(unit: Unit, amount: Amount) -> Value {
    match unit {
        Unit::NanoUsd => Value::String(NanoUsd::new(amount.get()).to_string()),
        Unit::Tokens | Unit::Requests | Unit::Permits => json!(amount),
    }
}
