//! Which of the two simulators is held against mutations, and what of the program it needs.

use super::catalogue;
use super::mutation::Mutation;
use std::path::{Path, PathBuf};

/// A simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// Ledger and wallets over an ideal log.
    Protocol,
    /// Whole nodes on simulated machines (docs/adr/0020-cluster-simulation.md).
    Cluster,
}

impl Engine {
    /// Every mutation that it must find.
    pub(super) fn mutations(self) -> Vec<&'static Mutation> {
        match self {
            Self::Protocol => catalogue::of_the_protocol().collect(),
            Self::Cluster => catalogue::of_the_cluster().collect(),
        }
    }

    /// The crates that it runs, and itself.
    pub(super) const fn crates(self) -> &'static [&'static str] {
        match self {
            Self::Protocol => &["domain", "ledger", "wallet", "simulator"],
            Self::Cluster => &[
                "domain",
                "ledger",
                "wallet",
                "lease",
                "catalog",
                "idempotency",
                "routing",
                "tokenizer",
                "dialect",
                "consensus",
                "upstream",
                "gateway",
                "node",
                "simulator",
                "cluster-simulator",
            ],
        }
    }

    /// What is built and run.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Protocol => "quorate-simulator",
            Self::Cluster => "quorate-cluster-simulator",
        }
    }

    /// How it is built.
    pub(super) const fn profile(self) -> &'static str {
        match self {
            Self::Protocol => "release",
            Self::Cluster => "simulation",
        }
    }

    /// The profile in place of the program's: quick to build and quick enough to run.
    pub(super) const fn own_profiles(self) -> Option<&'static str> {
        match self {
            Self::Protocol => Some(
                "[release]\nopt-level = 2\nlto = false\ncodegen-units = 16\nincremental = true\npanic = \"abort\"",
            ),
            Self::Cluster => None,
        }
    }

    /// What the compiler is told beside: tokio's lots can be seeded only so.
    pub(super) const fn flags(self) -> &'static str {
        match self {
            Self::Protocol => "",
            Self::Cluster => "--cfg tokio_unstable",
        }
    }

    /// Where the copy is, and where it is built: never where the program is, of which cargo takes the copy's crates for its own.
    pub(super) fn folders(self, root: &Path) -> (PathBuf, PathBuf) {
        let home = root.join("target/mutants");
        match self {
            Self::Protocol => (home.join("tree"), home.join("target")),
            Self::Cluster => (home.join("cluster"), home.join("cluster-target")),
        }
    }

    /// So many seeds a mutation has to be caught within.
    pub(super) const fn seeds(self) -> u64 {
        match self {
            Self::Protocol => 4_000,
            Self::Cluster => 600,
        }
    }
}
