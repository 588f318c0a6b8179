//! One RocksDB: how it is opened, and how its keys are built.

use super::StoreError;
use crate::codec::{self, Kind};
use quorate_domain::GroupId;
use rocksdb::{DB, DBCompressionType, DBRecoveryMode, Options, WriteBatch, WriteOptions};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Entries of the log by index.
pub(crate) const LOG: Table = Table("log");
/// Single records: vote, committed, purged, format.
pub(crate) const META: Table = Table("meta");

/// A memtable of the log. Appends are sequential, so larger ones only make recovery longer.
const MEMTABLE_BYTES: usize = 64 << 20;
/// Past this, RocksDB flushes whatever keeps an old write-ahead log alive.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// RocksDB's own text logs that are kept.
const TEXT_LOGS_MAX: usize = 4;
/// The layout of keys and tables. Raised when a node of today could not read it.
const FORMAT: u64 = 1;
const FORMAT_TAG: u8 = 0;

/// A column family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table(pub(crate) &'static str);

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

/// An open RocksDB that knows where it lives.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) raw: DB,
    pub(crate) dir: PathBuf,
}

impl Database {
    /// Opens or creates the database with these tables, and checks that it is of our making.
    pub(crate) fn open(dir: &Path, purpose: &str, tables: &[Table]) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::from_io(dir, &error))?;
        let names = tables.iter().map(|table| (table.0, options()));
        let raw = DB::open_cf_with_opts(&options(), dir, names)
            .map_err(|error| StoreError::from_rocksdb(dir, &error))?;
        let database = Self { raw, dir: dir.to_owned() };
        check_format(&database, purpose)?;
        Ok(database)
    }

    /// The table's handle in RocksDB.
    pub(crate) fn table(&self, table: Table) -> &rocksdb::ColumnFamily {
        self.raw.cf_handle(table.0).expect("every table was named when the database was opened")
    }

    /// One record.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw.get_cf(self.table(table), key).map_err(|error| self.error(&error))
    }

    /// Writes all or nothing, and waits until it is on the disk.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.raw.write_opt(batch, &options).map_err(|error| self.error(&error))
    }

    /// An error of RocksDB's, with the directory's name.
    pub(crate) fn error(&self, error: &rocksdb::Error) -> StoreError {
        StoreError::from_rocksdb(&self.dir, error)
    }
}

/// Reads what the database says about itself; writes it when the database is new.
fn check_format(database: &Database, purpose: &str) -> Result<(), StoreError> {
    let key = Keyspace::default().tag(FORMAT_TAG);
    let ours = Format { version: FORMAT, purpose: purpose.to_owned() };
    let Some(bytes) = database.get(META, &key)? else {
        let mut batch = WriteBatch::default();
        batch.put_cf(database.table(META), key, codec::encode(Kind::Format, &ours));
        return database.write_synced(batch);
    };
    let found: Format =
        codec::decode(Kind::Format, &bytes).map_err(|error| StoreError::from_codec(&database.dir, &error))?;
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

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn tail was never acknowledged; damage anywhere else must refuse to open rather than forget entries.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(TEXT_LOGS_MAX);
    options
}
