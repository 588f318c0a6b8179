//! Lines of the journal: how far accounts may be spent before the next ones, and which windows have begun. The flusher's part
//! of the wallet.

use crate::account::Account;
use crate::reservation::Beyond;
use crate::{Overrun, Wallet};
use quorate_domain::{Amount, BudgetId, MonoTime, SessionId, WindowId};
use quorate_ledger::{Begun, Mark};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is written to the journal at once.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Account by account.
    pub lines: Vec<Marked>,
    /// How far log time is known to have come.
    pub begun: Begun,
    /// A window of which something was granted waits for nothing but this to begin.
    pub(crate) begins: bool,
}

impl Marks {
    /// Whether there is no need to write anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty() && !self.begins
    }

    /// The lines as the journal holds them.
    #[must_use]
    pub fn written(&self) -> Vec<Mark> {
        self.lines.iter().map(|line| line.written(self.begun.session)).collect()
    }
}

/// A line of the journal about one account: to be written, or written.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The account.
    pub account: Arc<Account>,
    /// No more than this will be spent before the next line.
    pub spent_bound: Amount,
    /// Settled by now.
    pub settled: Amount,
    /// Billed beyond what was reserved by now.
    pub overrun: Amount,
}

impl Marked {
    fn written(&self, session: SessionId) -> Mark {
        let &Self { ref account, spent_bound, settled, overrun } = self;
        let (budget, window) = (account.budget(), account.window().id);
        Mark { session, budget, window, spent_bound, settled, overrun }
    }
}

impl Wallet {
    /// What to write to the journal now: watermarks, raised or lowered, overrun, and which windows have begun.
    /// [`Wallet::journalled`] makes it count.
    #[must_use]
    pub fn marks(&self, now: MonoTime) -> Marks {
        let begins = self.take_beginnings() && !self.is_fenced();
        let lines = self.lines(now);
        // After the marks: what is spent from by now is of windows that have begun.
        Marks { lines, begun: Begun { session: self.session(), upto: self.log_time() }, begins }
    }

    fn lines(&self, now: MonoTime) -> Vec<Marked> {
        let mut called = BTreeMap::new();
        let mut call =
            |account: Arc<Account>| called.insert((account.budget(), account.window().id), account);
        while let Some(account) = self.low.pop() {
            account.flusher_came();
            call(account);
        }
        let line = self.line.lock();
        line.budgets().into_iter().flat_map(|budget| self.accounts_for_line(budget)).for_each(|account| {
            call(account);
        });
        let mark = |account: Arc<Account>| {
            let waiting = line.sum_at(account.budget());
            let raised = account.wanted_watermark(waiting, now);
            let bound = raised.or_else(|| account.wants_mark().then(|| account.watermark()))?;
            account.mark(bound)
        };
        called.into_values().filter_map(mark).collect()
    }

    /// The journal holds these marks now.
    pub fn journalled(&self, marks: &Marks, now: MonoTime) {
        for mark in &marks.lines {
            mark.account.journalled(mark, now);
        }
        self.begun(marks.begun.upto, marks.begins);
    }

    /// Has the next marks hold an overrun. What can be told in the name of a session no more that is over is owed: told as overspent. How
    /// much of which budgets that is.
    pub fn record_or_owe(&self, overrun: &mut Overrun) -> Vec<(BudgetId, Amount)> {
        let is_untold = |beyond: &mut Beyond| beyond.account.is_overrun_untold(beyond.upto);
        let owed = overrun.accounts.extract_if(.., is_untold);
        let owed: Vec<_> = owed.map(|beyond| (beyond.account.budget(), beyond.by)).collect();
        overrun.overspent.extend(owed.iter().map(|(budget, by)| self.overdrafts().owe(*budget, *by)));
        overrun.accounts.iter().for_each(|beyond| self.low.push(Arc::clone(&beyond.account)));
        owed
    }

    /// Windows that are over and of which the ledger knows all: what the journal holds of them proves nothing more.
    /// Each is told once.
    #[must_use]
    pub fn settled_windows(&self) -> Vec<(BudgetId, WindowId)> {
        std::iter::from_fn(|| self.over.pop()).collect()
    }

    /// Whether a watermark should be looked at, or somebody in line was let pass who may have all it needs now.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        !self.low.is_empty() || self.waits_to_begin() || self.lets_pass.swap(false, Ordering::AcqRel)
    }
}
