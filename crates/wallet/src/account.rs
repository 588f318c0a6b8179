//! A node's account of one window of one budget.
//!
//! Words of the protocol: A granted, U used (settled), I in flight (reserved), R returned, W watermark. The account
//! keeps `W ≤ A − R` and one number that the hot path competes for, the headroom `W − (U + I)`. It is never
//! negative, so `U + I ≤ W ≤ A − R` (I2) holds at every instant, whatever the order of events.

use crate::pace::Pace;
use crossbeam::utils::CachePadded;
use parking_lot::Mutex;
use quorate_domain::{Amount, BudgetId, MonoTime, Span, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A watermark that lasts less than this was raised by too little: the journal would be written too often.
const WATERMARK_SHORT: Duration = Duration::from_millis(50);
/// One that lasts longer than this puts more in doubt at a crash than it must.
const WATERMARK_LONG: Duration = Duration::from_millis(500);
/// A grant that lasts less than this was too small: the ledger would be asked too often.
const GRANT_SHORT: Duration = Duration::from_secs(5);
/// One that lasts longer than this keeps from others what it does not need.
const GRANT_LONG: Duration = Duration::from_secs(20);
/// A grant is worth at least this many requests, as far as the pool allows.
pub(crate) const GRANT_REQUESTS_MIN: u64 = 64;
/// A watermark covers at least this many requests beyond those in flight.
const WATERMARK_REQUESTS_MIN: u64 = 4;
/// More is asked for when less than this part of the latest grant is left.
const LOW_WATER_PARTS: u64 = 4;

/// A node's account of one window of one budget.
#[derive(Debug)]
pub struct Account {
    budget: BudgetId,
    window: Window,
    /// W − (U + I): what the hot path may take. The only number that requests compete for.
    headroom: CachePadded<AtomicU64>,
    in_flight: CachePadded<AtomicU64>,
    used: AtomicU64,
    overrun: AtomicU64,
    /// Requests that wait for this account. While there are any, nobody may overtake them.
    waiting: AtomicU32,
    /// When the grant ends on this node's own clock, in microseconds; `MonoTime::NEVER` for lifetime budgets.
    good_until: AtomicU64,
    /// Size of the latest reservation: what "a request" means here.
    request: AtomicU64,
    touched: AtomicU64,
    is_central: AtomicBool,
    /// Headroom below which the flusher should look at the account, and whether it was told already.
    low_mark: AtomicU64,
    is_called_for: AtomicBool,
    /// Whether the syncer looks at the account.
    is_active: AtomicBool,
    book: Mutex<Book>,
}

/// What only the slow path touches.
#[derive(Debug)]
struct Book {
    granted: Amount,
    returned: Amount,
    watermark: Amount,
    /// What the journal holds. Above the watermark after a return: a crash is then charged more, never less.
    durable: Amount,
    /// The overrun that the journal holds.
    durable_overrun: Amount,
    reported: Standing,
    watermark_pace: Pace,
    grant_pace: Pace,
}

/// Where an account stands: what is reported to the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Settled.
    pub used: Amount,
    /// Given back.
    pub returned: Amount,
    /// Billed beyond what was reserved.
    pub overrun: Amount,
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
    pub(crate) fn new(account: Arc<Account>, spent_bound: Amount) -> Self {
        let Standing { used, overrun, .. } = account.standing();
        Self { account, spent_bound, settled: used, overrun }
    }
}

impl Account {
    pub(crate) fn new(budget: BudgetId, window: Window) -> Self {
        Self {
            budget,
            window,
            headroom: CachePadded::default(),
            in_flight: CachePadded::default(),
            used: AtomicU64::default(),
            overrun: AtomicU64::default(),
            waiting: AtomicU32::default(),
            good_until: AtomicU64::default(),
            request: AtomicU64::default(),
            touched: AtomicU64::default(),
            is_central: AtomicBool::default(),
            low_mark: AtomicU64::default(),
            is_called_for: AtomicBool::default(),
            is_active: AtomicBool::default(),
            book: Mutex::new(Book {
                granted: Amount::ZERO,
                returned: Amount::ZERO,
                watermark: Amount::ZERO,
                durable: Amount::ZERO,
                durable_overrun: Amount::ZERO,
                reported: Standing::default(),
                watermark_pace: Pace::new(WATERMARK_SHORT, WATERMARK_LONG),
                grant_pace: Pace::new(GRANT_SHORT, GRANT_LONG),
            }),
        }
    }

    /// The budget.
    #[must_use]
    pub const fn budget(&self) -> BudgetId {
        self.budget
    }

    /// The window of the budget.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Granted, and neither spent, reserved nor given back.
    #[must_use]
    pub fn free(&self) -> Amount {
        let book = self.book.lock();
        book.granted.saturating_sub(book.returned).saturating_sub(self.spent_and_reserved())
    }

    /// Reserved by requests that are under way.
    #[must_use]
    pub fn in_flight(&self) -> Amount {
        Amount::new(self.in_flight.load(Ordering::Acquire))
    }

    /// Where it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let returned = self.book.lock().returned;
        Standing { used: Amount::new(self.used.load(Ordering::Acquire)), returned, overrun: self.overrun() }
    }

    /// The larger of: what the journal holds as a bound of its spending, and what memory would allow to be spent.
    #[must_use]
    pub fn spent_bound(&self) -> Amount {
        let book = self.book.lock();
        book.durable.max(book.watermark)
    }

    // The hot path.

    /// Takes `amount` from the headroom; `false` if there is too little, if the grant has ended, or if others wait.
    pub(crate) fn try_reserve(&self, amount: Amount, now: MonoTime, in_turn: bool) -> bool {
        let is_held_up = !in_turn && self.waiting.load(Ordering::Acquire) > 0;
        self.request.store(amount.get(), Ordering::Relaxed);
        self.touched.store(now.micros(), Ordering::Relaxed);
        if is_held_up || now.micros() >= self.good_until.load(Ordering::Acquire) {
            return false;
        }
        let taken = self
            .headroom
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |headroom| headroom.checked_sub(amount.get()))
            .is_ok();
        if taken {
            self.in_flight.fetch_add(amount.get(), Ordering::AcqRel);
        }
        taken
    }

    /// Ends a reservation: `spent` of it stays spent, the rest is headroom again. What goes beyond it is overrun;
    /// `true` if there is any.
    pub(crate) fn settle(&self, reserved: Amount, spent: Amount) -> bool {
        let (within, beyond) = (spent.min(reserved), spent.saturating_sub(reserved));
        if !beyond.is_zero() {
            self.overran(beyond);
        }
        self.used.fetch_add(within.get(), Ordering::AcqRel);
        self.in_flight.fetch_sub(reserved.get(), Ordering::AcqRel);
        self.headroom.fetch_add(reserved.saturating_sub(within).get(), Ordering::AcqRel);
        !beyond.is_zero()
    }

    /// Never wraps: an overrun beyond all bounds stays one.
    fn overran(&self, by: Amount) {
        let sum = |known: u64| Some(known.saturating_add(by.get()));
        // The update is never refused.
        let _known = self.overrun.fetch_update(Ordering::AcqRel, Ordering::Acquire, sum);
    }

    /// Whether the flusher should be called: the headroom is low, and nobody has called it yet.
    pub(crate) fn calls_flusher(&self) -> bool {
        let is_low = self.headroom.load(Ordering::Relaxed) <= self.low_mark.load(Ordering::Relaxed);
        is_low
            && !self.is_called_for.load(Ordering::Relaxed)
            && !self.is_called_for.swap(true, Ordering::AcqRel)
    }

    /// The flusher has come: the next low headroom calls it anew.
    pub(crate) fn flusher_came(&self) {
        self.is_called_for.store(false, Ordering::Release);
    }

    /// Whether the syncer should be called: the account was quiet until now.
    pub(crate) fn wakes(&self) -> bool {
        !self.is_active.load(Ordering::Relaxed) && !self.is_active.swap(true, Ordering::AcqRel)
    }

    /// The syncer looks away. A reservation from now on wakes the account again.
    pub(crate) fn rests(&self) {
        self.is_active.store(false, Ordering::Release);
    }

    pub(crate) fn set_waiting(&self, count: u32) {
        self.waiting.store(count, Ordering::Release);
    }

    // The slow path: one caller at a time, the treasurer.

    /// Takes note of a grant: everything granted so far, and until when on this node's clock it is good.
    pub(crate) fn learn(&self, granted: Amount, good_until: MonoTime, is_central: bool, now: MonoTime) {
        let mut book = self.book.lock();
        let gained = granted.saturating_sub(book.granted);
        if !gained.is_zero() {
            book.granted = granted;
            book.grant_pace.took(now, gained);
        }
        self.good_until.store(good_until.micros(), Ordering::Release);
        self.is_central.store(is_central, Ordering::Release);
    }

    pub(crate) fn set_central(&self, is_central: bool) {
        self.is_central.store(is_central, Ordering::Release);
    }

    /// Whether the budget is handed out request by request, so that what is free should go back at once.
    #[must_use]
    pub fn is_central(&self) -> bool {
        self.is_central.load(Ordering::Acquire)
    }

    pub(crate) fn has_ended_at(&self, now: MonoTime) -> bool {
        now.micros() >= self.good_until.load(Ordering::Acquire)
    }

    pub(crate) fn touched(&self) -> MonoTime {
        MonoTime::from_micros(self.touched.load(Ordering::Relaxed))
    }

    /// The watermark to write to the journal before more can be spent, if more is wanted: for `waiting` requests' sum
    /// and a slice beyond. `None` if there is headroom enough, or nothing left to raise it by.
    pub(crate) fn wanted_watermark(&self, waiting: Amount, now: MonoTime) -> Option<Amount> {
        let book = self.book.lock();
        let slice = book.watermark_pace.next(now, self.requests(WATERMARK_REQUESTS_MIN));
        let headroom = Amount::new(self.headroom.load(Ordering::Acquire));
        if waiting.is_zero() && headroom >= slice.split(2) {
            return None;
        }
        let kept = book.granted.saturating_sub(book.returned);
        let target = self.spent_and_reserved().saturating_add(waiting).saturating_add(slice).min(kept);
        (target > book.watermark).then_some(target)
    }

    /// Whether the journal should be written although no more can be spent: it holds a bound that a return has made
    /// much too high, or less overrun than there is.
    pub(crate) fn wants_mark(&self) -> bool {
        let book = self.book.lock();
        book.durable > book.watermark || book.durable_overrun < self.overrun()
    }

    /// Whether the journal holds all overrun there is, so that no crash can lose any.
    pub(crate) fn is_overrun_durable(&self) -> bool {
        self.book.lock().durable_overrun >= self.overrun()
    }

    fn overrun(&self) -> Amount {
        Amount::new(self.overrun.load(Ordering::Acquire))
    }

    /// The watermark as it is, to be written when there is none to raise it to.
    pub(crate) fn watermark(&self) -> Amount {
        self.book.lock().watermark
    }

    /// The journal holds `written` now: the headroom grows up to it, as far as the grant still reaches.
    pub(crate) fn journalled(&self, written: &Marked, now: MonoTime) {
        let mut book = self.book.lock();
        book.durable = written.spent_bound;
        book.durable_overrun = written.overrun;
        let kept = book.granted.saturating_sub(book.returned);
        let watermark = written.spent_bound.min(kept);
        let raised = watermark.saturating_sub(book.watermark);
        if !raised.is_zero() {
            book.watermark = watermark;
            book.watermark_pace.took(now, raised);
            self.low_mark.store(raised.split(2).get(), Ordering::Relaxed);
            self.headroom.fetch_add(raised.get(), Ordering::AcqRel);
        }
    }

    /// Gives back everything that is free, and says how much. It can be spent here no more.
    pub(crate) fn give_back(&self) -> Amount {
        let mut book = self.book.lock();
        let above = book.granted.saturating_sub(book.returned).saturating_sub(book.watermark);
        let below = Amount::new(self.headroom.swap(0, Ordering::AcqRel));
        book.watermark = book.watermark.saturating_sub(below);
        book.returned = book.returned.saturating_add(above).saturating_add(below);
        above.saturating_add(below)
    }

    /// The target to ask for so that `more` could be reserved on top of all there is.
    pub(crate) fn target_for(&self, more: Amount) -> Amount {
        let returned = self.book.lock().returned;
        self.spent_and_reserved().saturating_add(returned).saturating_add(more)
    }

    /// Whether this much was granted already.
    pub(crate) fn is_granted(&self, target: Amount) -> bool {
        target <= self.book.lock().granted
    }

    /// What would be welcome beyond a need, for the time that is to come.
    pub(crate) fn welcome(&self, now: MonoTime) -> Amount {
        self.book.lock().grant_pace.next(now, self.requests(GRANT_REQUESTS_MIN))
    }

    /// Whether so little is left of the grant that more should be asked for ahead of need.
    pub(crate) fn is_low(&self) -> bool {
        let (free, size) = (self.free(), self.book.lock().grant_pace.size());
        !self.is_central() && free < size.split(LOW_WATER_PARTS)
    }

    /// Whether all that was granted is spent or given back, so that nothing can change any more. A reservation that
    /// was taken from the headroom and does not show in flight yet keeps it from being so.
    pub(crate) fn is_settled(&self) -> bool {
        let Standing { used, returned, .. } = self.standing();
        self.in_flight().is_zero() && used.saturating_add(returned) == self.book.lock().granted
    }

    pub(crate) fn is_reported(&self) -> bool {
        self.standing() == self.book.lock().reported
    }

    pub(crate) fn reported(&self, standing: Standing) {
        self.book.lock().reported = standing;
    }

    /// Until when a grant of this span is good, if the request for it was sent at `sent`.
    pub(crate) fn end_of(valid_for: Span, sent: MonoTime) -> MonoTime {
        if valid_for == Span::FOREVER { MonoTime::NEVER } else { sent.plus(valid_for) }
    }

    fn requests(&self, count: u64) -> Amount {
        Amount::new(self.request.load(Ordering::Relaxed)).saturating_mul(count).max(Amount::new(1))
    }

    fn spent_and_reserved(&self) -> Amount {
        // In flight before used, against the order of a settlement: one in between is counted twice, never missed.
        let in_flight = self.in_flight();
        in_flight.saturating_add(Amount::new(self.used.load(Ordering::Acquire)))
    }
}
