//! Many seeds at once, and what they have shown together. Which simulator runs them is the caller's.

use crate::coverage::{Coverage, Reachable};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write};
use std::ops::AddAssign;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One seed in this many is run twice: the same seed must give the same run.
const TWICE_EVERY: u64 = 100;
/// The numbers of so many broken seeds are shown.
const SHOWN: usize = 20;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Its id in docs/INVARIANTS.md, or what it is about.
    pub id: String,
    /// What was found.
    pub what: String,
}

/// What the run of one seed has shown.
#[derive(Clone, Debug)]
pub struct Outcome<S: Ord> {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// The states it reached.
    pub coverage: Coverage<S>,
    /// Identifies the run: the same seed gives the same number.
    pub trace: u64,
    /// What happened, in numbers.
    pub counts: Counts,
}

/// What happened in runs, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were sent to a provider.
    pub admitted: u64,
    /// Requests that were turned away.
    pub denied: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Milliseconds of simulated time.
    pub simulated_ms: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.denied += other.denied;
        self.entries += other.entries;
        self.simulated_ms += other.simulated_ms;
    }
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub start: u64,
    /// How many.
    pub seeds: u64,
    /// How many at once.
    pub workers: usize,
    /// Whether the first violation ends it.
    pub stops_at_first: bool,
}

/// What many seeds have shown.
#[derive(Debug)]
pub struct Findings<S: Ord> {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds that broke a promise, rising.
    pub broken: Vec<(u64, Violation)>,
    /// Seeds that gave another run the second time.
    pub unstable: Vec<u64>,
    /// What was reached.
    pub coverage: Coverage<S>,
    /// What happened.
    pub counts: Counts,
}

impl<S: Ord> Default for Findings<S> {
    fn default() -> Self {
        let (broken, unstable) = (Vec::new(), Vec::new());
        Self { seeds: 0, broken, unstable, coverage: Coverage::default(), counts: Counts::default() }
    }
}

/// What is to be said of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<S> {
    /// All promises held, and every state was reached.
    Held,
    /// A promise was broken, or a seed gave two runs.
    Broken,
    /// States that matter were never reached.
    Unknown(Vec<S>),
}

impl Campaign {
    /// Runs the seeds, each by `run`. `tells` is called with how many are done.
    ///
    /// # Panics
    /// When a run does, which is a bug of the simulator.
    pub fn run<S: Reachable + Send>(
        &self,
        run: &(dyn Fn(u64) -> Outcome<S> + Sync),
        tells: &(dyn Fn(u64) + Sync),
    ) -> Findings<S> {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let findings = Mutex::new(Findings::default());
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.seeds {
                    return;
                }
                let seed = self.start + number;
                let outcome = run(seed);
                let is_stable = !seed.is_multiple_of(TWICE_EVERY) || run(seed).trace == outcome.trace;
                if self.stops_at_first && outcome.violation.is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                let mut findings = findings.lock().expect("nobody panics while it adds");
                findings.add(seed, outcome, is_stable);
                tells(findings.seeds);
            }
        };
        std::thread::scope(|scope| {
            (0..self.workers).for_each(|_| drop(scope.spawn(work)));
        });
        let mut findings = findings.into_inner().expect("a run that panics is a bug of the simulator");
        findings.broken.sort_by_key(|(seed, _)| *seed);
        findings.unstable.sort_unstable();
        findings
    }
}

impl<S: Reachable> Findings<S> {
    fn add(&mut self, seed: u64, outcome: Outcome<S>, is_stable: bool) {
        self.seeds += 1;
        self.coverage.add(&outcome.coverage);
        self.counts += outcome.counts;
        self.broken.extend(outcome.violation.map(|violation| (seed, violation)));
        if !is_stable {
            self.unstable.push(seed);
        }
    }

    /// What is to be said of the program.
    #[must_use]
    pub fn verdict(&self) -> Verdict<S> {
        if !self.broken.is_empty() || !self.unstable.is_empty() {
            return Verdict::Broken;
        }
        match self.coverage.missing() {
            missing if missing.is_empty() => Verdict::Held,
            missing => Verdict::Unknown(missing),
        }
    }

    /// Writes what was found, and says how the program ends by it. The lowest broken seed is for `show`.
    ///
    /// # Errors
    /// Those of `out` and of `show`.
    pub fn conclude<E: From<io::Error>>(
        &self,
        out: &mut impl Write,
        allows_missing: bool,
        show: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        write!(out, "{self}")?;
        match self.verdict() {
            Verdict::Broken => {
                self.broken.first().map_or(Ok(()), |(seed, _)| show(*seed))?;
                Ok(ExitCode::FAILURE)
            }
            Verdict::Unknown(missing) if !allows_missing => {
                writeln!(out, "UNKNOWN: never reached: {missing:?}")?;
                Ok(ExitCode::from(3))
            }
            Verdict::Held | Verdict::Unknown(_) => {
                writeln!(out, "all promises held")?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl<S: Reachable> fmt::Display for Findings<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.coverage)?;
        for seed in &self.unstable {
            writeln!(f, "UNSTABLE: seed {seed} gave another run the second time")?;
        }
        let Counts { admitted, denied, entries, simulated_ms } = self.counts;
        let (seeds, seconds, broken) = (self.seeds, simulated_ms / 1_000, self.broken.len());
        writeln!(
            f,
            "{seeds} seeds, {seconds} s of simulated time: {admitted} admitted, {denied} denied, \
             {entries} entries of the log, {broken} promises broken"
        )?;
        let Some(((first, violation), others)) = self.broken.split_first() else { return Ok(()) };
        writeln!(f, "BROKEN {} by seed {first}: {}", violation.id, violation.what)?;
        if others.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = others.iter().take(SHOWN).map(|(seed, _)| seed.to_string()).collect();
        let rest = if others.len() > SHOWN { ", …" } else { "" };
        writeln!(f, "promises are broken by the seeds {}{rest}, too", numbers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reached::Reached;

    fn outcome(violation: Option<Violation>, trace: u64) -> Outcome<Reached> {
        Outcome { violation, coverage: Coverage::default(), trace, counts: Counts::default() }
    }

    fn odd_seeds_break(seed: u64) -> Outcome<Reached> {
        let violation = || Violation { id: "G1".to_owned(), what: format!("too much by {seed}") };
        outcome((seed % 2 == 1).then(violation), seed)
    }

    fn campaign(start: u64, seeds: u64) -> Campaign {
        Campaign { start, seeds, workers: 3, stops_at_first: false }
    }

    #[test]
    fn the_lowest_broken_seed_is_told_in_full_and_of_the_others_the_numbers() {
        let findings = campaign(4, 5).run(&odd_seeds_break, &|_| ());
        let numbers: Vec<_> = findings.broken.iter().map(|(seed, _)| *seed).collect();
        assert_eq!((findings.seeds, numbers, findings.verdict()), (5, vec![5, 7], Verdict::Broken));
        let said = findings.to_string();
        let end = "2 promises broken\nBROKEN G1 by seed 5: too much by 5\npromises are broken by the seeds 7, too\n";
        assert!(said.ends_with(end), "{said}");
    }

    #[test]
    fn it_may_end_with_the_first() {
        let one = Campaign { workers: 1, stops_at_first: true, ..campaign(0, 9) };
        let findings = one.run(&odd_seeds_break, &|_| ());
        assert_eq!((findings.seeds, findings.broken.len()), (2, 1));
    }

    #[test]
    fn a_seed_that_gives_two_runs_is_found() {
        let runs = AtomicU64::new(0);
        let another = |_| outcome(None, runs.fetch_add(1, Ordering::Relaxed));
        let findings = campaign(100, 1).run(&another, &|_| ());
        assert_eq!((findings.unstable.clone(), findings.verdict()), (vec![100], Verdict::Broken));
    }

    #[test]
    fn what_missed_a_state_is_unknown() {
        let findings = campaign(0, 1).run(&odd_seeds_break, &|_| ());
        assert_eq!(findings.verdict(), Verdict::Unknown(Reached::ALL.to_vec()));
    }
}
