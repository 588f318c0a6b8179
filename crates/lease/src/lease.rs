//! The lease itself: one number that every request looks at.

use quorate_domain::MonoTime;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Until when, on its own clock, a node may admit requests by what it knows of keys. It only ever gets longer.
#[derive(Debug, Default)]
pub struct Lease(AtomicU64);

/// A lease as it was when somebody took hold of it. A later renewal does not lengthen it: what was read under it may be
/// older than what the renewal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held(MonoTime);

impl Held {
    /// Whether it has lasted until now, so that what was read since was fresh.
    #[must_use]
    pub fn lasts(self, now: MonoTime) -> bool {
        now < self.0
    }
}

impl Lease {
    /// A lease that never ends, for a world in which nobody else can revoke anything.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(AtomicU64::new(MonoTime::NEVER.micros()))
    }

    /// Takes hold of it as it is now, to see later whether it has lasted all the while. One load.
    #[must_use]
    pub fn hold(&self) -> Held {
        Held(self.end())
    }

    /// Whether it lasts. One load.
    #[must_use]
    pub fn is_fresh(&self, now: MonoTime) -> bool {
        self.hold().lasts(now)
    }

    /// How much of it is left; nothing once it has ended.
    #[must_use]
    pub fn left(&self, now: MonoTime) -> Duration {
        self.end().since(now)
    }

    /// When it ends, as things are.
    #[must_use]
    pub fn end(&self) -> MonoTime {
        MonoTime::from_micros(self.0.load(Ordering::Acquire))
    }

    /// Lets it last until then, unless it lasts longer anyway: answers may come in any order.
    pub(crate) fn extend(&self, end: MonoTime) {
        self.0.fetch_max(end.micros(), Ordering::AcqRel);
    }
}
