//! The machine's disk: RocksDB, ordinary files, and threads for what blocks.

use super::rocks::Rocks;
use super::{BoxedFuture, Content, Disk, Hands, Job, Room, Table, Tables};
use crate::store::{StoreError, WriterWork};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The machine's disk.
#[derive(Debug)]
pub(super) struct MachineDisk;

#[derive(Debug)]
struct OpenFile(File);

/// A thread that writes. It waits in its queue: nobody has to wake it.
#[derive(Debug)]
struct WriterThread(Mutex<Option<JoinHandle<()>>>);

impl Hands for WriterThread {
    fn wake(&self) {}

    fn finish(&self) {
        if let Some(thread) = self.0.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Content for OpenFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = &self.0;
        file.seek(SeekFrom::Start(from))?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Disk for MachineDisk {
    fn open_database(&self, dir: &Path, tables: &[Table]) -> Result<Box<dyn Tables>, StoreError> {
        Ok(Box::new(Rocks::open(dir, tables)?))
    }

    fn start_writer(&self, name: &str, work: WriterWork) -> io::Result<Box<dyn Hands>> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work.run())?;
        Ok(Box::new(WriterThread(Mutex::new(Some(thread)))))
    }

    fn run(&self, job: Job) -> BoxedFuture<'static, ()> {
        let done = tokio::task::spawn_blocking(job);
        // Whoever waits for a result notices its absence.
        Box::pin(async { drop(done.await) })
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|item| Ok(item?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Content>> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(OpenFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Content>> {
        Ok(Box::new(OpenFile(File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let found = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Room { used: bytes(found.f_blocks.saturating_sub(found.f_bfree)), left: bytes(found.f_bavail) })
    }
}
