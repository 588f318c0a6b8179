//! The newest entries of the log in memory, so that replication and applying seldom read the disk.

use crate::raft;
use std::collections::VecDeque;
use std::ops::Range;

/// Entries are forgotten here, oldest first, when they take more than this.
const BYTES_MAX: usize = 64 << 20;

/// A run of entries without gaps that ends with the last of the log.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Kept>,
    bytes: usize,
    /// The first entry of the log, kept here or not.
    oldest: u64,
    last: Option<raft::LogId>,
}

#[derive(Debug)]
struct Kept {
    entry: raft::Entry,
    bytes: usize,
}

impl Tail {
    /// The last entry of the log, kept here or not.
    pub(super) const fn last(&self) -> Option<raft::LogId> {
        self.last
    }

    /// The first entry of the log, kept here or not; means nothing while there is no last.
    pub(super) const fn oldest(&self) -> u64 {
        self.oldest
    }

    /// The first entry kept.
    pub(super) fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|kept| kept.entry.log_id.index)
    }

    /// Adds the next entry. Forgets the oldest ones that are on the disk (up to `durable`) if there are too many.
    pub(super) fn push(&mut self, entry: raft::Entry, bytes: usize, durable: u64) {
        if self.last.is_none() {
            self.oldest = entry.log_id.index;
        }
        self.last = Some(entry.log_id);
        self.bytes += bytes;
        self.entries.push_back(Kept { entry, bytes });
        while self.bytes > BYTES_MAX && self.first_index().is_some_and(|first| first <= durable) {
            self.pop_front();
        }
    }

    /// Forgets everything after `last`, which becomes the last entry.
    pub(super) fn truncate(&mut self, last: Option<raft::LogId>) {
        while self.entries.back().is_some_and(|kept| last.is_none_or(|id| kept.entry.log_id.index > id.index))
        {
            let gone = self.entries.pop_back();
            self.bytes -= gone.map_or(0, |kept| kept.bytes);
        }
        let unchanged = |id: &raft::LogId| self.last.is_none_or(|ours| id.index >= ours.index);
        if !last.as_ref().is_some_and(unchanged) {
            self.last = last.filter(|id| id.index >= self.oldest);
        }
    }

    /// Forgets everything up to an index.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.first_index().is_some_and(|first| first <= upto) {
            self.pop_front();
        }
        self.oldest = self.oldest.max(upto + 1);
        if self.last.is_some_and(|last| last.index <= upto) {
            self.last = None;
        }
    }

    /// The entries with these indices, as far as they are kept, with their sizes.
    pub(super) fn range(&self, range: Range<u64>) -> impl Iterator<Item = (&raft::Entry, usize)> {
        let first = self.first_index().unwrap_or(u64::MAX);
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries
            .iter()
            .skip(skip)
            .take_while(move |kept| kept.entry.log_id.index < range.end)
            .map(|kept| (&kept.entry, kept.bytes))
    }

    fn pop_front(&mut self) {
        let gone = self.entries.pop_front();
        self.bytes -= gone.map_or(0, |kept| kept.bytes);
    }
}
