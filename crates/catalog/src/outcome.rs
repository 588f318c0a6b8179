//! What came of a command. A refusal is replicated like any other outcome.

use crate::ObjectId;
use quorate_domain::{ClusterId, KeyId, Name, Revision, Span};
use serde::{Deserialize, Serialize};

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every change is in force. What it changed bears this revision; a command that changed nothing gives the
    /// revision the catalogue had.
    Applied {
        /// The revision of the catalogue.
        revision: Revision,
    },
    /// Nothing has changed.
    Rejected(Rejection),
}

/// Why the catalogue refused a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The first command must be [`crate::Command::Found`].
    #[error("the cluster is not initialised yet")]
    NotFounded,
    /// A cluster begins once.
    #[error("the cluster is already initialised, as {cluster}")]
    AlreadyFounded {
        /// Its id.
        cluster: ClusterId,
    },
    /// More changes than one command carries.
    #[error("{count} changes in one command, at most {max} are possible")]
    TooManyChanges {
        /// How many there were.
        count: u64,
        /// How many there may be.
        max: u64,
    },
    /// The object to change does not exist.
    #[error("there is no {object}")]
    Missing {
        /// Which one.
        object: ObjectId,
    },
    /// The object was to be new.
    #[error("{object} already exists")]
    AlreadyExists {
        /// Which one.
        object: ObjectId,
    },
    /// Somebody else changed the object first.
    #[error("{object} is at revision {actual} by now, the change was meant for {expected}")]
    Changed {
        /// Which one.
        object: ObjectId,
        /// The version meant.
        expected: Revision,
        /// The version there is.
        actual: Revision,
    },
    /// The object names one that does not exist.
    #[error("{object} names {missing}, which does not exist")]
    Dangling {
        /// Which one.
        object: ObjectId,
        /// What it names.
        missing: ObjectId,
    },
    /// The object is named by another one.
    #[error("{object} is still used by {by}")]
    StillUsed {
        /// Which one.
        object: ObjectId,
        /// The first one found that names it.
        by: ObjectId,
    },
    /// Somebody's team, user and organisation do not agree.
    #[error("{object} would belong to two organisations, {one} and {other}")]
    TwoOrganisations {
        /// A key or a user.
        object: ObjectId,
        /// By one way.
        one: Name,
        /// By another.
        other: Name,
    },
    /// More extra headers than a request should carry.
    #[error("provider {provider} has more than {max} extra headers")]
    TooManyHeaders {
        /// Which one.
        provider: Name,
        /// How many it may have.
        max: u64,
    },
    /// A timeout of nothing lets no request through.
    #[error("provider {provider} has a timeout of zero")]
    NoTime {
        /// Which one.
        provider: Name,
    },
    /// `***` stands for a stored value, and there is none.
    #[error("provider {provider} has no stored value that *** could stand for")]
    NothingBehindMask {
        /// Which one.
        provider: Name,
    },
    /// A context that holds nothing, or less than the answer.
    #[error("model {model} needs context_tokens above zero and not below output_tokens_max")]
    ContextTooSmall {
        /// Which one.
        model: Name,
    },
    /// No target, or too many.
    #[error("route {route} needs 1 to {max} targets")]
    TargetCount {
        /// Which one.
        route: Name,
        /// How many it may have.
        max: u64,
    },
    /// The same model twice.
    #[error("route {route} has model {model} twice")]
    TargetTwice {
        /// Which one.
        route: Name,
        /// The model.
        model: Name,
    },
    /// A lot without tickets.
    #[error("route {route} is weighted and every weight is zero")]
    NoWeight {
        /// Which one.
        route: Name,
    },
    /// A new key that could never be used.
    #[error("key {key} would have expired before it begins")]
    ExpiredAtBirth {
        /// Which one.
        key: KeyId,
    },
    /// A revoked key stays as it is.
    #[error("key {key} is revoked")]
    KeyRevoked {
        /// Which one.
        key: KeyId,
    },
    /// An old secret that stays valid for too long is no rotation.
    #[error("an overlap of {} ms is too long, at most {} are possible", .overlap.millis(), .max.millis())]
    OverlapTooLong {
        /// What was asked.
        overlap: Span,
        /// What is possible.
        max: Span,
    },
    /// Nobody could change anything any more.
    #[error("key {key} is the last admin key that does not expire")]
    LastAdminKey {
        /// Which one.
        key: KeyId,
    },
    /// It takes sound, at no price.
    #[error("model {model} has media_tokens_max.audio and needs price.audio_input")]
    NoPriceOfSound {
        /// Which one.
        model: Name,
    },
}
