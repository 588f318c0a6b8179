//! The command line.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What this process is to do.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) role: Role,
}

/// The parts the program can play.
#[derive(Debug)]
pub(crate) enum Role {
    /// The instant provider.
    Provider,
    /// The bare pass-through.
    Bare {
        /// The provider.
        upstream: SocketAddr,
    },
    /// A node of the cluster whose writes are measured.
    Replica {
        /// Its disk.
        folder: PathBuf,
        /// The leader to join; without it the node leads, and measures.
        leader: Option<String>,
    },
    /// Admissions in this process, and nothing else.
    Admission,
    /// Admissions in this process while the windows of many keys end.
    Edge {
        /// So many keys.
        keys: u64,
        /// On so many nodes.
        nodes: u64,
    },
    /// The one who measures.
    Measure(Plan),
}

/// What is measured, and for how long.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The gateway's binary; without it only the others are measured.
    pub(crate) quorate: Option<PathBuf>,
    /// Where the report goes; without it to the standard output.
    pub(crate) report: Option<PathBuf>,
    /// How often everything is measured.
    pub(crate) rounds: usize,
    /// How long each measurement takes.
    pub(crate) slice: Duration,
    /// Connections of the load.
    pub(crate) connections: usize,
    /// Only bodies whose name begins so are sent.
    pub(crate) body: String,
    /// Only targets whose name contains this are measured.
    pub(crate) only: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            quorate: None,
            report: None,
            rounds: 5,
            slice: Duration::from_secs(2),
            connections: 32,
            body: String::new(),
            only: String::new(),
        }
    }
}

impl Arguments {
    /// Reads the words after the program's name.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan = Plan::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "provider" => return Ok(Self { role: Role::Provider }),
                "admission" => return Ok(Self { role: Role::Admission }),
                _ => {}
            }
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "edge" => {
                    let nodes = words.next().context("edge needs a number of keys and one of nodes")?;
                    return Ok(Self { role: Role::Edge { keys: value.parse()?, nodes: nodes.parse()? } });
                }
                "bare" => return Ok(Self { role: Role::Bare { upstream: value.parse()? } }),
                "replica" => {
                    return Ok(Self { role: Role::Replica { folder: value.into(), leader: words.next() } });
                }
                "--quorate" => plan.quorate = Some(value.into()),
                "--report" => plan.report = Some(value.into()),
                "--rounds" => plan.rounds = value.parse()?,
                "--seconds" => plan.slice = Duration::from_secs_f64(value.parse()?),
                "--connections" => plan.connections = value.parse()?,
                "--body" => plan.body = value,
                "--only" => plan.only = value,
                _ => bail!("unknown option {word}"),
            }
        }
        Ok(Self { role: Role::Measure(plan) })
    }
}
