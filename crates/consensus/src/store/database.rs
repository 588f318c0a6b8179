//! One database: what it is for, and how its keys are built.

use super::StoreError;
use crate::codec::{self, Kind};
use crate::host::{self, Disk, Durability, Table, Tables, Write};
use quorate_domain::GroupId;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Entries of the log by index.
pub(crate) const LOG: Table = Table("log");
/// Single records: vote, committed, purged, format.
pub(crate) const META: Table = Table("meta");

/// The layout of keys and tables. Raised when a node of today could not read it.
const FORMAT: u64 = 1;
const FORMAT_TAG: u8 = 0;

/// Builds keys. They all begin with the group, so that groups can share a disk one day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keyspace(pub(crate) GroupId);

impl Keyspace {
    /// The key of a numbered record; their order is that of the numbers.
    pub(crate) fn at(self, index: u64) -> Vec<u8> {
        [&self.0.get().to_be_bytes()[..], &index.to_be_bytes()].concat()
    }

    /// The key of a single record.
    pub(crate) fn tag(self, tag: u8) -> Vec<u8> {
        [&self.0.get().to_be_bytes()[..], &[tag]].concat()
    }

    /// The number in a key made by [`Keyspace::at`]; `None` past the end of the group.
    pub(crate) fn index_of(self, key: &[u8]) -> Option<u64> {
        let rest = key.strip_prefix(&self.0.get().to_be_bytes()[..])?;
        rest.try_into().ok().map(u64::from_be_bytes)
    }
}

/// What a database is for, so that a journal is never taken for a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    version: u64,
    purpose: String,
}

/// An open database that knows where it lives.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) raw: Box<dyn Tables>,
    pub(crate) dir: PathBuf,
    /// Whether there was none before.
    pub(crate) is_new: bool,
}

impl Database {
    /// Opens or creates the database with these tables, and checks that it is of our making.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        purpose: &str,
        tables: &[Table],
    ) -> Result<Self, StoreError> {
        let raw = disk.open_database(dir, tables)?;
        let mut database = Self { raw, dir: dir.to_owned(), is_new: false };
        database.is_new = check_format(&database, purpose)?;
        Ok(database)
    }

    /// Looks at a database of the machine's that is not in use. It cannot be written.
    pub(crate) fn look(dir: &Path, purpose: &str, tables: &[Table]) -> Result<Self, StoreError> {
        let database = Self { raw: host::look(dir, tables)?, dir: dir.to_owned(), is_new: false };
        let found = stored_format(&database)?;
        let nothing =
            || StoreError::Foreign { dir: dir.to_owned(), found: "it says nothing of itself".to_owned() };
        fits(&database, &found.ok_or_else(nothing)?, purpose)?;
        Ok(database)
    }

    /// One record.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw.get(table, key)
    }

    /// Writes all or nothing, and waits until it is on the disk.
    pub(crate) fn write_synced(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.raw.write(writes, Durability::Synced)
    }
}

/// Reads what the database says about itself; writes it when the database is new, and says so.
fn check_format(database: &Database, purpose: &str) -> Result<bool, StoreError> {
    if let Some(found) = stored_format(database)? {
        fits(database, &found, purpose)?;
        return Ok(false);
    }
    let key = Keyspace::default().tag(FORMAT_TAG);
    let value = codec::encode(Kind::Format, &Format { version: FORMAT, purpose: purpose.to_owned() });
    database.write_synced(vec![Write::Put { table: META, key, value }])?;
    Ok(true)
}

fn stored_format(database: &Database) -> Result<Option<Format>, StoreError> {
    let Some(bytes) = database.get(META, &Keyspace::default().tag(FORMAT_TAG))? else { return Ok(None) };
    let found = codec::decode(Kind::Format, &bytes);
    found.map(Some).map_err(|error| StoreError::from_codec(&database.dir, &error))
}

fn fits(database: &Database, found: &Format, purpose: &str) -> Result<(), StoreError> {
    if found.version > FORMAT {
        let dir = database.dir.clone();
        return Err(StoreError::Newer { dir, found: found.version, supported: FORMAT });
    }
    if found.purpose != purpose {
        let found = format!("it is a {}, not a {purpose}", found.purpose);
        return Err(StoreError::Foreign { dir: database.dir.clone(), found });
    }
    Ok(())
}
