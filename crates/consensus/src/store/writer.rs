//! The one thread that writes a database: takes all that waits, writes one batch, syncs once, calls back in order.
//! Whose thread it is, the disk decides.

use super::{Database, StoreError, Underway};
use crate::host::{Disk, Durability, Hands, Write};
use crate::metrics::SyncMetrics;
use crate::raft;
use crossbeam::channel::{Receiver, Sender};
use openraft::storage::IOFlushed;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Changes that may wait. Each is an append of up to a thousand entries: more waiting is not more throughput.
const QUEUE_MAX: usize = 1_024;
/// One batch stays below this, so that the first caller in it does not wait for megabytes behind it.
const BATCH_BYTES: usize = 8 << 20;

/// Who is told when a change is on the disk.
pub(crate) enum Done {
    /// Nobody: the change may be lost in a crash, and costs no sync of its own.
    Unsynced,
    /// openraft, and whoever asks up to which entry the log is durable.
    Flushed { callback: IOFlushed<raft::Types>, entries: u64, last: u64, durable: Arc<AtomicU64> },
    /// A caller that waits.
    Reply { entries: u64, sender: oneshot::Sender<Result<(), StoreError>> },
}

/// Effects that happen together, and who waits for them.
pub(crate) struct Change {
    pub(crate) writes: Vec<Write>,
    pub(crate) done: Done,
}

enum Order {
    Write(Change, OwnedSemaphorePermit),
    Stop,
}

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Sender<Order>,
    slots: Arc<Semaphore>,
    failure: Arc<OnceLock<String>>,
    underway: Underway,
    hands: Box<dyn Hands>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        disk: &dyn Disk,
        name: &str,
        database: Arc<Database>,
        metrics: SyncMetrics,
    ) -> Result<Self, StoreError> {
        // One place more than there are slots, so that `Stop` never waits either.
        let (queue, orders) = crossbeam::channel::bounded(QUEUE_MAX + 1);
        let failure = Arc::new(OnceLock::new());
        let dir = database.dir.clone();
        let underway = Underway::default();
        let (failed, under) = (failure.clone(), underway.clone());
        let work = WriterWork { orders, database, metrics, failure: failed, underway: under };
        let hands = disk.start_writer(name, work).map_err(|error| StoreError::from_io(&dir, &error))?;
        let slots = Arc::new(Semaphore::new(QUEUE_MAX));
        Ok(Self { queue, slots, failure, underway, hands })
    }

    /// Puts a change into the queue. Waits for a place, not for the disk.
    pub(crate) async fn submit(&self, change: Change) -> Result<(), StoreError> {
        self.check()?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| stopped())?;
        self.queue
            .try_send(Order::Write(change, slot))
            .map_err(|_| self.check().err().unwrap_or_else(stopped))?;
        self.hands.wake();
        Ok(())
    }

    /// Writes durably, and waits for it.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let entries = writes.len() as u64;
        let (sender, reply) = oneshot::channel();
        self.submit(Change { writes, done: Done::Reply { entries, sender } }).await?;
        reply.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Since when a write has been under way.
    pub(crate) fn underway(&self) -> &Underway {
        &self.underway
    }

    /// Fails if an earlier write failed.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            Some(cause) => Err(StoreError::Stopped { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Makes the next writes fail, as a full disk would.
    #[cfg(test)]
    pub(crate) fn fail(&self, cause: &str) {
        self.failure.get_or_init(|| cause.to_owned());
    }

    /// Writes what waits and ends the thread. Blocks until it has ended.
    pub(crate) fn stop(&self) {
        self.slots.close();
        let _ = self.queue.try_send(Order::Stop);
        self.hands.finish();
    }
}

/// The files are closed when the last handle is gone, not some time after.
impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stopped() -> StoreError {
    StoreError::Stopped { cause: "the node is stopping".to_owned() }
}

/// What there is to write to a database, and who waits for it. For whoever the disk lets write.
pub struct WriterWork {
    orders: Receiver<Order>,
    database: Arc<Database>,
    metrics: SyncMetrics,
    failure: Arc<OnceLock<String>>,
    underway: Underway,
}

/// What is written together.
pub struct Taken {
    changes: Vec<(Change, OwnedSemaphorePermit)>,
    is_last: bool,
}

impl WriterWork {
    /// Writes until it is told to end. Blocks.
    pub fn run(self) {
        let mut is_last = false;
        while !is_last && let Ok(first) = self.orders.recv() {
            is_last = self.write(self.collect(first));
        }
    }

    /// Takes what waits, if anything does.
    #[must_use]
    pub fn take(&self) -> Option<Taken> {
        Some(self.collect(self.orders.try_recv().ok()?))
    }

    /// Writes it and tells whoever waits. Says whether that was the end. May block.
    pub fn write(&self, taken: Taken) -> bool {
        let (changes, slots): (Vec<_>, Vec<_>) = taken.changes.into_iter().unzip();
        let (batch, dones) = batch(changes);
        let result = match self.failure.get() {
            Some(cause) => Err(cause.clone()),
            None => self.commit(batch, &dones),
        };
        drop(slots);
        for done in dones {
            done.tell(result.as_ref().err());
        }
        taken.is_last
    }

    /// Takes what waits, up to a batch's size.
    fn collect(&self, first: Order) -> Taken {
        let mut taken = Taken { changes: Vec::new(), is_last: false };
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(order) = next {
            match order {
                Order::Stop => {
                    taken.is_last = true;
                    break;
                }
                Order::Write(change, slot) => {
                    bytes += change.writes.iter().map(Write::bytes).sum::<usize>();
                    taken.changes.push((change, slot));
                }
            }
            next = if bytes < BATCH_BYTES { self.orders.try_recv().ok() } else { None };
        }
        taken
    }

    /// After the first failure nothing is written any more: what the disk holds then is not known (fsync may
    /// report a loss once and succeed the next time).
    fn commit(&self, batch: Vec<Write>, dones: &[Done]) -> Result<(), String> {
        let entries: u64 = dones.iter().map(Done::entries).sum();
        let sync = dones.iter().any(|done| !matches!(done, Done::Unsynced));
        let durability = if sync { Durability::Synced } else { Durability::Unsynced };
        let timer = self.metrics.start();
        self.underway.begin(timer);
        let written = self.database.raw.write(batch, durability);
        self.underway.end();
        if sync {
            self.metrics.synced(timer, entries);
        }
        written.map_err(|error| {
            let cause = error.to_string();
            tracing::error!(%cause, "a write to the disk failed; the node stops");
            self.failure.get_or_init(|| cause).clone()
        })
    }
}

fn batch(changes: Vec<Change>) -> (Vec<Write>, Vec<Done>) {
    let mut batch = Vec::new();
    let mut dones = Vec::with_capacity(changes.len());
    for change in changes {
        batch.extend(change.writes);
        dones.push(change.done);
    }
    (batch, dones)
}

impl std::fmt::Debug for WriterWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterWork").field("database", &self.database).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taken").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }
}

impl Done {
    const fn entries(&self) -> u64 {
        match self {
            Self::Unsynced => 0,
            Self::Flushed { entries, .. } | Self::Reply { entries, .. } => *entries,
        }
    }

    fn tell(self, failure: Option<&String>) {
        let result = || failure.map_or(Ok(()), |cause| Err(StoreError::Stopped { cause: cause.clone() }));
        match self {
            Self::Unsynced => {}
            Self::Flushed { callback, last, durable, .. } => {
                if failure.is_none() {
                    durable.fetch_max(last, Ordering::Release);
                }
                callback.io_completed(result().map_err(io::Error::from));
            }
            Self::Reply { sender, .. } => {
                let _ = sender.send(result());
            }
        }
    }
}
