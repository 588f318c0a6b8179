//! Since when the write has been under way that a database's thread is at. For whoever watches over the disk.

use quorate_domain::MonoTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing is being written. No write begins before the process did.
const NOTHING: u64 = 0;

/// A handle on it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Underway(Arc<AtomicU64>);

impl Underway {
    pub(super) fn begin(&self, now: MonoTime) {
        self.0.store(now.micros().max(NOTHING + 1), Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.0.store(NOTHING, Ordering::Release);
    }

    /// When the write began that is under way, if there is one.
    #[must_use]
    pub fn begun(&self) -> Option<MonoTime> {
        match self.0.load(Ordering::Acquire) {
            NOTHING => None,
            begun => Some(MonoTime::from_micros(begun)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_under_way_from_its_beginning_to_its_end() {
        let (underway, at) = (Underway::default(), MonoTime::from_micros);
        assert_eq!(underway.begun(), None);
        underway.begin(at(5));
        assert_eq!(underway.begun(), Some(at(5)));
        underway.end();
        assert_eq!(underway.begun(), None);
    }
}
