//! API keys: whose they are, what they open, and for how long.

use crate::{Digest, ObjectId, Text};
use quorate_domain::{KeyId, LogTime, Name, Revision, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An API key as the catalogue keeps it: its secret is known by digest only. A key is never deleted, so that its
/// id is never given again and what it spent keeps its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its identity.
    pub id: KeyId,
    /// What kind of door it opens.
    pub role: Role,
    /// What people wrote.
    pub spec: KeySpec,
    /// Where it is in its life.
    pub state: KeyState,
    /// The digest of the text that is valid now.
    pub digest: Digest,
    /// The most that any of its versions let nodes do without a quorum: one that is cut off may go by an old version.
    pub loosest: WithoutQuorum,
    /// The change that wrote this version.
    pub revision: Revision,
    /// When the key was created.
    pub created_at: LogTime,
    /// When this version was written.
    pub updated_at: LogTime,
}

/// What people decide about a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySpec {
    /// What people call it.
    pub label: Option<Text>,
    /// Whose budgets it spends.
    pub owner: Owner,
    /// Which routes it may use.
    pub allowed_models: AllowedModels,
    /// When it ceases to be valid, in milliseconds of log time.
    pub expires_at: Option<LogTime>,
    /// What becomes of its requests on a node that does not know whether it was revoked.
    pub without_quorum: WithoutQuorum,
    /// What becomes of its open streams when it is revoked.
    pub on_revocation: OnRevocation,
    /// Tags that all its requests bear.
    pub tags: Tags,
    /// Tags that its requests may give themselves, besides.
    pub request_tags: Tags,
    /// Whether its requests must say whose they are in the end.
    pub end_user: EndUserPolicy,
}

/// Whether requests must name the end user they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndUserPolicy {
    /// Those that name none are limited by no budget of end users.
    #[default]
    Optional,
    /// Those that name none are refused.
    Required,
}

/// What becomes of a key's requests on a node whose lease has ended: one that has not heard from a majority for longer
/// than the revocation bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutQuorum {
    /// They are refused until the node knows.
    #[default]
    Closed,
    /// They go on as far as grants cover them, and no further: the amounts stay exact. There is no bound on how long the
    /// key is admitted after its revocation.
    GrantOnly,
    /// They go on, whatever it costs: what no grant covers is *overspent*, and told when a majority is reached again. There is
    /// no bound on how long the key is admitted after its revocation either.
    Open,
}

/// What becomes of a key's open streams when it is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRevocation {
    /// They go on to their end.
    #[default]
    FinishStreams,
    /// They end with an error within the revocation bound.
    CutStreams,
}

/// The tenants whose budgets a key spends, besides its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Owner {
    /// The organisation; else the one of the team or the user.
    pub organisation: Option<Name>,
    /// The team; else the one of the user.
    pub team: Option<Name>,
    /// The user.
    pub user: Option<Name>,
}

/// Which routes a key may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedModels {
    /// Every route, those of the future too.
    #[default]
    All,
    /// These routes and no other.
    Only(BTreeSet<Name>),
}

/// What kind of door a key opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends requests to models.
    #[default]
    Client,
    /// Changes the catalogue and the budgets.
    Admin,
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// One text opens it.
    Active,
    /// The text before opens it as well, for a while.
    Rotating {
        /// The digest of the text before.
        old: Digest,
        /// The first instant at which the text before is no longer valid.
        until: LogTime,
    },
    /// Nothing opens it any more, for ever.
    Revoked {
        /// Since when.
        at: LogTime,
    },
}

impl AllowedModels {
    /// Whether the route may be used.
    #[must_use]
    pub fn contains(&self, route: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(routes) => routes.contains(route),
        }
    }

    fn listed(&self) -> impl Iterator<Item = &Name> {
        let listed = match self {
            Self::All => None,
            Self::Only(routes) => Some(routes),
        };
        listed.into_iter().flatten()
    }
}

impl Owner {
    fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let organisation = self.organisation.iter().cloned().map(ObjectId::Organisation);
        let team = self.team.iter().cloned().map(ObjectId::Team);
        organisation.chain(team).chain(self.user.iter().cloned().map(ObjectId::User))
    }
}

impl ApiKey {
    /// Whether the key was revoked.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        matches!(self.state, KeyState::Revoked { .. })
    }

    /// Whether the key's own time is over.
    #[must_use]
    pub fn has_expired_at(&self, now: LogTime) -> bool {
        self.spec.expires_at.is_some_and(|end| now >= end)
    }

    /// Whether time alone can end it, or one of the texts that open it.
    #[must_use]
    pub const fn ends_by_itself(&self) -> bool {
        self.spec.expires_at.is_some() || matches!(self.state, KeyState::Rotating { .. })
    }

    /// Whether a node that is cut off may go on admitting it, whatever it says now, when its lease has ended. An admin key changes nothing there.
    #[must_use]
    pub fn may_go_on_without_quorum(&self) -> bool {
        self.role == Role::Client && self.loosest != WithoutQuorum::Closed
    }

    /// An admin key that nothing but a revocation ends.
    pub(crate) fn is_lasting_admin(&self) -> bool {
        self.role == Role::Admin && !self.is_revoked() && self.spec.expires_at.is_none()
    }

    /// Whether the digest is that of a text that opens the key. Takes as long for a wrong one as for a right one.
    pub(crate) fn is_opened_by(&self, digest: Digest, now: LogTime) -> bool {
        let current = self.digest == digest;
        let before = match self.state {
            KeyState::Rotating { old, until } => (old == digest) & (now < until),
            KeyState::Active | KeyState::Revoked { .. } => false,
        };
        current | before
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.spec.owner.references().chain(self.spec.allowed_models.listed().cloned().map(ObjectId::Route))
    }
}
