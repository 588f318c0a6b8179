//! A database of the machine's: RocksDB, and how it is opened.

use super::disk::Visit;
use super::{Durability, Table, Tables, Write};
use crate::store::StoreError;
use rocksdb::{
    ColumnFamily, DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, Options, WriteBatch,
    WriteOptions,
};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A memtable of the log. Appends are sequential, so larger ones only make recovery longer.
const MEMTABLE_BYTES: usize = 64 << 20;
/// Past this, RocksDB flushes whatever keeps an old write-ahead log alive.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// RocksDB's own text logs that are kept.
const TEXT_LOGS_MAX: usize = 4;

/// An open RocksDB that knows where it lives.
#[derive(Debug)]
pub(super) struct Rocks {
    raw: DB,
    dir: PathBuf,
    /// What keeps others out where RocksDB itself does not.
    _lock: Option<File>,
}

impl Rocks {
    pub(super) fn open(dir: &Path, tables: &[Table]) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::from_io(dir, &error))?;
        let names = tables.iter().map(|table| (table.0, options()));
        let raw = DB::open_cf_with_opts(&options(), dir, names)
            .map_err(|error| StoreError::from_rocksdb(dir, &error))?;
        Ok(Self { raw, dir: dir.to_owned(), _lock: None })
    }

    /// Opens a database to look at what is in it. Writes nothing, and does not see whether somebody has it open.
    pub(super) fn look(dir: &Path, tables: &[Table], lock: Option<File>) -> Result<Self, StoreError> {
        let mut only_there = options();
        only_there.create_if_missing(false);
        let names = tables.iter().map(|table| (table.0, options()));
        let raw = DB::open_cf_with_opts_for_read_only(&only_there, dir, names, false)
            .map_err(|error| StoreError::from_rocksdb(dir, &error))?;
        Ok(Self { raw, dir: dir.to_owned(), _lock: lock })
    }

    /// The table's handle in RocksDB.
    fn table(&self, table: Table) -> &ColumnFamily {
        self.raw.cf_handle(table.0).expect("every table was named when the database was opened")
    }

    /// An error of RocksDB's, with the directory's name.
    fn error(&self, error: &rocksdb::Error) -> StoreError {
        StoreError::from_rocksdb(&self.dir, error)
    }

    fn add(&self, batch: &mut WriteBatch, write: Write) {
        match write {
            Write::Put { table, key, value } => batch.put_cf(self.table(table), key, value),
            Write::Delete { table, key } => batch.delete_cf(self.table(table), key),
            Write::DeleteRange { table, from, to } => batch.delete_range_cf(self.table(table), from, to),
        }
    }
}

impl Tables for Rocks {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw.get_cf(self.table(table), key).map_err(|error| self.error(&error))
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        for item in self.raw.iterator_cf(self.table(table), mode) {
            let (key, value) = item.map_err(|error| self.error(&error))?;
            if let ControlFlow::Break(()) = visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        writes.into_iter().for_each(|write| self.add(&mut batch, write));
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        self.raw.write_opt(batch, &options).map_err(|error| self.error(&error))
    }

    fn reclaim(&self, table: Table, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        // Whole files go at once; what remains of the range goes with the next compaction.
        let dropped = self.raw.delete_file_in_range_cf(self.table(table), from, to);
        dropped.map_err(|error| self.error(&error))
    }

    fn compact(&self, table: Table) -> Result<(), StoreError> {
        let handle = self.table(table);
        // Written out first: the write-ahead log of what is in memory only takes most of the room.
        self.raw.flush_cf(handle).map_err(|error| self.error(&error))?;
        self.raw.compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }
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
