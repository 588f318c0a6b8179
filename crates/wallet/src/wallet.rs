//! The wallet: the accounts of one session, and the line of requests that wait for money.

use crate::account::{Account, GRANT_REQUESTS_MIN};
use crate::reservation::Part;
use crate::{Cost, Marked, Overrun, Reservation, Standing};
use crossbeam::queue::SegQueue;
use parking_lot::{Mutex, RwLock};
use quorate_domain::{Amount, BudgetId, MonoTime, SessionId, Span, Unit, Window, WindowId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So many maps are kept, each behind its own lock, so that requests for different budgets do not meet.
const SHARDS: usize = 16;
/// What was not touched for this long is given back.
const IDLE: Duration = Duration::from_secs(60);
/// One plan asks for at most so many waiting requests of one budget, so that an entry of the log stays small.
const ASKS_PER_BUDGET_MAX: usize = 64;

/// One budget on the path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The budget.
    pub budget: BudgetId,
    /// What it counts.
    pub unit: Unit,
}

/// Why a reservation could not be made here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// This budget has too little room on this node, or others wait for it already. Nothing was taken.
    Short(BudgetId),
    /// The session is over: nothing can be spent in its name.
    Fenced,
}

/// A wish to be sent to the ledger. Amounts are targets for everything granted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The budget.
    pub budget: BudgetId,
    /// The window of the account at hand; `None` if there is none.
    pub window: Option<WindowId>,
    /// Needed in full.
    pub need: Amount,
    /// Welcome.
    pub want: Amount,
}

/// The accounts of one session of one node, and the line of requests that wait for grants or for the journal.
#[derive(Debug)]
pub struct Wallet {
    session: SessionId,
    is_fenced: AtomicBool,
    shards: Vec<RwLock<HashMap<BudgetId, Arc<Account>>>>,
    line: Mutex<Line>,
    /// Accounts of windows that are over, until everything about them is settled and reported.
    retired: Mutex<Vec<Arc<Account>>>,
    /// Retired accounts of which the ledger knows all: the journal need not hold them any longer.
    over: SegQueue<(BudgetId, WindowId)>,
    /// Accounts the syncer looks at; `waking` brings new ones.
    active: Mutex<BTreeMap<BudgetId, Arc<Account>>>,
    waking: SegQueue<Arc<Account>>,
    /// Accounts whose watermark should be raised.
    low: SegQueue<Arc<Account>>,
    last_report: Mutex<MonoTime>,
}

#[derive(Debug, Default)]
struct Line {
    last: u64,
    tickets: VecDeque<Ticket>,
}

/// A request that waits.
#[derive(Debug)]
struct Ticket {
    id: u64,
    path: Arc<[Charge]>,
    bound: Cost,
    /// The budget it waits at. It holds up nobody who waits at another.
    at: BudgetId,
}

impl Ticket {
    fn amount_at(&self, budget: BudgetId) -> Amount {
        let charge = self.path.iter().find(|charge| charge.budget == budget);
        charge.map_or(Amount::ZERO, |charge| self.bound.to_reserve(charge.unit))
    }
}

impl Line {
    fn waiting_at(&self, budget: BudgetId) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter().filter(move |ticket| ticket.at == budget)
    }

    fn sum_at(&self, budget: BudgetId) -> Amount {
        let amounts = self.waiting_at(budget).map(|ticket| ticket.amount_at(budget));
        amounts.fold(Amount::ZERO, Amount::saturating_add)
    }

    /// What the first in line needs of each budget on its path. Also where it does not wait: two budgets that are
    /// handed out request by request would else take turns in going back, and it would never have both.
    fn heads(&self) -> BTreeMap<BudgetId, Amount> {
        let mut heads = BTreeMap::new();
        for ticket in &self.tickets {
            for charge in &*ticket.path {
                heads.entry(charge.budget).or_insert_with(|| ticket.bound.to_reserve(charge.unit));
            }
        }
        heads
    }

    fn count_at(&self, budget: BudgetId) -> u32 {
        u32::try_from(self.waiting_at(budget).count()).unwrap_or(u32::MAX)
    }
}

impl Wallet {
    /// An empty wallet for a session.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self {
            session,
            is_fenced: AtomicBool::new(false),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            line: Mutex::default(),
            retired: Mutex::default(),
            over: SegQueue::new(),
            active: Mutex::default(),
            waking: SegQueue::new(),
            low: SegQueue::new(),
            last_report: Mutex::default(),
        }
    }

    /// The session in whose name it spends.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Takes the bound from every budget of the path, or from none. Never waits.
    ///
    /// # Errors
    /// [`Withheld`] says at which budget it failed; nothing is taken then.
    pub fn reserve(&self, path: &[Charge], bound: &Cost, now: MonoTime) -> Result<Reservation, Withheld> {
        self.take(path, bound, now, false)
    }

    fn take(
        &self,
        path: &[Charge],
        bound: &Cost,
        now: MonoTime,
        in_turn: bool,
    ) -> Result<Reservation, Withheld> {
        if self.is_fenced() {
            return Err(Withheld::Fenced);
        }
        let mut reservation = Reservation::new(Vec::with_capacity(path.len()));
        for charge in path {
            let amount = bound.to_reserve(charge.unit);
            let account =
                self.account(charge.budget).filter(|account| account.try_reserve(amount, now, in_turn));
            let Some(account) = account else {
                // A rollback can send somebody else the slow way, never to a denial.
                reservation.roll_back();
                return Err(Withheld::Short(charge.budget));
            };
            self.call_for_attention(&account);
            reservation.push(Part { account, unit: charge.unit, amount });
        }
        Ok(reservation)
    }

    fn call_for_attention(&self, account: &Arc<Account>) {
        if account.calls_flusher() {
            self.low.push(Arc::clone(account));
        }
        if account.wakes() {
            self.waking.push(Arc::clone(account));
        }
    }

    /// The account of a budget's open window, if there is one.
    #[must_use]
    pub fn account(&self, budget: BudgetId) -> Option<Arc<Account>> {
        self.shard(budget).read().get(&budget).cloned()
    }

    /// Ends the session: from now on nothing is reserved in its name. Reservations under way still settle.
    pub fn fence(&self) {
        self.is_fenced.store(true, Ordering::Release);
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    // The line.

    /// Puts a request in line at the budget that was short. Its turn comes through [`Wallet::serve`].
    pub fn queue(&self, path: Arc<[Charge]>, bound: Cost, at: BudgetId) -> u64 {
        let mut line = self.line.lock();
        line.last += 1;
        let id = line.last;
        line.tickets.push_back(Ticket { id, path, bound, at });
        self.tell_waiting(&line, at);
        if let Some(account) = self.account(at) {
            self.low.push(account);
        }
        id
    }

    /// Takes a request out of the line: it was turned away, or gave up. Says at which budget it waited, or `None` if
    /// it had left already.
    pub fn leave(&self, id: u64) -> Option<BudgetId> {
        let mut line = self.line.lock();
        let place = line.tickets.iter().position(|ticket| ticket.id == id)?;
        let ticket = line.tickets.remove(place)?;
        self.tell_waiting(&line, ticket.at);
        Some(ticket.at)
    }

    /// How many requests are in line.
    #[must_use]
    pub fn line_length(&self) -> usize {
        self.line.lock().tickets.len()
    }

    /// Serves whoever can be served, first come first served at each budget.
    pub fn serve(&self, now: MonoTime) -> Vec<(u64, Reservation)> {
        let mut line = self.line.lock();
        let mut held_up = BTreeSet::new();
        let (mut served, mut left) = (Vec::new(), VecDeque::new());
        let mut touched = BTreeSet::new();
        for mut ticket in std::mem::take(&mut line.tickets) {
            touched.insert(ticket.at);
            if ticket.path.iter().any(|charge| held_up.contains(&charge.budget)) {
                left.push_back(ticket);
                continue;
            }
            match self.take(&ticket.path, &ticket.bound, now, true) {
                Ok(reservation) => served.push((ticket.id, reservation)),
                Err(Withheld::Short(at)) => {
                    ticket.at = at;
                    held_up.insert(at);
                    touched.insert(at);
                    left.push_back(ticket);
                }
                Err(Withheld::Fenced) => left.push_back(ticket),
            }
        }
        line.tickets = left;
        touched.into_iter().for_each(|budget| self.tell_waiting(&line, budget));
        served
    }

    /// Who waits at a budget, first come first, and how much each needs.
    #[must_use]
    pub fn waiting_at(&self, budget: BudgetId) -> Vec<(u64, Amount)> {
        let line = self.line.lock();
        line.waiting_at(budget).map(|ticket| (ticket.id, ticket.amount_at(budget))).collect()
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn has_line(&self) -> bool {
        !self.line.lock().tickets.is_empty()
    }

    fn tell_waiting(&self, line: &Line, budget: BudgetId) {
        if let Some(account) = self.account(budget) {
            account.set_waiting(line.count_at(budget));
        }
    }

    // The flusher's part: watermarks.

    /// What to write to the journal now: watermarks, raised or lowered, and overrun. [`Wallet::journalled`] makes it
    /// count.
    #[must_use]
    pub fn marks(&self, now: MonoTime) -> Vec<Marked> {
        let mut called = BTreeMap::new();
        let mut call =
            |account: Arc<Account>| called.insert((account.budget(), account.window().id), account);
        while let Some(account) = self.low.pop() {
            account.flusher_came();
            call(account);
        }
        let line = self.line.lock();
        for ticket in &line.tickets {
            self.account(ticket.at).map(&mut call);
        }
        let mark = |account: Arc<Account>| {
            let waiting = line.sum_at(account.budget());
            let raised = account.wanted_watermark(waiting, now);
            let bound = raised.or_else(|| account.wants_mark().then(|| account.watermark()))?;
            Some(Marked::new(account, bound))
        };
        called.into_values().filter_map(mark).collect()
    }

    /// The journal holds these marks now.
    pub fn journalled(&self, marks: &[Marked], now: MonoTime) {
        for mark in marks {
            mark.account.journalled(mark, now);
        }
    }

    /// Has the next marks hold an overrun.
    pub fn record(&self, overrun: &Overrun) {
        overrun.0.iter().for_each(|account| self.low.push(Arc::clone(account)));
    }

    /// Windows that are over and of which the ledger knows all: what the journal holds of them proves nothing more.
    /// Each is told once.
    #[must_use]
    pub fn settled_windows(&self) -> Vec<(BudgetId, WindowId)> {
        std::iter::from_fn(|| self.over.pop()).collect()
    }

    /// Whether a watermark should be looked at.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        !self.low.is_empty()
    }

    // The syncer's part: reports, returns, wishes.

    /// Gives back what should not be kept: of windows that are over, of budgets handed out request by request, of
    /// accounts nobody touched for long. Then says what is to be reported.
    #[must_use]
    pub fn reports(&self, now: MonoTime) -> Vec<(Arc<Account>, Standing)> {
        self.wake();
        let heads = self.line.lock().heads();
        let mut due: Vec<Arc<Account>> = self.retired.lock().clone();
        for account in self.active.lock().values() {
            let is_idle = account.in_flight().is_zero() && now.since(account.touched()) >= IDLE;
            let is_over = account.has_ended_at(now);
            // What serves the head of the line here is kept; less than that may serve somebody elsewhere.
            let serves_here = heads.get(&account.budget()).is_some_and(|need| account.free() >= *need);
            if (is_idle || is_over || account.is_central()) && !serves_here && !account.give_back().is_zero()
            {
                self.low.push(Arc::clone(account));
            }
            due.push(Arc::clone(account));
        }
        for account in &*self.retired.lock() {
            account.give_back();
        }
        due.retain(|account| !account.is_reported());
        due.into_iter().map(|account| (Arc::clone(&account), account.standing())).collect()
    }

    /// Whether anything was spent, or may be given back, so that the syncer should look.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.waking.is_empty() || !self.active.lock().is_empty() || !self.retired.lock().is_empty()
    }

    /// Whether it is time to report again: `every` after the last report.
    #[must_use]
    pub fn is_report_due(&self, now: MonoTime, every: Duration) -> bool {
        now.since(*self.last_report.lock()) >= every
    }

    /// The ledger has these reports now. Accounts that are over, or have been quiet for long, rest.
    pub fn reported(&self, reports: &[(Arc<Account>, Standing)], now: MonoTime) {
        *self.last_report.lock() = now;
        for (account, standing) in reports {
            account.reported(*standing);
        }
        self.retired.lock().retain(|account| {
            let is_over = account.is_settled() && account.is_reported();
            if is_over {
                self.over.push((account.budget(), account.window().id));
            }
            !is_over
        });
        self.active.lock().retain(|_, account| {
            let is_quiet = account.in_flight().is_zero() && account.is_reported() && account.free().is_zero();
            let rests = is_quiet && now.since(account.touched()) >= IDLE;
            if rests {
                account.rests();
            }
            !rests
        });
    }

    /// What to ask the ledger for: for those who wait, and ahead of need where a grant runs low.
    #[must_use]
    pub fn wants(&self, now: MonoTime) -> Vec<Want> {
        self.wake();
        let line = self.line.lock();
        let waited_at: BTreeSet<_> = line.tickets.iter().map(|ticket| ticket.at).collect();
        let mut wants: Vec<_> =
            waited_at.iter().flat_map(|budget| self.wants_of_line(&line, *budget, now)).collect();
        for account in self.active.lock().values() {
            let runs_low = account.is_low() && !account.has_ended_at(now);
            if runs_low && !waited_at.contains(&account.budget()) && self.is_current(account) {
                let want = account.target_for(account.welcome(now));
                wants.push(Want {
                    budget: account.budget(),
                    window: Some(account.window().id),
                    need: Amount::ZERO,
                    want,
                });
            }
        }
        wants
    }

    fn wants_of_line(&self, line: &Line, budget: BudgetId, now: MonoTime) -> Vec<Want> {
        let account = self.account(budget);
        let window = account.as_ref().map(|account| account.window().id);
        let mut sum = Amount::ZERO;
        let mut wants = Vec::new();
        for ticket in line.waiting_at(budget).take(ASKS_PER_BUDGET_MAX) {
            sum = sum.saturating_add(ticket.amount_at(budget));
            let need = account.as_ref().map_or(sum, |account| account.target_for(sum));
            // Only the ledger says that a window is over. Until it does, an account whose time is up here is asked
            // for anew: a second one for the same window would spend what the first has spent.
            if account.as_ref().is_some_and(|account| account.is_granted(need) && !account.has_ended_at(now))
            {
                // It waits for the journal, not for the ledger.
                continue;
            }
            wants.push(Want { budget, window, need, want: need });
        }
        if let Some(last) = wants.last_mut() {
            let welcome =
                account.map_or(sum.saturating_mul(GRANT_REQUESTS_MIN), |account| account.welcome(now));
            last.want = last.need.saturating_add(welcome);
        }
        wants
    }

    /// Takes note of a grant. `sent` is when the wish was sent; the grant is good for `valid_for` from then on.
    pub fn learn(&self, grant: &Grant, sent: MonoTime, now: MonoTime) {
        let account = self.account(grant.budget).filter(|account| account.window() == grant.window);
        let account = account.unwrap_or_else(|| self.open(grant.budget, grant.window));
        account.learn(grant.granted, Account::end_of(grant.valid_for, sent), grant.is_central, now);
        if account.wakes() {
            self.waking.push(Arc::clone(&account));
        }
        self.low.push(account);
    }

    /// The budget is gone: nothing more can be reserved of it.
    pub fn forget(&self, budget: BudgetId) {
        self.shard(budget).write().remove(&budget);
        self.active.lock().remove(&budget);
        self.retired.lock().retain(|account| account.budget() != budget);
    }

    /// The open window of a budget is another one: the account at hand is over.
    pub fn window_over(&self, budget: BudgetId) {
        self.retire(budget);
    }

    /// The budgets that are handed out request by request, as the replica says: what is free of them goes back.
    pub fn recall(&self, is_central: impl Fn(BudgetId) -> bool) -> bool {
        let mut anything = false;
        for account in self.active.lock().values() {
            let central = is_central(account.budget());
            account.set_central(central);
            anything |= central && (!account.free().is_zero() || !account.is_reported());
        }
        anything
    }

    /// Gives back everything that is free, everywhere: the node is about to leave.
    pub fn give_back_all(&self) {
        self.wake();
        let accounts: Vec<_> =
            self.shards.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>()).collect();
        for account in accounts {
            account.give_back();
            if account.wakes() {
                self.waking.push(account);
            }
        }
    }

    /// Every account at hand, of open windows and of windows that are over but not settled.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let open = self.shards.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>());
        open.chain(self.retired.lock().iter().cloned()).collect()
    }

    fn open(&self, budget: BudgetId, window: Window) -> Arc<Account> {
        self.retire(budget);
        let account = Arc::new(Account::new(budget, window));
        self.shard(budget).write().insert(budget, Arc::clone(&account));
        account.set_waiting(self.line.lock().count_at(budget));
        account
    }

    fn retire(&self, budget: BudgetId) {
        if let Some(account) = self.shard(budget).write().remove(&budget) {
            self.retired.lock().push(account);
        }
        self.active.lock().remove(&budget);
    }

    fn wake(&self) {
        while let Some(account) = self.waking.pop() {
            if self.is_current(&account) {
                self.active.lock().insert(account.budget(), account);
            }
        }
    }

    fn is_current(&self, account: &Arc<Account>) -> bool {
        self.account(account.budget()).is_some_and(|current| Arc::ptr_eq(&current, account))
    }

    fn shard(&self, budget: BudgetId) -> &RwLock<HashMap<BudgetId, Arc<Account>>> {
        let place = usize::try_from(budget.get() % SHARDS as u64).unwrap_or_default();
        &self.shards[place]
    }
}

/// What the ledger said a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The budget.
    pub budget: BudgetId,
    /// The open window.
    pub window: Window,
    /// Everything granted in it so far.
    pub granted: Amount,
    /// For how long, counted from when the wish was sent.
    pub valid_for: Span,
    /// Whether the budget is handed out request by request.
    pub is_central: bool,
}
