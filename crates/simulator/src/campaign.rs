//! Many seeds on all cores, and what they have shown together.

use crate::coverage::Coverage;
use crate::oracle::Violation;
use crate::plan::Plan;
use crate::world::run;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One seed in this many is run twice: the same seed must give the same run.
const TWICE_EVERY: u64 = 100;
/// So many violations are kept.
const KEPT: usize = 20;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub start: u64,
    /// How many.
    pub seeds: u64,
    /// On how many threads.
    pub threads: usize,
    /// Whether the first violation ends it.
    pub stops_at_first: bool,
}

/// What many seeds have shown.
#[derive(Debug, Default)]
pub struct Findings {
    /// Seeds that were run.
    pub seeds: u64,
    /// The first violations, by seed.
    pub violations: Vec<(u64, Violation)>,
    /// How many seeds broke a promise.
    pub n_violations: u64,
    /// Seeds that gave another run the second time.
    pub unstable: Vec<u64>,
    /// What was reached.
    pub coverage: Coverage,
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests that were turned away.
    pub denied: u64,
    /// Entries of the log.
    pub entries: u64,
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.violations.extend(other.violations);
        self.violations.sort_by_key(|(seed, _)| *seed);
        self.violations.truncate(KEPT);
        self.n_violations += other.n_violations;
        self.unstable.extend(other.unstable);
        self.coverage.add(&other.coverage);
        self.admitted += other.admitted;
        self.denied += other.denied;
        self.entries += other.entries;
    }
}

impl Campaign {
    /// Runs the seeds. `tells` is called now and then with how many are done.
    #[must_use]
    pub fn run(&self, tells: &(dyn Fn(u64) + Sync)) -> Findings {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut findings = Findings::default();
        std::thread::scope(|scope| {
            let work = || self.work(&next, &stop, tells);
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                findings.add(thread.join().expect("a run that panics is a bug of the simulator"));
            }
        });
        findings
    }

    fn work(&self, next: &AtomicU64, stop: &AtomicBool, tells: &(dyn Fn(u64) + Sync)) -> Findings {
        let mut findings = Findings::default();
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.seeds {
                break;
            }
            tells(number);
            findings.take(self.start + number);
            if self.stops_at_first && findings.n_violations > 0 {
                stop.store(true, Ordering::Relaxed);
            }
        }
        findings
    }
}

impl Findings {
    fn take(&mut self, seed: u64) {
        let plan = Plan::of(seed);
        let report = run(&plan, false);
        if seed.is_multiple_of(TWICE_EVERY) && run(&plan, false).trace != report.trace {
            self.unstable.push(seed);
        }
        self.seeds += 1;
        self.coverage.add(&report.coverage);
        self.admitted += report.admitted;
        self.denied += report.denied;
        self.entries += report.entries;
        if let Some(violation) = report.violation {
            self.n_violations += 1;
            if self.violations.len() < KEPT {
                self.violations.push((seed, violation));
            }
        }
    }
}
