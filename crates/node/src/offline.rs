//! Work on files and data directories while no node runs on them, for the command line: snapshot files, and recovery from the loss of a
//! quorum. Each error says what to do next, and has an exit code.

use crate::{ExitCode, SystemClock};
use quorate_consensus::StoreError;
use quorate_consensus::recovery::{self, Applied, Contents, Plan, RecoveryError, Restored, Verified, Wanted};
use quorate_domain::{Clock, Name};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OfflineError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub next: &'static str,
    /// The exit code by which scripts know it.
    pub exit: u8,
}

/// What a snapshot file holds. Its checksum is right.
///
/// # Errors
/// When it cannot be read, or is damaged: exit code 72.
pub fn inspect_snapshot(file: &Path) -> Result<Contents, OfflineError> {
    recovery::inspect(file).map_err(|error| of_file(&error))
}

/// Makes a data directory of a new cluster of one node from a snapshot file.
///
/// # Errors
/// When the file is damaged, or the directory not empty.
pub fn restore_snapshot(
    file: &Path,
    data_dir: &Path,
    (name, peer_address): (Name, String),
) -> Result<Restored, OfflineError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let restored = recovery::restore(file, data_dir, Wanted { name, peer_address }, &clock);
    restored.map_err(|error| match error {
        RecoveryError::Store(error) => of_file(&error),
        error @ (RecoveryError::NotEmpty { .. }
        | RecoveryError::NoNode { .. }
        | RecoveryError::OtherCluster { .. }
        | RecoveryError::Twice { .. }
        | RecoveryError::LeftBehind { .. }
        | RecoveryError::Majority { .. }
        | RecoveryError::NoMember(_)
        | RecoveryError::NotAsPlanned { .. }
        | RecoveryError::Plan(_)
        | RecoveryError::Unsound { .. }
        | RecoveryError::Random(_)
        | RecoveryError::Certificate(_)) => error.into(),
    })
}

/// How a cluster goes on that has lost its quorum for good.
#[derive(Debug)]
pub struct Recovery;

impl Recovery {
    /// Plans it, from the directories of stopped nodes. Changes nothing.
    ///
    /// # Errors
    /// When a directory cannot be used, or nothing is lost.
    pub fn plan(data_dirs: &[PathBuf]) -> Result<Plan, OfflineError> {
        Ok(recovery::plan(data_dirs)?)
    }

    /// Writes a plan to a file, in place of another.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(plan: &Plan, file: &Path) -> Result<(), OfflineError> {
        let text = serde_json::to_string_pretty(plan).unwrap_or_default() + "\n";
        let draft = file.with_extension("tmp");
        let mut options = std::fs::OpenOptions::new();
        let written = options.write(true).create(true).truncate(true).mode(0o600).open(&draft);
        let written = written.and_then(|mut opened| {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()?;
            std::fs::rename(&draft, file)
        });
        written.map_err(|error| OfflineError {
            message: format!("{} cannot be written: {error}", file.display()),
            next: "choose another file with --out",
            exit: EX_FAILED,
        })
    }

    /// Reads a plan from a file.
    ///
    /// # Errors
    /// When it is no plan.
    pub fn read(file: &Path) -> Result<Plan, OfflineError> {
        let unusable = |cause: String| OfflineError {
            message: format!("{} holds no plan: {cause}", file.display()),
            next: "make one with `quorate recover plan`",
            exit: EX_USAGE,
        };
        let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
    }

    /// Does what a plan says, on the directory that it was made for.
    ///
    /// # Errors
    /// When the directory is another one, or has changed since: exit code 8.
    pub fn apply(plan: &Plan, data_dir: &Path) -> Result<Applied, OfflineError> {
        Ok(recovery::apply(plan, data_dir)?)
    }

    /// Checks a directory from which a cluster is to go on. Changes nothing.
    ///
    /// # Errors
    /// When it does not hold together.
    pub fn verify(data_dir: &Path) -> Result<Verified, OfflineError> {
        Ok(recovery::verify(data_dir)?)
    }
}

const EX_FAILED: u8 = 1;
const EX_USAGE: u8 = 2;
const EX_NOT_FOUND: u8 = 3;
const EX_REFUSED: u8 = 7;
const EX_CONFLICT: u8 = 8;
const EX_SOFTWARE: u8 = ExitCode::Internal.number();
const EX_FULL: u8 = ExitCode::DiskFull.number();
const EX_DAMAGED: u8 = ExitCode::Damaged.number();
const EX_LEVEL: u8 = ExitCode::Level.number();

impl From<RecoveryError> for OfflineError {
    fn from(error: RecoveryError) -> Self {
        let (exit, next) = match &error {
            RecoveryError::Store(error) => of_store(error),
            RecoveryError::NotEmpty { .. } => {
                (EX_REFUSED, "name a directory that is not there yet, or is empty")
            }
            RecoveryError::NoNode { .. } => {
                (EX_NOT_FOUND, "name the data_dir of a node that belonged to the cluster")
            }
            RecoveryError::OtherCluster { .. } => (EX_REFUSED, "leave out the directories of other clusters"),
            RecoveryError::Twice { .. } => {
                (EX_REFUSED, "leave out the copy; the directory on which the node ran last is the node")
            }
            RecoveryError::LeftBehind { .. } => {
                (EX_REFUSED, "leave that directory out: its node joins anew, with an empty one")
            }
            RecoveryError::Majority { .. } => {
                (EX_REFUSED, "start these nodes; then replace or remove those that are lost")
            }
            RecoveryError::NoMember(_) => (EX_REFUSED, "leave that directory out: its node was removed"),
            RecoveryError::NotAsPlanned { .. } => {
                (EX_CONFLICT, "stop the node, make a new plan with `quorate recover plan`, and read it")
            }
            RecoveryError::Plan(_) => (EX_USAGE, "make a new plan with `quorate recover plan`"),
            RecoveryError::Unsound { .. } => (EX_DAMAGED, "use another directory, or a snapshot file"),
            RecoveryError::Random(_) => {
                (EX_SOFTWARE, "mend the machine: its operating system gives no random numbers")
            }
            RecoveryError::Certificate(_) => (EX_SOFTWARE, "report it, with what you did"),
        };
        Self { message: error.to_string(), next, exit }
    }
}

const fn of_store(error: &StoreError) -> (u8, &'static str) {
    match error {
        StoreError::Locked { .. } => (EX_REFUSED, "stop the node that runs there"),
        StoreError::DiskFull { .. } => (EX_FULL, "make room on the disk, then do it again"),
        StoreError::Foreign { .. } => (EX_DAMAGED, "name the data_dir of a node"),
        StoreError::Newer { .. } => (EX_LEVEL, "use the version of quorate that wrote it, or a later one"),
        StoreError::Corrupt { .. } => {
            (EX_DAMAGED, "use another directory of the cluster, or a snapshot file")
        }
        StoreError::Io { .. } | StoreError::Stopped { .. } => (EX_FAILED, "mend what the system names"),
    }
}

/// The same, of a file.
fn of_file(error: &StoreError) -> OfflineError {
    let (exit, next) = match error {
        StoreError::Foreign { .. } | StoreError::Corrupt { .. } => {
            (EX_DAMAGED, "use another snapshot file; this one cannot be trusted")
        }
        StoreError::Locked { .. }
        | StoreError::DiskFull { .. }
        | StoreError::Newer { .. }
        | StoreError::Io { .. }
        | StoreError::Stopped { .. } => of_store(error),
    };
    OfflineError { message: error.to_string(), next, exit }
}
