//! `quorate snapshot`: all of the state in one file, what is in such a file, and a new cluster from one.

use crate::arguments::Connection;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{Output, tell};
use clap::{Args, Subcommand};
use quorate_domain::Name;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// So many bytes pass between two words about how far it is.
const WORD_EVERY: u64 = 64 << 20;

/// What can be done with snapshot files.
#[derive(Subcommand)]
pub(crate) enum SnapshotVerb {
    /// Write all of the state to a file. The file is a secret: it opens the cluster to whoever reads it.
    Save {
        /// The file.
        file: PathBuf,
        /// Take what the node has, also without a leader; the latest changes may be missing.
        #[arg(long)]
        stale: bool,
    },
    /// Check a file, and say what is in it. Needs no node.
    Inspect {
        /// The file.
        file: PathBuf,
    },
    /// Make the data directory of a new cluster of one node from a file. Needs no node.
    Restore(Restore),
}

#[derive(Args)]
pub(crate) struct Restore {
    /// The file.
    file: PathBuf,
    /// The data directory; it must not be there yet, or be empty.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The name of the node.
    #[arg(long)]
    name: Name,
    /// Where other nodes will reach it.
    #[arg(long, value_name = "HOST:PORT")]
    peer_address: String,
}

impl SnapshotVerb {
    pub(crate) async fn run(self, connection: Connection, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Save { file, stale } => save(&file, stale, &Client::new(connection)?, output).await,
            Self::Inspect { file } => {
                output.show(&contents(&file)?);
                Ok(())
            }
            Self::Restore(restore) => restore.run(output),
        }
    }
}

/// Writes beside, checks, and renames: a file of that name is always whole.
async fn save(file: &Path, stale: bool, client: &Client, output: &Output) -> Result<(), CliError> {
    let draft = draft_of(file);
    let io = |cause| CliError::Io { what: format!("write {}", draft.display()), cause };
    let mut open = std::fs::OpenOptions::new();
    let opened = open.write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(io)?;
    let saved = fill(opened, stale, client, &draft).await;
    let saved = saved.and_then(|()| contents(&draft));
    let contents = match saved {
        Ok(contents) => contents,
        Err(error) => {
            // It is of no use, and full of secrets.
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
    };
    std::fs::rename(&draft, file).and_then(|()| sync_dir_of(file)).map_err(io)?;
    let sentence = format!(
        "{} holds cluster {} up to entry {}/{}, {}",
        file.display(),
        contents["cluster"].as_str().unwrap_or_default(),
        contents["term"],
        contents["index"],
        contents["log_time"].as_str().unwrap_or_default()
    );
    output.sentence(&sentence, &contents);
    tell("the file is a secret: it holds credentials of providers and what keys are checked with");
    Ok(())
}

async fn fill(mut opened: File, stale: bool, client: &Client, draft: &Path) -> Result<(), CliError> {
    let path = if stale { "/snapshot?consistency=local" } else { "/snapshot" };
    let mut answer = client.download(path).await?;
    let (mut written, mut told) = (0, 0);
    let io = |cause| CliError::Io { what: format!("write {}", draft.display()), cause };
    while let Some(piece) = answer.piece().await? {
        opened.write_all(&piece).map_err(io)?;
        written += piece.len() as u64;
        if written - told >= WORD_EVERY {
            told = written;
            tell(&format!("{} of {} MiB", written >> 20, answer.size() >> 20));
        }
    }
    opened.sync_all().map_err(io)
}

fn draft_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn sync_dir_of(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn contents(file: &Path) -> Result<Value, CliError> {
    Ok(json!(quorate_node::inspect_snapshot(file)?))
}

impl Restore {
    fn run(self, output: &Output) -> Result<(), CliError> {
        let of_node = (self.name, self.peer_address.clone());
        let restored = quorate_node::restore_snapshot(&self.file, &self.data_dir, of_node)?;
        let answer = json!({
            "data_dir": self.data_dir,
            "cluster": restored.cluster,
            "node": restored.node,
            "from_cluster": restored.from_cluster,
            "log_time": restored.log_time,
            "sessions_in_doubt": restored.sessions,
        });
        let sentence = format!(
            "{} is node {} of a new cluster, {}, with what cluster {} was at {}",
            self.data_dir.display(),
            restored.node,
            restored.cluster,
            restored.from_cluster,
            restored.log_time
        );
        output.sentence(&sentence, &answer);
        tell(&format!(
            "  what {} sessions of the old nodes held counts as spent, in doubt: see quorate budget explain",
            restored.sessions
        ));
        tell(
            "  what was spent after that time is not known, and keys that were revoked after it are valid again",
        );
        tell("  never let the old cluster serve beside the new one: both would spend the same budgets");
        tell(&format!(
            "next: quorate serve with node.data_dir = {:?}, then quorate token create for the other nodes",
            self.data_dir.display().to_string()
        ));
        Ok(())
    }
}
