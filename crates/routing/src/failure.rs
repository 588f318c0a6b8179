//! How an attempt failed, and whether another attempt can do better.

use std::time::Duration;

/// An attempt that did not bring an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptFailure {
    /// What went wrong.
    pub cause: Cause,
    /// How long the provider asked us to stay away.
    pub retry_after: Option<Duration>,
}

/// What went wrong with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This node cannot use the target at all, as when its credential cannot be read here. Nothing was sent.
    Unusable,
    /// No connection. Nothing was sent.
    Connect,
    /// No first byte in time.
    Timeout,
    /// The connection broke before the first byte.
    Broken,
    /// The provider answered with this status.
    Status(u16),
    /// The provider does not accept our credentials: its 401 and 403 are not the caller's.
    CredentialsRefused,
    /// The answer was an error inside a good status, before any content; its code, where it is a status.
    ErrorInside(Option<u16>),
    /// The answer had begun: what the client has cannot be taken back.
    AfterContent,
    /// The time for the whole request is over.
    OutOfTime,
}

/// What a failure leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another target, or the same one after this pause: surely it did no work.
    AnyTarget { pause: Duration },
    /// Another target only.
    OtherTarget,
    /// Nothing: the next attempt would fail the same way, or come too late.
    None,
}

/// A refused connection is often a restart: long enough for one, short enough not to be noticed.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

impl From<Cause> for AttemptFailure {
    fn from(cause: Cause) -> Self {
        Self { cause, retry_after: None }
    }
}

impl AttemptFailure {
    pub(crate) fn remedy(self) -> Remedy {
        match self.cause {
            Cause::Connect => Remedy::AnyTarget { pause: RECONNECT_PAUSE },
            Cause::Unusable | Cause::Timeout | Cause::Broken | Cause::CredentialsRefused => {
                Remedy::OtherTarget
            }
            Cause::Status(status) | Cause::ErrorInside(Some(status)) => self.of_status(status),
            Cause::ErrorInside(None) => Remedy::OtherTarget,
            Cause::AfterContent | Cause::OutOfTime => Remedy::None,
        }
    }

    fn of_status(self, status: u16) -> Remedy {
        match (status, self.retry_after) {
            (429 | 503, Some(pause)) => Remedy::AnyTarget { pause },
            (408 | 409 | 429 | 500..=599, _) => Remedy::OtherTarget,
            _ => Remedy::None,
        }
    }

    /// Whether it says something about the target rather than about the request.
    pub(crate) fn blames_target(self) -> bool {
        match self.cause {
            Cause::Unusable | Cause::Connect | Cause::Timeout | Cause::Broken | Cause::CredentialsRefused => {
                true
            }
            Cause::Status(409) | Cause::ErrorInside(Some(409)) => false,
            Cause::Status(_) | Cause::ErrorInside(_) => self.remedy() != Remedy::None,
            Cause::AfterContent => true,
            Cause::OutOfTime => false,
        }
    }
}
