//! Grants of windows that have not begun: asked for shortly before, so that nobody waits for one when the window begins, and
//! spent only once the log says that it has, and the journal that the log says so (docs/adr/0017-next-windows.md).

use crate::Wallet;
use crate::account::Account;
use crossbeam::queue::SegQueue;
use parking_lot::Mutex;
use quorate_domain::{BudgetId, LogTime, MonoTime, Window, WindowId};
use quorate_ledger::{Ledger, View};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// So many windows are turned at a time by who has other things to do as well. Requests turn theirs themselves.
const TURNS_AT_ONCE: usize = 1_000;

/// The accounts of a budget from which requests take: now, and when the next window has begun.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) open: Option<Arc<Account>>,
    pub(crate) next: Option<Arc<Account>>,
}

/// What is known of windows to come.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Log time has come so far, in milliseconds.
    log_time: AtomicU64,
    /// The journal says that it has come so far: a crash is charged nothing of windows that begin later.
    journalled: AtomicU64,
    /// A window in `upcoming` has begun, and the journal is to say so.
    begins: AtomicBool,
    /// Next windows of which something was granted, by their beginning.
    upcoming: Mutex<BTreeSet<(LogTime, BudgetId)>>,
    /// Budgets whose next window is the open one now: what the ledger was told of places is of the one before.
    turned: SegQueue<BudgetId>,
}

impl Wallet {
    /// Log time has come at least so far.
    pub(crate) fn log_time_is(&self, at: LogTime) {
        self.ahead.log_time.fetch_max(at.millis(), Ordering::AcqRel);
        self.look_for_beginnings();
    }

    /// Takes note of how far log time has come; whether a window waits for nothing but the journal to begin.
    #[must_use]
    pub fn watch_time(&self, ledger: &Ledger) -> bool {
        self.log_time_is(ledger.time());
        self.waits_to_begin()
    }

    /// Whether there are windows to come, for which log time should be watched.
    #[must_use]
    pub fn has_windows_ahead(&self) -> bool {
        !self.ahead.upcoming.lock().is_empty()
    }

    /// How far it has come, as far as is known here.
    pub(crate) fn log_time(&self) -> LogTime {
        LogTime::from_millis(self.ahead.log_time.load(Ordering::Acquire))
    }

    fn journalled_log_time(&self) -> LogTime {
        LogTime::from_millis(self.ahead.journalled.load(Ordering::Acquire))
    }

    fn look_for_beginnings(&self) {
        let (after, upto) = (self.journalled_log_time(), self.log_time());
        let last = (after, BudgetId::new(u64::MAX));
        let upcoming = self.ahead.upcoming.lock();
        let first = upcoming.range((Bound::Excluded(last), Bound::Unbounded)).next();
        if first.is_some_and(|(start, _)| *start <= upto) {
            self.ahead.begins.store(true, Ordering::Release);
        }
    }

    /// Whether a window waits for nothing but the journal to begin.
    pub(crate) fn waits_to_begin(&self) -> bool {
        self.ahead.begins.load(Ordering::Acquire)
    }

    /// The same, told once.
    pub(crate) fn take_beginnings(&self) -> bool {
        self.ahead.begins.swap(false, Ordering::AcqRel)
    }

    /// The journal says so: windows up to there may be spent from.
    pub(crate) fn begun(&self, upto: LogTime, begins: bool) {
        // Another session may have been opened by what the journal said before.
        if self.is_fenced() {
            return;
        }
        self.ahead.journalled.fetch_max(upto.millis(), Ordering::AcqRel);
        if !begins {
            return;
        }
        let waited_at = self.line.lock().budgets();
        waited_at.into_iter().for_each(|budget| self.turn(budget));
    }

    fn has_begun(&self, account: &Arc<Account>) -> bool {
        account.window().id.start() <= self.journalled_log_time()
    }

    /// The accounts from which requests in line at a budget take: now, or as soon as the journal says that the window has begun.
    pub(crate) fn accounts_for_line(&self, budget: BudgetId) -> impl Iterator<Item = Arc<Account>> {
        self.account(budget).into_iter().chain(self.beginning(budget))
    }

    /// The account of a budget's next window, if it has begun and the journal is yet to know.
    pub(crate) fn beginning(&self, budget: BudgetId) -> Option<Arc<Account>> {
        self.next(budget).filter(|next| next.window().id.start() <= self.log_time())
    }

    /// The account of a budget's next window, if anything of it was granted.
    pub(crate) fn next(&self, budget: BudgetId) -> Option<Arc<Account>> {
        self.shard(budget).read().get(&budget)?.next.clone()
    }

    /// Takes note of what was granted of a window that has not begun.
    pub(crate) fn learn_ahead(&self, budget: BudgetId, view: &View, now: MonoTime) -> Arc<Account> {
        let account = self.account_of(budget, view.window.id).unwrap_or_else(|| self.open_next(budget, view));
        let _mode = account.follow(view, &|_| false, now);
        self.low.push(Arc::clone(&account));
        account
    }

    fn open_next(&self, budget: BudgetId, view: &View) -> Arc<Account> {
        let mut shard = self.shard(budget).write();
        let slot = shard.entry(budget).or_default();
        let account = Arc::new(match &slot.open {
            Some(open) => Account::following(open, view.window),
            None => Account::new(budget, view.window, &self.life),
        });
        let earlier = slot.next.replace(Arc::clone(&account));
        drop(shard);
        earlier.inspect(|account| self.is_over(account));
        self.ahead.upcoming.lock().insert((view.window.id.start(), budget));
        self.look_for_beginnings();
        account
    }

    /// A later window of the budget is open: the next one that is known was not turned to in time.
    pub(crate) fn skip_next(&self, budget: BudgetId, open: WindowId) {
        let is_earlier = |next: &mut Arc<Account>| next.window().id < open;
        let skipped =
            self.shard(budget).write().get_mut(&budget).and_then(|slot| slot.next.take_if(is_earlier));
        if let Some(account) = skipped {
            self.ahead.upcoming.lock().remove(&(account.window().id.start(), budget));
            self.is_over(&account);
        }
    }

    /// The open account of a budget, if its window has just begun: it is another one than `before`.
    pub(crate) fn turned(&self, budget: BudgetId, before: Option<&Arc<Account>>) -> Option<Arc<Account>> {
        self.turn(budget);
        self.account(budget).filter(|open| before.is_none_or(|before| !Arc::ptr_eq(before, open)))
    }

    /// Lets requests take from a budget's next window, once it has begun.
    pub(crate) fn turn(&self, budget: BudgetId) {
        if !self.next(budget).is_some_and(|next| self.has_begun(&next)) {
            return;
        }
        // In this order everywhere: the line, then a shard.
        let line = self.line.lock();
        let mut shard = self.shard(budget).write();
        let Some(slot) = shard.get_mut(&budget) else { return };
        let Some(next) = slot.next.take_if(|next| self.has_begun(next)) else { return };
        next.set_waiting(line.count_at(budget));
        if let Some(open) = &slot.open {
            next.is_touched_as(open);
        }
        let over = slot.open.replace(Arc::clone(&next));
        // At every instant it is found here or there: a second account of its window would spend what this one has spent.
        over.iter().for_each(|account| self.retires(account));
        drop((shard, line));
        // Where the syncer looks, the next one takes its place when it wakes.
        over.inspect(|account| account.end());
        self.ahead.upcoming.lock().remove(&(next.window().id.start(), budget));
        self.ahead.turned.push(budget);
        if next.wakes() {
            self.waking.push(next);
        }
    }

    /// Whether a window that was open when the ledger answered is over here by now.
    pub(crate) fn has_turned_since(&self, budget: BudgetId, answered: Window) -> bool {
        self.log_time_is(answered.id.start());
        self.turn(budget);
        self.account(budget).is_some_and(|open| open.window().id > answered.id)
    }

    /// Turns windows that have begun; first those in which somebody waits for this node's answer.
    pub(crate) fn turn_due(&self, ledger: &Ledger) {
        self.log_time_is(ledger.time());
        let due: Vec<BudgetId> = self.take_due(self.journalled_log_time()).take(TURNS_AT_ONCE).collect();
        if due.len() == TURNS_AT_ONCE {
            ledger.central().iter().for_each(|budget| self.turn(*budget));
        }
        due.into_iter().for_each(|budget| self.turn(budget));
    }

    fn take_due(&self, now: LogTime) -> impl Iterator<Item = BudgetId> {
        let mut upcoming = self.ahead.upcoming.lock();
        std::iter::from_fn(move || {
            let first = upcoming.first().is_some_and(|(start, _)| *start <= now);
            first.then(|| upcoming.pop_first()).flatten().map(|(_, budget)| budget)
        })
    }

    /// Budgets whose window is another one now than when this was asked last.
    pub(crate) fn just_turned(&self) -> impl Iterator<Item = BudgetId> {
        std::iter::from_fn(|| self.ahead.turned.pop())
    }

    /// The node is about to leave: it will spend nothing of what comes next.
    pub(crate) fn give_back_next(&self) {
        for shard in &self.shards {
            let next: Vec<_> = shard.write().values_mut().filter_map(|slot| slot.next.take()).collect();
            next.iter().for_each(|account| self.is_over(account));
        }
        self.ahead.upcoming.lock().clear();
    }
}
