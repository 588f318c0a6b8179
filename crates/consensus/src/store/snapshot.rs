//! Snapshot files: written beside, synced, renamed, directory synced. A file is two records, what it covers and the state.

use super::StoreError;
use crate::codec::{self, HEADER_LEN, Kind, SnapshotMetaV1};
use crate::host::{Content, Disk, Host};
use crate::machine::Frozen;
use crate::raft;
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const FINISHED: &str = "snapshot";
const UNFINISHED: &str = "tmp";

/// An open snapshot file. It can be read to its end even if a newer one has taken its place.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    file: Box<dyn Content>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The directory of snapshots. At most one is finished and current.
#[derive(Debug)]
pub(crate) struct Snapshots {
    pub(crate) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    current: Mutex<Option<(raft::SnapshotMeta, PathBuf)>>,
    drafts: AtomicU64,
}

impl Snapshots {
    /// Opens the directory, removes what was left unfinished, and finds the newest snapshot.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        disk.create_dir(dir).map_err(|error| StoreError::from_io(dir, &error))?;
        let mut finished = Vec::new();
        let listing = disk.list(dir).map_err(|error| StoreError::from_io(dir, &error))?;
        for path in listing {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(FINISHED) => finished.push(path),
                Some(UNFINISHED) => {
                    disk.remove(&path).map_err(|error| StoreError::from_io(&path, &error))?;
                }
                Some(_) | None => {}
            }
        }
        // Names sort by index. The newest counts even if it is damaged: an older state must not come back silently.
        let current = match finished.into_iter().max() {
            Some(path) => Some((SnapshotFile::open(&*disk, &path)?.meta()?, path)),
            None => None,
        };
        Ok(Self { disk, dir: dir.to_owned(), current: Mutex::new(current), drafts: AtomicU64::new(0) })
    }

    /// The newest snapshot of a node that is stopped. Nothing is changed.
    pub(crate) fn look(dir: &Path) -> Result<Option<SnapshotFile>, StoreError> {
        let disk = Host::machine().disk;
        let listing = match disk.list(dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::from_io(dir, &error)),
        };
        let is_finished = |path: &PathBuf| path.extension().is_some_and(|extension| extension == FINISHED);
        let newest = listing.into_iter().filter(is_finished).max();
        newest.map(|path| SnapshotFile::open(&*disk, &path)).transpose()
    }

    /// What the current snapshot covers, and the open file.
    pub(crate) fn current(&self) -> Result<Option<(raft::SnapshotMeta, SnapshotFile)>, StoreError> {
        let current = self.current.lock();
        let Some((meta, path)) = current.as_ref() else { return Ok(None) };
        Ok(Some((meta.clone(), SnapshotFile::open(&*self.disk, path)?)))
    }

    /// Reads the current snapshot to its end.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        match self.current()? {
            Some((_, file)) => file.read().map(drop),
            None => Ok(()),
        }
    }

    /// Fails unless the snapshots go on to where the log begins, after the entry that was purged last.
    pub(crate) fn reach(&self, purged: Option<raft::LogId>) -> Result<(), StoreError> {
        let covered = self.current.lock().as_ref().and_then(|(meta, _)| meta.last_log_id);
        match purged {
            Some(purged) if covered.is_none_or(|covered| covered.index < purged.index) => {
                let cause = format!(
                    "the log begins after entry {}, and no snapshot has what was before",
                    purged.index
                );
                Err(StoreError::Corrupt { dir: self.dir.clone(), cause })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Writes a snapshot and makes it the current one. Blocks until it is durable.
    pub(crate) fn write(
        &self,
        meta: &raft::SnapshotMeta,
        state: &Frozen,
    ) -> Result<SnapshotFile, StoreError> {
        let mut incoming = self.receive()?;
        incoming.write(&codec::encode(Kind::SnapshotMeta, &SnapshotMetaV1::from(meta)))?;
        incoming.write(&state.encode())?;
        let written = incoming.finish()?;
        self.adopt(meta, &written)
    }

    /// Begins a file that is filled piece by piece.
    pub(crate) fn receive(&self) -> Result<Incoming, StoreError> {
        let draft = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{draft}.{UNFINISHED}"));
        let file = self.disk.create(&path).map_err(|error| StoreError::from_io(&path, &error))?;
        Ok(Incoming { file, path, size: 0, sum: crc32fast::Hasher::new() })
    }

    /// Makes a synced file the current snapshot and forgets the others. One that covers less than the current does
    /// not replace it, because the log up to that is gone: a build may end after a snapshot was installed.
    pub(crate) fn adopt(
        &self,
        meta: &raft::SnapshotMeta,
        file: &SnapshotFile,
    ) -> Result<SnapshotFile, StoreError> {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(newer, _)| newer.last_log_id > meta.last_log_id) {
            let outdated = SnapshotFile::open(&*self.disk, &file.path)?;
            // Whoever built it may still read it through the open file.
            self.disk.remove(&file.path).map_err(|error| StoreError::from_io(&file.path, &error))?;
            return Ok(outdated);
        }
        let path = self.dir.join(file_name(meta));
        if file.path != path {
            self.disk.rename(&file.path, &path).map_err(|error| StoreError::from_io(&path, &error))?;
            self.disk.sync_dir(&self.dir).map_err(|error| StoreError::from_io(&self.dir, &error))?;
        }
        let earlier = current.replace((meta.clone(), path.clone()));
        if let Some((_, earlier)) = earlier.filter(|(_, earlier)| *earlier != path) {
            self.disk.remove(&earlier).map_err(|error| StoreError::from_io(&earlier, &error))?;
        }
        SnapshotFile::open(&*self.disk, &path)
    }
}

/// The name sorts by index first, then by term.
fn file_name(meta: &raft::SnapshotMeta) -> String {
    let (index, term) = meta.last_log_id.map_or((0, 0), |id| (id.index + 1, id.leader_id.term));
    format!("{index:020}-{term:020}.{FINISHED}")
}

impl SnapshotFile {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let file = disk.open(path).map_err(|error| StoreError::from_io(path, &error))?;
        let size = file.size().map_err(|error| StoreError::from_io(path, &error))?;
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// What the snapshot covers. Reads its first record alone.
    pub(crate) fn meta(&self) -> Result<raft::SnapshotMeta, StoreError> {
        let header = self.bytes(0, HEADER_LEN as u64)?;
        let length = self.first_record(&header)?;
        let stored: SnapshotMetaV1 = codec::decode(Kind::SnapshotMeta, &self.bytes(0, length)?)
            .map_err(|error| StoreError::from_own(&self.path, &error))?;
        stored.try_into().map_err(|error| self.corrupt(&error))
    }

    /// What the snapshot covers, and the state.
    pub(crate) fn read(&self) -> Result<(raft::SnapshotMeta, Frozen), StoreError> {
        let bytes = self.bytes(0, self.size)?;
        let meta = self.meta()?;
        let state = usize::try_from(self.first_record(&bytes)?).map_or(&[][..], |start| &bytes[start..]);
        let state = Frozen::decode(state).map_err(|error| StoreError::from_own(&self.path, &error))?;
        Ok((meta, state))
    }

    /// A piece of the file; shorter at its end.
    pub(crate) fn bytes(&self, from: u64, length: u64) -> Result<Vec<u8>, StoreError> {
        self.file.read(from, length).map_err(|error| StoreError::from_io(&self.path, &error))
    }

    /// Bytes that the first record takes, known to be there.
    fn first_record(&self, bytes: &[u8]) -> Result<u64, StoreError> {
        let header = bytes.first_chunk().copied().unwrap_or_default();
        let length = codec::open_header(Kind::SnapshotMeta, header)
            .map_err(|error| StoreError::from_own(&self.path, &error))?;
        let end = (HEADER_LEN + length) as u64;
        if end <= self.size { Ok(end) } else { Err(self.corrupt(&"it is cut off")) }
    }

    fn corrupt(&self, cause: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt { dir: self.path.clone(), cause: cause.to_string() }
    }
}

/// A snapshot on its way. Dropped unfinished, it leaves a file that the next start removes.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: Box<dyn Content>,
    path: PathBuf,
    size: u64,
    sum: crc32fast::Hasher,
}

impl Incoming {
    /// Adds a piece.
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.sum.update(piece);
        self.size += piece.len() as u64;
        self.file.append(piece).map_err(|error| StoreError::from_io(&self.path, &error))
    }

    /// Bytes so far.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// CRC-32 of the bytes so far.
    pub(crate) fn checksum(&self) -> u32 {
        self.sum.clone().finalize()
    }

    /// Makes the content durable.
    pub(crate) fn finish(self) -> Result<SnapshotFile, StoreError> {
        self.file.sync().map_err(|error| StoreError::from_io(&self.path, &error))?;
        Ok(SnapshotFile { file: self.file, path: self.path, size: self.size })
    }
}
