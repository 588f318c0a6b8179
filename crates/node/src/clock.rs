//! The real clock. The one file that may ask the machine what time it is.
//!
//! Its monotonic time goes on while the machine sleeps: leases and the ends of grants must not be longer for that.

use quorate_domain::{Clock, LogTime, MonoTime};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Linux has a clock that counts the time asleep; elsewhere the ordinary one must do.
#[cfg(target_os = "linux")]
const MONOTONIC: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const MONOTONIC: ClockId = ClockId::Monotonic;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: since_boot() }
    }
}

fn since_boot() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(MONOTONIC);
    // Neither is ever negative, nor a second or more the latter.
    Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0))
}

impl Clock for SystemClock {
    fn mono(&self) -> MonoTime {
        let since = since_boot().saturating_sub(self.start);
        MonoTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the node's clock")]
    fn wall(&self) -> LogTime {
        // A clock set before 1970 reads as 1970: log time does not go back anyway.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LogTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
