//! What can be asked of the catalogue. Commands are stored in the log: see the ADR on catalogue identity.

use crate::{
    ApiKeyText, Digest, KeySpec, ModelSpec, ObjectId, OrganisationSpec, Pepper, ProviderSpec, Rejection,
    Role, RouteSpec, TeamSpec, UserSpec,
};
use quorate_domain::{ClusterId, KeyId, Name, NodeId, Revision, Secret, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Commands to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Begins a cluster. The first command ever; refused afterwards, unless it is the same one again.
    Found(Founding),
    /// Changes objects: all of them or none.
    Apply(Apply),
    /// A copy of the catalogue goes on without the original: its revisions leave out so many that none is given a second time.
    GoOn {
        /// The cluster, if it is another one from now on.
        cluster: Option<ClusterId>,
        /// So many revisions are left out.
        left_out: u64,
    },
}

/// What a new cluster begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster's own id, freshly drawn.
    pub cluster: ClusterId,
    /// Keys the digests of all API keys, freshly drawn.
    pub pepper: Secret<[u8; 32]>,
    /// The id of the first admin key.
    pub admin: KeyId,
    /// The digest of the first admin key under that pepper.
    pub admin_digest: Digest,
}

/// Changes that belong together, and who wants them. References are checked after the last change, so that their
/// order does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// Who asked.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What is to change.
    pub changes: Vec<Change>,
}

/// Who asked for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The holder of an admin key.
    Key(KeyId),
    /// A node, from its own configuration file.
    Node(NodeId),
}

/// Which version of an object a change is meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Whatever is there, or nothing.
    #[default]
    Any,
    /// Nothing: the object is to be new.
    Absent,
    /// This version and no other.
    Revision(Revision),
}

/// A new API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id, drawn by the proposer ([`crate::ApiKeyText::draw_id`]).
    pub id: KeyId,
    /// What kind of door it opens.
    pub role: Role,
    /// What people decide about it.
    pub spec: KeySpec,
    /// The digest of its text.
    pub digest: Digest,
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Writes a provider. A credential of `***` keeps the one that is stored.
    PutProvider {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: ProviderSpec,
    },
    /// Deletes a provider that no model names.
    DeleteProvider {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Writes a model.
    PutModel {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: ModelSpec,
    },
    /// Deletes a model that no route names.
    DeleteModel {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Writes a route.
    PutRoute {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: RouteSpec,
    },
    /// Deletes a route that no key names.
    DeleteRoute {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Writes an organisation.
    PutOrganisation {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: OrganisationSpec,
    },
    /// Deletes an organisation that no team, user or key names.
    DeleteOrganisation {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Writes a team.
    PutTeam {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: TeamSpec,
    },
    /// Deletes a team that no user or key names.
    DeleteTeam {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Writes a user.
    PutUser {
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: UserSpec,
    },
    /// Deletes a user that no key names.
    DeleteUser {
        /// The version meant.
        expected: Expected,
        /// Which one.
        name: Name,
    },
    /// Creates a key. The same key once more is no change.
    CreateKey(NewKey),
    /// Writes what people decide about a key.
    UpdateKey {
        /// Which one.
        id: KeyId,
        /// The version meant.
        expected: Expected,
        /// What it is to be.
        spec: KeySpec,
    },
    /// Gives a key a new text. The text before stays valid for a while.
    RotateKey {
        /// Which one.
        id: KeyId,
        /// The version meant.
        expected: Expected,
        /// The digest of the new text.
        digest: Digest,
        /// How long the text before stays valid.
        overlap: Span,
    },
    /// Closes a key for ever. A revoked key once more is no change.
    RevokeKey {
        /// Which one.
        id: KeyId,
        /// The version meant.
        expected: Expected,
    },
}

/// What a log calls it: the verb and the object, without what is in it.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutProvider { spec, .. } => write!(f, "put provider {}", spec.name),
            Self::DeleteProvider { name, .. } => write!(f, "delete provider {name}"),
            Self::PutModel { spec, .. } => write!(f, "put model {}", spec.name),
            Self::DeleteModel { name, .. } => write!(f, "delete model {name}"),
            Self::PutRoute { spec, .. } => write!(f, "put route {}", spec.name),
            Self::DeleteRoute { name, .. } => write!(f, "delete route {name}"),
            Self::PutOrganisation { spec, .. } => write!(f, "put organisation {}", spec.name),
            Self::DeleteOrganisation { name, .. } => write!(f, "delete organisation {name}"),
            Self::PutTeam { spec, .. } => write!(f, "put team {}", spec.name),
            Self::DeleteTeam { name, .. } => write!(f, "delete team {name}"),
            Self::PutUser { spec, .. } => write!(f, "put user {}", spec.name),
            Self::DeleteUser { name, .. } => write!(f, "delete user {name}"),
            Self::CreateKey(new) => write!(f, "create key {}", new.id),
            Self::UpdateKey { id, .. } => write!(f, "put key {id}"),
            Self::RotateKey { id, .. } => write!(f, "rotate key {id}"),
            Self::RevokeKey { id, .. } => write!(f, "revoke key {id}"),
        }
    }
}

impl Founding {
    /// The founding of a cluster whose pepper and first admin key were freshly drawn.
    #[must_use]
    pub fn new(cluster: ClusterId, pepper: Secret<[u8; 32]>, admin: &ApiKeyText) -> Self {
        let admin_digest = Pepper::new(pepper.clone()).digest(admin.expose());
        Self { cluster, pepper, admin: admin.id(), admin_digest }
    }
}

impl Expected {
    /// Whether the version that is there is the one meant.
    pub(crate) fn check(self, object: ObjectId, actual: Option<Revision>) -> Result<(), Rejection> {
        match (self, actual) {
            (Self::Any, _) | (Self::Absent, None) => Ok(()),
            (Self::Absent, Some(_)) => Err(Rejection::AlreadyExists { object }),
            (Self::Revision(_), None) => Err(Rejection::Missing { object }),
            (Self::Revision(expected), Some(actual)) if expected == actual => Ok(()),
            (Self::Revision(expected), Some(actual)) => Err(Rejection::Changed { object, expected, actual }),
        }
    }
}
