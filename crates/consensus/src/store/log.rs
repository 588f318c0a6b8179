//! The Raft log, vote, committed and purged marks, as openraft wants them kept.

use super::tail::Tail;
use super::{Change, Database, Done, Keyspace, LOG, META, StoreError, Underway, Writer};
use crate::codec::{self, EntryV1, Kind, LogIdV1, VoteV1};
use crate::host::{Disk, Write};
use crate::metrics::SyncMetrics;
use crate::raft::{self, Types};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, ControlFlow, Range, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const VOTE: u8 = 1;
pub(super) const COMMITTED: u8 = 2;
pub(super) const PURGED: u8 = 3;

/// One append to a follower carries no more than this, so that it fits into its deadline on a slow link.
const READ_BYTES: usize = 1 << 20;

/// A cheap handle on the log.
#[derive(Clone, Debug)]
pub(crate) struct LogStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `None` once it is closed.
    database: RwLock<Option<Arc<Database>>>,
    keys: Keyspace,
    writer: Writer,
    /// The last entry known to be on the disk.
    durable: Arc<AtomicU64>,
    view: RwLock<View>,
}

/// What is read often, as it is on disk or will be after the changes in the queue.
#[derive(Debug, Default)]
struct View {
    vote: Option<raft::Vote>,
    committed: Option<raft::LogId>,
    purged: Option<raft::LogId>,
    tail: Tail,
}

impl LogStore {
    /// Opens or creates the log in `dir` and reads its newest entries.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, metrics: SyncMetrics) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(disk, dir, "raft log", &[LOG, META])?);
        let keys = Keyspace::default();
        let view = View::load(&database, keys)?;
        let durable = Arc::new(AtomicU64::new(view.tail.last().map_or(0, |last| last.index)));
        let writer = Writer::start(disk, "raft-log", database.clone(), metrics)?;
        let (database, view) = (RwLock::new(Some(database)), RwLock::new(view));
        Ok(Self(Arc::new(Shared { database, keys, writer, durable, view })))
    }

    /// Writes what waits and closes the files. Blocks. Nothing is read any more.
    pub(crate) fn close(&self) {
        self.0.writer.stop();
        self.0.database.write().take();
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let stopped = || StoreError::Stopped { cause: "the node is stopping".to_owned() };
        self.0.database.read().clone().ok_or_else(stopped)
    }

    /// The last entry of the log, on the disk or on its way there; 0 if there is none.
    pub(crate) fn last_index(&self) -> u64 {
        let view = self.0.view.read();
        view.tail.last().or(view.purged).map_or(0, |last| last.index)
    }

    /// Since when a write has been under way.
    pub(crate) fn underway(&self) -> &Underway {
        self.0.writer.underway()
    }

    /// Gives back all that removed entries take. Blocks.
    pub(crate) fn compact(&self) -> Result<(), StoreError> {
        let database = self.database()?;
        [LOG, META].into_iter().try_for_each(|table| database.raw.compact(table))
    }

    /// The last entry that is gone from the log.
    pub(crate) fn purged(&self) -> Option<raft::LogId> {
        self.0.view.read().purged
    }

    /// Fails if there was no log before this start: a node that has started before may have voted and acknowledged what is gone.
    pub(crate) fn must_be_old(&self) -> Result<(), StoreError> {
        let database = self.database()?;
        if database.is_new {
            let cause = "it is empty, although this node has started before".to_owned();
            return Err(StoreError::Corrupt { dir: database.dir.clone(), cause });
        }
        Ok(())
    }

    /// Whether an earlier write failed.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.0.writer.check()
    }

    /// Makes the next writes fail, as a full disk would.
    #[cfg(test)]
    pub(crate) fn fail(&self, cause: &str) {
        self.0.writer.fail(cause);
    }

    fn put_mark<T: Serialize>(&self, tag: u8, kind: Kind, mark: &T) -> Write {
        Write::Put { table: META, key: self.0.keys.tag(tag), value: codec::encode(kind, mark) }
    }

    /// The part of a range that is in the log.
    fn present(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let view = self.0.view.read();
        let first = view.tail.oldest();
        let end = view.tail.last().map_or(first, |last| last.index + 1);
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let upto = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        from.max(first)..upto.min(end)
    }

    /// Entries of a range without gaps, from memory if they are there. At least one, then up to so many bytes.
    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<raft::Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        // Held to the end: entries that leave memory in between would be a gap.
        let view = self.0.view.read();
        let kept_from = view.tail.first_index().unwrap_or(u64::MAX);
        for index in range.start..range.end.min(kept_from) {
            if bytes >= bytes_max {
                return Ok(entries);
            }
            let (entry, size) = self.read_from_disk(index)?;
            bytes += size;
            entries.push(entry);
        }
        let next = range.start + entries.len() as u64;
        for (entry, size) in view.tail.range(next..range.end) {
            if bytes >= bytes_max {
                break;
            }
            bytes += size;
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn read_from_disk(&self, index: u64) -> Result<(raft::Entry, usize), StoreError> {
        let database = self.database()?;
        let Some(bytes) = database.get(LOG, &self.0.keys.at(index))? else {
            let cause = format!("entry {index} is missing");
            return Err(StoreError::Corrupt { dir: database.dir.clone(), cause });
        };
        Ok((decode_entry(&database, index, &bytes)?, bytes.len()))
    }
}

impl View {
    fn load(database: &Database, keys: Keyspace) -> Result<Self, StoreError> {
        let vote: Option<VoteV1> = read_mark(database, keys, VOTE, Kind::Vote)?;
        let committed: Option<LogIdV1> = read_mark(database, keys, COMMITTED, Kind::LogId)?;
        let purged: Option<LogIdV1> = read_mark(database, keys, PURGED, Kind::LogId)?;
        let mut view = Self {
            vote: vote.map(Into::into),
            committed: committed.map(Into::into),
            purged: purged.map(Into::into),
            tail: Tail::default(),
        };
        view.load_entries(database, keys)?;
        Ok(view)
    }

    /// Reads every entry once: a gap or a damaged entry must be found before the node votes on the strength of it.
    fn load_entries(&mut self, database: &Database, keys: Keyspace) -> Result<(), StoreError> {
        let mut expected = self.purged.map(|purged| purged.index + 1);
        let start = keys.at(expected.unwrap_or(0));
        database.raw.scan(LOG, &start, &mut |key, bytes| {
            let Some(index) = keys.index_of(key) else { return Ok(ControlFlow::Break(())) };
            if expected.is_some_and(|expected| index != expected) {
                let cause = format!("entry {index} follows where {} belongs", expected.unwrap_or(0));
                return Err(StoreError::Corrupt { dir: database.dir.clone(), cause });
            }
            self.tail.push(decode_entry(database, index, bytes)?, bytes.len(), u64::MAX);
            expected = Some(index + 1);
            Ok(ControlFlow::Continue(()))
        })
    }
}

pub(super) fn decode_entry(database: &Database, index: u64, bytes: &[u8]) -> Result<raft::Entry, StoreError> {
    let corrupt = |cause: String| StoreError::Corrupt { dir: database.dir.clone(), cause };
    let stored: EntryV1 =
        codec::decode(Kind::Entry, bytes).map_err(|error| StoreError::from_codec(&database.dir, &error))?;
    let entry = raft::Entry::try_from(stored).map_err(|error| corrupt(error.to_string()))?;
    if entry.log_id.index == index {
        Ok(entry)
    } else {
        Err(corrupt(format!("entry {} is stored as entry {index}", entry.log_id.index)))
    }
}

pub(super) fn read_mark<T: DeserializeOwned>(
    database: &Database,
    keys: Keyspace,
    tag: u8,
    kind: Kind,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = database.get(META, &keys.tag(tag))? else { return Ok(None) };
    codec::decode(kind, &bytes).map(Some).map_err(|error| StoreError::from_codec(&database.dir, &error))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<raft::Entry>, io::Error> {
        Ok(self.read(self.present(&range), usize::MAX)?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<raft::Entry>, io::Error> {
        Ok(self.read(self.present(&(start..end)), READ_BYTES)?)
    }

    async fn read_vote(&mut self) -> Result<Option<raft::Vote>, io::Error> {
        Ok(self.0.view.read().vote)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let view = self.0.view.read();
        Ok(LogState { last_purged_log_id: view.purged, last_log_id: view.tail.last().or(view.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &raft::Vote) -> Result<(), io::Error> {
        self.0.writer.write(vec![self.put_mark(VOTE, Kind::Vote, &VoteV1::from(vote))]).await?;
        self.0.view.write().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<raft::LogId>) -> Result<(), io::Error> {
        let write = match &committed {
            Some(id) => self.put_mark(COMMITTED, Kind::LogId, &LogIdV1::from(id)),
            None => Write::Delete { table: META, key: self.0.keys.tag(COMMITTED) },
        };
        self.0.view.write().committed = committed;
        Ok(self.0.writer.submit(Change { writes: vec![write], done: Done::Unsynced }).await?)
    }

    async fn read_committed(&mut self) -> Result<Option<raft::LogId>, io::Error> {
        Ok(self.0.view.read().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = raft::Entry> + Send,
        I::IntoIter: Send,
    {
        let mut writes = Vec::new();
        let durable = self.0.durable.load(Ordering::Acquire);
        for entry in entries {
            let value = codec::encode(Kind::Entry, &EntryV1::from(&entry));
            let key = self.0.keys.at(entry.log_id.index);
            self.0.view.write().tail.push(entry, value.len(), durable);
            writes.push(Write::Put { table: LOG, key, value });
        }
        let last = self.0.view.read().tail.last().map_or(0, |last| last.index);
        let (entries, durable) = (writes.len() as u64, self.0.durable.clone());
        let done = Done::Flushed { callback, entries, last, durable };
        Ok(self.0.writer.submit(Change { writes, done }).await?)
    }

    async fn truncate_after(&mut self, last: Option<raft::LogId>) -> Result<(), io::Error> {
        let (first, end) = {
            let mut view = self.0.view.write();
            let end = view.tail.last().map_or(0, |id| id.index + 1);
            let first = last.map_or(view.tail.oldest(), |id| id.index + 1);
            view.tail.truncate(last);
            (first, end)
        };
        let gone = (first..end).map(|index| Write::Delete { table: LOG, key: self.0.keys.at(index) });
        self.0.writer.write(gone.collect()).await?;
        // Only now: appends of before the truncation have all reported by now.
        self.0.durable.fetch_min(first.saturating_sub(1), Ordering::AcqRel);
        Ok(())
    }

    async fn purge(&mut self, upto: raft::LogId) -> Result<(), io::Error> {
        let keys = self.0.keys;
        let from = {
            let mut view = self.0.view.write();
            let from = view.purged.map_or(0, |purged| purged.index + 1);
            view.purged = Some(upto);
            view.tail.purge(upto.index);
            from
        };
        let mark = self.put_mark(PURGED, Kind::LogId, &LogIdV1::from(&upto));
        let (from, to) = (keys.at(from), keys.at(upto.index + 1));
        let gone = Write::DeleteRange { table: LOG, from: from.clone(), to: to.clone() };
        self.0.writer.write(vec![mark, gone]).await?;
        Ok(self.database()?.raw.reclaim(LOG, &from, &to)?)
    }
}
