//! Names that people give to things: short, printable anywhere, safe in a URL and in a shell.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a provider, model, route, organisation, team or user. It is the thing's identity.
///
/// 1 to 128 characters of `A–Z a–z 0–9 . _ : / @ + -`, beginning with a letter or a digit, so that public model
/// names such as `openai/gpt-4o:free` and mail addresses can be used as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

const LENGTH_MAX: usize = 128;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a name: use 1 to 128 of A-Z a-z 0-9 . _ : / @ + - and begin with a letter or a digit"
)]
pub struct NameError {
    text: String,
}

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// When the text breaks the rule above.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = text.len() <= LENGTH_MAX
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte)) {
            return Ok(Self(text.into()));
        }
        let shown = text.chars().take(LENGTH_MAX).collect();
        Err(NameError { text: shown })
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// Lets a map keyed by names be asked with a plain text, without making a name first.
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_model_names_and_mail_addresses_are_names() {
        for text in ["gpt-4o", "openai/gpt-4o:free", "o3", "jo+ai@example.org", "a"] {
            assert_eq!(Name::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_could_surprise_a_shell_or_a_log_is_no_name() {
        for text in ["", "-x", ".x", "a b", "a\n", "é", "a\"b", "a;b", &"x".repeat(129)] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
    }
}
