//! Why a request with an `Idempotency-Key` is neither executed nor answered by what was executed before.

use super::{ErrorCode, Retry, Row, Source};
use http::StatusCode;
use quorate_dialect::ErrorKind;

/// What keeps it from being executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExecuted {
    /// The header is no key.
    #[error("an Idempotency-Key has 1 to 255 visible characters, and there is one of them")]
    InvalidKey,
    /// Another request came with the same key.
    #[error("this Idempotency-Key was sent with another request; a new request needs a new key")]
    KeyReused,
    /// The first request has not ended.
    #[error(
        "a request with this Idempotency-Key is being executed; its answer will be given again when it has ended"
    )]
    InFlight,
    /// Nobody knows what became of the first request.
    #[error(
        "the request with this Idempotency-Key was lost on its way: it may have been sent and charged, and is never sent again under this key"
    )]
    Unknown,
    /// The answer of the first request is not there any more.
    #[error(
        "the request with this Idempotency-Key was executed and charged; its answer was too large to be kept"
    )]
    ResponseNotKept,
    /// There are too many records.
    #[error("no more requests with an Idempotency-Key can be recorded for now; nothing was executed")]
    Full,
    /// The log cannot be reached.
    #[error(
        "this node cannot reach a quorum of its cluster, without which no request with an Idempotency-Key begins; nothing was executed"
    )]
    Unavailable,
}

impl NotExecuted {
    pub(super) fn row(self) -> Row {
        let caller =
            |status, code, retry| (status, ErrorKind::InvalidRequestError, code, Source::Caller, retry);
        let gateway = |code| {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::ServerError, code, Source::Gateway, Retry::Safe)
        };
        match self {
            Self::InvalidKey => {
                caller(StatusCode::BAD_REQUEST, ErrorCode::InvalidIdempotencyKey, Retry::Useless)
            }
            Self::KeyReused => {
                caller(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::IdempotencyKeyReused, Retry::Useless)
            }
            Self::InFlight => caller(StatusCode::CONFLICT, ErrorCode::IdempotencyInFlight, Retry::Safe),
            Self::Unknown => caller(StatusCode::CONFLICT, ErrorCode::IdempotencyUnknown, Retry::Useless),
            Self::ResponseNotKept => {
                caller(StatusCode::CONFLICT, ErrorCode::IdempotencyResponseNotKept, Retry::Useless)
            }
            Self::Full => gateway(ErrorCode::IdempotencyFull),
            Self::Unavailable => gateway(ErrorCode::IdempotencyUnavailable),
        }
    }

    /// When to come again, in seconds. Records make room when they expire, and not at once.
    pub(super) const fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::InFlight | Self::Unavailable => Some(1),
            Self::Full => Some(60),
            Self::InvalidKey | Self::KeyReused | Self::Unknown | Self::ResponseNotKept => None,
        }
    }
}
