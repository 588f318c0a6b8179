//! A value that opens a provider: stored in the catalogue, or a reference that each node resolves for itself.

use quorate_domain::Secret;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A provider's key, or the value of an extra header. Written as one text: `${env:NAME}` and `${file:/path}` are
/// references, anything else is the value itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Credential {
    /// Each node looks the value up where it runs; the catalogue never sees it.
    Reference(Reference),
    /// The value, kept in the catalogue. Shown to people as `***`.
    Stored(Secret<String>),
}

/// Where a node finds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In this environment variable.
    Environment(String),
    /// In this file, without its final line break.
    File(String),
}

/// Why a text is no credential. Never repeats the text: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// `${…}` of an unknown kind.
    #[error("a reference is written ${{env:NAME}} or ${{file:/absolute/path}}")]
    Reference,
    /// Not what a header can carry.
    #[error(
        "a credential has 1 to 4096 visible ASCII characters; put a longer one into a file and name it by ${{file:/path}}"
    )]
    Characters,
}

const LENGTH_MAX: usize = 4_096;
const MASK: &str = "***";

impl Credential {
    /// Reads a credential.
    ///
    /// # Errors
    /// When it is a reference of unknown form, or no text that a header can carry.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if text.is_empty() || text.len() > LENGTH_MAX || !printable || text.trim() != text {
            return Err(CredentialError::Characters);
        }
        match text.strip_prefix("${") {
            Some(rest) => Reference::parse(rest).map(Self::Reference),
            None => Ok(Self::Stored(Secret::new(text.to_owned()))),
        }
    }

    /// What people may see: a reference as it is, a stored value as `***`.
    #[must_use]
    pub fn masked(&self) -> Self {
        match self {
            Self::Reference(_) => self.clone(),
            Self::Stored(_) => Self::Stored(Secret::new(MASK.to_owned())),
        }
    }

    /// Whether this is only what [`Credential::masked`] shows: "the value that is there already".
    pub(crate) fn is_mask(&self) -> bool {
        match self {
            Self::Reference(_) => false,
            Self::Stored(value) => value.expose() == MASK,
        }
    }
}

impl Reference {
    fn parse(rest: &str) -> Result<Self, CredentialError> {
        let (kind, value) = rest
            .strip_suffix('}')
            .and_then(|inner| inner.split_once(':'))
            .ok_or(CredentialError::Reference)?;
        match kind {
            "env" if is_variable(value) => Ok(Self::Environment(value.to_owned())),
            "file" if value.starts_with('/') && !value.contains('}') => Ok(Self::File(value.to_owned())),
            _ => Err(CredentialError::Reference),
        }
    }
}

fn is_variable(text: &str) -> bool {
    let starts = text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
        }
    }
}

impl TryFrom<String> for Credential {
    type Error = CredentialError;

    fn try_from(text: String) -> Result<Self, CredentialError> {
        Self::parse(&text)
    }
}

impl From<Credential> for String {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::Reference(reference) => reference.to_string(),
            Credential::Stored(value) => value.expose().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_told_from_a_value() {
        let environment = Credential::Reference(Reference::Environment("OPENAI_API_KEY".into()));
        assert_eq!(Credential::parse("${env:OPENAI_API_KEY}"), Ok(environment));
        let file = Credential::Reference(Reference::File("/run/key".into()));
        assert_eq!(Credential::parse("${file:/run/key}"), Ok(file));
        assert_eq!(Credential::parse("Bearer x"), Ok(Credential::Stored(Secret::new("Bearer x".into()))));
    }

    #[test]
    fn what_is_no_credential_is_refused() {
        for text in
            ["", " x", "x ", "a\nb", "${env:}", "${env:1A}", "${file:relative}", "${vault:x}", "${env:A", "é"]
        {
            assert!(Credential::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn people_see_references_but_not_values() {
        let shown = |text: &str| String::from(Credential::parse(text).unwrap().masked());
        assert_eq!(shown("sk-live-1234"), "***");
        assert_eq!(shown("${env:A}"), "${env:A}");
        assert!(!format!("{:?}", Credential::parse("sk-live-1234")).contains("1234"));
    }
}
