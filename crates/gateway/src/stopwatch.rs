//! The gateway's own time over one request, phase by phase. Pure: it is told what time it is.
//!
//! Phases follow each other without a gap, so that nothing of ours is left out; what others take in between, the
//! provider above all, is skipped.

use crate::metrics::Phase;
use quorate_domain::MonoTime;
use std::time::Duration;

/// How long each phase took so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    since: MonoTime,
    took: [Option<Duration>; Phase::ALL.len()],
}

impl Stopwatch {
    /// The request has come.
    pub(crate) const fn start(now: MonoTime) -> Self {
        Self { since: now, took: [None; Phase::ALL.len()] }
    }

    /// A phase ends. It took what passed since the phase before, and is added to what it took in earlier attempts.
    pub(crate) fn end(&mut self, phase: Phase, now: MonoTime) {
        let took = &mut self.took[phase as usize];
        *took = Some(took.unwrap_or_default() + now.since(self.since));
        self.since = now;
    }

    /// What passed since the last phase was not ours.
    pub(crate) const fn skip(&mut self, now: MonoTime) {
        self.since = now;
    }

    /// The phases that were reached.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (Phase, Duration)> {
        Phase::ALL.into_iter().zip(self.took).filter_map(|(phase, took)| Some((phase, took?)))
    }

    /// All of them together but for the body, which is the client's time.
    pub(crate) fn own(&self) -> Duration {
        self.phases().filter(|(phase, _)| *phase != Phase::ReadBody).map(|(_, took)| took).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> MonoTime {
        MonoTime::from_micros(micros)
    }

    #[test]
    fn phases_are_places_of_their_array() {
        assert!(Phase::ALL.iter().enumerate().all(|(place, phase)| *phase as usize == place));
    }

    #[test]
    fn attempts_add_up_and_the_time_of_others_is_nobody_s() {
        let mut watch = Stopwatch::start(at(100));
        watch.end(Phase::Authenticate, at(101));
        watch.end(Phase::ReadBody, at(901));
        watch.end(Phase::Reserve, at(903));
        watch.skip(at(5_000));
        watch.end(Phase::Reserve, at(5_004));
        let micros = |took: Duration| took.as_micros();
        let phases: Vec<_> = watch.phases().map(|(phase, took)| (phase, micros(took))).collect();
        assert_eq!(phases, [(Phase::Authenticate, 1), (Phase::ReadBody, 800), (Phase::Reserve, 6)]);
        assert_eq!(micros(watch.own()), 7);
    }
}
