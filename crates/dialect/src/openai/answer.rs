//! An answer that comes in one piece: what it cost, or the error it really is.

use super::usage::{ReportedUsage, ServedTier};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a whole answer says, besides what the client wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it cost.
    pub usage: ReportedUsage,
    /// The error it carries, which some providers send under a good status.
    pub error: Option<ProviderError>,
}

/// An error in a provider's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// What it says.
    pub message: String,
    /// Its class, as `rate_limit_exceeded`.
    pub kind: Option<String>,
    /// Its cause: a word or a status code.
    pub code: Option<String>,
}

/// The envelope of an answer and of a chunk alike; everything else is passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_tier: Option<&'a RawValue>,
}

/// Reads a whole answer. One that is not JSON says nothing.
#[must_use]
pub fn read_answer(body: &[u8]) -> Answer {
    let envelope = Envelope::read(body).unwrap_or_default();
    Answer { usage: envelope.usage(), error: envelope.error() }
}

impl<'a> Envelope<'a> {
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn usage(&self) -> ReportedUsage {
        let usage = self.usage.map_or(ReportedUsage::Absent, |value| ReportedUsage::read(value.get()));
        usage.at(self.tier().unwrap_or_default())
    }

    /// How the answer was served, if it says so.
    pub(super) fn tier(&self) -> Option<ServedTier> {
        self.service_tier.map(|value| ServedTier::read(value.get()))
    }

    pub(super) fn error(&self) -> Option<ProviderError> {
        self.error.map(|value| ProviderError::read(value.get()))
    }

    /// Whether there is no choice in it, so that it tells the client nothing but the usage.
    pub(super) fn has_no_choices(&self) -> bool {
        self.choices.is_none_or(|choices| {
            choices.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii_start().starts_with(']'))
        })
    }
}

impl ProviderError {
    /// Reads what stands under `error`: an object, or in some dialects just a text.
    pub(super) fn read(value: &str) -> Self {
        #[derive(Deserialize)]
        struct Written<'a> {
            #[serde(default)]
            message: Option<String>,
            #[serde(default, rename = "type")]
            kind: Option<String>,
            #[serde(borrow, default)]
            code: Option<&'a RawValue>,
        }
        match serde_json::from_str::<Written<'_>>(value) {
            Ok(written) => Self {
                message: written.message.unwrap_or_default(),
                kind: written.kind,
                code: written.code.map(|code| unquoted(code.get())),
            },
            Err(_) => Self { message: unquoted(value), ..Self::default() },
        }
    }

    /// Reads an event that calls itself an error without having one at its top.
    pub(super) fn of_event(data: &[u8]) -> Self {
        Self::read(&String::from_utf8_lossy(data))
    }

    /// The status the error would have had as a plain response, where its code is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.code.as_deref().and_then(|code| code.parse().ok()).filter(|status| (400..600).contains(status))
    }
}

fn unquoted(value: &str) -> String {
    serde_json::from_str(value).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::Tokens;

    #[test]
    fn usage_is_read_at_the_top_and_nowhere_else() {
        let body = br#"{"choices":[{"usage":{"prompt_tokens":9}}],"x":{"usage":{}},
            "usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        assert_eq!(read_answer(body).usage.found().unwrap().total(), Tokens::new(7));
        assert_eq!(read_answer(br#"{"choices":[]}"#), Answer::default());
        assert_eq!(read_answer(b"<html>"), Answer::default());
    }

    #[test]
    fn the_tier_that_served_an_answer_is_read() {
        let tier = |field: &str| {
            let body = format!(r#"{{"usage":{{"prompt_tokens":3}}{field}}}"#);
            read_answer(body.as_bytes()).usage.found().unwrap().tier
        };
        for field in
            ["", r#","service_tier":null"#, r#","service_tier":"default""#, r#","service_tier":"flex""#]
        {
            assert_eq!(tier(field), ServedTier::Ordinary, "{field}");
        }
        for field in [r#","service_tier":"priority""#, r#","service_tier":"new""#, r#","service_tier":2"#] {
            assert_eq!(tier(field), ServedTier::Other, "{field}");
        }
    }

    #[test]
    fn an_error_under_a_good_status_is_seen() {
        let error = read_answer(br#"{"error":{"code":429,"message":"slow down"}}"#).error.unwrap();
        assert_eq!((error.status(), error.message.as_str()), (Some(429), "slow down"));
        let error = read_answer(br#"{"error":{"code":"overloaded","type":"server_error"}}"#).error.unwrap();
        assert_eq!((error.status(), error.code.as_deref()), (None, Some("overloaded")));
        assert_eq!(read_answer(br#"{"error":"out of memory"}"#).error.unwrap().message, "out of memory");
        assert_eq!(read_answer(br#"{"error":null}"#).error, None);
    }
}
