//! What every manifest of ours must say: the workspace's lints, and versions from the workspace.

use crate::workspace::Metadata;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// Everything wrong with our manifests.
pub(super) fn findings(root: &Path, metadata: &Metadata) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for member in metadata.members() {
        let path = &member.manifest_path;
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: Table = text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(path).display().to_string();
        found.extend(findings_of(&table).into_iter().map(|finding| format!("{path}: {finding}")));
    }
    Ok(found)
}

fn findings_of(manifest: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let from_workspace = |value: &Value| value.get("workspace").and_then(Value::as_bool) == Some(true);
    if !manifest.get("lints").is_some_and(from_workspace) {
        found.push("does not take the workspace's lints: add `[lints] workspace = true`".to_owned());
    }
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(Value::Table(dependencies)) = manifest.get(kind) else { continue };
        for (name, _) in dependencies.iter().filter(|(_, value)| !from_workspace(value)) {
            found.push(format!(
                "{name} has a version of its own: versions are in the workspace's manifest alone"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_lints_come_from_the_workspace() {
        let good = "[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";
        let bad = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nbytes = { version = \"1\" }\n";
        assert!(findings_of(&good.parse().expect("a manifest")).is_empty());
        assert_eq!(findings_of(&bad.parse().expect("a manifest")).len(), 3);
    }
}
