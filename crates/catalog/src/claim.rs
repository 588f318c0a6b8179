//! What a request says of whose budgets it spends, besides whose key it carries.

use crate::{ApiKey, Catalog, KeySpec};
use quorate_domain::{EndUserId, Name, Subject, Tags};

/// What a request says of whose budgets it spends. It can only put the request under further budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The route it asks for.
    pub route: Name,
    /// Tags it gives itself.
    pub tags: Tags,
    /// The end user it is for.
    pub end_user: EndUser,
}

/// Whom a request says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndUser {
    /// It does not say.
    Unsaid,
    /// It says something that is no end user's id.
    Unusable,
    /// This one.
    Is(EndUserId),
}

impl Claim {
    /// The first tag that a request with this key may not give itself: it would spend what is others'.
    #[must_use]
    pub fn forbidden_tag(&self, key: &KeySpec) -> Option<&Name> {
        self.tags.iter().find(|tag| !key.request_tags.contains(tag) && !key.tags.contains(tag))
    }
}

impl Catalog {
    /// The tags of the key and those of the request, each once.
    pub(crate) fn tags_of<'a>(key: &'a KeySpec, claim: &'a Claim) -> impl Iterator<Item = Subject> + 'a {
        let added = claim.tags.iter().filter(|tag| !key.tags.contains(tag));
        key.tags.iter().chain(added).cloned().map(Subject::Tag)
    }

    /// The organisation whose end users requests with this key are for. One whose name has a slash has none: its subjects
    /// could not be told from another's.
    #[must_use]
    pub fn serves_end_users_of<'a>(&'a self, key: &'a ApiKey) -> Option<&'a Name> {
        let organisation = self.organisations_of(&key.spec.owner).next();
        organisation.filter(|name| !name.as_str().contains('/'))
    }

    /// The end user of the key's organisation whom a request says it is for.
    pub(crate) fn end_user_of(&self, key: &ApiKey, claim: &Claim) -> Option<Subject> {
        match &claim.end_user {
            EndUser::Unsaid | EndUser::Unusable => None,
            EndUser::Is(id) => Some(Subject::EndUser(self.serves_end_users_of(key)?.clone(), id.clone())),
        }
    }
}
