//! A node's account of one window of one budget.
//!
//! Words of the protocol: A granted, U used (settled), I in flight (reserved), R returned, W watermark. The account
//! keeps `W ≤ A − R` and one number that the hot path competes for, the headroom `W − (U + I)`. It is never
//! negative, so `U + I ≤ W ≤ A − R` (I2) holds at every instant, whatever the order of events.
//!
//! In central mode the account is *closed*: nothing is reserved from headroom, what is free goes back at once, and a
//! refund goes back in the step that settles. Only a request that the ledger granted its need by name may reserve.

mod overrun;

use crate::life::Life;
use crate::mark::Marked;
use crate::pace::Pace;
use crossbeam::utils::CachePadded;
use parking_lot::Mutex;
use quorate_domain::{Amount, BudgetId, MonoTime, PlaceId, Span, Window};
use quorate_ledger::{Heard, Spell, View};
use std::collections::BTreeMap;
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

/// What was not touched for this long is given back.
const IDLE: Duration = Duration::from_secs(60);

/// Set in the headroom of a closed account: part of the number that requests compete for, so that none can take from
/// an account that is closed in the same instant.
const CLOSED: u64 = 1 << 63;

/// A node's account of one window of one budget.
#[derive(Debug)]
pub struct Account {
    budget: BudgetId,
    window: Window,
    life: Arc<Life>,
    /// W − (U + I): what the hot path may take; or [`CLOSED`]. The only number that requests compete for.
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
    /// Of the view that was taken in last.
    version: u64,
    granted: Amount,
    returned: Amount,
    watermark: Amount,
    /// What the journal holds. Above the watermark after a return: a crash is then charged more, never less.
    durable: Amount,
    /// The overrun that the journal holds.
    durable_overrun: Amount,
    /// The overrun that it holds, or will when what is being written is.
    marked_overrun: Amount,
    /// In central mode.
    closed: Option<Closed>,
    reported: Statement,
    /// The latest answer to a round that the ledger has.
    answered: Option<Heard>,
    watermark_pace: Pace,
    grant_pace: Pace,
}

/// What a closed account has instead of headroom.
#[derive(Debug)]
struct Closed {
    spell: Spell,
    /// W − (U + I).
    room: Amount,
    /// Granted to requests that wait here, by name.
    designated: BTreeMap<PlaceId, Amount>,
}

impl Closed {
    fn designated(&self) -> Amount {
        self.designated.values().fold(Amount::ZERO, |sum, need| sum.saturating_add(*need))
    }
}

/// Where an account stands: what is reported to the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Settled.
    pub used: Amount,
    /// Given back.
    pub returned: Amount,
    /// Billed beyond what was reserved.
    pub overrun: Amount,
    /// The answer to a round, if one waits for it.
    pub heard: Option<Heard>,
}

/// What following a view has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Perhaps amounts; not how the account is spent from.
    AsBefore,
    /// The account was closed or opened: what the ledger was told of places means nothing any more.
    ModeChanged,
}

impl Account {
    pub(crate) fn new(budget: BudgetId, window: Window, life: &Arc<Life>) -> Self {
        Self {
            budget,
            window,
            life: Arc::clone(life),
            headroom: CachePadded::default(),
            in_flight: CachePadded::default(),
            used: AtomicU64::default(),
            overrun: AtomicU64::default(),
            waiting: AtomicU32::default(),
            good_until: AtomicU64::default(),
            request: AtomicU64::default(),
            touched: AtomicU64::default(),
            low_mark: AtomicU64::default(),
            is_called_for: AtomicBool::default(),
            is_active: AtomicBool::default(),
            book: Mutex::new(Book {
                version: 0,
                granted: Amount::ZERO,
                returned: Amount::ZERO,
                watermark: Amount::ZERO,
                durable: Amount::ZERO,
                durable_overrun: Amount::ZERO,
                marked_overrun: Amount::ZERO,
                closed: None,
                reported: Statement::default(),
                answered: None,
                watermark_pace: Pace::new(WATERMARK_SHORT, WATERMARK_LONG),
                grant_pace: Pace::new(GRANT_SHORT, GRANT_LONG),
            }),
        }
    }

    /// The account of the window after that of `earlier`, with what is known of how the budget is spent.
    pub(crate) fn following(earlier: &Self, window: Window) -> Self {
        let account = Self::new(earlier.budget, window, &earlier.life);
        account.is_touched_as(earlier);
        {
            let (mut book, known) = (account.book.lock(), earlier.book.lock());
            (book.watermark_pace, book.grant_pace) = (known.watermark_pace, known.grant_pace);
        }
        account
    }

    /// The budget was in use as long as `earlier` was.
    pub(crate) fn is_touched_as(&self, earlier: &Self) {
        self.request.store(earlier.request.load(Ordering::Relaxed), Ordering::Relaxed);
        self.touched.fetch_max(earlier.touched.load(Ordering::Relaxed), Ordering::Relaxed);
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

    /// Granted, and neither spent, reserved, given back, nor meant for a request that waits.
    #[must_use]
    pub fn free(&self) -> Amount {
        self.free_in(&self.book.lock())
    }

    /// Everything granted so far.
    #[must_use]
    pub fn granted(&self) -> Amount {
        self.book.lock().granted
    }

    /// Reserved by requests that are under way.
    #[must_use]
    pub fn in_flight(&self) -> Amount {
        Amount::new(self.in_flight.load(Ordering::Acquire))
    }

    /// Whether the budget is handed out request by request, so that what is free goes back at once.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.headroom.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Where it stands now.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let book = self.book.lock();
        Statement {
            used: Amount::new(self.used.load(Ordering::Acquire)),
            returned: book.returned,
            overrun: self.overrun(),
            heard: book.answer().filter(|answer| book.answered != Some(*answer)),
        }
    }

    /// The larger of: what the journal holds as a bound of its spending, and what memory would allow to be spent.
    #[must_use]
    pub fn spent_bound(&self) -> Amount {
        let book = self.book.lock();
        book.durable.max(book.watermark)
    }

    // The hot path.

    /// Takes `amount` from the headroom; `false` if there is too little, if the grant has ended, if others wait, or
    /// if the account is closed.
    pub(crate) fn try_reserve(&self, amount: Amount, now: MonoTime) -> bool {
        self.touch(amount, now);
        self.waiting.load(Ordering::Acquire) == 0 && self.take(amount, now)
    }

    /// Ends a reservation: `spent` of it stays spent, the rest is headroom again. What goes beyond it is overrun: if there is
    /// any, says how much the account has of it by now.
    pub(crate) fn settle(&self, reserved: Amount, spent: Amount) -> Option<Amount> {
        let (within, beyond) = (spent.min(reserved), spent.saturating_sub(reserved));
        let overrun = (!beyond.is_zero()).then(|| self.overran(beyond));
        self.used.fetch_add(within.get(), Ordering::AcqRel);
        self.in_flight.fetch_sub(reserved.get(), Ordering::AcqRel);
        self.refund(reserved.saturating_sub(within));
        overrun
    }

    /// A reservation under way turns out to need so much less.
    pub(crate) fn shrink(&self, by: Amount) {
        self.in_flight.fetch_sub(by.get(), Ordering::AcqRel);
        self.refund(by);
    }

    fn refund(&self, refund: Amount) {
        let open = |headroom: u64| (headroom & CLOSED == 0).then(|| headroom.saturating_add(refund.get()));
        if refund.is_zero() || self.headroom.fetch_update(Ordering::AcqRel, Ordering::Acquire, open).is_ok() {
            return;
        }
        let mut book = self.book.lock();
        if book.closed.is_some() {
            book.returned = book.returned.saturating_add(refund);
            book.watermark = book.watermark.saturating_sub(refund);
        } else {
            // It was opened in between, and cannot be closed while the book is held.
            self.headroom.fetch_add(refund.get(), Ordering::AcqRel);
        }
    }

    fn touch(&self, amount: Amount, now: MonoTime) {
        self.request.store(amount.get(), Ordering::Relaxed);
        self.touched.store(now.micros(), Ordering::Relaxed);
    }

    fn take(&self, amount: Amount, now: MonoTime) -> bool {
        let taken =
            |headroom: u64| if headroom & CLOSED == 0 { headroom.checked_sub(amount.get()) } else { None };
        let is_taken = !self.has_ended_at(now)
            && self.headroom.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).is_ok();
        if is_taken {
            self.in_flight.fetch_add(amount.get(), Ordering::AcqRel);
        }
        is_taken
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

    /// Takes note of what the ledger shows, unless something newer was seen. `waits` tells whether a request
    /// waits here.
    pub(crate) fn follow(&self, view: &View, waits: &dyn Fn(PlaceId) -> bool, now: MonoTime) -> Followed {
        let mut book = self.book.lock();
        if view.version < book.version {
            return Followed::AsBefore;
        }
        book.version = view.version;
        let gained = view.granted.saturating_sub(book.granted);
        if !gained.is_zero() {
            book.granted = view.granted;
            book.grant_pace.took(now, gained);
        }
        let before = book.closed.as_ref().map(|closed| closed.spell.since);
        match view.central {
            None => self.reopen(&mut book),
            Some(spell) => {
                let mut closed = book.closed.take().unwrap_or_else(|| self.close(spell));
                if closed.spell.since != spell.since {
                    // What was granted by name in another spell became part of a grant in between.
                    closed.designated.clear();
                }
                closed.spell = spell;
                closed.designated.extend(view.served.iter().copied().filter(|(id, _)| waits(*id)));
                book.closed = Some(closed);
                book.return_free();
            }
        }
        let after = view.central.map(|spell| spell.since);
        if before == after { Followed::AsBefore } else { Followed::ModeChanged }
    }

    /// From now on nothing is reserved from headroom. What there was of it is free.
    fn close(&self, spell: Spell) -> Closed {
        let room = self.headroom.swap(CLOSED, Ordering::AcqRel);
        Closed { spell, room: Amount::new(room), designated: BTreeMap::new() }
    }

    fn reopen(&self, book: &mut Book) {
        if let Some(closed) = book.closed.take() {
            self.headroom.store(closed.room.get(), Ordering::Release);
        }
    }

    /// Until when the grant is good on this node's own clock.
    pub(crate) fn is_good_until(&self, until: MonoTime) {
        self.good_until.store(until.micros(), Ordering::Release);
    }

    pub(crate) fn has_ended_at(&self, now: MonoTime) -> bool {
        now.micros() >= self.good_until.load(Ordering::Acquire)
    }

    /// Whether the grant ends so soon. One that is good for ever does not.
    pub(crate) fn ends_within(&self, span: Duration, now: MonoTime) -> bool {
        let until = MonoTime::from_micros(self.good_until.load(Ordering::Acquire));
        until.since(now) <= span
    }

    /// Whether nobody has come for long, so that what is free is given back and no more is asked for.
    pub(crate) fn is_idle_at(&self, now: MonoTime) -> bool {
        let touched = MonoTime::from_micros(self.touched.load(Ordering::Relaxed));
        self.in_flight().is_zero() && now.since(touched) >= IDLE
    }

    /// Reserves for a request whose turn it is: the most it takes from the headroom, or what was granted to it by name.
    /// Says how much.
    pub(crate) fn take_in_turn(&self, id: PlaceId, most: Amount, now: MonoTime) -> Option<Amount> {
        self.touch(most, now);
        let mut book = self.book.lock();
        let Some(closed) = &mut book.closed else { return self.take(most, now).then_some(most) };
        if self.has_ended_at(now) {
            return None;
        }
        let amount = *closed.designated.get(&id)?;
        closed.room = closed.room.checked_sub(amount)?;
        closed.designated.remove(&id);
        self.in_flight.fetch_add(amount.get(), Ordering::AcqRel);
        Some(amount)
    }

    /// The window is over: nobody waits here any more, and what is free goes back.
    pub(crate) fn end(&self) {
        if let Some(closed) = &mut self.book.lock().closed {
            closed.designated.clear();
        }
        self.give_back();
    }

    /// A request waits no longer. What was granted to it goes back.
    pub(crate) fn gave_up(&self, id: PlaceId) {
        let mut book = self.book.lock();
        if book.closed.as_mut().and_then(|closed| closed.designated.remove(&id)).is_some() {
            book.return_free();
        }
    }

    /// Whether the ledger has granted a request here what it needs, so that it waits for the journal alone while the grant lasts.
    pub(crate) fn is_designated(&self, id: PlaceId) -> bool {
        self.designated(id).is_some()
    }

    /// What the ledger has granted a request here by name.
    pub(crate) fn designated(&self, id: PlaceId) -> Option<Amount> {
        self.book.lock().closed.as_ref()?.designated.get(&id).copied()
    }

    /// The watermark to write to the journal before more can be spent, if more is wanted: for `waiting` requests' sum
    /// and a slice beyond. `None` if there is headroom enough, or nothing left to raise it by.
    pub(crate) fn wanted_watermark(&self, waiting: Amount, now: MonoTime) -> Option<Amount> {
        let book = self.book.lock();
        if let Some(closed) = &book.closed {
            let missing = closed.designated().saturating_sub(closed.room);
            return (!missing.is_zero()).then(|| book.watermark.saturating_add(missing).min(book.kept()));
        }
        let slice = book.watermark_pace.next(now, self.requests(WATERMARK_REQUESTS_MIN));
        let headroom = Amount::new(self.headroom.load(Ordering::Acquire));
        if waiting.is_zero() && headroom >= slice.split(2) {
            return None;
        }
        let wanted = waiting.saturating_add(slice).saturating_sub(headroom);
        let target = book.watermark.saturating_add(wanted).min(book.kept());
        (target > book.watermark).then_some(target)
    }

    /// Whether a request waits for the journal alone.
    pub(crate) fn is_short_of_room(&self) -> bool {
        let book = self.book.lock();
        book.closed.as_ref().is_some_and(|closed| closed.designated() > closed.room)
    }

    /// Whether the journal should be written although no more can be spent: it holds a bound that a return has made
    /// much too high, or less overrun than there is.
    pub(crate) fn wants_mark(&self) -> bool {
        let book = self.book.lock();
        book.durable > book.watermark || book.durable_overrun < self.overrun()
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
        let watermark = written.spent_bound.min(book.kept());
        let raised = watermark.saturating_sub(book.watermark);
        if raised.is_zero() {
            return;
        }
        book.watermark = watermark;
        if let Some(closed) = &mut book.closed {
            closed.room = closed.room.saturating_add(raised);
            book.return_free();
        } else {
            book.watermark_pace.took(now, raised);
            self.low_mark.store(raised.split(2).get(), Ordering::Relaxed);
            self.headroom.fetch_add(raised.get(), Ordering::AcqRel);
        }
    }

    /// Gives back everything that is free, and says how much. It can be spent here no more.
    pub(crate) fn give_back(&self) -> Amount {
        let mut book = self.book.lock();
        if book.closed.is_some() {
            return book.return_free();
        }
        let above = book.kept().saturating_sub(book.watermark);
        let below = Amount::new(self.headroom.swap(0, Ordering::AcqRel));
        book.watermark = book.watermark.saturating_sub(below);
        book.returned = book.returned.saturating_add(above).saturating_add(below);
        above.saturating_add(below)
    }

    /// What would be welcome beyond a need, for the time that is to come, as a target for everything granted so far.
    pub(crate) fn welcome(&self, waiting: Amount, now: MonoTime) -> Amount {
        let book = self.book.lock();
        let gone = book.granted.saturating_sub(self.free_in(&book));
        let welcome = book.grant_pace.next(now, self.requests(GRANT_REQUESTS_MIN));
        gone.saturating_add(waiting).saturating_add(welcome)
    }

    /// What would be welcome of the next window: as much as the latest grant of this one.
    pub(crate) fn welcome_next(&self) -> Amount {
        self.book.lock().grant_pace.size().max(self.requests(GRANT_REQUESTS_MIN))
    }

    /// Whether so little is left of the grant that more should be asked for ahead of need.
    pub(crate) fn is_low(&self) -> bool {
        let book = self.book.lock();
        book.closed.is_none() && self.free_in(&book) < book.grant_pace.size().split(LOW_WATER_PARTS)
    }

    /// Whether all that was granted is spent or given back, so that nothing can change any more. A reservation that
    /// was taken from the headroom and does not show in flight yet keeps it from being so.
    pub(crate) fn is_settled(&self) -> bool {
        let Statement { used, returned, .. } = self.statement();
        self.in_flight().is_zero() && used.saturating_add(returned) == self.granted()
    }

    pub(crate) fn is_reported(&self) -> bool {
        let now = self.statement();
        let reported = self.book.lock().reported;
        now.heard.is_none() && Statement { heard: None, ..reported } == now
    }

    pub(crate) fn reported(&self, statement: Statement) {
        let mut book = self.book.lock();
        book.reported = statement;
        book.answered = statement.heard.or(book.answered);
    }

    /// Until when a grant of this span is good, if the request for it was sent at `sent`.
    pub(crate) fn end_of(valid_for: Span, sent: MonoTime) -> MonoTime {
        if valid_for == Span::FOREVER { MonoTime::NEVER } else { sent.plus(valid_for) }
    }

    fn requests(&self, count: u64) -> Amount {
        Amount::new(self.request.load(Ordering::Relaxed)).saturating_mul(count).max(Amount::new(1))
    }

    fn free_in(&self, book: &Book) -> Amount {
        let above = book.kept().saturating_sub(book.watermark);
        match &book.closed {
            Some(closed) => above.saturating_add(closed.room).saturating_sub(closed.designated()),
            None => above.saturating_add(Amount::new(self.headroom.load(Ordering::Acquire))),
        }
    }
}

impl Book {
    /// Granted and not given back.
    fn kept(&self) -> Amount {
        self.granted.saturating_sub(self.returned)
    }

    /// The answer to the round that waits for one. True at every instant: in a closed account nothing is ever free.
    fn answer(&self) -> Option<Heard> {
        let spell = self.closed.as_ref().map(|closed| closed.spell).filter(|spell| spell.is_asked)?;
        Some(Heard { round: spell.round, granted: self.granted })
    }

    /// In a closed account: gives back what is not meant for a request, and says how much. What lies below the watermark
    /// already is kept first.
    fn return_free(&mut self) -> Amount {
        let above = self.kept().saturating_sub(self.watermark);
        let Some(closed) = &mut self.closed else { return Amount::ZERO };
        let meant = closed.designated();
        let free = above.saturating_add(closed.room).saturating_sub(meant);
        let below = closed.room.saturating_sub(meant).min(free);
        closed.room = closed.room.saturating_sub(below);
        self.watermark = self.watermark.saturating_sub(below);
        self.returned = self.returned.saturating_add(free);
        free
    }
}
