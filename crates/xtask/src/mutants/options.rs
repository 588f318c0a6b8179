//! What can be said to the chore on the command line.

use super::engine::Engine;
use anyhow::{Context, Result, bail};

/// What was said.
#[derive(Debug)]
pub(super) struct Options {
    /// Which simulator has to find them.
    pub(super) engine: Engine,
    /// How many seeds a mutation may survive at most.
    pub(super) seeds: u64,
    /// Parts of the names of the mutations to try; all are tried if there are none.
    only: Vec<String>,
}

impl Options {
    /// Takes in the words after the chore's name.
    pub(super) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { engine: Engine::Protocol, seeds: 0, only: Vec::new() };
        let mut seeds = None;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--cluster" => options.engine = Engine::Cluster,
                "--seeds" => seeds = Some(words.next().context("--seeds needs a number")?.parse()?),
                _ if word.starts_with('-') => {
                    bail!("unknown option {word}; usage: cargo xtask mutants [--cluster] [--seeds N] [NAME…]")
                }
                _ => options.only.push(word),
            }
        }
        options.seeds = seeds.unwrap_or(options.engine.seeds());
        Ok(options)
    }

    /// Whether a mutation of this name is to be tried.
    pub(super) fn picks(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn a_part_of_a_name_picks_mutations_and_no_name_picks_all() -> Result<()> {
        let some = parse(&["--seeds", "7", "barrier"])?;
        assert_eq!((some.seeds, some.picks("no-barrier"), some.picks("no-clamp")), (7, true, false));
        assert!(parse(&[])?.picks("no-clamp"));
        let of_nodes = parse(&["--cluster"])?;
        assert_eq!((of_nodes.engine, of_nodes.seeds), (Engine::Cluster, Engine::Cluster.seeds()));
        Ok(())
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(parse(&["--seed", "7"]).is_err());
        assert!(parse(&["--seeds"]).is_err());
    }
}
