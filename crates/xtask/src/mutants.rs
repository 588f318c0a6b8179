//! Holds the simulators against what they are for: each wrong version of the program must break a promise.
//!
//! A judge that has never condemned anybody proves nothing by acquitting the program. So the crates that a simulator runs are
//! copied, one mistake at a time is put into the copy, and the simulator runs on it until it complains.

mod catalogue;
mod engine;
mod mutation;
mod options;
mod tree;
mod verdict;

use crate::workspace::Metadata;
use anyhow::{Result, bail, ensure};
use mutation::Mutation;
use options::Options;
use tree::Tree;
use verdict::Verdict;

/// Runs a simulator on the program as it is and on every wrong version of it, and fails unless it acquits the first
/// and condemns all others.
pub(crate) fn check(words: impl Iterator<Item = String>) -> Result<()> {
    let options = Options::parse(words)?;
    let mut mutations = options.engine.mutations();
    mutations.retain(|mutation| options.picks(mutation.name));
    ensure!(!mutations.is_empty(), "no mutation has such a name");
    let tree = Tree::copy(options.engine, &Metadata::load()?.workspace_root)?;
    expect_right_version_to_hold(&tree, &options)?;
    let mut survivors = 0;
    for mutation in &mutations {
        let verdict = judge(&tree, mutation.edits, &options)?;
        let is_caught = mutation.is_caught(&verdict);
        println!("mutants: {}", row(mutation, &verdict, is_caught));
        survivors += usize::from(!is_caught);
    }
    ensure!(survivors == 0, "{survivors} of {} mutations were not caught", mutations.len());
    println!("mutants: all {} mutations are caught", mutations.len());
    Ok(())
}

fn expect_right_version_to_hold(tree: &Tree, options: &Options) -> Result<()> {
    match judge(tree, &[], options)? {
        Verdict::Held => {
            println!("mutants: without a mutation all promises hold over {} seeds", options.seeds);
            Ok(())
        }
        verdict @ (Verdict::Broken { .. } | Verdict::Fell { .. }) => {
            bail!("without any mutation: {verdict}; nothing can be learnt from mutations of that")
        }
    }
}

fn judge(tree: &Tree, edits: &[mutation::Edit], options: &Options) -> Result<Verdict> {
    tree.write(edits)?;
    verdict::of(&tree.build()?, options.seeds)
}

fn row(mutation: &Mutation, verdict: &Verdict, is_caught: bool) -> String {
    let said = if is_caught { "caught" } else { "NOT CAUGHT" };
    let row = format!("{:<28} {said:<11} {verdict}", mutation.name);
    if is_caught { row } else { format!("{row}\n  it is wrong because {}", mutation.why) }
}
