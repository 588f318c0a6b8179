//! `quorate debug bundle`: what somebody needs who looks into a fault from elsewhere, in one file, without secrets.

mod config;

use crate::arguments::Connection;
use crate::client::Client;
use crate::error::CliError;
use crate::output::tell;
use clap::{Args, Subcommand};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every node is asked, and the name of the file with the answer.
const PROBES: &[(&str, &str)] = &[
    ("/livez?verbose", "livez.txt"),
    ("/startupz?verbose", "startupz.txt"),
    ("/readyz?verbose", "readyz.txt"),
    ("/readyz/admin?verbose", "readyz-admin.txt"),
    ("/clusterz?verbose", "clusterz.txt"),
    ("/metrics", "metrics.txt"),
];
/// The same with an admin key. All answer without a leader.
const OBJECTS: &[(&str, &str)] =
    &[("/cluster", "cluster.json"), ("/machines", "machines.json"), ("/log", "log-level.json")];
/// A node that takes longer is told of instead.
const PATIENCE: Duration = Duration::from_secs(5);
/// Texts that begin like this are keys and join tokens.
const SECRETS: [&str; 2] = ["qk_", "qj1."];

/// For whoever looks into a fault.
#[derive(Subcommand)]
pub(crate) enum Debug {
    /// Write what all nodes say of themselves into one file: status, probes, metrics, versions; no secret, no prompt, no budget.
    Bundle(Bundle),
}

/// Asks all nodes at the same time, also without a leader.
#[derive(Args)]
pub(crate) struct Bundle {
    /// The file to write, a gzipped tar.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The configuration file of a node: its tables that hold no secret, and how many objects it has.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// The log of a node: its last lines.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// So many of them.
    #[arg(long, default_value_t = 10_000)]
    log_lines: usize,
}

/// Names of files and what is in them.
type Files = BTreeMap<String, String>;

impl Debug {
    pub(crate) async fn run(self, connection: Connection) -> Result<(), CliError> {
        let Self::Bundle(bundle) = self;
        bundle.write(&Client::new(connection)?).await
    }
}

impl Bundle {
    async fn write(self, client: &Client) -> Result<(), CliError> {
        let nodes = client.everywhere().await;
        tell(&self.contents(&nodes));
        let mut files = Files::new();
        for said in join_all(nodes.iter().map(|server| ask(client, server))).await {
            files.extend(said);
        }
        if let Some(path) = &self.config {
            files.insert("config.toml".to_owned(), config::without_secrets(&read(path)?));
        }
        if let Some(path) = &self.log {
            files.insert("log.jsonl".to_owned(), redact(&last_lines(&read(path)?, self.log_lines)));
        }
        files.insert("versions.txt".to_owned(), format!("quorate {}\n", env!("CARGO_PKG_VERSION")));
        let what = || format!("write {}", self.out.display());
        pack(&self.out, &files).map_err(|cause| CliError::Io { what: what(), cause })?;
        tell(&format!("{} has {} files; look into it before you send it", self.out.display(), files.len()));
        Ok(())
    }

    /// What will be written, before it is.
    fn contents(&self, nodes: &[String]) -> String {
        let asked = PROBES.iter().chain(OBJECTS).map(|(path, _)| path.trim_end_matches("?verbose"));
        let mut lines = vec![format!("{} will have, of {}:", self.out.display(), nodes.join(", "))];
        lines.push(format!("  {}", asked.collect::<Vec<_>>().join(" ")));
        if let Some(path) = &self.config {
            lines.push(format!(
                "  of {}: the tables without secrets, and how many objects there are",
                path.display()
            ));
        }
        if let Some(path) = &self.log {
            lines.push(format!("  of {}: the last {} lines", path.display(), self.log_lines));
        }
        lines.push("no key, credential, token, prompt or answer; names, addresses and what is in the log are not hidden".to_owned());
        lines.join("\n")
    }
}

impl Client {
    /// Every node that is known: those that were named, and those that any of them names.
    async fn everywhere(&self) -> Vec<String> {
        let mut all = self.servers().to_vec();
        let Ok(machines) = self.get("/machines").await else { return all };
        for member in machines["members"].as_array().into_iter().flatten() {
            let is_itself = member["node"] == machines["node"];
            let address = member["admin_address"].as_str().unwrap_or_default();
            let url = format!("http://{address}");
            if !is_itself && !address.is_empty() && !all.contains(&url) {
                all.push(url);
            }
        }
        all
    }
}

/// What one node says of itself. What it does not say is told, too.
async fn ask(client: &Client, server: &str) -> Files {
    let node = client.elsewhere(server);
    let folder: String = server.split("://").last().unwrap_or(server).replace([':', '/', '[', ']'], "-");
    let mut files = Files::new();
    for (path, name) in PROBES {
        let said = node.text(path).await.unwrap_or_else(|error| format!("{error}\n"));
        files.insert(format!("{folder}/{name}"), redact(&said));
    }
    for (path, name) in OBJECTS {
        let said = match tokio::time::timeout(PATIENCE, node.get(path)).await {
            Ok(Ok(answer)) => pretty(&answer),
            Ok(Err(error)) => format!("{error}\n"),
            Err(_) => "no answer\n".to_owned(),
        };
        files.insert(format!("{folder}/{name}"), redact(&said));
    }
    files
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(path);
    let what = || format!("read {}", path.display());
    bytes
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|cause| CliError::Io { what: what(), cause })
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    lines.into_iter().skip(skipped).flat_map(|line| [line, "\n"]).collect()
}

/// Nothing that is written holds a key or a token; this is for what somebody else wrote into a log.
fn redact(text: &str) -> String {
    let mut redacted = text.to_owned();
    for secret in SECRETS {
        let mut parts = redacted.split(secret);
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            kept.push_str(secret);
            kept.push_str("***");
            kept.push_str(part.trim_start_matches(is_of_it));
        }
        redacted = kept;
    }
    redacted
}

fn pack(path: &Path, files: &Files) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, format!("quorate/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_are_hidden_wherever_they_stand() {
        let text = r#"{"m":"key qk_17.AbC-9_x was refused","t":"qj1.9.f0.1.s.10.0.0.1"} qk_"#;
        assert_eq!(redact(text), r#"{"m":"key qk_*** was refused","t":"qj1.***"} qk_***"#);
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a", 2), "a\n");
    }
}
