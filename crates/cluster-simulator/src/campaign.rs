//! Many seeds, each in a process of its own: what threads have drawn and counted is not reset between runs, and a run that hangs or
//! dies takes nobody with it.

use crate::coverage::Coverage;
use crate::judge::Violation;
use crate::plan::Plan;
use crate::run::Report;
use parking_lot::Mutex;
use std::process::{Command, Stdio};
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
    /// In how many processes at once.
    pub workers: usize,
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
    /// Requests that were sent to a provider.
    pub admitted: u64,
    /// Requests that were turned away.
    pub denied: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Milliseconds of simulated time.
    pub simulated_ms: u64,
}

impl Findings {
    fn add(&mut self, seed: u64, report: Result<Report, String>) {
        self.seeds += 1;
        let violation = match report {
            Ok(report) => {
                self.coverage.add(&report.coverage);
                self.admitted += report.admitted;
                self.denied += report.denied;
                self.entries += report.entries;
                self.simulated_ms += report.simulated_ms;
                report.violation
            }
            Err(what) => Some(Violation { id: "process".to_owned(), what }),
        };
        let Some(violation) = violation else { return };
        self.n_violations += 1;
        self.violations.push((seed, violation));
        self.violations.sort_by_key(|(seed, _)| *seed);
        self.violations.truncate(KEPT);
    }
}

impl Campaign {
    /// Runs the seeds. `tells` is called with how many are done.
    #[must_use]
    pub fn run(&self, tells: &(dyn Fn(u64) + Sync)) -> Findings {
        let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let findings = Mutex::new(Findings::default());
        std::thread::scope(|scope| {
            for _ in 0..self.workers {
                scope.spawn(|| self.work((&next, &stop), &findings, tells));
            }
        });
        findings.into_inner()
    }

    fn work(
        &self,
        (next, stop): (&AtomicU64, &AtomicBool),
        findings: &Mutex<Findings>,
        tells: &(dyn Fn(u64) + Sync),
    ) {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.seeds {
                return;
            }
            let seed = self.start + number;
            let report = in_a_process(seed);
            let is_unstable = seed.is_multiple_of(TWICE_EVERY) && {
                let digest = |report: &Result<Report, String>| report.as_ref().ok().map(|it| it.digest);
                digest(&in_a_process(seed)) != digest(&report)
            };
            let mut findings = findings.lock();
            findings.add(seed, report);
            if is_unstable {
                findings.unstable.push(seed);
            }
            if self.stops_at_first && findings.n_violations > 0 {
                stop.store(true, Ordering::Relaxed);
            }
            tells(findings.seeds);
        }
    }
}

/// Runs this program for one seed.
fn in_a_process(seed: u64) -> Result<Report, String> {
    ask(&["--report", "--seed", &seed.to_string()])
}

/// The same for a plan.
pub(crate) fn report_of(plan: &Plan) -> Result<Report, String> {
    let file = std::env::temp_dir().join(format!("quorate-plan-{}.json", std::process::id()));
    let written = serde_json::to_vec(plan).map(|bytes| std::fs::write(&file, bytes));
    written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let report = ask(&["--report", "--plan", &file.display().to_string()]);
    let _ = std::fs::remove_file(file);
    report
}

fn ask(words: &[&str]) -> Result<Report, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output =
        Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().filter(|line| !line.is_empty()).take(4).collect::<Vec<_>>().join(" | ");
        format!("the run ended by {}: {last}", output.status)
    })
}
