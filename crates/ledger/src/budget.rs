//! Budgets: a limit for a subject, and one account for each window of it.

use crate::account::Terms;
use crate::bucket::{Leak, Measure};
use crate::doubt::RESOLUTIONS_KEPT;
use crate::zones::Zones;
use crate::{Account, AutoResolve, Origin, Resolution};
use quorate_domain::{
    Amount, BudgetId, Calendar, LogTime, Period, Refill, Revision, SessionId, Span, Subject, Unit, Weekday,
    Window, WindowId, ZoneName,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// When a budget starts anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Never: what is spent stays spent.
    Lifetime,
    /// At the beginning of each window of the calendar in UTC, with weeks from Monday.
    Fixed(Period),
    /// At the beginning of each window of another calendar.
    Local(Calendar),
    /// Little by little: what is spent leaks out again.
    Bucket(Refill),
}

impl Kind {
    /// The kind with the windows of this calendar: each calendar has one, so that two budgets with the same windows are
    /// known as such.
    #[must_use]
    pub fn windowed(calendar: Calendar) -> Self {
        if calendar.zone().is_utc() && calendar.week_starts() == Weekday::Monday {
            return Self::Fixed(calendar.period());
        }
        Self::Local(calendar)
    }

    /// The time zone whose rules the ledger must know for it.
    #[must_use]
    pub const fn zone(&self) -> Option<&ZoneName> {
        match self {
            Self::Local(calendar) => Some(calendar.zone()),
            Self::Lifetime | Self::Fixed(_) | Self::Bucket(_) => None,
        }
    }

    /// In what time it is full again, if it is a bucket.
    #[must_use]
    pub const fn refill(&self) -> Option<Refill> {
        match self {
            Self::Bucket(refill) => Some(*refill),
            Self::Lifetime | Self::Fixed(_) | Self::Local(_) => None,
        }
    }
}

/// What a request reserves of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reserve {
    /// The most it can cost: no more is ever spent than the limit.
    #[default]
    Bound,
    /// What it is expected to use. What it uses beyond is debt. Only of buckets of tokens: of nothing else a debt is paid.
    Estimate,
}

/// What a budget limits, and to how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSpec {
    /// Whose spending.
    pub subject: Subject,
    /// Counted in what.
    pub unit: Unit,
    /// Over which stretch of time.
    pub kind: Kind,
    /// The most that may be spent in that stretch. Hard: never exceeded. Of a bucket: how much it holds, and how much
    /// leaks out of it in the time of its refill.
    pub limit: Amount,
    /// What becomes of doubt, if it is for ever and of something that can be spent.
    pub auto_resolve: AutoResolve,
    /// What requests reserve of it.
    pub reserve: Reserve,
}

/// A budget and its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    spec: BudgetSpec,
    revision: Revision,
    /// The open window, and earlier ones that are not settled yet, oldest first; never empty.
    accounts: BTreeMap<WindowId, Account>,
    /// What has leaked, if it is a bucket.
    leak: Option<Leak>,
    /// Doubt that was resolved, the latest last; so many as are kept.
    resolutions: VecDeque<Resolution>,
    /// The window after the open one, once somebody was granted of it ahead. Nothing of it is spent before it begins.
    next: Option<Box<Account>>,
    /// The template it was made from, if nobody wrote it.
    origin: Option<Origin>,
}

/// How long before a window begins its first grants may be asked for: so that nobody has to wait for one when it does.
pub const ASKED_AHEAD: Span = Span::from_millis(30_000);

impl Budget {
    /// A new budget, of which nothing is spent.
    pub(crate) fn new(spec: BudgetSpec, revision: Revision, at: LogTime, zones: &Zones) -> Self {
        let window = zones.window(&spec.kind, at);
        let accounts = BTreeMap::from([(window.id, Account::new(window))]);
        let leak = spec.kind.refill().map(|refill| Leak::new(refill, at));
        Self { spec, revision, accounts, leak, resolutions: VecDeque::new(), next: None, origin: None }
    }

    /// What it limits.
    #[must_use]
    pub const fn spec(&self) -> &BudgetSpec {
        &self.spec
    }

    /// The number of the change that last wrote it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The account of the open window.
    #[must_use]
    pub fn current(&self) -> &Account {
        self.accounts.last_key_value().expect("a budget has an open window from its creation on").1
    }

    /// The account of one window, if it is still kept, or granted of ahead.
    #[must_use]
    pub fn account(&self, window: WindowId) -> Option<&Account> {
        self.accounts.get(&window).or_else(|| self.next().filter(|next| next.window().id == window))
    }

    /// The account of the window that follows the open one, once somebody was granted of it ahead.
    #[must_use]
    pub fn next(&self) -> Option<&Account> {
        self.next.as_deref()
    }

    /// All accounts that are kept, oldest first. The last one is open.
    pub fn accounts(&self) -> impl DoubleEndedIterator<Item = &Account> {
        self.accounts.values()
    }

    /// What may still be granted in the open window (the pool, `Fr` in the protocol's formulas).
    #[must_use]
    pub fn free(&self) -> Amount {
        self.current().free(self.limit())
    }

    /// The same at a later time, if nothing happens until then.
    #[must_use]
    pub fn free_at(&self, at: LogTime) -> Amount {
        self.current().free(self.limit_at(at))
    }

    /// The most that may be spent in the open window in all: of a bucket, what it holds and what has leaked.
    #[must_use]
    pub fn limit(&self) -> Amount {
        self.spec.limit.saturating_add(self.leaked())
    }

    /// The same at a later time, if nothing happens until then.
    #[must_use]
    pub fn limit_at(&self, at: LogTime) -> Amount {
        self.spec.limit.saturating_add(self.leaked_at(at))
    }

    /// The most that it can be so long after `at`, whatever is spent until then: that leaks too.
    pub(crate) fn limit_at_most(&self, at: LogTime, within: Span) -> Amount {
        let measure = self.measure();
        let leaked = self.leak.map(|leak| leak.at(at, measure).at_most(at.plus(within), measure).leaked());
        self.spec.limit.saturating_add(leaked.unwrap_or_default())
    }

    /// How long it takes from `at` until so much more has leaked: nothing but a bucket leaks, and of what is not spent
    /// nothing does.
    #[must_use]
    pub fn leaks_in(&self, more: Amount, at: LogTime) -> Option<Span> {
        let measure = self.measure();
        self.leak?.at(at, measure).time_for(more, measure)
    }

    /// How long it takes from `at` until all that is known as spent has leaked; `None` if it is no bucket.
    #[must_use]
    pub fn is_full_in(&self, at: LogTime) -> Option<Span> {
        self.leaks_in(self.measure().spent.saturating_sub(self.leaked_at(at)), at)
    }

    pub(crate) fn leaked(&self) -> Amount {
        self.leak.map_or(Amount::ZERO, |leak| leak.leaked())
    }

    pub(crate) fn leaked_at(&self, at: LogTime) -> Amount {
        self.leak.map_or(Amount::ZERO, |leak| leak.at(at, self.measure()).leaked())
    }

    fn measure(&self) -> Measure {
        let account = self.current();
        let spent = account.used().saturating_add(account.beyond_grants());
        Measure { capacity: self.spec.limit, spent }
    }

    /// Lets leak what has leaked by now. Before anything is changed: what an entry tells leaks only from then on.
    pub(crate) fn leak(&mut self, at: LogTime, is_live: &dyn Fn(SessionId) -> bool) {
        let Some(leak) = self.leak else { return };
        let before = self.limit();
        self.leak = Some(leak.at(at, self.measure()));
        let limit = self.limit();
        if limit > before
            && let Some(mut current) = self.accounts.last_entry()
        {
            current.get_mut().limit_changed(before, &Terms { limit, is_live });
        }
    }

    /// The account of the window that contains `at`: empty if nobody has asked for any of it yet.
    pub(crate) fn account_at(&self, at: LogTime, zones: &Zones) -> Cow<'_, Account> {
        let kept = [Some(self.current()), self.next()].into_iter().flatten();
        let open = kept.into_iter().find(|account| !account.window().has_ended_at(at));
        open.map_or_else(|| Cow::Owned(Account::new(self.next_window(at, zones))), Cow::Borrowed)
    }

    /// Doubt that was resolved lately, the latest last.
    pub fn resolutions(&self) -> impl Iterator<Item = &Resolution> {
        self.resolutions.iter()
    }

    /// The template it was made from; `None` if somebody wrote it.
    #[must_use]
    pub const fn origin(&self) -> Option<Origin> {
        self.origin
    }

    pub(crate) const fn set_origin(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// Whether one that is made now would be the same: nothing counts in it any more, nobody waits for it, and nobody who
    /// lives holds anything of it.
    pub(crate) fn is_as_new_at(&self, at: LogTime, is_live: &dyn Fn(SessionId) -> bool) -> bool {
        let is_quiet = |account: &Account| account.line_length() == 0 && account.is_settled(is_live);
        let open = self.current();
        let counts = || !open.outstanding().is_zero() || self.measure().spent > self.leaked_at(at);
        let is_over = |account: &Account| account.window().has_ended_at(at);
        self.accounts().chain(self.next()).all(is_quiet)
            && self.next().is_none_or(is_over)
            && (is_over(open) || !counts())
    }

    pub(crate) fn note(&mut self, resolution: Resolution) {
        if self.resolutions.len() == RESOLUTIONS_KEPT {
            self.resolutions.pop_front();
        }
        self.resolutions.push_back(resolution);
    }

    /// Sets what can change of it. If more is granted than it allows, holders must return what they have not spent.
    pub(crate) fn set(&mut self, spec: &BudgetSpec, revision: Revision, is_live: &dyn Fn(SessionId) -> bool) {
        let old = self.limit();
        self.spec.limit = spec.limit;
        self.spec.auto_resolve = spec.auto_resolve;
        self.spec.reserve = spec.reserve;
        let terms = Terms { limit: self.limit(), is_live };
        self.revision = revision;
        if let Some(mut current) = self.accounts.last_entry() {
            current.get_mut().limit_changed(old, &terms);
        }
        if let Some(next) = &mut self.next {
            next.limit_changed(old, &terms);
        }
    }

    pub(crate) fn account_mut(&mut self, window: WindowId) -> Option<&mut Account> {
        let next = self.next.as_deref_mut().filter(|next| next.window().id == window);
        self.accounts.get_mut(&window).or(next)
    }

    /// Opens the window that contains `at` if the open one is over, with what was granted of it ahead.
    pub(crate) fn roll(&mut self, at: LogTime, zones: &Zones) {
        while self.current().window().has_ended_at(at) {
            let ahead = self.next.take().map(|next| *next);
            let account = ahead.unwrap_or_else(|| Account::new(self.next_window(at, zones)));
            if let Some(mut over) = self.accounts.last_entry() {
                over.get_mut().end();
            }
            self.accounts.insert(account.window().id, account);
        }
    }

    /// The window that an ask is about: the open one, or the one after it if that begins soon. `None` if the window asked for
    /// is neither.
    pub(crate) fn asked_for(
        &mut self,
        wanted: Option<WindowId>,
        at: LogTime,
        zones: &Zones,
    ) -> Option<Window> {
        let open = self.current().window();
        let Some(wanted) = wanted.filter(|wanted| *wanted != open.id) else { return Some(open) };
        let next = self.upcoming(at, zones).filter(|next| next.id == wanted)?;
        Some(self.next.get_or_insert_with(|| Box::new(Account::new(next))).window())
    }

    /// The window after the open one, once it may be asked for.
    pub(crate) fn upcoming(&self, at: LogTime, zones: &Zones) -> Option<Window> {
        let open = self.current().window();
        let end = open.end.filter(|end| !open.has_ended_at(at) && end.since(at) <= ASKED_AHEAD)?;
        Some(self.next().map_or_else(|| self.next_window(end, zones), Account::window))
    }

    /// The window that contains `at`, which is after the open one. If the rules of its zone were replaced meanwhile, it has
    /// what the open one leaves: windows never overlap, and their ids rise.
    fn next_window(&self, at: LogTime, zones: &Zones) -> Window {
        zones.window(&self.spec.kind, at).after(self.current().window())
    }

    /// Forgets finished windows of which nobody who lives holds anything, but for the latest, which people want to look
    /// at. With them goes what the dead held of them: it was counted as spent to the end.
    pub(crate) fn forget_settled_windows(&mut self, is_live: &dyn Fn(SessionId) -> bool) -> Vec<WindowId> {
        let finished = self.accounts.len().saturating_sub(WINDOWS_TO_LOOK_AT);
        let over = self.accounts.iter().take(finished);
        let settled: Vec<_> = over.filter(|(_, a)| a.is_settled(is_live)).map(|(id, _)| *id).collect();
        self.accounts.retain(|window, _| !settled.contains(window));
        settled
    }
}

/// The open window and the one before it are kept even when nothing can change in them any more.
const WINDOWS_TO_LOOK_AT: usize = 2;

/// The stored name of a budget: one subject has one budget of each unit and kind.
pub(crate) type Key = (Subject, Unit, Kind);

impl BudgetSpec {
    /// The rule by which its doubt ends, if it does not end with a window.
    #[must_use]
    pub const fn rule(&self) -> AutoResolve {
        match &self.kind {
            Kind::Lifetime => self.auto_resolve,
            // Its grants are good for no longer: what a dead session spent of them it has spent by then.
            Kind::Bucket(refill) => AutoResolve::AsSpent { after: refill.span() },
            Kind::Fixed(_) | Kind::Local(_) => AutoResolve::Never,
        }
    }

    pub(crate) fn key(&self) -> Key {
        (self.subject.clone(), self.unit, self.kind.clone())
    }
}

/// The id that follows the highest given so far.
pub(crate) const fn next_id(last: BudgetId) -> BudgetId {
    BudgetId::new(last.get() + 1)
}
