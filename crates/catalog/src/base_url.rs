//! Where a provider is reached: an http or https URL without user, query or fragment.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A URL to which request paths are appended. Has no final slash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Arc<str>);

const LENGTH_MAX: usize = 1_024;

/// Why a text is no base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Neither http nor https.
    #[error("{0:?} does not begin with http:// or https://")]
    Scheme(String),
    /// A credential in a URL would be printed with it.
    #[error("a base URL must not hold a user or password: write the credential as ${{env:NAME}}")]
    UserInfo,
    /// Request paths are appended, so nothing may follow the path.
    #[error("{0:?} has a query or a fragment: a base URL ends with its path")]
    Query(String),
    /// The host is missing or the port is no number.
    #[error("{0:?} has no host, or a port that is not a number from 1 to 65535")]
    Host(String),
    /// A space, a control character, a letter outside ASCII, or too long.
    #[error("{0:?} is not a URL of at most 1024 visible ASCII characters")]
    Characters(String),
}

impl BaseUrl {
    /// Reads a base URL; final slashes are dropped.
    ///
    /// # Errors
    /// When the text breaks a rule above.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let shown = || text.chars().take(LENGTH_MAX).collect::<String>();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| BaseUrlError::Scheme(shown()))?;
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        if text.len() > LENGTH_MAX
            || !text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""\<>"#.contains(&byte))
        {
            return Err(BaseUrlError::Characters(shown()));
        }
        if rest.contains(['?', '#']) {
            return Err(BaseUrlError::Query(shown()));
        }
        if !is_authority(authority) {
            return Err(BaseUrlError::Host(shown()));
        }
        Ok(Self(text.trim_end_matches('/').into()))
    }

    /// The URL without a final slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn is_authority(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok() && is_port_suffix(port);
    }
    let (host, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(known) && is_port_suffix(port)
}

fn is_port_suffix(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
}

impl TryFrom<String> for BaseUrl {
    type Error = BaseUrlError;

    fn try_from(text: String) -> Result<Self, BaseUrlError> {
        Self::parse(&text)
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.0.as_ref().to_owned()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_host_and_perhaps_a_path() {
        for text in
            ["https://api.openai.com/v1", "http://127.0.0.1:8080", "http://[::1]:80/x/y", "http://fake_1"]
        {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(BaseUrl::parse("https://a.example/v1//").unwrap().as_str(), "https://a.example/v1");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let wrong = [
            "",
            "api.openai.com",
            "ftp://a",
            "http://",
            "http:///v1",
            "http://a:0",
            "http://a:99999",
            "http://a:",
            "http://a b",
            "http://é",
            "http://a/?x=1",
            "http://a/#b",
            "http://[::1",
            "http://a\r\nHost: b",
            "http://a?b",
        ];
        for text in wrong {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_credential_in_a_url_is_refused_without_repeating_it() {
        let error = BaseUrl::parse("https://ann:hunter2@a.example").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
