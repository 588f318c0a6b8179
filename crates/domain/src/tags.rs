//! Tags: words that put a request under further budgets, whoever sends it.

use crate::{Name, NameError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A few tags, each once. So few that a request's path stays short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Name>", into = "BTreeSet<Name>")]
pub struct Tags(BTreeSet<Name>);

/// The most there may be together.
pub const TAGS_MAX: usize = 16;

/// Why these are no tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagsError {
    /// More than are possible.
    #[error("{0} tags; at most {TAGS_MAX} are possible")]
    TooMany(usize),
    /// One of them is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Tags {
    /// Reads tags that are separated by commas.
    ///
    /// # Errors
    /// When one is not a name, or there are too many.
    pub fn parse(text: &str) -> Result<Self, TagsError> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(Name::parse).collect::<Result<BTreeSet<_>, _>>()?.try_into()
    }

    /// Each of them, in the order of their letters.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, tag: &Name) -> bool {
        self.0.contains(tag)
    }
}

impl TryFrom<BTreeSet<Name>> for Tags {
    type Error = TagsError;

    fn try_from(tags: BTreeSet<Name>) -> Result<Self, TagsError> {
        match tags.len() {
            0..=TAGS_MAX => Ok(Self(tags)),
            many => Err(TagsError::TooMany(many)),
        }
    }
}

impl From<Tags> for BTreeSet<Name> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, TagsError> {
        Tags::parse(text).map(|tags| tags.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn tags_are_names_between_commas_each_once() {
        assert_eq!(read("b, a,b ,").unwrap(), ["a", "b"]);
        assert_eq!(read("").unwrap(), [""; 0]);
        assert!(matches!(read("a,b c"), Err(TagsError::Name(_))));
    }

    #[test]
    fn there_are_no_more_than_a_path_can_carry() {
        let many = |count: usize| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>().join(",");
        assert_eq!(read(&many(TAGS_MAX)).unwrap().len(), TAGS_MAX);
        assert_eq!(read(&many(TAGS_MAX + 1)), Err(TagsError::TooMany(TAGS_MAX + 1)));
    }
}
