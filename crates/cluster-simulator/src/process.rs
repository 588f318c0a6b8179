//! Each run in a process of its own: what threads have drawn and counted is not reset between runs, and a run that hangs or dies
//! takes nobody with it.

use crate::plan::Plan;
use crate::reached::Reached;
use crate::run::Report;
use quorate_simulator::{Counts, Coverage, Outcome, Violation};
use std::process::{Command, Stdio};

/// Runs this program for one seed.
#[must_use]
pub fn outcome_of(seed: u64) -> Outcome<Reached> {
    let report = ask(&["--report", "--seed", &seed.to_string()]).unwrap_or_else(|what| fallen(seed, what));
    let Report { violation, coverage, digest, admitted, denied, entries, simulated_ms, .. } = report;
    Outcome { violation, coverage, trace: digest, counts: Counts { admitted, denied, entries, simulated_ms } }
}

/// The same for a plan, with its story.
#[must_use]
pub fn report_of(plan: &Plan) -> Report {
    let file = std::env::temp_dir().join(format!("quorate-plan-{}.json", std::process::id()));
    let written = serde_json::to_vec(plan).map(|bytes| std::fs::write(&file, bytes));
    let report = match written {
        Ok(Ok(())) => ask(&["--report", "--story", "--plan", &file.display().to_string()]),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let _ = std::fs::remove_file(file);
    report.unwrap_or_else(|what| fallen(plan.seed, what))
}

/// A process that dies is a broken promise.
fn fallen(seed: u64, what: String) -> Report {
    let violation = Some(Violation { id: "process".to_owned(), what });
    let (coverage, story) = (Coverage::default(), Vec::new());
    Report {
        seed,
        violation,
        coverage,
        digest: 0,
        admitted: 0,
        denied: 0,
        entries: 0,
        simulated_ms: 0,
        story,
    }
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
