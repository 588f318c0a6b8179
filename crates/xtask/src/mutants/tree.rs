//! A copy of the crates that a simulator runs, in a workspace of their own: a change in it costs seconds to build,
//! and no source of the program ever holds a mutation.

use super::engine::Engine;
use super::mutation::Edit;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

/// The copy.
#[derive(Debug)]
pub(super) struct Tree {
    engine: Engine,
    folder: PathBuf,
    target: PathBuf,
    /// The files of the right version, by their paths from the root.
    right: BTreeMap<PathBuf, String>,
}

impl Tree {
    /// Takes in the crates as they are.
    pub(super) fn copy(engine: Engine, root: &Path) -> Result<Self> {
        let (folder, target) = engine.folders(root);
        let tree = Self { engine, folder, target, right: read_crates(engine, root)? };
        let manifest = manifest(engine, &read(&root.join("Cargo.toml"))?)?;
        write_if_changed(&tree.folder.join("Cargo.toml"), &manifest)?;
        // The versions are those of the program; cargo drops from the copy what is not needed.
        fs::copy(root.join("Cargo.lock"), tree.folder.join("Cargo.lock"))
            .context("cannot copy Cargo.lock")?;
        tree.drop_strangers()?;
        Ok(tree)
    }

    /// Writes the version that these edits make of the right one. A file that would not change is left alone, so that
    /// cargo builds no crate without need.
    pub(super) fn write(&self, edits: &[Edit]) -> Result<()> {
        let mut version = self.right.clone();
        for edit in edits {
            let text =
                version.get_mut(Path::new(edit.file)).with_context(|| format!("no file {}", edit.file))?;
            *text = edit.apply(text)?;
        }
        version.iter().try_for_each(|(path, text)| write_if_changed(&self.folder.join(path), text))
    }

    /// Builds the simulator of the version that was written last.
    pub(super) fn build(&self) -> Result<PathBuf> {
        let (program, profile) = (self.engine.program(), self.engine.profile());
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", profile, "--package", program, "--target-dir"])
            .arg(&self.target)
            .env("RUSTFLAGS", self.engine.flags())
            .env("CARGO_INCREMENTAL", "1")
            .current_dir(&self.folder)
            .output()
            .context("cannot run cargo")?;
        ensure!(
            output.status.success(),
            "the version is no Rust:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(self.target.join(profile).join(program))
    }

    /// Removes files of an earlier copy that the program has no more.
    fn drop_strangers(&self) -> Result<()> {
        let mut present = Vec::new();
        let crates = self.folder.join("crates");
        if crates.exists() {
            collect(&crates, &mut present)?;
        }
        for path in present {
            if !self.right.contains_key(path.strip_prefix(&self.folder)?) {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn read_crates(engine: Engine, root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut paths = Vec::new();
    for name in engine.crates() {
        let folder = root.join("crates").join(name);
        paths.push(folder.join("Cargo.toml"));
        collect(&folder.join("src"), &mut paths)?;
    }
    paths.iter().map(|path| Ok((path.strip_prefix(root)?.to_owned(), read(path)?))).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let folder = path.parent().context("every file of the copy is in its folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The manifest of the copy: what the crates take from the one of the program, and a profile of its own.
fn manifest(engine: Engine, root: &str) -> Result<String> {
    let mut root: Table = root.parse().context("the manifest of the workspace is no TOML")?;
    let workspace = root.get_mut("workspace").and_then(Value::as_table_mut).context("it has no workspace")?;
    let members = engine.crates().iter().map(|name| Value::from(format!("crates/{name}")));
    workspace.insert("members".to_owned(), Value::Array(members.collect()));
    let dependencies =
        workspace.get_mut("dependencies").and_then(Value::as_table_mut).context("it has no dependencies")?;
    dependencies.retain(|_, dependency| is_at_hand(engine, dependency));
    if let Some(profiles) = engine.own_profiles() {
        root.insert("profile".to_owned(), Value::Table(profiles.parse()?));
    }
    Ok(root.to_string())
}

/// Whether a dependency comes from a registry or is in the copy.
fn is_at_hand(engine: Engine, dependency: &Value) -> bool {
    let path = dependency.get("path").and_then(Value::as_str);
    path.is_none_or(|path| engine.crates().iter().any(|name| path == format!("crates/{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_keeps_what_the_crates_take_from_it_and_knows_no_other_crate() -> Result<()> {
        let root = r#"
            [workspace]
            members = ["crates/*"]
            [workspace.dependencies]
            quorate-ledger = { path = "crates/ledger" }
            quorate-node = { path = "crates/node" }
            serde = "1"
            [profile.release]
            lto = "thin"
        "#;
        let made: Table = manifest(Engine::Protocol, root)?.parse()?;
        let members = made["workspace"]["members"].as_array().map(Vec::len);
        assert_eq!(members, Some(Engine::Protocol.crates().len()));
        let dependencies = made["workspace"]["dependencies"].as_table().context("a table")?;
        assert_eq!(dependencies.keys().collect::<Vec<_>>(), ["quorate-ledger", "serde"]);
        assert_eq!(made["profile"]["release"]["lto"].as_bool(), Some(false));
        Ok(())
    }
}
