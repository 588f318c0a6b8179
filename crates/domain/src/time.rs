//! Two kinds of time that must never meet: the log's, the same on every node, and a node's own.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Time as the replicated log tells it: milliseconds since 1970 (UTC), stamped by the leader, never going back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogTime(u64);

impl LogTime {
    /// The time `millis` milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time this much later.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier` this is; nothing if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A length of time in milliseconds. The only kind of time that is sent from node to node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// For ever: what has no end.
    pub const FOREVER: Self = Self(u64::MAX);

    /// A span of this many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }
}

impl Span {
    /// A length of time on a node's own clock, in whole milliseconds, rounded up.
    #[must_use]
    pub fn of(duration: Duration) -> Self {
        let millis = duration.as_micros().div_ceil(1_000);
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

/// A node's own monotonic clock in microseconds since its process started. It means nothing to another node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(u64);

impl MonoTime {
    /// After everything: the deadline of what never ends.
    pub const NEVER: Self = Self(u64::MAX);

    /// This many microseconds after the process started.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the process started.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The time this much later; [`MonoTime::NEVER`] where the span has no end.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0.saturating_mul(1_000)))
    }

    /// How long after `earlier` this is; nothing if it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// What tells a node the time. The seam between the three worlds: the real clock in production, a simulated one in
/// the simulator. Nothing else in the program may ask the machine what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The node's monotonic time: for deadlines and durations.
    fn mono(&self) -> MonoTime;

    /// The node's idea of the time of day: only for stamping log entries and for people to read.
    fn wall(&self) -> LogTime;
}
