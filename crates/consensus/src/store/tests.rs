//! openraft's own demands on storage, and what must survive or refuse a restart.

use super::*;
use crate::codec::{self, Kind};
use crate::host::{Disk, Host, Write};
use crate::machine::Batch;
use crate::metrics::Metrics;
use crate::raft::{self, Types};
use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogReader as _, RaftLogStorage as _, RaftLogStorageExt as _};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt as _;
use quorate_domain::{Clock, LogTime, MonoTime};
use quorate_membership::Levels;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

struct Stopped;

impl Clock for Stopped {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> LogTime {
        LogTime::default()
    }
}

fn metrics() -> Metrics {
    Metrics::register(&mut prometheus_client::registry::Registry::default(), Arc::new(Stopped))
}

struct Fresh;

impl StoreBuilder<Types, LogStore, StateStore, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, StateStore), openraft::StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let log = open(&dir.path().join("raft")).unwrap();
        let snapshots = Snapshots::open(disk(), &dir.path().join("snapshots")).unwrap();
        let state =
            StateStore::new(Arc::new(snapshots), watch::Sender::new(0), metrics().snapshot, Levels::OURS);
        Ok((dir, log, state))
    }
}

fn log_id(index: u64) -> raft::LogId {
    raft::LogId::new(raft::LeaderId { term: 1, node_id: 1 }, index)
}

fn entry(index: u64) -> raft::Entry {
    let batch = Batch { at: LogTime::from_millis(index), proposals: Vec::new().into() };
    raft::Entry { log_id: log_id(index), payload: EntryPayload::Normal(batch) }
}

fn disk() -> Arc<dyn Disk> {
    Host::machine().disk
}

fn open(dir: &Path) -> Result<LogStore, StoreError> {
    LogStore::open(&*disk(), dir, metrics().log)
}

fn database(dir: &Path, purpose: &str) -> Database {
    Database::open(&*disk(), dir, purpose, &[LOG, META]).unwrap()
}

#[test]
fn the_store_keeps_openrafts_contract() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Fresh)).unwrap();
}

#[tokio::test]
async fn entries_vote_and_marks_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let vote = raft::Vote::new_committed(3, 2);
    {
        let mut log = open(dir.path()).unwrap();
        log.save_vote(&vote).await.unwrap();
        log.blocking_append((0..100).map(entry)).await.unwrap();
        log.save_committed(Some(log_id(80))).await.unwrap();
        log.truncate_after(Some(log_id(89))).await.unwrap();
        log.purge(log_id(9)).await.unwrap();
        log.close();
    }
    let mut log = open(dir.path()).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(vote));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(80)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(9)), Some(log_id(89))));
    let indices: Vec<u64> =
        log.try_get_log_entries(0..1_000).await.unwrap().iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(indices, (10..90).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_read_is_bounded_by_bytes_but_never_empty() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path()).unwrap();
    let address = "x".repeat(300 << 10);
    let big = |index| {
        let new = quorate_membership::NewToken {
            token: quorate_membership::TokenId::new(index),
            digest: [0; 32],
            until: LogTime::default(),
            uses: 1,
            actor: address.clone(),
        };
        let command = crate::Command::Membership(quorate_membership::Command::CreateToken(new));
        let proposals = vec![crate::Proposal { origin: None, command }].into();
        let batch = Batch { at: LogTime::default(), proposals };
        raft::Entry { log_id: log_id(index), payload: EntryPayload::Normal(batch) }
    };
    log.blocking_append((0..10).map(big)).await.unwrap();
    assert_eq!(log.limited_get_log_entries(2, 10).await.unwrap().len(), 4);
    assert_eq!(log.try_get_log_entries(2..10).await.unwrap().len(), 8);
    log.close();
}

#[tokio::test]
async fn a_directory_in_use_is_refused_as_locked() {
    let dir = TempDir::new().unwrap();
    let _held = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Locked { .. })));
}

#[test]
fn a_database_of_another_purpose_or_a_newer_format_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(database(dir.path(), "journal"));
    assert!(matches!(open(dir.path()), Err(StoreError::Foreign { .. })));

    let dir = TempDir::new().unwrap();
    let database = database(dir.path(), "raft log");
    let value = codec::encode(Kind::Format, &(2_u64, "raft log".to_owned()));
    let newer = Write::Put { table: META, key: Keyspace::default().tag(0), value };
    database.write_synced(vec![newer]).unwrap();
    drop(database);
    assert!(matches!(open(dir.path()), Err(StoreError::Newer { found: 2, supported: 1, .. })));
}

#[tokio::test]
async fn a_gap_or_a_damaged_entry_refuses_to_open() {
    for damage in [None, Some(vec![0xD7, 1, 4, 0])] {
        let dir = TempDir::new().unwrap();
        let mut log = open(dir.path()).unwrap();
        log.blocking_append((0..10).map(entry)).await.unwrap();
        log.close();
        drop(log);
        let database = database(dir.path(), "raft log");
        let key = Keyspace::default().at(5);
        let write = match damage {
            Some(value) => Write::Put { table: LOG, key, value },
            None => Write::Delete { table: LOG, key },
        };
        database.write_synced(vec![write]).unwrap();
        drop(database);
        assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
    }
}

#[test]
fn a_damaged_snapshot_is_told_and_no_older_one_takes_its_place() {
    let dir = TempDir::new().unwrap();
    let snapshots = Snapshots::open(disk(), dir.path()).unwrap();
    let state = crate::State::default();
    state.pass(log_id(7));
    let (meta, frozen) = state.freeze();
    let path = snapshots.write(&meta, &frozen).unwrap().path;
    std::fs::write(dir.path().join("9.tmp"), "left over").unwrap();

    let reopened = Snapshots::open(disk(), dir.path()).unwrap();
    let (found, file) = reopened.current().unwrap().unwrap();
    assert_eq!(found, meta);
    assert_eq!(file.read().unwrap().1, frozen);
    assert!(!dir.path().join("9.tmp").exists());

    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0xFF;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = Snapshots::open(disk(), dir.path()).unwrap().current().unwrap().unwrap().1;
    assert!(matches!(damaged.read(), Err(StoreError::Corrupt { .. })));
    bytes[10] ^= 0xFF;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Snapshots::open(disk(), dir.path()), Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_written_any_more() {
    let dir = TempDir::new().unwrap();
    let database = Arc::new(database(dir.path(), "raft log"));
    let writer = Writer::start(&*disk(), "test", database, metrics().log).unwrap();
    let put = |key: &str| {
        let (key, value) = (key.as_bytes().to_vec(), Vec::new());
        vec![Write::Put { table: META, key, value }]
    };
    writer.write(put("a")).await.unwrap();
    writer.fail("no space left on the test's disk");
    assert!(writer.write(put("b")).await.is_err());
    assert!(matches!(writer.check(), Err(StoreError::Stopped { .. })));
    let (signal, told) = Types::oneshot::<std::io::Result<()>>();
    let change = Change {
        writes: put("c"),
        done: Done::Flushed {
            callback: IOFlushed::signal(signal),
            entries: 1,
            last: 1,
            durable: Arc::default(),
        },
    };
    assert!(writer.submit(change).await.is_err());
    assert!(told.await.is_err());
}
