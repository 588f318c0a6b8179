//! A node's disk: what was synced outlives a crash, and of what was not, some may.

use crate::chance::Chance;
use crate::life::Life;
use crate::trip::{Tripwire, Written};
use parking_lot::Mutex;
use quorate_consensus::host::{
    BoxedFuture, Content, Disk, Durability, Hands, Job, Room, Table, Tables, Visit, Write,
};
use quorate_consensus::{StoreError, WriterWork};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What lies on a node's disk, from life to life.
#[derive(Debug)]
pub(crate) struct Platter {
    chance: Chance,
    /// Microseconds that a sync takes at most.
    pub(crate) slowness_us: AtomicU64,
    content: Mutex<Image>,
    pub(crate) wire: Arc<Tripwire>,
    /// Snapshots that were received and installed.
    pub(crate) installed: AtomicU64,
    /// Crashes that lost something that was not synced.
    pub(crate) lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Image {
    databases: BTreeMap<PathBuf, Base>,
    /// Names as they are now, and as they are on the disk for certain.
    names: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    /// Files that were begun by whoever receives, not by whoever builds.
    received: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Bytes {
    all: Vec<u8>,
    synced: usize,
}

pub(crate) type Records = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Debug, Default)]
struct Base {
    now: Records,
    durable: Records,
    /// Written since the latest sync.
    unsynced: Vec<Vec<Write>>,
}

impl Base {
    fn write(&mut self, writes: Vec<Write>, durability: Durability) {
        writes.iter().for_each(|write| effect(&mut self.now, write));
        self.unsynced.push(writes);
        if durability == Durability::Synced {
            self.settle(usize::MAX);
        }
    }

    /// The first so many of what is not synced reach the disk.
    fn settle(&mut self, count: usize) {
        let count = count.min(self.unsynced.len());
        for write in self.unsynced.drain(..count).flatten() {
            effect(&mut self.durable, &write);
        }
    }
}

fn effect(records: &mut Records, write: &Write) {
    match write {
        Write::Put { table, key, value } => {
            records.insert((*table, key.clone()), value.clone());
        }
        Write::Delete { table, key } => {
            records.remove(&(*table, key.clone()));
        }
        Write::DeleteRange { table, from, to } => {
            let range = (*table, from.clone())..(*table, to.clone());
            let gone: Vec<_> = records.range(range).map(|(key, _)| key.clone()).collect();
            gone.iter().for_each(|key| drop(records.remove(key)));
        }
    }
}

impl Platter {
    pub(crate) fn new(chance: Chance, slowness_us: u64, wire: Arc<Tripwire>) -> Self {
        Self {
            chance,
            wire,
            slowness_us: AtomicU64::new(slowness_us),
            content: Mutex::default(),
            installed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// What a crash leaves: all that was synced, and of the rest as much as happens to have reached the disk.
    pub(crate) fn crash(&self) {
        let mut image = self.content.lock();
        let mut has_lost = false;
        for base in image.databases.values_mut() {
            let kept = self.chance.place(base.unsynced.len() + 1);
            has_lost |= kept < base.unsynced.len();
            base.settle(kept);
            base.unsynced.clear();
            base.now = base.durable.clone();
        }
        // Each name by itself: directories are not written in order.
        let all: BTreeSet<PathBuf> = image.names.keys().chain(image.durable_names.keys()).cloned().collect();
        for name in all {
            let (new, old) = (image.names.get(&name).cloned(), image.durable_names.get(&name).cloned());
            let chosen = if self.chance.per_mille(500) { new } else { old };
            match chosen {
                Some(file) => {
                    let mut bytes = file.lock();
                    let (least, most) = (bytes.synced, bytes.all.len());
                    let kept = least + self.chance.place(most - least + 1);
                    bytes.all.truncate(kept);
                    bytes.synced = kept;
                    drop(bytes);
                    image.durable_names.insert(name, file);
                }
                None => drop(image.durable_names.remove(&name)),
            }
        }
        image.names = image.durable_names.clone();
        self.wire.waits(Written::Log, false);
        self.wire.waits(Written::Journal, false);
        self.lost.fetch_add(u64::from(has_lost), Ordering::Relaxed);
    }

    /// What of a database is on the disk for certain.
    pub(crate) fn copy(&self, database: &str) -> Records {
        let image = self.content.lock();
        image.databases.get(Path::new(database)).map(|base| base.durable.clone()).unwrap_or_default()
    }

    /// An old copy of a database is put in its place.
    pub(crate) fn put_back(&self, database: &str, copy: Records) {
        let base = Base { now: copy.clone(), durable: copy, unsynced: Vec::new() };
        self.content.lock().databases.insert(database.into(), base);
    }

    fn delay(&self) -> Duration {
        self.chance.micros(50..self.slowness_us.load(Ordering::Relaxed).max(51))
    }
}

/// The disk as one life of one node sees it.
#[derive(Clone, Debug)]
pub(crate) struct NodeDisk {
    platter: Arc<Platter>,
    life: Arc<Life>,
    is_building: Arc<AtomicBool>,
}

impl NodeDisk {
    pub(crate) fn new(platter: Arc<Platter>, life: Arc<Life>) -> Self {
        Self { platter, life, is_building: Arc::default() }
    }

    /// A dead node's disk does nothing for it any more.
    fn image<T>(&self, with: impl FnOnce(&mut Image) -> io::Result<T>) -> io::Result<T> {
        if !self.life.lives() {
            return Err(io::Error::other("this life is over"));
        }
        with(&mut self.platter.content.lock())
    }
}

#[derive(Debug)]
struct Opened {
    disk: NodeDisk,
    dir: PathBuf,
}

impl Opened {
    fn of(&self) -> Written {
        if self.dir.ends_with("journal") { Written::Journal } else { Written::Log }
    }

    fn base<T>(&self, with: impl FnOnce(&mut Base) -> T) -> Result<T, StoreError> {
        let dir = self.dir.clone();
        let done = self.disk.image(|image| Ok(with(image.databases.entry(dir).or_default())));
        done.map_err(|error| StoreError::Io { dir: self.dir.clone(), cause: error.to_string() })
    }
}

impl Tables for Opened {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.base(|base| base.now.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let records: Vec<_> = self.base(|base| {
            let records = base.now.range((table, from.to_vec())..);
            let records = records.take_while(|((of, _), _)| *of == table);
            records.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        })?;
        for (key, value) in records {
            if let ControlFlow::Break(()) = visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, writes: Vec<Write>, durability: Durability) -> Result<(), StoreError> {
        self.base(|base| base.write(writes, durability))?;
        if durability == Durability::Synced && self.disk.platter.wire.synced(self.of()) {
            // It dies here: what is done now reaches nobody.
            self.disk.life.stand_still();
        }
        Ok(())
    }

    fn reclaim(&self, _table: Table, _from: &[u8], _to: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn compact(&self, _table: Table) -> Result<(), StoreError> {
        Ok(())
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: NodeDisk,
    bytes: Arc<Mutex<Bytes>>,
}

impl Content for OpenFile {
    fn size(&self) -> io::Result<u64> {
        self.disk.image(|_| Ok(self.bytes.lock().all.len() as u64))
    }

    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        self.disk.image(|_| {
            let bytes = self.bytes.lock();
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.all.len());
            Ok(bytes.all[place(from)..place(from.saturating_add(length))].to_vec())
        })
    }

    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.disk.image(|_| {
            self.bytes.lock().all.extend_from_slice(piece);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.image(|_| {
            let mut bytes = self.bytes.lock();
            bytes.synced = bytes.all.len();
            Ok(())
        })
    }
}

/// Whoever writes a database of a simulated node: a task, because a thread would be waited for by nobody's clock.
#[derive(Debug)]
struct WriterTask {
    called: Arc<Notify>,
    wire: Arc<Tripwire>,
    of: Written,
}

impl Hands for WriterTask {
    fn wake(&self) {
        self.wire.waits(self.of, true);
        self.called.notify_one();
    }

    fn finish(&self) {
        self.called.notify_one();
    }
}

impl NodeDisk {
    async fn write(self, work: WriterWork, (called, of): (Arc<Notify>, Written)) {
        loop {
            called.notified().await;
            while let Some(taken) = work.take() {
                tokio::time::sleep(self.platter.delay()).await;
                self.life.gate().await;
                if work.write(taken) {
                    return;
                }
            }
            self.platter.wire.waits(of, false);
        }
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for NodeDisk {
    fn open_database(&self, dir: &Path, _tables: &[Table]) -> Result<Box<dyn Tables>, StoreError> {
        Ok(Box::new(Opened { disk: self.clone(), dir: dir.to_owned() }))
    }

    fn start_writer(&self, name: &str, work: WriterWork) -> io::Result<Box<dyn Hands>> {
        let (called, of) = (Arc::new(Notify::new()), Written::by(name));
        self.life.spawn(self.clone().write(work, (called.clone(), of)));
        Ok(Box::new(WriterTask { called, wire: self.platter.wire.clone(), of }))
    }

    fn run(&self, job: Job) -> BoxedFuture<'static, ()> {
        let disk = self.clone();
        Box::pin(async move {
            tokio::time::sleep(disk.platter.delay()).await;
            disk.life.gate().await;
            disk.is_building.store(true, Ordering::Relaxed);
            job();
            disk.is_building.store(false, Ordering::Relaxed);
        })
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.image(|image| {
            Ok(image.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
        })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Content>> {
        let is_received = !self.is_building.load(Ordering::Relaxed);
        let bytes: Arc<Mutex<Bytes>> = Arc::default();
        self.image(|image| {
            image.names.insert(path.to_owned(), bytes.clone());
            if is_received {
                image.received.insert(path.to_owned())
            } else {
                image.received.remove(path)
            };
            Ok(())
        })?;
        Ok(Box::new(OpenFile { disk: self.clone(), bytes }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Content>> {
        let bytes = self.image(|image| image.names.get(path).cloned().ok_or_else(absent))?;
        Ok(Box::new(OpenFile { disk: self.clone(), bytes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.image(|image| {
            let bytes = image.names.remove(from).ok_or_else(absent)?;
            image.names.insert(to.to_owned(), bytes);
            let is_snapshot = to.extension().is_some_and(|extension| extension == "snapshot");
            if is_snapshot && image.received.remove(from) {
                self.platter.installed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.image(|image| image.names.remove(path).map(drop).ok_or_else(absent))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.image(|image| {
            image.durable_names.retain(|path, _| path.parent() != Some(dir));
            let names = image.names.iter().filter(|(path, _)| path.parent() == Some(dir));
            image.durable_names.extend(names.map(|(path, bytes)| (path.clone(), bytes.clone())));
            Ok(())
        })
    }

    /// Simulated disks are never full.
    fn room(&self, _dir: &Path) -> io::Result<Room> {
        Ok(Room { used: 0, left: u64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Death;
    use crate::network::{Hub, Latency};
    use crate::story::Story;

    const TABLE: Table = Table("records");

    fn begin(platter: &Arc<Platter>) -> (NodeDisk, Arc<Life>) {
        let latency = Latency { usual_us: 100, late: 0, late_us: 200 };
        let story = Arc::new(Story::new(crate::clock::now(), false));
        let life = Arc::new(Life::new(
            0,
            Arc::new(Hub::new(latency, (Chance::of(1, 1), story), vec![Arc::default()])),
        ));
        (NodeDisk::new(platter.clone(), life.clone()), life)
    }

    fn put(number: u8) -> Vec<Write> {
        vec![Write::Put { table: TABLE, key: vec![number], value: vec![number] }]
    }

    fn held(tables: &dyn Tables) -> Vec<u8> {
        let mut held = Vec::new();
        let mut note = |key: &[u8], _: &[u8]| {
            held.push(key[0]);
            Ok(ControlFlow::Continue(()))
        };
        tables.scan(TABLE, &[], &mut note).unwrap();
        held
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_beginning_of_the_rest_and_the_dead_write_nothing() {
        let mut kept = BTreeSet::new();
        for seed in 0..40 {
            let platter = Arc::new(Platter::new(Chance::of(seed, 1), 100, Arc::default()));
            let (disk, life) = begin(&platter);
            let tables = disk.open_database("/db".as_ref(), &[TABLE]).unwrap();
            tables.write(put(1), Durability::Unsynced).unwrap();
            tables.write(put(2), Durability::Synced).unwrap();
            tables.write(put(3), Durability::Unsynced).unwrap();
            tables.write(put(4), Durability::Unsynced).unwrap();
            life.end(Death::Killed);
            platter.crash();
            assert!(tables.write(put(5), Durability::Synced).is_err());
            let (again, _) = begin(&platter);
            kept.insert(held(&*again.open_database("/db".as_ref(), &[TABLE]).unwrap()));
        }
        assert_eq!(kept, BTreeSet::from([vec![1, 2], vec![1, 2, 3], vec![1, 2, 3, 4]]));
    }

    #[test]
    fn a_name_outlives_a_crash_for_certain_only_once_its_directory_is_synced() {
        let (mut has_lost, dir) = (false, Path::new("/node"));
        for seed in 0..20 {
            let platter = Arc::new(Platter::new(Chance::of(seed, 1), 100, Arc::default()));
            let (disk, life) = begin(&platter);
            let (safe, unsafe_name) = (dir.join("safe"), dir.join("unsafe"));
            let mut file = disk.create(&safe).unwrap();
            file.append(b"content").unwrap();
            file.sync().unwrap();
            disk.sync_dir(dir).unwrap();
            disk.create(&unsafe_name).unwrap();
            life.end(Death::Vanished);
            platter.crash();
            let (again, _) = begin(&platter);
            assert_eq!(again.open(&safe).unwrap().read(0, 100).unwrap(), b"content");
            has_lost |= again.open(&unsafe_name).is_err();
        }
        assert!(has_lost, "no crash has lost a name that was not synced");
    }
}
