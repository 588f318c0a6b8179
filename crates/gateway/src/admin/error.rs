//! Why the admin API refused, as people and scripts read it: a status, a stable code, what is wrong, what to do next.

use super::SetupError;
use crate::replica::{NotChanged, Unavailable};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use quorate_catalog::Rejection;
use quorate_domain::{NodeId, SessionId};
use quorate_membership::Rejection as Membership;
use serde_json::json;

/// Why the admin API refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The node belongs to no cluster.
    #[error("this node belongs to no cluster yet")]
    NotInitialised,
    /// No key, or none that opens anything.
    #[error("the request carries no valid admin key")]
    Unauthenticated,
    /// A key for requests to models.
    #[error("this key is not an admin key")]
    NotAdmin,
    /// No such path.
    #[error("there is nothing at this path")]
    UnknownPath,
    /// No such method here.
    #[error("this path does not know the method")]
    WrongMethod,
    /// The body is not what the path takes.
    #[error("the request body is not understood: {0}")]
    Body(String),
    /// The body is larger than any that makes sense.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// The query, the path or a header is not understood.
    #[error("the request is not understood: {0}")]
    Request(String),
    /// The object asked for does not exist.
    #[error("there is no {0}")]
    Missing(String),
    /// A budget for nobody.
    #[error("{0} does not exist, so a budget would limit nobody")]
    NoSubject(String),
    /// The catalogue refused the change.
    #[error("{0}")]
    Catalog(Rejection),
    /// The ledger refused the change.
    #[error("{0}")]
    Ledger(quorate_ledger::Rejection),
    /// A dead session cannot have spent that.
    #[error("session {session} spent from {least} to {most} {unit}, and neither less nor more")]
    ImpossibleSpending {
        /// The session.
        session: SessionId,
        /// It reported as much.
        least: String,
        /// It had no more.
        most: String,
        /// Of what.
        unit: &'static str,
    },
    /// The cluster gave no answer.
    #[error(transparent)]
    Replica(#[from] Unavailable),
    /// There would soon be no room for what serves requests.
    #[error("the disk of node {0} is almost full")]
    DiskAlmostFull(NodeId),
    /// The membership refused.
    #[error(transparent)]
    Membership(Membership),
    /// The cluster does not write this yet.
    #[error("the cluster is at level {level}, and this needs level {needs}")]
    Level {
        /// The cluster's.
        level: u32,
        /// The lowest at which it is written.
        needs: u32,
    },
    /// What a plan's checks forbid.
    #[error("{0}")]
    Unsafe(String),
    /// Nobody else took the lead.
    #[error("leadership was not handed over: {0}")]
    NotHandedOver(String),
    /// The machine could not make what was needed.
    #[error("{0}")]
    Failed(String),
    /// The node did not become part of a cluster.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The machine gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

const FOUND_OR_JOIN: &str = "run `quorate cluster init` on one node, and start the others with a join token";
const LOOK_AND_TRY: &str = "look at the node's log, then try again";

/// How an error is told: status, stable code, and what to do next.
type Told = (StatusCode, &'static str, &'static str);

impl AdminError {
    /// The stable code, by which scripts tell errors apart.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.told().1
    }

    fn told(&self) -> Told {
        match self {
            Self::NotInitialised => (StatusCode::SERVICE_UNAVAILABLE, "not_initialised", FOUND_OR_JOIN),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "send `Authorization: Bearer <admin key>`, or set QUORATE_TOKEN or QUORATE_TOKEN_FILE; the first key was \
                 shown by `quorate cluster init`, and is in the file admin-token of the founder's data directory",
            ),
            Self::NotAdmin => (
                StatusCode::FORBIDDEN,
                "not_admin",
                "use an admin key; client keys are for /v1 on the client address",
            ),
            Self::UnknownPath => {
                (StatusCode::NOT_FOUND, "unknown_path", "compare the path with docs/admin-api.md")
            }
            Self::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "compare the method with docs/admin-api.md")
            }
            Self::Body(_) => {
                (StatusCode::BAD_REQUEST, "invalid_body", "correct the field that is named and send it again")
            }
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "split the document; 4 MiB are the most at once",
            ),
            Self::Request(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request", "correct the part that is named")
            }
            Self::Missing(_) => {
                (StatusCode::NOT_FOUND, "not_found", "list what there is, and compare the spelling")
            }
            Self::NoSubject(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "missing_reference",
                "create the subject first, or correct its name",
            ),
            Self::Catalog(rejection) => told_of_catalog(rejection),
            Self::Ledger(rejection) => told_of_ledger(rejection),
            Self::ImpossibleSpending { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_object", "say an amount between the two")
            }
            Self::Replica(error) => told_of_replica(*error),
            Self::DiskAlmostFull(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "disk_almost_full",
                "make room on that machine; nothing was changed. Keys can be revoked all the same",
            ),
            Self::Membership(rejection) => told_of_membership(rejection),
            Self::Level { .. } => (
                StatusCode::CONFLICT,
                "level_too_low",
                "run `quorate upgrade finalize` once all nodes run the new release and all is well",
            ),
            Self::Unsafe(_) => (
                StatusCode::CONFLICT,
                "unsafe_change",
                "nothing was changed; `quorate cluster status` says what is missing",
            ),
            Self::NotHandedOver(_) => (
                StatusCode::CONFLICT,
                "not_handed_over",
                "give a voter that is caught up: `quorate node list`",
            ),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed", LOOK_AND_TRY),
            Self::Setup(error) => told_of_setup(error),
            Self::NoRandomness => (StatusCode::INTERNAL_SERVER_ERROR, "no_randomness", LOOK_AND_TRY),
        }
    }
}

fn told_of_catalog(rejection: &Rejection) -> Told {
    match rejection {
        Rejection::NotFounded => (StatusCode::SERVICE_UNAVAILABLE, "not_initialised", FOUND_OR_JOIN),
        Rejection::AlreadyFounded { .. } => {
            (StatusCode::CONFLICT, "already_initialised", "use the admin key that was shown then")
        }
        Rejection::Missing { .. } => {
            (StatusCode::NOT_FOUND, "not_found", "list what there is, and compare the spelling")
        }
        Rejection::AlreadyExists { .. } => {
            (StatusCode::CONFLICT, "already_exists", "choose another name, or change the one that exists")
        }
        Rejection::Changed { .. } => (
            StatusCode::PRECONDITION_FAILED,
            "revision_conflict",
            "read it again, look at what changed, and repeat your change on the new revision",
        ),
        Rejection::Dangling { .. } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "missing_reference",
            "create what is named first, or correct the name",
        ),
        Rejection::StillUsed { .. } => (
            StatusCode::CONFLICT,
            "still_used",
            "change or delete what uses it first, or both in one document",
        ),
        Rejection::KeyRevoked { .. } => (StatusCode::CONFLICT, "key_revoked", "create a new key"),
        Rejection::LastAdminKey { .. } => {
            (StatusCode::CONFLICT, "last_admin_key", "create another admin key that does not expire first")
        }
        Rejection::TooManyChanges { .. }
        | Rejection::TwoOrganisations { .. }
        | Rejection::TooManyHeaders { .. }
        | Rejection::NoTime { .. }
        | Rejection::NothingBehindMask { .. }
        | Rejection::ContextTooSmall { .. }
        | Rejection::NoPriceOfSound { .. }
        | Rejection::TargetCount { .. }
        | Rejection::TargetTwice { .. }
        | Rejection::NoWeight { .. }
        | Rejection::ExpiredAtBirth { .. }
        | Rejection::OverlapTooLong { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_object", "correct what is named and send it again")
        }
    }
}

fn told_of_ledger(rejection: &quorate_ledger::Rejection) -> Told {
    match rejection {
        quorate_ledger::Rejection::UnknownBudget(_) | quorate_ledger::Rejection::BudgetAbsent => {
            (StatusCode::NOT_FOUND, "not_found", "list what there is with `quorate budget list`")
        }
        quorate_ledger::Rejection::UnknownSession(_) | quorate_ledger::Rejection::NothingHeld(_) => (
            StatusCode::NOT_FOUND,
            "not_found",
            "look at `quorate budget explain`: only what is in doubt there can be resolved",
        ),
        quorate_ledger::Rejection::SpentOutOfRange { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_object", "say an amount between the two")
        }
        quorate_ledger::Rejection::MaySpendYet { .. } => (
            StatusCode::CONFLICT,
            "may_spend_yet",
            "wait until then, or until it is taken as spent by itself",
        ),
        quorate_ledger::Rejection::UnknownTimeZone(_) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "missing_reference",
            "ask a node whose program knows this time zone",
        ),
        quorate_ledger::Rejection::BudgetExists(_) => {
            (StatusCode::CONFLICT, "already_exists", "change the limit of the budget that exists")
        }
        quorate_ledger::Rejection::RevisionMismatch { .. } => (
            StatusCode::PRECONDITION_FAILED,
            "revision_conflict",
            "read it again, look at what changed, and repeat your change on the new revision",
        ),
        // No administrator asks for what is refused by it: who does is told by the request path.
        quorate_ledger::Rejection::TooManyEndUsers { .. } => {
            (StatusCode::CONFLICT, "refused", "raise end_users_max of that budget")
        }
        quorate_ledger::Rejection::SessionAlive(_) => (
            StatusCode::CONFLICT,
            "refused",
            "a live node reports by itself; if it will not come back, run `quorate cluster expire` first",
        ),
        quorate_ledger::Rejection::StillHolding(_)
        | quorate_ledger::Rejection::LaterSession { .. }
        | quorate_ledger::Rejection::Inconsistent { .. } => {
            (StatusCode::CONFLICT, "refused", "look at `quorate budget explain`")
        }
    }
}

fn told_of_replica(error: Unavailable) -> Told {
    match error {
        Unavailable::NoQuorum => (
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "nothing was changed; look at `quorate cluster status`, then try again",
        ),
        Unavailable::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "timed_out",
            "read the object to see whether the change was made, before trying again",
        ),
        Unavailable::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "ask another node"),
    }
}

fn told_of_membership(rejection: &Membership) -> Told {
    match rejection {
        Membership::NotFounded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not_initialised",
            "found the cluster first: `quorate cluster init`",
        ),
        Membership::Unknown(_) | Membership::TokenUnknown => {
            (StatusCode::NOT_FOUND, "not_found", "list what there is")
        }
        Membership::TooManyTokens(_) => {
            (StatusCode::CONFLICT, "too_many_tokens", "withdraw some: `quorate token delete ID`")
        }
        Membership::LevelMoved { .. } | Membership::LevelSkipped { .. } => {
            (StatusCode::PRECONDITION_FAILED, "level_moved", "look again: `quorate upgrade status`")
        }
        Membership::LevelUnknown { .. } => {
            (StatusCode::CONFLICT, "level_unknown", "upgrade that node first: `quorate upgrade status`")
        }
        Membership::RotationUnderWay => (
            StatusCode::CONFLICT,
            "rotation_under_way",
            "wait: `quorate authority show` says who is waited for",
        ),
        Membership::Conflict { .. } => (
            StatusCode::PRECONDITION_FAILED,
            "revision_conflict",
            "look at the new plan, and say yes to that",
        ),
        // Said to nodes, never to operators.
        Membership::Removed
        | Membership::AddressTaken(_)
        | Membership::Voters(..)
        | Membership::OtherStorage { .. }
        | Membership::Cloned
        | Membership::RolledBack { .. }
        | Membership::TokenExpired
        | Membership::TokenUsedUp
        | Membership::NameTaken(_)
        | Membership::Level { .. } => {
            (StatusCode::CONFLICT, "membership_refused", "look at `quorate cluster status`")
        }
    }
}

impl From<NotChanged> for AdminError {
    fn from(error: NotChanged) -> Self {
        match error {
            NotChanged::Unavailable(error) => Self::Replica(error),
            NotChanged::Rejected(rejection) => Self::Membership(rejection),
            NotChanged::Level { level, needs } => Self::Level { level, needs },
            NotChanged::Failed(cause) => Self::Failed(cause),
        }
    }
}

fn told_of_setup(error: &SetupError) -> Told {
    match error {
        SetupError::AlreadyMember => (
            StatusCode::CONFLICT,
            "already_initialised",
            "look at `quorate cluster status`; there is nothing to do",
        ),
        SetupError::NoAnswer { cause: _, next } => (StatusCode::BAD_GATEWAY, "no_answer", next),
        SetupError::Failed(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "setup_failed", "look at the node's log")
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (status, code, next) = self.told();
        let body = json!({ "error": { "code": code, "message": self.to_string(), "next": next } });
        let mut response = (status, axum::Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
