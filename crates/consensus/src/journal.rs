//! The watermark journal of the node's wallet: a durable bound on what each session may have spent.
//!
//! Independent of Raft: a RocksDB of its own with a thread of its own, so that neither waits for the other's fsync.
//! One fsync serves everyone who waits (docs/adr/0002-storage-layout.md).

use crate::codec::{self, BegunV1, CodecError, Kind, MarkV1, MarkV2};
use crate::host::{Disk, Host, Table, Write};
use crate::metrics::JournalMetrics;
use crate::store::{Database, META, StoreError, Underway, Writer};
use quorate_domain::{Amount, BudgetId, GroupId, LogTime, SessionId, WindowId};
use quorate_ledger::{Begun, Mark};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MARKS: Table = Table("marks");
const OVERSPENT: Table = Table("overspent");
const TABLES: [Table; 3] = [MARKS, OVERSPENT, META];
const PURPOSE: &str = "watermark journal";
const GENERATION: &[u8] = &[0, 0, 1];
const BEGUN: &[u8] = &[0, 0, 2];

/// The journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    database: Arc<Database>,
    writer: Arc<Writer>,
    /// The latest number that was given to a write, and the latest of a write that is done.
    generation: Arc<Generation>,
}

#[derive(Debug)]
struct Generation {
    given: AtomicU64,
    durable: AtomicU64,
}

impl Journal {
    /// Opens or creates the journal in `dir`. Blocks.
    ///
    /// # Errors
    /// When the directory is in use, damaged, foreign or newer, or the disk is full.
    pub fn open(dir: &Path, metrics: JournalMetrics) -> Result<Self, StoreError> {
        Self::open_on(&*Host::machine().disk, dir, metrics)
    }

    /// The same on another disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    #[expect(clippy::needless_pass_by_value, reason = "a handle of metrics, given once")]
    pub fn open_on(disk: &dyn Disk, dir: &Path, metrics: JournalMetrics) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(disk, dir, PURPOSE, &TABLES)?);
        let opened = stored_generation(&database)?;
        let generation = Arc::new(Generation { given: opened.into(), durable: opened.into() });
        let writer = Arc::new(Writer::start(disk, "journal", database.clone(), metrics.sync.clone())?);
        Ok(Self { database, writer, generation })
    }

    /// Since when a write has been under way.
    #[must_use]
    pub fn underway(&self) -> Underway {
        self.writer.underway().clone()
    }

    /// How many times the journal was written to, as far as the disk knows. One that is lower than before means that the disk was
    /// rolled back.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.durable.load(Ordering::Acquire)
    }

    /// All marks below which anything can have been spent, of all sessions that were not forgotten. Blocks.
    ///
    /// # Errors
    /// When a mark is damaged.
    pub fn load(&self) -> Result<Vec<Mark>, StoreError> {
        marks_in(&self.database)
    }

    /// The same of a node that is stopped; nothing if it has no journal. Nothing is changed.
    pub(crate) fn look(dir: &Path) -> Result<Vec<Mark>, StoreError> {
        if !dir.exists() {
            return Ok(Vec::new());
        }
        marks_in(&Database::look(dir, PURPOSE, &TABLES)?)
    }

    /// How much the node may have overspent of each budget. Blocks.
    ///
    /// # Errors
    /// When a line is damaged.
    pub fn load_overspent(&self) -> Result<Vec<(BudgetId, Amount)>, StoreError> {
        let database = &self.database;
        let mut overspent = Vec::new();
        database.raw.scan(OVERSPENT, &[], &mut |key, value| {
            let bound: u64 = codec::decode(Kind::Overspent, value)
                .map_err(|error| StoreError::from_codec(&database.dir, &error))?;
            overspent.push((BudgetId::new(number(database, key, 2)?), Amount::new(bound)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(overspent)
    }

    /// Writes how much the node may have overspent of budgets, and raises the generation with it; as [`Journal::write`].
    ///
    /// # Errors
    /// When this or an earlier write failed: nothing is written any more then.
    pub async fn write_overspent(&self, bounds: &[(BudgetId, Amount)]) -> Result<(), StoreError> {
        let put = |(budget, bound): &(BudgetId, Amount)| Write::Put {
            table: OVERSPENT,
            key: budget_key(*budget),
            value: codec::encode(Kind::Overspent, &bound.get()),
        };
        self.raise(bounds.iter().map(put).collect()).await
    }

    /// Forgets what was overspent of budgets that are gone.
    ///
    /// # Errors
    /// When this or an earlier write failed.
    pub async fn forget_overspent(&self, budgets: &[BudgetId]) -> Result<(), StoreError> {
        let delete = |budget: &BudgetId| Write::Delete { table: OVERSPENT, key: budget_key(*budget) };
        self.writer.write(budgets.iter().map(delete).collect()).await
    }

    /// Writes marks and which windows had begun, and raises the generation with them. They are on the disk when this returns. One
    /// write at a time: of two, the later could leave the lower generation.
    ///
    /// # Errors
    /// When this or an earlier write failed: nothing is written any more then.
    pub async fn write(&self, begun: Begun, marks: Vec<Mark>) -> Result<(), StoreError> {
        let stored = BegunV1 { session: begun.session.get(), upto: begun.upto.millis() };
        let value = codec::encode(Kind::Begun, &stored);
        let begun = Write::Put { table: META, key: BEGUN.to_vec(), value };
        self.raise(marks.iter().map(put).chain([begun]).collect()).await
    }

    /// Forgets the marks of these windows: the ledger knows all there is to know of them.
    ///
    /// # Errors
    /// When this or an earlier write failed.
    pub async fn forget(
        &self,
        session: SessionId,
        windows: &[(BudgetId, WindowId)],
    ) -> Result<(), StoreError> {
        let delete = |(budget, window): &(BudgetId, WindowId)| Write::Delete {
            table: MARKS,
            key: mark_key(session, *budget, *window),
        };
        self.writer.write(windows.iter().map(delete).collect()).await
    }

    /// Forgets the marks of all sessions before this one: the ledger has closed them. The generation goes on where the ledger is,
    /// which had heard of `heard`: after an old disk was put back, that is further.
    ///
    /// # Errors
    /// When this or an earlier write failed.
    pub async fn forget_before(&self, session: SessionId, heard: u64) -> Result<(), StoreError> {
        let (from, to) = (session_key(SessionId::new(0)), session_key(session));
        self.generation.given.fetch_max(heard, Ordering::AcqRel);
        self.raise(vec![Write::DeleteRange { table: MARKS, from, to }]).await
    }

    async fn raise(&self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        let generation = self.generation.given.fetch_add(1, Ordering::AcqRel) + 1;
        let value = codec::encode(Kind::Generation, &generation);
        writes.push(Write::Put { table: META, key: GENERATION.to_vec(), value });
        self.writer.write(writes).await?;
        self.generation.durable.fetch_max(generation, Ordering::AcqRel);
        Ok(())
    }

    /// Writes what waits and ends the thread. Blocks.
    pub fn close(&self) {
        self.writer.stop();
    }
}

fn marks_in(database: &Database) -> Result<Vec<Mark>, StoreError> {
    let begun = stored_begun(database)?;
    let mut marks = Vec::new();
    database.raw.scan(MARKS, &[], &mut |key, value| {
        let mark = read(database, key, value)?;
        marks.extend(begun.is_none_or(|begun| begun.allows(&mark)).then_some(mark));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(marks)
}

fn stored_generation(database: &Database) -> Result<u64, StoreError> {
    let Some(bytes) = database.get(META, GENERATION)? else { return Ok(0) };
    codec::decode(Kind::Generation, &bytes).map_err(|error| StoreError::from_codec(&database.dir, &error))
}

/// Which windows had begun. A journal that another version has written does not say so.
fn stored_begun(database: &Database) -> Result<Option<Begun>, StoreError> {
    let Some(bytes) = database.get(META, BEGUN)? else { return Ok(None) };
    let stored: BegunV1 =
        codec::decode(Kind::Begun, &bytes).map_err(|error| StoreError::from_codec(&database.dir, &error))?;
    Ok(Some(Begun { session: SessionId::new(stored.session), upto: LogTime::from_millis(stored.upto) }))
}

fn session_key(session: SessionId) -> Vec<u8> {
    [&GroupId::default().get().to_be_bytes()[..], &session.get().to_be_bytes()].concat()
}

fn budget_key(budget: BudgetId) -> Vec<u8> {
    [&GroupId::default().get().to_be_bytes()[..], &budget.get().to_be_bytes()].concat()
}

fn mark_key(session: SessionId, budget: BudgetId, window: WindowId) -> Vec<u8> {
    let mut key = session_key(session);
    key.extend(budget.get().to_be_bytes());
    key.extend(window.start().millis().to_be_bytes());
    key
}

fn put(mark: &Mark) -> Write {
    let key = mark_key(mark.session, mark.budget, mark.window);
    let stored = MarkV2 {
        spent_bound: mark.spent_bound.get(),
        settled: mark.settled.get(),
        overrun: mark.overrun.get(),
    };
    Write::Put { table: MARKS, key, value: codec::encode(Kind::MarkV2, &stored) }
}

fn read(database: &Database, key: &[u8], value: &[u8]) -> Result<Mark, StoreError> {
    let stored = stored(value).map_err(|error| StoreError::from_codec(&database.dir, &error))?;
    let number = |from| number(database, key, from);
    Ok(Mark {
        session: SessionId::new(number(2)?),
        budget: BudgetId::new(number(10)?),
        window: WindowId::beginning(LogTime::from_millis(number(18)?)),
        spent_bound: Amount::new(stored.spent_bound),
        settled: Amount::new(stored.settled),
        overrun: Amount::new(stored.overrun),
    })
}

fn number(database: &Database, key: &[u8], from: usize) -> Result<u64, StoreError> {
    let bytes = key.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| StoreError::Corrupt {
        dir: database.dir.clone(),
        cause: format!("a line of the journal has a key of {} bytes", key.len()),
    })
}

fn stored(value: &[u8]) -> Result<MarkV2, CodecError> {
    if Kind::Mark.is_of(value) {
        return codec::decode::<MarkV1>(Kind::Mark, value).map(MarkV2::from);
    }
    codec::decode(Kind::MarkV2, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::{Clock, MonoTime};
    use tempfile::TempDir;

    struct Stopped;

    impl Clock for Stopped {
        fn mono(&self) -> MonoTime {
            MonoTime::default()
        }

        fn wall(&self) -> LogTime {
            LogTime::default()
        }
    }

    fn open(dir: &TempDir) -> Journal {
        let mut registry = prometheus_client::registry::Registry::default();
        Journal::open(dir.path(), JournalMetrics::register(&mut registry, Arc::new(Stopped))).unwrap()
    }

    fn mark(session: u64, budget: u64, spent: u64) -> Mark {
        Mark {
            session: SessionId::new(session),
            budget: BudgetId::new(budget),
            window: WindowId::beginning(LogTime::from_millis(60_000)),
            spent_bound: Amount::new(spent),
            settled: Amount::new(spent / 2),
            overrun: Amount::new(spent / 5),
        }
    }

    fn begun(session: u64, upto: u64) -> Begun {
        Begun { session: SessionId::new(session), upto: LogTime::from_millis(upto) }
    }

    #[tokio::test]
    async fn marks_of_windows_that_had_not_begun_for_their_session_are_nothing_to_go_by() {
        let dir = TempDir::new().unwrap();
        let journal = open(&dir);
        journal.write(begun(2, 59_999), vec![mark(1, 1, 10), mark(2, 1, 30)]).await.unwrap();
        // Of an earlier session nobody knows.
        assert_eq!(journal.load().unwrap(), [mark(1, 1, 10)]);
        journal.write(begun(2, 60_000), vec![]).await.unwrap();
        assert_eq!(journal.load().unwrap(), [mark(1, 1, 10), mark(2, 1, 30)]);
        journal.close();
    }

    #[tokio::test]
    async fn the_last_mark_of_each_account_is_there_after_a_restart_and_each_write_raises_the_generation() {
        let dir = TempDir::new().unwrap();
        let journal = open(&dir);
        assert_eq!(journal.generation(), 0);
        let begun = begun(2, 60_000);
        journal.write(begun, vec![mark(1, 1, 10), mark(1, 2, 20), mark(2, 1, 30)]).await.unwrap();
        journal.write(begun, vec![mark(1, 1, 15)]).await.unwrap();
        journal.close();
        drop(journal);
        let journal = open(&dir);
        assert_eq!(journal.generation(), 2);
        assert_eq!(journal.load().unwrap(), [mark(1, 1, 15), mark(1, 2, 20), mark(2, 1, 30)]);
        let settled = (mark(1, 2, 20).budget, mark(1, 2, 20).window);
        journal.forget(SessionId::new(1), &[settled]).await.unwrap();
        assert_eq!(journal.load().unwrap(), [mark(1, 1, 15), mark(2, 1, 30)]);
        journal.forget_before(SessionId::new(2), 0).await.unwrap();
        assert_eq!(journal.load().unwrap(), [mark(2, 1, 30)]);
        assert_eq!(journal.generation(), 3);
        journal.forget_before(SessionId::new(2), 500).await.unwrap();
        assert_eq!(journal.generation(), 501, "it goes on where the ledger is");
        journal.close();
        assert!(journal.write(begun, vec![mark(2, 1, 40)]).await.is_err());
    }

    #[tokio::test]
    async fn what_was_overspent_is_there_after_a_restart_whatever_sessions_are_forgotten() {
        let dir = TempDir::new().unwrap();
        let journal = open(&dir);
        let of = |budget, bound| (BudgetId::new(budget), Amount::new(bound));
        journal.write_overspent(&[of(1, 10), of(2, 20)]).await.unwrap();
        journal.write_overspent(&[of(1, 7)]).await.unwrap();
        journal.forget_before(SessionId::new(9), 0).await.unwrap();
        journal.close();
        drop(journal);
        let journal = open(&dir);
        assert_eq!(journal.generation(), 3);
        assert_eq!(journal.load_overspent().unwrap(), [of(1, 7), of(2, 20)]);
        assert_eq!(journal.load().unwrap(), []);
        journal.forget_overspent(&[BudgetId::new(1)]).await.unwrap();
        assert_eq!(journal.load_overspent().unwrap(), [of(2, 20)]);
    }
}
