//! What a disk must do: tables of records, files, and somebody who does what blocks.

use super::BoxedFuture;
use crate::store::{StoreError, WriterWork};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// A table of a database; records are sorted by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table(pub &'static str);

/// One effect on a database.
#[derive(Clone, Debug)]
pub enum Write {
    /// A record is stored, in place of another of the same key.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
        /// The record.
        value: Vec<u8>,
    },
    /// A record is removed, if it is there.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
    },
    /// All records from a key up to, but not including, another are removed.
    DeleteRange {
        /// The table.
        table: Table,
        /// The first key.
        from: Vec<u8>,
        /// The key behind the last.
        to: Vec<u8>,
    },
}

/// When a write has to be safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the call returns, with everything written before.
    Synced,
    /// Some time; a crash may lose it, and then everything written after.
    Unsynced,
}

/// How much room there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Taken, by whomever.
    pub used: u64,
    /// Left for this process.
    pub left: u64,
}

/// What blocks, to be done aside.
pub type Job = Box<dyn FnOnce() + Send>;

/// What is called for each record of a scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>;

/// An open database. All calls may block.
pub trait Tables: fmt::Debug + Send + Sync {
    /// One record.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits records in order from a key on, until the visitor has seen enough.
    ///
    /// # Errors
    /// When a record cannot be read, or the visitor's.
    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// Writes all or nothing.
    ///
    /// # Errors
    /// When it cannot: what the disk holds then is not known.
    fn write(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError>;

    /// Frees what the records of a removed range took, as far as that is cheap.
    ///
    /// # Errors
    /// When the disk fails.
    fn reclaim(&self, table: Table, from: &[u8], to: &[u8]) -> Result<(), StoreError>;

    /// Frees all that removed records take. Needs some room and a while.
    ///
    /// # Errors
    /// When the disk fails.
    fn compact(&self, table: Table) -> Result<(), StoreError>;
}

/// An open file.
pub trait Content: fmt::Debug + Send + Sync {
    /// How many bytes it has.
    ///
    /// # Errors
    /// When the disk fails.
    fn size(&self) -> io::Result<u64>;

    /// A piece of it; shorter at its end.
    ///
    /// # Errors
    /// When the disk fails.
    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>>;

    /// Adds a piece at its end.
    ///
    /// # Errors
    /// When the disk fails.
    fn append(&mut self, piece: &[u8]) -> io::Result<()>;

    /// Makes its content durable; its name is so only with its directory's [`Disk::sync_dir`].
    ///
    /// # Errors
    /// When the disk fails.
    fn sync(&self) -> io::Result<()>;
}

/// Whoever writes a database.
pub trait Hands: fmt::Debug + Send + Sync {
    /// There is something to do.
    fn wake(&self);

    /// Returns when everything is done. Called after the work was told to end.
    fn finish(&self);
}

/// Where a node keeps its data. But for [`Disk::run`], all calls may block.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens or creates a database with these tables.
    ///
    /// # Errors
    /// When it is in use, damaged or foreign, or the disk is full.
    fn open_database(&self, dir: &Path, tables: &[Table]) -> Result<Box<dyn Tables>, StoreError>;

    /// Begins to do a database's work.
    ///
    /// # Errors
    /// When nobody can be found to do it.
    fn start_writer(&self, name: &str, work: WriterWork) -> io::Result<Box<dyn Hands>>;

    /// Does what blocks. The future is there when it is done.
    fn run(&self, job: Job) -> BoxedFuture<'static, ()>;

    /// Makes a directory, and those above it.
    ///
    /// # Errors
    /// When it cannot.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The files of a directory, in any order.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes an empty file, in place of another of this name.
    ///
    /// # Errors
    /// When it cannot.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Content>>;

    /// Opens a file to be read.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Content>>;

    /// Gives a file another name, in place of another file of that name.
    ///
    /// # Errors
    /// When it cannot.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Who has it open can still read it.
    ///
    /// # Errors
    /// When it cannot.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// When the disk fails.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// How much room there is where this directory is.
    ///
    /// # Errors
    /// When the disk does not say.
    fn room(&self, dir: &Path) -> io::Result<Room>;
}

/// Does what blocks aside, and brings back what came of it.
pub(crate) async fn run_blocking<T: Send + 'static>(
    disk: &dyn Disk,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    disk.run(Box::new(move || drop(sender.send(work())))).await;
    result.await.map_err(|_| io::Error::other("what was done aside has panicked"))
}
