//! One record: what is known of the request that carries a certain key.

use crate::{Answer, Digest};
use quorate_domain::{BootId, KeyId, LogTime, SessionId, Span};
use serde::{Deserialize, Serialize};

/// What a record is known by: no API key ever sees a record of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// The API key.
    pub key: KeyId,
    /// Of the header's text.
    pub text: Digest,
}

/// Who executes a request. No two executions have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The session it spends in: when that is over, nobody ends the record any more.
    pub session: SessionId,
    /// The process.
    pub boot: BootId,
    /// Its requests are numbered.
    pub number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) fingerprint: Digest,
    pub(crate) owner: Owner,
    pub(crate) keep: Span,
    pub(crate) expires: LogTime,
    pub(crate) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    InFlight,
    Kept {
        /// Numbers kept answers, the oldest first.
        place: u64,
        answer: Answer,
    },
    NotKept,
    Unknown,
}

impl Record {
    /// Whether it counts no more. One that is executed by a live session never expires: it would be executed twice.
    pub(crate) fn is_over(&self, now: LogTime, is_live: &dyn Fn(SessionId) -> bool) -> bool {
        self.expires <= now && !self.is_executed(is_live)
    }

    /// Whether somebody is there who will end it.
    pub(crate) fn is_executed(&self, is_live: &dyn Fn(SessionId) -> bool) -> bool {
        self.state == State::InFlight && is_live(self.owner.session)
    }
}
