//! What a request says of whose budgets it spends, besides whose key it carries.

use crate::{Catalog, KeySpec};
use quorate_domain::{Name, Subject, Tags};

/// What a request says of whose budgets it spends. It can only put the request under further budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The route it asks for.
    pub route: Name,
    /// Tags it gives itself.
    pub tags: Tags,
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
}
