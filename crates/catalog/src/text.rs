//! A short text written by a person or chosen by a provider: a label, a description, an upstream model name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// 1 to 256 bytes without control characters, so that it can be shown in a table and in a log as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(Arc<str>);

const LENGTH_MAX: usize = 256;

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty, or longer than 256 bytes.
    #[error("a text of {0} bytes: use 1 to 256")]
    Length(usize),
    /// A line break, a tab or another control character.
    #[error("{0:?} has a control character")]
    Control(String),
}

impl Text {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is empty, too long or has control characters.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() || text.len() > LENGTH_MAX {
            return Err(TextError::Length(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(TextError::Control(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::parse(&text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0.as_ref().to_owned()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_printable_line() {
        assert_eq!(Text::parse("Büro Ann, phone").unwrap().as_str(), "Büro Ann, phone");
        for text in ["", "a\nb", "\u{1b}[31m", &"x".repeat(257)] {
            assert!(Text::parse(text).is_err(), "{text:?}");
        }
    }
}
