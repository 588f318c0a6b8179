//! What the simulator says about one version of the protocol.

use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// What the simulator says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All promises hold, as far as the seeds go.
    Held,
    /// One is broken.
    Broken {
        /// Which (docs/INVARIANTS.md).
        id: String,
        /// By the run of this seed, and of none before it that was run.
        seed: u64,
    },
    /// The simulator itself did not come to an end: it says nothing about promises.
    Fell {
        /// What it left behind.
        last_words: String,
    },
}

/// Runs the simulator over the first seeds.
pub(super) fn of(simulator: &Path, seeds: u64) -> Result<Verdict> {
    let output = Command::new(simulator)
        .args(["--seeds", &seeds.to_string(), "--start", "0", "--stop-at-first", "--any-coverage", "--brief"])
        .output()
        .with_context(|| format!("cannot run {}", simulator.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(match output.status.code() {
        Some(0) => Verdict::Held,
        Some(1) => first_broken(&said).unwrap_or_else(|| Verdict::Fell { last_words: last_line(&said) }),
        Some(_) | None => Verdict::Fell { last_words: last_line(&String::from_utf8_lossy(&output.stderr)) },
    })
}

/// Reads the first line of the kind `BROKEN G2 by seed 7: …`.
fn first_broken(said: &str) -> Option<Verdict> {
    let line = said.lines().find_map(|line| line.strip_prefix("BROKEN "))?;
    let (id, rest) = line.split_once(" by seed ")?;
    let seed = rest.split(':').next()?.parse().ok()?;
    Some(Verdict::Broken { id: id.to_owned(), seed })
}

fn last_line(said: &str) -> String {
    said.lines().last().unwrap_or("without a word").to_owned()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => write!(f, "all promises held"),
            Self::Broken { id, seed } => write!(f, "{id} is broken by seed {seed}"),
            Self::Fell { last_words } => write!(f, "the simulator fell: {last_words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_broken_promise_is_read() {
        let said = "18 seeds, 3 s of simulated time\nBROKEN G2 by seed 17: request 3 needs 5\npromises are broken by the seeds 18, too\n";
        assert_eq!(first_broken(said), Some(Verdict::Broken { id: "G2".to_owned(), seed: 17 }));
        assert_eq!(first_broken("UNSTABLE: seed 3 gave another run the second time\n"), None);
    }
}
