//! What a node remembers of its providers' failures: only to prefer others for a while, never to refuse a request.

use crate::AttemptFailure;
use quorate_domain::{MonoTime, Name, Span};
use std::collections::BTreeMap;
use std::time::Duration;

/// One failure is an accident; this many in a row are a state.
const FAILURES_UNTIL_COOLING: u32 = 3;
const COOL_DOWN_MS_MIN: u64 = 1_000;
const COOL_DOWN_MS_MAX: u64 = 60_000;

/// How a provider stands. The healthy come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing speaks against it.
    Healthy,
    /// It failed lately: others are tried before it.
    CoolingDown,
}

/// The failures of all providers as one node sees them. Grows only with the providers that failed.
#[derive(Clone, Debug, Default)]
pub struct Health {
    failing: BTreeMap<Name, Failing>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failing {
    n_in_a_row: u32,
    cool_until: MonoTime,
}

impl Health {
    /// How the provider stands at `now`.
    #[must_use]
    pub fn standing(&self, provider: &str, now: MonoTime) -> Standing {
        match self.failing.get(provider) {
            Some(failing) if now < failing.cool_until => Standing::CoolingDown,
            Some(_) | None => Standing::Healthy,
        }
    }

    /// Whether nothing is remembered, so that asking and telling of success can be spared.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failing.is_empty()
    }

    /// Remembers a failure, if it is the provider's. The end of a cool-down only ever moves later.
    pub fn failed(&mut self, provider: &Name, failure: AttemptFailure, now: MonoTime) {
        if !failure.blames_target() {
            return;
        }
        let failing = self.failing.entry(provider.clone()).or_default();
        failing.n_in_a_row = failing.n_in_a_row.saturating_add(1);
        let asked = failure.retry_after.map_or(0, millis).min(COOL_DOWN_MS_MAX);
        let cool_down = asked.max(cool_down_ms(failing.n_in_a_row));
        failing.cool_until = failing.cool_until.max(now.plus(Span::from_millis(cool_down)));
    }

    /// Forgets the failures of a provider that answered.
    pub fn succeeded(&mut self, provider: &str) {
        self.failing.remove(provider);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Doubles with each failure past the first few.
fn cool_down_ms(n_in_a_row: u32) -> u64 {
    match n_in_a_row.checked_sub(FAILURES_UNTIL_COOLING) {
        None => 0,
        Some(past) => COOL_DOWN_MS_MIN.checked_shl(past.min(16)).unwrap_or(u64::MAX).min(COOL_DOWN_MS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cause;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * 1_000)
    }

    fn failed(times: u32, failure: AttemptFailure) -> Health {
        let mut health = Health::default();
        let provider = Name::parse("p").unwrap();
        (0..times).for_each(|_| health.failed(&provider, failure, at(0)));
        health
    }

    #[test]
    fn a_provider_cools_down_after_failures_in_a_row() {
        let timeout = Cause::Timeout.into();
        assert_eq!(failed(2, timeout).standing("p", at(0)), Standing::Healthy);
        let health = failed(3, timeout);
        assert_eq!(health.standing("p", at(999)), Standing::CoolingDown);
        assert_eq!(health.standing("p", at(1_000)), Standing::Healthy);
        assert_eq!(failed(100, timeout).standing("p", at(60_000)), Standing::Healthy);
        assert_eq!(health.standing("q", at(0)), Standing::Healthy);
    }

    #[test]
    fn a_provider_that_asks_for_a_pause_gets_it_at_once() {
        let busy = AttemptFailure { cause: Cause::Status(429), retry_after: Some(Duration::from_secs(5)) };
        assert_eq!(failed(1, busy).standing("p", at(4_999)), Standing::CoolingDown);
    }

    #[test]
    fn a_later_failure_never_ends_a_cool_down_sooner() {
        let busy =
            |secs| AttemptFailure { cause: Cause::Status(429), retry_after: Some(Duration::from_secs(secs)) };
        let mut health = failed(1, busy(30));
        health.failed(&Name::parse("p").unwrap(), busy(1), at(10));
        assert_eq!(health.standing("p", at(29_999)), Standing::CoolingDown);
    }

    #[test]
    fn an_answer_clears_the_record_and_a_bad_request_does_not_touch_it() {
        let mut health = failed(9, Cause::Status(400).into());
        assert!(health.is_clean());
        health = failed(9, Cause::Status(500).into());
        health.succeeded("p");
        assert!(health.is_clean());
    }
}
