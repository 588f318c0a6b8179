//! Holds the sources against what `docs/STYLE.md` promises and a compiler cannot see.
//!
//! Each rule is a function from what was read to findings; reading is here, rules are in the files beside.

mod errors;
mod invariants;
mod manifest;
mod numbers;
mod rules;
mod source;

use crate::workspace::Metadata;
use anyhow::{Context, Result, bail};
use source::Source;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the clone, prints the numbers and every finding, and fails if there is a finding.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::load()?;
    let root = &metadata.workspace_root;
    let sources = read_sources(root)?;
    print!("{}", numbers::report(&sources));

    let mut findings: Vec<String> = sources.iter().flat_map(rules::findings).collect();
    findings.extend(manifest::findings(root, &metadata)?);
    findings.extend(invariants::findings(&read_or_empty(&root.join("docs/INVARIANTS.md")), &sources));
    findings.extend(errors::findings(&sources, &pages(&root.join("docs/errors"))?));
    if findings.is_empty() {
        println!("tidy: {} files keep to docs/STYLE.md", sources.len());
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("{} findings; docs/STYLE.md says why each rule is there", findings.len())
}

/// Every Rust and Python file of ours.
fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    for folder in ["crates", "tests", "cluster"] {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Source::new(path.strip_prefix(root)?.to_string_lossy().as_ref(), text))
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "py") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_or_empty(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The pages of a folder without its table of contents.
fn pages(folder: &Path) -> Result<errors::Pages> {
    let mut pages = errors::Pages::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(pages) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|ending| ending == "md") && name != "README" {
            pages.insert(name, read_or_empty(&path));
        }
    }
    Ok(pages)
}
