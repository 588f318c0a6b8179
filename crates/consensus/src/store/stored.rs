//! A log as it stands on the disk, for whoever works on it while no node runs.

use super::log::{COMMITTED, PURGED, VOTE, decode_entry, read_mark};
use super::{Database, Keyspace, LOG, META, StoreError};
use crate::codec::{self, EntryV1, Kind, LogIdV1, VoteV1};
use crate::host::Write;
use crate::raft;
use std::ops::ControlFlow;

/// All of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredLog {
    pub(crate) vote: Option<VoteV1>,
    pub(crate) committed: Option<raft::LogId>,
    pub(crate) purged: Option<raft::LogId>,
    pub(crate) entries: Vec<raft::Entry>,
}

impl StoredLog {
    /// What the database is for.
    pub(crate) const PURPOSE: &str = "raft log";

    /// Reads all of it. A gap or a damaged entry is an error.
    pub(crate) fn read(database: &Database) -> Result<Self, StoreError> {
        let keys = Keyspace::default();
        let committed: Option<LogIdV1> = read_mark(database, keys, COMMITTED, Kind::LogId)?;
        let purged: Option<LogIdV1> = read_mark(database, keys, PURGED, Kind::LogId)?;
        let mut next = purged.map(|purged| purged.index + 1);
        let mut entries = Vec::new();
        database.raw.scan(LOG, &keys.at(next.unwrap_or(0)), &mut |key, bytes| {
            let Some(index) = keys.index_of(key) else { return Ok(ControlFlow::Break(())) };
            if next.is_some_and(|next| index != next) {
                let cause = format!("entry {index} follows where {} belongs", next.unwrap_or(0));
                return Err(StoreError::Corrupt { dir: database.dir.clone(), cause });
            }
            entries.push(decode_entry(database, index, bytes)?);
            next = Some(index + 1);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Self {
            vote: read_mark(database, keys, VOTE, Kind::Vote)?,
            committed: committed.map(Into::into),
            purged: purged.map(Into::into),
            entries,
        })
    }

    /// What writes all of this into a database, beside the entries that are there.
    pub(crate) fn writes(&self) -> Vec<Write> {
        let keys = Keyspace::default();
        let mark = |tag, value| Write::Put { table: META, key: keys.tag(tag), value };
        let place = |tag, id: raft::LogId| mark(tag, codec::encode(Kind::LogId, &LogIdV1::from(&id)));
        let entry = |entry: &raft::Entry| {
            let value = codec::encode(Kind::Entry, &EntryV1::from(entry));
            Write::Put { table: LOG, key: keys.at(entry.log_id.index), value }
        };
        let vote = self.vote.map(|vote| mark(VOTE, codec::encode(Kind::Vote, &vote)));
        let committed = self.committed.map(|id| place(COMMITTED, id));
        let purged = self.purged.map(|id| place(PURGED, id));
        self.entries.iter().map(entry).chain(vote).chain(committed).chain(purged).collect()
    }
}
