//! Time in a run: the runtime's paused clock, and what each node's clocks make of it.

use parking_lot::Mutex;
use quorate_domain::{Clock, LogTime, MonoTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Some full minute of some day. A run begins a little before, so that a window ends while requests come.
const MINUTE_MS: u64 = 1_700_000_100_000;

/// The runtime's time.
#[expect(clippy::disallowed_methods, reason = "the clock of a paused runtime is the simulation's own")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A machine's clock: its time of day is wrong by some time that jumps, and both run a little fast or slow.
#[derive(Debug)]
pub(crate) struct MachineClock {
    start: Instant,
    /// What the time of day is then.
    day_ms: u64,
    /// Parts in a million by which it runs fast.
    ppm: i64,
    ahead_ms: Mutex<i64>,
}

/// The clock as a process of the machine sees it.
#[derive(Debug)]
pub(crate) struct NodeClock {
    machine: Arc<MachineClock>,
    booted: Instant,
}

impl MachineClock {
    pub(crate) fn new(start: Instant, ppm: i64, before_minute_ms: u64) -> Self {
        Self { start, day_ms: MINUTE_MS - before_minute_ms, ppm, ahead_ms: Mutex::new(0) }
    }

    /// The time of day jumps.
    pub(crate) fn jump(&self, by_ms: i64) {
        *self.ahead_ms.lock() += by_ms;
    }

    fn micros(&self, since: Instant) -> u64 {
        let true_micros = i128::try_from((now() - since).as_micros()).unwrap_or(i128::MAX);
        let shown = true_micros + true_micros * i128::from(self.ppm) / 1_000_000;
        u64::try_from(shown).unwrap_or(0)
    }
}

impl NodeClock {
    pub(crate) fn boot(machine: Arc<MachineClock>) -> Self {
        Self { machine, booted: now() }
    }
}

impl Clock for NodeClock {
    fn mono(&self) -> MonoTime {
        MonoTime::from_micros(self.machine.micros(self.booted) + 1)
    }

    fn wall(&self) -> LogTime {
        let shown = self.machine.day_ms + self.machine.micros(self.machine.start) / 1_000;
        LogTime::from_millis(shown.saturating_add_signed(*self.machine.ahead_ms.lock()))
    }
}

/// Milliseconds, for people.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
