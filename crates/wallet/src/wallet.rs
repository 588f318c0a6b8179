//! The wallet: the accounts of one session, and the line of requests that wait for money.

use crate::account::Account;
use crate::ahead::{Ahead, Slot};
use crate::asker::Talk;
use crate::forward::FEW;
use crate::life::Life;
use crate::line::{Line, Ticket};
use crate::reservation::Part;
use crate::{Need, Overdrafts, Reservation, Statement};
use crossbeam::queue::SegQueue;
use parking_lot::{Mutex, RwLock};
use quorate_domain::{Amount, BudgetId, MonoTime, PlaceId, SessionId, Unit, Window, WindowId};
use quorate_ledger::{Ledger, Reserve};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many maps are kept, each behind its own lock, so that requests for different budgets do not meet.
const SHARDS: usize = 16;

/// So many accounts are reported in one message at most: one entry of the log must not take long on any node.
const REPORTED_AT_ONCE: usize = 2_000;
/// And so many windows that are over are looked at for it.
const RETIRED_AT_ONCE: usize = 1_000;

/// How far reports have come, where there is more to tell than fits into one.
#[derive(Debug, Default)]
struct Upto {
    active: BudgetId,
    retired: (BudgetId, WindowId),
}

/// One budget on the path of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The budget.
    pub budget: BudgetId,
    /// What it counts.
    pub unit: Unit,
    /// What the request reserves of it.
    pub reserve: Reserve,
}

/// Why a reservation could not be made here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// This budget has too little room on this node, or others wait for it already. Nothing was taken.
    Short(BudgetId),
    /// The session is over: nothing can be spent in its name.
    Fenced,
}

fn stated(account: Arc<Account>) -> (Arc<Account>, Statement) {
    let statement = account.statement();
    (account, statement)
}

/// The accounts of one session of one node, and the line of requests that wait for grants or for the journal.
#[derive(Debug)]
pub struct Wallet {
    session: SessionId,
    pub(crate) life: Arc<Life>,
    pub(crate) shards: Vec<RwLock<HashMap<BudgetId, Slot>>>,
    pub(crate) line: Mutex<Line>,
    pub(crate) talk: Mutex<Talk>,
    /// Accounts of windows that are over, until everything about them is settled and reported.
    pub(crate) retired: Mutex<BTreeMap<(BudgetId, WindowId), Arc<Account>>>,
    /// How far the latest report has come.
    reported_upto: Mutex<Upto>,
    /// Retired accounts of which the ledger knows all: the journal need not hold them any longer.
    pub(crate) over: SegQueue<(BudgetId, WindowId)>,
    /// The same accounts, as long as a replica shows them: an answer that never came may have granted more.
    pub(crate) finished: Mutex<BTreeMap<(BudgetId, WindowId), Arc<Account>>>,
    /// Accounts the syncer looks at; `waking` brings new ones.
    pub(crate) active: Mutex<BTreeMap<BudgetId, Arc<Account>>>,
    pub(crate) waking: SegQueue<Arc<Account>>,
    /// Budgets whose accounts are closed here, until a view opens them.
    pub(crate) closed: Mutex<BTreeSet<BudgetId>>,
    /// Accounts whose watermark should be raised.
    pub(crate) low: SegQueue<Arc<Account>>,
    pub(crate) ahead: Ahead,
    pub(crate) overdrafts: Arc<Overdrafts>,
    /// A budget that somebody waited for is gone.
    pub(crate) lets_pass: AtomicBool,
}

impl Wallet {
    /// An empty wallet for a session.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self::overdrawing(session, Arc::default())
    }

    /// The same for a node that may have overspent.
    #[must_use]
    pub fn overdrawing(session: SessionId, overdrafts: Arc<Overdrafts>) -> Self {
        Self {
            session,
            life: Arc::default(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            line: Mutex::default(),
            talk: Mutex::default(),
            retired: Mutex::default(),
            reported_upto: Mutex::default(),
            over: SegQueue::new(),
            finished: Mutex::default(),
            active: Mutex::default(),
            waking: SegQueue::new(),
            closed: Mutex::default(),
            low: SegQueue::new(),
            ahead: Ahead::default(),
            overdrafts,
            lets_pass: AtomicBool::new(false),
        }
    }

    /// The session in whose name it spends.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Takes the most of a need from every budget of the path, or nothing from any. Never waits.
    ///
    /// # Errors
    /// [`Withheld`] says at which budget it failed; nothing is taken then.
    pub fn reserve(
        &self,
        path: &[Charge],
        asks: impl Into<Need>,
        now: MonoTime,
    ) -> Result<Reservation, Withheld> {
        if !self.is_open() {
            return Err(Withheld::Fenced);
        }
        let asks = asks.into();
        let mut reservation = Reservation::new(Vec::with_capacity(path.len()));
        for charge in path {
            let Some(part) = self.part(*charge, &asks, now) else {
                // A rollback can send somebody else the slow way, never to a denial.
                reservation.cancel();
                return Err(Withheld::Short(charge.budget));
            };
            reservation.push(part);
        }
        Ok(reservation)
    }

    /// Takes the most of a need from one budget.
    pub(crate) fn part(&self, charge: Charge, asks: &Need, now: MonoTime) -> Option<Part> {
        let amount = asks.most_of(charge);
        let account = self.take(charge.budget, amount, now)?;
        self.call_for_attention(&account);
        Some(Part::new(account, charge, amount, asks))
    }

    fn take(&self, budget: BudgetId, amount: Amount, now: MonoTime) -> Option<Arc<Account>> {
        let open = self.account(budget);
        if let Some(account) = &open
            && account.try_reserve(amount, now)
        {
            return open;
        }
        let next = self.turned(budget, open.as_ref())?;
        next.try_reserve(amount, now).then_some(next)
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
        self.shard(budget).read().get(&budget)?.open.clone()
    }

    /// The session is over for the ledger: nothing more is reserved, reported or journalled in its name. Reservations under way
    /// still settle.
    pub fn fence(&self) {
        self.life.fence();
    }

    /// Whether the session is over for the ledger.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.life.is_fenced()
    }

    /// The node leaves: nothing more is reserved. What is under way settles, and is journalled and reported.
    pub fn drain(&self) {
        self.life.drain();
    }

    /// Whether anything can be reserved in the session's name.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.life.is_open()
    }

    // The line.

    /// Puts a request in line, until it is served ([`Wallet::serve`]) or turned away ([`Wallet::turn_away`]). After
    /// `deadline` it is one or the other as soon as that can be known.
    pub fn queue(
        &self,
        path: Arc<[Charge]>,
        asks: impl Into<Need>,
        now: MonoTime,
        deadline: MonoTime,
    ) -> PlaceId {
        let mut line = self.line.lock();
        let id = line.next_id();
        let first = path.first().map(|charge| charge.budget);
        line.tickets.push(Ticket::new(id, path, asks.into(), now, deadline));
        first.inspect(|budget| self.set_waiting(&line, *budget));
        id
    }

    /// Takes a request out of the line: it was turned away, or gave up. What it had goes back. `false` if it had left
    /// already.
    pub fn leave(&self, id: PlaceId) -> bool {
        let mut line = self.line.lock();
        let Some(ticket) = line.remove(id) else { return false };
        if let Some(charge) = ticket.waits_at() {
            self.accounts_for_line(charge.budget).for_each(|account| account.gave_up(id));
            self.set_waiting(&line, charge.budget);
        }
        ticket.into_reservation().cancel();
        true
    }

    /// The budget at which a request in line waits for the ledger; `None` if it waits for the journal alone, or left.
    #[must_use]
    pub fn lacks(&self, id: PlaceId) -> Option<BudgetId> {
        let line = self.line.lock();
        let budget = line.get(id)?.waits_at()?.budget;
        let is_granted = self.accounts_for_line(budget).any(|account| account.is_designated(id));
        (!is_granted).then_some(budget)
    }

    /// What requests in line have already, or were granted by name, while they wait for more.
    #[must_use]
    pub fn held_in_line(&self) -> Vec<(BudgetId, WindowId, Amount)> {
        let line = self.line.lock();
        let designated = |ticket: &Ticket| {
            self.accounts_for_line(ticket.waits_at()?.budget).find_map(|account| {
                Some((account.budget(), account.window().id, account.designated(ticket.id)?))
            })
        };
        let taken = line.tickets.iter().flat_map(|ticket| ticket.taken().taken());
        taken.chain(line.tickets.iter().filter_map(designated)).collect()
    }

    /// How many requests are in line.
    #[must_use]
    pub fn line_length(&self) -> usize {
        self.line.lock().tickets.len()
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn has_line(&self) -> bool {
        !self.line.lock().tickets.is_empty()
    }

    /// Serves whoever can be served, first come first served at each budget.
    pub fn serve(&self, now: MonoTime) -> Vec<(PlaceId, Reservation)> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut line = self.line.lock();
        let mut touched = line.budgets();
        let mut held_up = BTreeSet::new();
        for ticket in &mut line.tickets {
            while let Some(charge) = ticket.waits_at()
                && self.take_in_turn(ticket, charge, &mut held_up, now)
            {}
        }
        let (served, left) = std::mem::take(&mut line.tickets)
            .into_iter()
            .partition(|ticket: &Ticket| ticket.waits_at().is_none());
        line.tickets = left;
        touched.append(&mut line.budgets());
        touched.into_iter().for_each(|budget| self.set_waiting(&line, budget));
        Vec::into_iter(served).map(|ticket| (ticket.id, ticket.into_reservation())).collect()
    }

    /// Takes one budget for a request. In a closed account only the ledger says whose turn it is.
    fn take_in_turn(
        &self,
        ticket: &mut Ticket,
        charge: Charge,
        held_up: &mut BTreeSet<BudgetId>,
        now: MonoTime,
    ) -> bool {
        let account = self.account(charge.budget);
        let is_next = |account: &Arc<Account>| account.is_closed() || !held_up.contains(&charge.budget);
        let take = |account: Arc<Account>| {
            let amount = account.take_in_turn(ticket.id, ticket.most(), now)?;
            Some((account, amount))
        };
        let Some((account, amount)) = account.filter(is_next).and_then(take) else {
            held_up.insert(charge.budget);
            return false;
        };
        self.call_for_attention(&account);
        ticket.took(account, charge, amount, now);
        true
    }

    fn set_waiting(&self, line: &Line, budget: BudgetId) {
        if let Some(account) = self.account(budget) {
            account.set_waiting(line.count_at(budget));
        }
    }

    // The syncer's part: reports and returns. What is asked for is in `speech`.

    /// Gives back what should not be kept: of windows that are over, of accounts nobody touched for long. Then says
    /// what is to be reported.
    pub(crate) fn reports(&self, now: MonoTime) -> Vec<(Arc<Account>, Statement)> {
        let waited_at = self.line.lock().budgets();
        let mut upto = self.reported_upto.lock();
        let mut due = self.some_of_the_retired(&mut upto);
        due.iter().for_each(|account| account.end());
        self.finish(&due);
        for account in self.active.lock().values() {
            let is_kept = waited_at.contains(&account.budget())
                || !(account.is_idle_at(now) || account.has_ended_at(now));
            if !is_kept && !account.give_back().is_zero() {
                self.low.push(Arc::clone(account));
            }
            due.push(Arc::clone(account));
        }
        due.retain(|account| !account.is_reported());
        if due.len() > REPORTED_AT_ONCE {
            // First what a round waits for, then those that had no turn the last time.
            let turn = |account: &Arc<Account>| (!account.is_closed(), account.budget() <= upto.active);
            due.sort_by_cached_key(turn);
            due.truncate(REPORTED_AT_ONCE);
            let last = due.iter().rfind(|account| self.is_current(account));
            upto.active = last.map(|account| account.budget()).unwrap_or_default();
        }
        due.into_iter().map(stated).collect()
    }

    /// Windows that are over, a part of them each time. Requests that turn to the next ones do not wait for all of them.
    fn some_of_the_retired(&self, upto: &mut Upto) -> Vec<Arc<Account>> {
        let after = (Bound::Excluded(upto.retired), Bound::Unbounded);
        let some: Vec<_> = {
            let retired = self.retired.lock();
            let rest = retired.range(after).chain(retired.range(..=upto.retired));
            rest.take(RETIRED_AT_ONCE).map(|(_, account)| Arc::clone(account)).collect()
        };
        upto.retired = some.last().map(|account| (account.budget(), account.window().id)).unwrap_or_default();
        some
    }

    /// What is to be reported of these budgets.
    pub(crate) fn reports_of(
        &self,
        budgets: impl Iterator<Item = BudgetId>,
    ) -> Vec<(Arc<Account>, Statement)> {
        let due = budgets.filter_map(|budget| self.account(budget)).filter(|account| !account.is_reported());
        due.map(stated).collect()
    }

    /// Whether so few budgets are in use that all of them can be walked over at any time.
    pub(crate) fn has_few(&self) -> bool {
        self.active.lock().len() + self.retired.lock().len() <= FEW
    }

    /// Whether everything is settled and the ledger knows all of it.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        !self.overdrafts.has_untold()
            && self.accounts().iter().all(|account| account.is_settled() && account.is_reported())
    }

    /// Whether anything was spent, or may be given back, so that the syncer should look.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.waking.is_empty()
            || !self.active.lock().is_empty()
            || !self.retired.lock().is_empty()
            || self.overdrafts.has_untold()
    }

    /// The ledger has these reports now. Accounts that are over, or have been quiet for long, rest.
    pub(crate) fn reported(&self, reports: &[(Arc<Account>, Statement)], now: MonoTime) {
        for (account, statement) in reports {
            account.reported(*statement);
        }
        reports.iter().for_each(|(account, _)| self.finish(std::slice::from_ref(account)));
        self.active.lock().retain(|_, account| {
            let rests = account.is_idle_at(now) && account.is_settled() && account.is_reported();
            if rests {
                account.rests();
            }
            !rests
        });
    }

    /// Puts windows aside that are over and of which the ledger knows all.
    fn finish(&self, accounts: &[Arc<Account>]) {
        for account in accounts.iter().filter(|account| account.is_settled() && account.is_reported()) {
            let spot = (account.budget(), account.window().id);
            if let Some(account) = self.retired.lock().remove(&spot) {
                self.over.push(spot);
                self.finished.lock().insert(spot, account);
            }
        }
    }

    /// The budget is gone: nothing more can be reserved of it, and what the journal holds of it proves nothing more.
    pub(crate) fn forget(&self, budget: BudgetId) {
        let slot = self.shard(budget).write().remove(&budget).unwrap_or_default();
        let over: Vec<_> = self.retired.lock().extract_if(.., |(of, _), _| *of == budget).collect();
        let over = over.into_iter().map(|(_, account)| account);
        for account in slot.open.into_iter().chain(slot.next).chain(over) {
            self.over.push((budget, account.window().id));
        }
        self.active.lock().remove(&budget);
        self.closed.lock().remove(&budget);
    }

    /// The budget is gone, as this node's replica shows it too: whoever waits for it goes on without it.
    pub(crate) fn let_pass(&self, budget: BudgetId, now: MonoTime) {
        for ticket in self.line.lock().tickets.iter_mut().filter(|ticket| ticket.is_at(budget)) {
            ticket.pass(now);
            self.lets_pass.store(true, Ordering::Release);
        }
    }

    /// Forgets accounts of budgets that are gone, a part of them each time: nobody may ever ask for them again.
    pub(crate) fn forget_some_of_the_gone(&self, part: usize, ledger: &Ledger) {
        let shard = &self.shards[part % SHARDS];
        let gone: Vec<_> = shard.read().keys().copied().filter(|it| ledger.budget(*it).is_none()).collect();
        gone.into_iter().for_each(|budget| self.forget(budget));
    }

    /// This window of a budget is open. An account of another one is over.
    pub(crate) fn window_is(&self, budget: BudgetId, window: WindowId) {
        self.turn(budget);
        self.skip_next(budget, window);
        if self.account(budget).is_some_and(|account| account.window().id != window) {
            self.retire(budget);
        }
    }

    /// Gives back everything that is free, everywhere: the node is about to leave.
    pub fn give_back_all(&self) {
        self.give_back_next();
        self.wake();
        for account in self.open_accounts() {
            account.end();
            if account.wakes() {
                self.waking.push(account);
            }
        }
    }

    /// Every account at hand, of open windows, of those that come next, and of those that are over but not settled.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let mut accounts = Vec::new();
        self.each_slot(|slot| accounts.extend(slot.open.iter().chain(&slot.next).cloned()));
        accounts.extend(self.retired.lock().values().cloned());
        accounts
    }

    fn open_accounts(&self) -> Vec<Arc<Account>> {
        let mut accounts = Vec::new();
        self.each_slot(|slot| accounts.extend(slot.open.clone()));
        accounts
    }

    fn each_slot(&self, look: impl FnMut(&Slot)) {
        let mut look = look;
        self.shards.iter().for_each(|shard| shard.read().values().for_each(&mut look));
    }

    /// A new account for the open window of a budget, in place of one that is over.
    pub(crate) fn open(&self, budget: BudgetId, window: Window) -> Arc<Account> {
        self.retire(budget);
        self.skip_next(budget, window.id);
        let account = Arc::new(Account::new(budget, window, &self.life));
        account.set_waiting(self.line.lock().count_at(budget));
        self.shard(budget).write().entry(budget).or_default().open = Some(Arc::clone(&account));
        account
    }

    /// What requests under way have reserved of one window of a budget.
    #[must_use]
    pub fn reserved(&self, budget: BudgetId, window: WindowId) -> Amount {
        self.account_of(budget, window).map_or(Amount::ZERO, |account| account.in_flight())
    }

    /// The account of one window of a budget, open or over. There is never a second one: it would spend what the first
    /// has spent.
    pub(crate) fn account_of(&self, budget: BudgetId, window: WindowId) -> Option<Arc<Account>> {
        let is_it = |account: &Arc<Account>| account.budget() == budget && account.window().id == window;
        let at_hand = self.account(budget).filter(is_it).or_else(|| self.next(budget).filter(is_it));
        at_hand.or_else(|| self.retired.lock().get(&(budget, window)).cloned())
    }

    /// The account of a window that is over.
    pub(crate) fn retired_account(&self, budget: BudgetId, window: Window) -> Arc<Account> {
        self.account_of(budget, window.id).unwrap_or_else(|| {
            let finished = self.finished.lock().remove(&(budget, window.id));
            let account = finished.unwrap_or_else(|| Arc::new(Account::new(budget, window, &self.life)));
            self.retires(&account);
            account
        })
    }

    fn retire(&self, budget: BudgetId) {
        let mut shard = self.shard(budget).write();
        let Some(account) = shard.get_mut(&budget).and_then(|slot| slot.open.take()) else { return };
        // At every instant it is found here or there.
        self.retires(&account);
        drop(shard);
        self.ends(&account);
    }

    /// Its window is over. It is found there until everything about it is settled and reported.
    pub(crate) fn retires(&self, account: &Arc<Account>) {
        self.retired.lock().insert((account.budget(), account.window().id), Arc::clone(account));
    }

    /// Nothing of this account is spent any more; it is reported until the ledger knows all of it.
    pub(crate) fn is_over(&self, account: &Arc<Account>) {
        self.retires(account);
        self.ends(account);
    }

    fn ends(&self, account: &Arc<Account>) {
        account.end();
        let mut active = self.active.lock();
        if active.get(&account.budget()).is_some_and(|known| Arc::ptr_eq(known, account)) {
            active.remove(&account.budget());
        }
    }

    pub(crate) fn wake(&self) {
        while let Some(account) = self.waking.pop() {
            if self.is_current(&account) {
                self.active.lock().insert(account.budget(), account);
            } else {
                // It may become current later, and wakes the syncer anew then.
                account.rests();
            }
        }
    }

    pub(crate) fn is_current(&self, account: &Arc<Account>) -> bool {
        self.account(account.budget()).is_some_and(|current| Arc::ptr_eq(&current, account))
    }

    pub(crate) fn shard(&self, budget: BudgetId) -> &RwLock<HashMap<BudgetId, Slot>> {
        let place = usize::try_from(budget.get() % SHARDS as u64).unwrap_or_default();
        &self.shards[place]
    }
}
