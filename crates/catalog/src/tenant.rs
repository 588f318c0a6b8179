//! Tenants: organisations, their teams, and users.

use crate::{Object, ObjectId, Owner, Text};
use quorate_domain::Name;
use serde::{Deserialize, Serialize};

/// An organisation as the catalogue keeps it.
pub type Organisation = Object<OrganisationSpec>;
/// A team as the catalogue keeps it.
pub type Team = Object<TeamSpec>;
/// A user as the catalogue keeps it.
pub type User = Object<UserSpec>;

/// An organisation as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationSpec {
    /// Its identity.
    pub name: Name,
    /// What people want to remember about it.
    #[serde(default)]
    pub description: Option<Text>,
}

/// A team as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamSpec {
    /// Its identity.
    pub name: Name,
    /// The organisation it belongs to, if any.
    #[serde(default)]
    pub organisation: Option<Name>,
    /// What people want to remember about it.
    #[serde(default)]
    pub description: Option<Text>,
}

/// A user as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// Their identity: often a mail address.
    pub name: Name,
    /// The organisation they belong to, if any.
    #[serde(default)]
    pub organisation: Option<Name>,
    /// The team they belong to, if any.
    #[serde(default)]
    pub team: Option<Name>,
    /// What people want to remember about them.
    #[serde(default)]
    pub description: Option<Text>,
}

impl TeamSpec {
    pub(crate) fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.organisation.iter().cloned().map(ObjectId::Organisation)
    }
}

impl UserSpec {
    pub(crate) fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let organisation = self.organisation.iter().cloned().map(ObjectId::Organisation);
        organisation.chain(self.team.iter().cloned().map(ObjectId::Team))
    }

    /// Where the user belongs.
    pub(crate) fn place(&self) -> Owner {
        Owner { organisation: self.organisation.clone(), team: self.team.clone(), user: None }
    }
}
