//! Watches over the writes to the node's databases from a thread of its own, because whoever waits for a disk can do nothing else: one
//! that takes seconds costs the node the lead, one that takes for ever ends the process (docs/adr/0027-machine-faults.md).

use quorate_consensus::Underway;
use quorate_domain::{Clock, MonoTime};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// A write that takes so long is told of; the node should not lead.
const STALL: Duration = Duration::from_secs(2);
/// After so long the disk is taken to be gone: what a thread waits for in the kernel cannot be given up in any other way.
const GONE: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(250);
/// For the last words. Where they go may be the disk that is gone.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is watched.
pub(crate) struct Watched {
    /// What is written.
    pub(crate) what: &'static str,
    /// Since when.
    pub(crate) underway: Underway,
}

/// The watch. It ends when this is dropped.
pub(crate) struct Watchdog(
    #[expect(dead_code, reason = "the thread ends when it is dropped")] mpsc::Sender<()>,
);

/// What is to be done about a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// It has taken seconds, and nobody was told yet.
    Tell,
    End,
}

/// Looks at one database again and again.
struct Look {
    watched: Watched,
    write: Write,
}

/// The write that was under way at the last look.
#[derive(Default)]
struct Write {
    begun: Option<MonoTime>,
    /// For how long it was watched. A process that is stopped watches nothing, and neither did its disk have a chance.
    taken: Duration,
    is_told: bool,
    looked: MonoTime,
}

impl Watchdog {
    /// Begins to watch. `stalled` is called once for each write that takes too long.
    pub(crate) fn start(
        clock: Arc<dyn Clock>,
        watched: Vec<Watched>,
        stalled: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (owner, owned) = mpsc::channel();
        let mut looks: Vec<_> =
            watched.into_iter().map(|watched| Look { watched, write: Write::default() }).collect();
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while owned.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                looks.iter_mut().for_each(|look| look.at(clock.mono(), &stalled));
            }
        })?;
        Ok(Self(owner))
    }
}

impl Look {
    fn at(&mut self, now: MonoTime, stalled: &impl Fn()) {
        let what = self.watched.what;
        let due = self.write.due(self.watched.underway.begun(), now);
        let seconds = self.write.taken.as_secs_f64();
        match due {
            Due::Nothing => {}
            Due::Tell => {
                stalled();
                aside(move || tracing::warn!(what, seconds, "a write to the disk takes long"));
            }
            Due::End => {
                aside(move || {
                    tracing::error!(what, seconds, "the disk does not answer; the process is ended");
                });
                std::thread::sleep(LAST_WORDS);
                // Not `exit`, which runs what was registered to be run at the end and may wait for the disk, too.
                std::process::abort();
            }
        }
    }
}

impl Write {
    fn due(&mut self, begun: Option<MonoTime>, now: MonoTime) -> Due {
        if begun.is_none() || begun != self.begun {
            *self = Self { begun, looked: now, ..Self::default() };
            return Due::Nothing;
        }
        self.taken += now.since(self.looked).min(EVERY * 2);
        self.looked = now;
        if self.taken >= GONE {
            return Due::End;
        }
        let tells = self.taken >= STALL && !self.is_told;
        self.is_told |= tells;
        if tells { Due::Tell } else { Due::Nothing }
    }
}

/// Where the log goes may be the disk that does not answer: the watch must not wait for it.
fn aside(words: impl FnOnce() + Send + 'static) {
    let spoken = std::thread::Builder::new().name("last words".to_owned()).spawn(words);
    drop(spoken);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * 1_000)
    }

    /// What is due at each look, by when the write began that is under way and when the look is.
    fn dues(looks: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, Due)> {
        let mut write = Write::default();
        let due = looks.into_iter().map(|(begun, now)| (now, write.due(Some(at(begun)), at(now))));
        due.filter(|(_, due)| *due != Due::Nothing).collect()
    }

    #[test]
    fn a_write_that_takes_seconds_is_told_of_once_and_one_that_never_ends_is_the_end() {
        let looks = (1_000..=21_250).step_by(250).map(|now| (1_000, now));
        assert_eq!(dues(looks), [(3_000, Due::Tell), (21_000, Due::End), (21_250, Due::End)]);
    }

    #[test]
    fn writes_that_are_many_and_short_are_not_one_that_is_long() {
        assert_eq!(dues((0..60_000).step_by(250).map(|now| (now, now))), []);
    }

    #[test]
    fn a_process_that_was_stopped_for_a_minute_is_not_ended_when_it_goes_on() {
        assert_eq!(dues([(1_000, 1_000), (1_000, 1_250), (1_000, 61_250), (1_000, 61_500)]), []);
    }
}
