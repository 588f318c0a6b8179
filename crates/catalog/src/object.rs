//! What every named object has in common: a version, and an id by which errors and referrers are named.

use quorate_domain::{KeyId, LogTime, Name, Revision};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One version of a named object. A new version is a new `Object`; whoever holds the old one keeps it whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object<S> {
    /// What people wrote.
    pub spec: S,
    /// The change that wrote this version.
    pub revision: Revision,
    /// When the object first came to be.
    pub created_at: LogTime,
    /// When this version was written.
    pub updated_at: LogTime,
}

/// Which object of the catalogue. Printed as `provider openai`, `key 17`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectId {
    /// A provider.
    Provider(Name),
    /// A model of a provider.
    Model(Name),
    /// A public model name.
    Route(Name),
    /// An organisation.
    Organisation(Name),
    /// A team.
    Team(Name),
    /// A user.
    User(Name),
    /// An API key.
    Key(KeyId),
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(name) => write!(f, "provider {name}"),
            Self::Model(name) => write!(f, "model {name}"),
            Self::Route(name) => write!(f, "route {name}"),
            Self::Organisation(name) => write!(f, "organisation {name}"),
            Self::Team(name) => write!(f, "team {name}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Key(id) => write!(f, "key {id}"),
        }
    }
}
