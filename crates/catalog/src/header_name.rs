//! The name of an extra header sent to a provider.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A header name in lower case. Headers that belong to the connection or to the gateway cannot be named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(Arc<str>);

const LENGTH_MAX: usize = 128;
/// Set by the HTTP client or hop by hop (RFC 9110 §7.6.1); a provider object that set them could split requests.
const RESERVED: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a text is no name for an extra header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameError {
    /// Not a token of RFC 9110.
    #[error("{0:?} is not a header name")]
    NotAToken(String),
    /// Set by the gateway itself.
    #[error("header {0} is set by the gateway itself")]
    Reserved(String),
}

impl HeaderName {
    /// Reads a header name and puts it in lower case.
    ///
    /// # Errors
    /// When it is no header name, or one that the gateway sets itself.
    pub fn parse(text: &str) -> Result<Self, HeaderNameError> {
        let lower = text.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if lower.is_empty() || lower.len() > LENGTH_MAX || !lower.bytes().all(token) {
            return Err(HeaderNameError::NotAToken(text.chars().take(LENGTH_MAX).collect()));
        }
        if RESERVED.contains(&lower.as_str()) {
            return Err(HeaderNameError::Reserved(lower));
        }
        Ok(Self(lower.into()))
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderName {
    type Error = HeaderNameError;

    fn try_from(text: String) -> Result<Self, HeaderNameError> {
        Self::parse(&text)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extra_header_cannot_take_over_the_connection() {
        assert_eq!(HeaderName::parse("OpenAI-Organization").unwrap().as_str(), "openai-organization");
        for text in ["", "a b", "x:y", "Host", "transfer-encoding", "x\r\ny"] {
            assert!(HeaderName::parse(text).is_err(), "{text:?}");
        }
    }
}
