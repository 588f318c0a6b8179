//! End users: those whom an operator's own users serve. Nobody lists them; they are known by what requests say.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What an organisation calls one of its end users: 1 to 128 printable ASCII characters without spaces.
///
/// It is personal: it stands in no metric and in no line of the log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndUserId(Arc<str>);

const LENGTH_MAX: usize = 128;
/// Stands for all end users where one could stand.
pub(crate) const EVERYBODY: &str = "*";

/// Why a text is no end user's. The text is personal, and not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an end user is 1 to 128 printable ASCII characters without spaces, and does not end with *")]
pub struct EndUserIdError;

impl EndUserId {
    /// Reads an end user's id.
    ///
    /// # Errors
    /// When the text breaks the rule above, or could be taken for all end users.
    pub fn parse(text: &str) -> Result<Self, EndUserIdError> {
        let fits = (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && !text.ends_with(EVERYBODY) { Ok(Self(text.into())) } else { Err(EndUserIdError) }
    }

    /// The one before which no other stands.
    #[must_use]
    pub fn first() -> Self {
        Self("!".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EndUserId {
    type Error = EndUserIdError;

    fn try_from(text: String) -> Result<Self, EndUserIdError> {
        Self::parse(&text)
    }
}

impl From<EndUserId> for String {
    fn from(id: EndUserId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Debug for EndUserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndUserId(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_printable_and_is_not_shown() {
        let longest = "x".repeat(LENGTH_MAX);
        for text in ["u-1", "ann@acme.org", "a/b=%&#", "*x", &longest] {
            let id = EndUserId::parse(text).unwrap();
            assert_eq!((id.as_str(), format!("{id:?}").contains(text)), (text, false));
        }
        for text in ["", "*", "b/*", "a b", "a\n", "ä", &format!("{longest}x")] {
            assert_eq!(EndUserId::parse(text), Err(EndUserIdError), "{text}");
        }
    }
}
