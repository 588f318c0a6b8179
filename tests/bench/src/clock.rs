//! The clocks of the one who measures. The only file here that asks the machine.

use quorate_domain::{Clock, LogTime, MonoTime, Span};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The machine's clock, for what is measured in this process.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
    /// What time of day it was then, if it was not the machine's.
    wall: Option<LogTime>,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub(crate) fn start() -> Self {
        Self { start: now(), wall: None }
    }

    /// One that says that it is this time of day now.
    pub(crate) fn start_at(wall: LogTime) -> Self {
        Self { start: now(), wall: Some(wall) }
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> MonoTime {
        let since = now().duration_since(self.start);
        MonoTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    fn wall(&self) -> LogTime {
        if let Some(wall) = self.wall {
            return wall.plus(Span::of(now().duration_since(self.start)));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LogTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
