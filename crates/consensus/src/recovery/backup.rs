//! A file of the state: magic, head, what a snapshot holds, and SHA-256 of all of it at the end.
//!
//! The file is a secret, as the state is: it holds the pepper, stored credentials and the key of the certificate authority.

use crate::codec::{self, CodecError, HEADER_LEN, Kind, SnapshotMetaV1};
use crate::machine::{Frozen, State};
use crate::raft;
use crate::store::StoreError;
use bytes::Bytes;
use quorate_domain::{ClusterId, LogTime, Revision};
use quorate_membership::Levels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;

const MAGIC: &[u8; 16] = b"quorate snapshot";
/// What stands behind the magic. Raised when a program of today could not read the file.
const FORMAT: u32 = 1;
const PREAMBLE: usize = MAGIC.len() + 4;
const SUM: usize = 32;

/// What a file says of itself, before the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) cluster: ClusterId,
    pub(crate) lineage: u32,
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) at: LogTime,
    pub(crate) revision: Revision,
    pub(crate) level: u32,
    pub(crate) release: String,
}

/// The bytes of a file, in pieces that follow each other.
#[derive(Clone, Debug)]
pub struct BackupFile {
    pieces: Vec<Bytes>,
}

impl BackupFile {
    /// The state as it is now.
    pub(crate) fn of(state: &State) -> Self {
        let (meta, frozen) = state.freeze();
        let mut beginning = [&MAGIC[..], &FORMAT.to_le_bytes()].concat();
        beginning.extend(codec::encode(Kind::Backup, &Head::of(&meta, &frozen)));
        beginning.extend(codec::encode(Kind::SnapshotMeta, &SnapshotMetaV1::from(&meta)));
        let body = frozen.encode();
        let sum = Sha256::new().chain_update(&beginning).chain_update(&body).finalize();
        Self { pieces: [beginning, body, sum.to_vec()].map(Bytes::from).into() }
    }

    /// The pieces, in order.
    #[must_use]
    pub fn pieces(self) -> Vec<Bytes> {
        self.pieces
    }
}

impl Head {
    fn of(meta: &raft::SnapshotMeta, frozen: &Frozen) -> Self {
        let (term, index) = meta.last_log_id.map_or((0, 0), |last| (last.leader_id.term, last.index));
        let members = &frozen.members;
        Self {
            cluster: members.cluster().unwrap_or_default(),
            lineage: members.lineage(),
            term,
            index,
            at: frozen.time,
            revision: frozen.catalog.revision(),
            level: members.level(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A file that was read, and whose sum is right.
#[derive(Debug)]
pub(crate) struct Backup {
    pub(crate) head: Head,
    pub(crate) last: raft::LogId,
    pub(crate) state: State,
    pub(crate) size: u64,
    pub(crate) sha256: [u8; SUM],
}

impl Backup {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(|error| StoreError::from_io(path, &error))?;
        Self::of(&bytes, path)
    }

    fn of(bytes: &[u8], path: &Path) -> Result<Self, StoreError> {
        let corrupt = |cause: &str| StoreError::Corrupt { dir: path.to_owned(), cause: cause.to_owned() };
        let unreadable = |error: CodecError| StoreError::from_codec(path, &error);
        let (content, sha256) = checked(bytes, path)?;
        let mut rest = content.get(PREAMBLE..).unwrap_or_default();
        let mut record = |kind| {
            let header = rest.first_chunk::<HEADER_LEN>().ok_or_else(|| corrupt("it is cut off"))?;
            let length = HEADER_LEN + codec::open_header(kind, *header).map_err(unreadable)?;
            let (record, behind) = rest.split_at_checked(length).ok_or_else(|| corrupt("it is cut off"))?;
            rest = behind;
            Ok::<_, StoreError>(record)
        };
        let (head, meta, state) = (record(Kind::Backup)?, record(Kind::SnapshotMeta)?, record(Kind::State)?);
        let head: Head = codec::decode(Kind::Backup, head).map_err(unreadable)?;
        readable(head.level, path)?;
        let meta: SnapshotMetaV1 = codec::decode(Kind::SnapshotMeta, meta).map_err(unreadable)?;
        let meta = raft::SnapshotMeta::try_from(meta).map_err(|error| corrupt(&error.to_string()))?;
        let frozen = Frozen::decode(state).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err(corrupt("something follows the state"));
        }
        let state = State::default();
        state.restore(&meta, frozen);
        let last = meta.last_log_id.ok_or_else(|| corrupt("it holds no entry"))?;
        Ok(Self { head, last, state, size: bytes.len() as u64, sha256 })
    }
}

/// Whether this program knows what a cluster of that level writes.
pub(super) fn readable(level: u32, dir: &Path) -> Result<(), StoreError> {
    let (found, supported) = (u64::from(level), u64::from(Levels::OURS.max));
    let newer = || StoreError::Newer { dir: dir.to_owned(), found, supported };
    Levels::OURS.know(level).then_some(()).ok_or_else(newer)
}

/// What the file holds before its sum, which is right.
fn checked<'a>(bytes: &'a [u8], path: &Path) -> Result<(&'a [u8], [u8; SUM]), StoreError> {
    let dir = path.to_owned();
    if !bytes.starts_with(MAGIC) {
        let is_ours = !bytes.is_empty() && MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]);
        return Err(if is_ours {
            StoreError::Corrupt { dir, cause: "it is cut off".to_owned() }
        } else {
            StoreError::Foreign { dir, found: "it is no snapshot file".to_owned() }
        });
    }
    let cut_off = || StoreError::Corrupt { dir: path.to_owned(), cause: "it is cut off".to_owned() };
    let (content, sum) = bytes.split_last_chunk::<SUM>().ok_or_else(cut_off)?;
    let format = content[..PREAMBLE.min(content.len())].last_chunk::<4>().ok_or_else(cut_off)?;
    let found = u32::from_le_bytes(*format);
    let sha256: [u8; SUM] = Sha256::digest(content).into();
    if sha256 != *sum {
        let cause = "its checksum does not match: it was changed, or not written to its end".to_owned();
        return Err(StoreError::Corrupt { dir, cause });
    }
    if found > FORMAT {
        return Err(StoreError::Newer { dir, found: u64::from(found), supported: u64::from(FORMAT) });
    }
    Ok((content, sha256))
}

/// What is in a file, for people and scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// The cluster, hexadecimal.
    pub cluster: String,
    /// Its lineage.
    pub lineage: u32,
    /// The term of the last entry that the state holds.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// Its log time, in milliseconds since 1970.
    pub log_time_ms: LogTime,
    /// The same, as people read it.
    pub log_time: String,
    /// The revision of the configuration.
    pub revision: Revision,
    /// The level of what is written.
    pub level: u32,
    /// The release of the program that wrote the file.
    pub release: String,
    /// API keys, revoked ones too.
    pub keys: usize,
    /// Budgets.
    pub budgets: usize,
    /// Nodes.
    pub nodes: usize,
    /// Sessions that live or are in doubt.
    pub sessions: usize,
    /// Providers.
    pub providers: usize,
    /// Routes.
    pub routes: usize,
    /// The digest of all that was applied and of what came of it: the same as that of a node at this index.
    pub history: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file but for its last 32 bytes, which are this sum.
    pub sha256: String,
}
