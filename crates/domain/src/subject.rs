//! Who a budget is for.

use crate::{KeyId, Name, NameError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The one whose spending a budget limits. Written `key:17`, `user:ann`, `team:search`, `org:acme`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Everyone in an organisation.
    Organisation(Name),
    /// Everyone in a team.
    Team(Name),
    /// One user, through whichever key.
    User(Name),
    /// One API key.
    Key(KeyId),
}

/// Why a text names no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSubjectError {
    /// The part before the colon is not a kind of subject.
    #[error("{0:?} is not a subject: write key:ID, user:NAME, team:NAME or org:NAME")]
    UnknownKind(String),
    /// The part after the colon is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(name) => write!(f, "org:{name}"),
            Self::Team(name) => write!(f, "team:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Key(id) => write!(f, "key:{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, ParseSubjectError> {
        let unknown = || ParseSubjectError::UnknownKind(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
        match kind {
            "org" => Ok(Self::Organisation(Name::parse(rest)?)),
            "team" => Ok(Self::Team(Name::parse(rest)?)),
            "user" => Ok(Self::User(Name::parse(rest)?)),
            "key" => rest.parse().map(|id| Self::Key(KeyId::new(id))).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_as_it_was_written() {
        for text in ["key:17", "user:ann@acme.org", "team:search", "org:acme"] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        for text in ["", "key:", "key:x", "team", "group:a", "team:a b"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
