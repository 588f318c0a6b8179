//! What can be wrong with a data directory. Each cause has its own variant because each asks for another deed.

use crate::codec::CodecError;
use std::io;
use std::path::{Path, PathBuf};

/// Why stored data cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no room left.
    #[error("the disk under {} is full", dir.display())]
    DiskFull {
        /// The directory.
        dir: PathBuf,
    },
    /// Something else lives there.
    #[error("{} was not written by quorate: {found}", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        found: String,
    },
    /// A newer program wrote it.
    #[error("{} has format {found}, newer than {supported}, the newest this program reads", dir.display())]
    Newer {
        /// The directory.
        dir: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format this program reads.
        supported: u64,
    },
    /// It is damaged. The node must be removed from the cluster and join again with an empty directory.
    #[error("{} is damaged: {cause}", dir.display())]
    Corrupt {
        /// The directory.
        dir: PathBuf,
        /// What does not fit.
        cause: String,
    },
    /// The operating system refuses.
    #[error("{}: {cause}", dir.display())]
    Io {
        /// The directory or file.
        dir: PathBuf,
        /// What it says.
        cause: String,
    },
    /// An earlier write failed, after which nothing may be written any more.
    #[error("storage stopped after a failed write: {cause}")]
    Stopped {
        /// The first failure.
        cause: String,
    },
}

impl StoreError {
    /// Tells RocksDB's errors apart.
    pub(crate) fn from_rocksdb(dir: &Path, error: &rocksdb::Error) -> Self {
        let dir = dir.to_owned();
        let cause = error.to_string();
        if cause.contains("No space left") {
            return Self::DiskFull { dir };
        }
        if cause.contains("LOCK") || cause.contains("lock hold") {
            return Self::Locked { dir };
        }
        // A file that another one names: the directory itself was made before.
        if cause.contains("No such file or directory") {
            return Self::Corrupt { dir, cause };
        }
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::Corrupt { dir, cause },
            rocksdb::ErrorKind::InvalidArgument => Self::Foreign { dir, found: cause },
            rocksdb::ErrorKind::NotFound
            | rocksdb::ErrorKind::NotSupported
            | rocksdb::ErrorKind::IOError
            | rocksdb::ErrorKind::MergeInProgress
            | rocksdb::ErrorKind::Incomplete
            | rocksdb::ErrorKind::ShutdownInProgress
            | rocksdb::ErrorKind::TimedOut
            | rocksdb::ErrorKind::Aborted
            | rocksdb::ErrorKind::Busy
            | rocksdb::ErrorKind::Expired
            | rocksdb::ErrorKind::TryAgain
            | rocksdb::ErrorKind::CompactionTooLarge
            | rocksdb::ErrorKind::ColumnFamilyDropped
            | rocksdb::ErrorKind::Unknown => Self::Io { dir, cause },
        }
    }

    /// Tells the operating system's errors apart.
    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        let dir = path.to_owned();
        if error.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull { dir };
        }
        Self::Io { dir, cause: error.to_string() }
    }

    /// The same of a file that nobody else puts there: strange bytes in it are damage.
    pub(crate) fn from_own(path: &Path, error: &CodecError) -> Self {
        match error {
            CodecError::Foreign(_) => Self::Corrupt { dir: path.to_owned(), cause: error.to_string() },
            CodecError::Newer { .. }
            | CodecError::WrongKind { .. }
            | CodecError::Length { .. }
            | CodecError::TooLarge(_)
            | CodecError::Damaged
            | CodecError::Unreadable { .. } => Self::from_codec(path, error),
        }
    }

    /// Tells unreadable records apart.
    pub(crate) fn from_codec(path: &Path, error: &CodecError) -> Self {
        let dir = path.to_owned();
        match error {
            CodecError::Foreign(_) => Self::Foreign { dir, found: error.to_string() },
            CodecError::Newer { found, supported } => {
                Self::Newer { dir, found: u64::from(*found), supported: u64::from(*supported) }
            }
            CodecError::WrongKind { .. }
            | CodecError::Length { .. }
            | CodecError::TooLarge(_)
            | CodecError::Damaged
            | CodecError::Unreadable { .. } => Self::Corrupt { dir, cause: error.to_string() },
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::DiskFull { .. } => io::ErrorKind::StorageFull,
            StoreError::Locked { .. } => io::ErrorKind::ResourceBusy,
            StoreError::Foreign { .. } | StoreError::Newer { .. } | StoreError::Corrupt { .. } => {
                io::ErrorKind::InvalidData
            }
            StoreError::Io { .. } | StoreError::Stopped { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
