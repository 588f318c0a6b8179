//! What `cargo metadata` says about this workspace, reduced to what the chores ask.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every package cargo resolved, ours and the others'.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// All packages.
    pub(crate) packages: Vec<Package>,
    /// The ids of our own packages.
    pub(crate) workspace_members: Vec<String>,
    /// Where the root manifest is.
    pub(crate) workspace_root: PathBuf,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Cargo's id of the package.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Where its manifest is.
    pub(crate) manifest_path: PathBuf,
    /// What its manifest asks for.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The package asked for.
    pub(crate) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo. Downloads the dependencies if this machine does not have them yet.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1"]).output()?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("cargo metadata printed something unexpected")
    }

    /// The only package of this name.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        self.packages
            .iter()
            .find(|package| package.name == name)
            .with_context(|| format!("no package {name}"))
    }

    /// Our own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

impl Package {
    /// The folder of the manifest.
    pub(crate) fn folder(&self) -> Result<&Path> {
        self.manifest_path.parent().with_context(|| format!("{} has no folder", self.name))
    }
}
