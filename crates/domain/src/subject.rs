//! Who a budget is for.

use crate::end_user::EVERYBODY;
use crate::{EndUserId, EndUserIdError, KeyId, Name, NameError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The one whose spending a budget limits. Written `key:17`, `user:ann`, `team:search`, `org:acme`,
/// `key:17/model:gpt-4o`, `tag:batch`, `end-user:acme/u-1`, `end-user:acme/*`.
///
/// The order of variants is a stored format: add at the end, never reorder.
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
    /// One API key through one route, by the route's name.
    KeyModel(KeyId, Name),
    /// Every request that bears a tag, in the whole cluster.
    Tag(Name),
    /// One end user of an organisation, by what requests say.
    EndUser(Name, EndUserId),
    /// Each end user of an organisation by himself: from its budgets those are made that nobody wrote.
    EndUserDefault(Name),
}

/// Between a key and the route it is limited on.
const ON_ROUTE: &str = "/model:";

/// Why a text names no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSubjectError {
    /// The part before the colon is not a kind of subject.
    #[error(
        "{0:?} is not a subject: write key:ID, key:ID/model:ROUTE, user:NAME, team:NAME, org:NAME, tag:NAME, \
         end-user:ORG/ID or end-user:ORG/*"
    )]
    UnknownKind(String),
    /// The part after the colon is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The part after the organisation is no end user's.
    #[error(transparent)]
    EndUser(#[from] EndUserIdError),
}

impl Subject {
    /// How it is shown where nobody's end users are to be seen: in logs.
    #[must_use]
    pub fn for_logs(&self) -> String {
        match self {
            Self::EndUser(organisation, _) => format!("end-user:{organisation}/***"),
            Self::Organisation(_)
            | Self::Team(_)
            | Self::User(_)
            | Self::Key(_)
            | Self::KeyModel(..)
            | Self::Tag(_)
            | Self::EndUserDefault(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(name) => write!(f, "org:{name}"),
            Self::Team(name) => write!(f, "team:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Tag(name) => write!(f, "tag:{name}"),
            Self::EndUser(organisation, id) => write!(f, "end-user:{organisation}/{}", id.as_str()),
            Self::EndUserDefault(organisation) => write!(f, "end-user:{organisation}/{EVERYBODY}"),
            Self::KeyModel(id, route) => write!(f, "key:{id}{ON_ROUTE}{route}"),
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
            "tag" => Ok(Self::Tag(Name::parse(rest)?)),
            "end-user" => of_end_user(rest.split_once('/').ok_or_else(unknown)?),
            "key" => of_key(rest).unwrap_or_else(|| Err(unknown())),
            _ => Err(unknown()),
        }
    }
}

/// A key, or a key on a route; `None` if there is no key's id.
fn of_key(text: &str) -> Option<Result<Subject, ParseSubjectError>> {
    let (id, route) = text.split_once(ON_ROUTE).map_or((text, None), |(id, route)| (id, Some(route)));
    let id = id.parse().map(KeyId::new).ok()?;
    let on = |route| Ok(Subject::KeyModel(id, Name::parse(route)?));
    Some(route.map_or(Ok(Subject::Key(id)), on))
}

/// The organisation ends at the first slash: an end user may have one, and an organisation whose name has one has no
/// budgets of end users.
fn of_end_user((organisation, id): (&str, &str)) -> Result<Subject, ParseSubjectError> {
    let organisation = Name::parse(organisation)?;
    if id == EVERYBODY {
        return Ok(Subject::EndUserDefault(organisation));
    }
    Ok(Subject::EndUser(organisation, EndUserId::parse(id)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_as_it_was_written() {
        for text in [
            "key:17",
            "user:ann@acme.org",
            "team:search",
            "org:acme",
            "key:17/model:openai/gpt-4o:free",
            "tag:batch",
            "end-user:acme/a/b",
            "end-user:acme/*",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        let none = [
            "",
            "key:",
            "key:x",
            "team",
            "group:a",
            "team:a b",
            "key:17/model:",
            "key:/model:a",
            "key:17/a",
            "end-user:acme",
            "end-user:/a",
            "end-user:a/b/*",
            "end-user:acme/",
        ];
        for text in none {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
