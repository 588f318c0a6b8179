//! How large the next slice should be: twice the last one if that went fast, half of it if it went slowly.
//!
//! The same rule sizes grants (asked of the ledger) and watermarks (written to the journal). It needs no clock of
//! its own and no estimate of rates, and it settles on slices that last about as long as the rule's span.

use quorate_domain::{Amount, MonoTime};
use std::time::Duration;

/// The size of the slices of one account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    size: Amount,
    last: Option<MonoTime>,
    /// A slice that lasts less than this was too small.
    short: Duration,
    /// A slice that lasts longer than this was too large.
    long: Duration,
}

impl Pace {
    pub(crate) const fn new(short: Duration, long: Duration) -> Self {
        Self { size: Amount::ZERO, last: None, short, long }
    }

    /// The slice to take now, never below `floor`. Does not count as taken yet.
    pub(crate) fn next(&self, now: MonoTime, floor: Amount) -> Amount {
        let lasted = self.last.map(|last| now.since(last));
        let size = match lasted {
            Some(lasted) if lasted < self.short => self.size.saturating_mul(2),
            Some(lasted) if lasted > self.long => self.size.split(2),
            Some(_) | None => self.size,
        };
        size.max(floor)
    }

    /// A slice of this size was taken.
    pub(crate) fn took(&mut self, now: MonoTime, size: Amount) {
        self.size = size;
        self.last = Some(now);
    }

    /// The size of the latest slice.
    pub(crate) const fn size(&self) -> Amount {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_grow_while_they_go_fast_and_shrink_when_they_last() {
        let mut pace = Pace::new(Duration::from_millis(100), Duration::from_millis(1_000));
        let floor = Amount::new(10);
        let mut sizes = vec![];
        for at_ms in [0, 50, 90, 500, 2_000, 9_000, 20_000, 40_000] {
            let now = MonoTime::from_micros(at_ms * 1_000);
            let size = pace.next(now, floor);
            pace.took(now, size);
            sizes.push(size.get());
        }
        assert_eq!(sizes, [10, 20, 40, 40, 20, 10, 10, 10]);
    }
}
