//! `quorate recover`: how a cluster goes on that has lost its quorum for good. Works on the directories of stopped nodes.

use crate::error::CliError;
use crate::output::{Output, tell};
use clap::Subcommand;
use quorate_node::{Applied, Plan, Recovery, Verified};
use serde_json::json;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

/// What can be done without a quorum.
#[derive(Subcommand)]
pub(crate) enum RecoverVerb {
    /// Say what the cluster would go on with, what it would keep and what it would lose. Changes nothing.
    Plan {
        /// The data directory of a stopped node of the cluster. Can be repeated: give all that can be read.
        #[arg(long, required = true, value_name = "DIR")]
        data_dir: Vec<PathBuf>,
        /// The file to write the plan to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Do not ask whether the losses are understood.
        #[arg(long)]
        yes: bool,
    },
    /// Do what a plan says, on the copy that it chose.
    Apply {
        /// The plan.
        plan: PathBuf,
        /// The data directory that the plan names.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
    /// Check a directory that was recovered or restored, and say what comes next. Changes nothing.
    Verify {
        /// The data directory.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
}

impl RecoverVerb {
    pub(crate) fn run(self, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Plan { data_dir, out, yes } => {
                let plan = Recovery::plan(&data_dir)?;
                output.sentence(plan.told().trim_end(), &json!(plan));
                if !yes {
                    ask(&plan)?;
                }
                Recovery::keep(&plan, &out)?;
                tell(&format!(
                    "next: quorate recover apply {} --data-dir {}",
                    out.display(),
                    plan.keeper.directory
                ));
                Ok(())
            }
            Self::Apply { plan, data_dir } => apply(&Recovery::read(&plan)?, &data_dir, output),
            Self::Verify { data_dir } => {
                verified(&Recovery::verify(&data_dir)?, &data_dir, output);
                Ok(())
            }
        }
    }
}

/// Whoever agrees has seen what is lost.
fn ask(plan: &Plan) -> Result<(), CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage("nobody can be asked here: read the plan, then say --yes".to_owned()));
    }
    tell(&format!("Type the cluster's id to write the plan: {}", plan.cluster));
    let mut typed = String::new();
    let read = io::stdin().lock().read_line(&mut typed);
    read.map_err(|cause| CliError::Io { what: "read the answer".to_owned(), cause })?;
    if typed.trim() == plan.cluster {
        return Ok(());
    }
    Err(CliError::Usage(format!("{:?} is not the cluster's id: no plan was written", typed.trim())))
}

fn apply(plan: &Plan, data_dir: &Path, output: &Output) -> Result<(), CliError> {
    let applied = Recovery::apply(plan, data_dir)?;
    let (was, is_new) = match applied {
        Applied::Now => ("is recovered", true),
        Applied::Before => ("was recovered by this plan before; nothing was changed", false),
    };
    let answer =
        json!({ "plan": plan.plan, "data_dir": data_dir, "applied": is_new, "lineage": plan.next_lineage() });
    output.sentence(
        &format!("{} {was}: cluster {}, lineage {}", data_dir.display(), plan.cluster, plan.next_lineage()),
        &answer,
    );
    tell(&format!("next: quorate recover verify --data-dir {}", data_dir.display()));
    Ok(())
}

fn verified(verified: &Verified, data_dir: &Path, output: &Output) {
    let list =
        |ids: &[quorate_domain::NodeId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!(
        "{} can be started: node {} of cluster {}, lineage {}, last entry {}",
        data_dir.display(),
        verified.node,
        verified.cluster,
        verified.lineage,
        verified.last
    )];
    lines.push(format!("  members: {}", list(&verified.members)));
    if !verified.fenced.is_empty() {
        lines.push(format!("  fenced, never to come back: {}", list(&verified.fenced)));
    }
    output.sentence(&lines.join("\n"), &json!(verified));
    tell(&format!(
        "next: quorate serve with node.data_dir = {:?} and the address {}",
        data_dir.display().to_string(),
        verified.address
    ));
    tell("  then quorate token create, and start the other nodes with empty data directories and that token");
    for budget in &verified.in_doubt {
        tell(&format!(
            "  something of budget {budget} is in doubt: quorate budget explain {budget}, then resolve"
        ));
    }
}
