//! How many requests are inside now, and how many there were at most.

use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    concurrent: AtomicU64,
    peak: AtomicU64,
    requests: AtomicU64,
}

/// Counts as they are shown.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    concurrent: u64,
    peak: u64,
    requests: u64,
}

/// One request that is inside, until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside(Arc<Stats>);

impl Stats {
    /// Counts a request in.
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let concurrent = self.concurrent.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(concurrent, Ordering::Relaxed);
        Inside(Arc::clone(self))
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            concurrent: self.concurrent.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.concurrent.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_outlives_those_who_were_inside() {
        let stats = Arc::new(Stats::default());
        drop((stats.enter(), stats.enter()));
        let _inside = stats.enter();
        assert_eq!(stats.counts(), Counts { concurrent: 1, peak: 2, requests: 3 });
    }
}
