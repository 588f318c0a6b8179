//! The values of fields, read one by one: texts, flags, counts. A value of the wrong kind is named by its field.

use super::invalid::InvalidRequest;
use crate::json;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::ops::Range;

/// A text of the body: where its value, quotes included, stands and what it says.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) span: Range<usize>,
    /// Only when the value has escapes; else the text is the body's own.
    decoded: Option<Box<str>>,
}

impl Text {
    pub(super) fn read<'a>(&'a self, body: &'a [u8]) -> &'a str {
        match &self.decoded {
            Some(decoded) => decoded,
            None => {
                let inner = &body[self.span.start + 1..self.span.end - 1];
                std::str::from_utf8(inner).expect("the whole body was checked to be UTF-8")
            }
        }
    }
}

/// The body as text, which JSON must be.
pub(super) fn text_of(body: &Bytes) -> Result<&str, InvalidRequest> {
    std::str::from_utf8(body).map_err(|error| InvalidRequest::NotUtf8 { at: error.valid_up_to() })
}

/// The text of a field that must be there.
pub(super) fn required_text(
    value: Option<&RawValue>,
    field: &'static str,
    body: &str,
) -> Result<Text, InvalidRequest> {
    optional_text(value, field, body)?.ok_or(InvalidRequest::Missing { field })
}

/// The text of a field, if it is there and not `null`.
pub(super) fn optional_text(
    value: Option<&RawValue>,
    field: &'static str,
    body: &str,
) -> Result<Option<Text>, InvalidRequest> {
    let Some(value) = said(value) else { return Ok(None) };
    let refused = || InvalidRequest::WrongType { field, expected: "a string" };
    if !value.get().starts_with('"') {
        return Err(refused());
    }
    let escaped = memchr::memchr(b'\\', value.get().as_bytes()).is_some();
    let decoded = escaped.then(|| serde_json::from_str(value.get()).map_err(|_| refused())).transpose()?;
    Ok(Some(Text { span: json::span_of(value.get(), body), decoded }))
}

/// The value of a field unless it is `null`, which means the same as not there.
pub(super) fn said(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| !json::is_null(value))
}

/// Whether a field says `true`.
pub(super) fn optional_bool(value: Option<&RawValue>, field: &'static str) -> Result<bool, InvalidRequest> {
    match said(value).map(RawValue::get) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(InvalidRequest::WrongType { field, expected: "true or false" }),
    }
}

/// A whole number of at least one, as it is written: `1.0` and `1e0` are refused, as OpenAI does.
pub(super) fn optional_count(
    value: Option<&RawValue>,
    field: &'static str,
) -> Result<Option<u64>, InvalidRequest> {
    let refused = InvalidRequest::WrongType { field, expected: "a whole number of at least 1" };
    let Some(value) = said(value) else { return Ok(None) };
    match value.get().parse() {
        Ok(0) | Err(_) => Err(refused),
        Ok(count) => Ok(Some(count)),
    }
}
