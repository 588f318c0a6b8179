//! Overrun: what was charged beyond reservations, which no watermark covers. It is told once, by the session's journal and reports or, if the
//! session ends before, in another way.

use super::Account;
use crate::mark::Marked;
use quorate_domain::Amount;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Account {
    /// Never wraps: an overrun beyond all bounds stays one. How much there is now.
    pub(super) fn overran(&self, by: Amount) -> Amount {
        let sum = |known: u64| Some(known.saturating_add(by.get()));
        // The update is never refused.
        let (Ok(known) | Err(known)) = self.overrun.fetch_update(Ordering::AcqRel, Ordering::Acquire, sum);
        Amount::new(known).saturating_add(by)
    }

    /// Whether the journal holds so much overrun, or the ledger knows of it, so that no crash can lose it.
    pub(crate) fn is_overrun_durable(&self, upto: Amount) -> bool {
        let book = self.book.lock();
        book.durable_overrun.max(book.reported.overrun) >= upto
    }

    /// Whether so much overrun can be told in the name of its session no more: that is over, and neither its journal nor a report
    /// says it. With the book at hand, as [`Account::mark`]: it is the one or the other.
    pub(crate) fn is_overrun_untold(&self, upto: Amount) -> bool {
        let book = self.book.lock();
        self.life.is_fenced() && book.marked_overrun.max(book.reported.overrun) < upto
    }

    pub(super) fn overrun(&self) -> Amount {
        Amount::new(self.overrun.load(Ordering::Acquire))
    }

    /// A line for the journal. None once the session is over: what the journal holds of it then is told when the next one is opened,
    /// and what it does not hold is told in another way.
    pub(crate) fn mark(self: &Arc<Self>, spent_bound: Amount) -> Option<Marked> {
        let mut book = self.book.lock();
        if self.life.is_fenced() {
            return None;
        }
        let settled = Amount::new(self.used.load(Ordering::Acquire));
        let overrun = self.overrun();
        book.marked_overrun = overrun;
        Some(Marked { account: Arc::clone(self), spent_bound, settled, overrun })
    }
}
