//! The ledger itself: applies one committed command after the other.

mod journals;
mod overspend;
mod resolve;
mod templates;

use crate::account::{Proof, Terms};
use crate::budget::{Key, next_id};
use crate::zones::Zones;
use crate::{
    Account, Answer, Ask, Budget, BudgetSpec, Command, Expected, NodeRecord, OpenSession, Outcome, PutBudget,
    PutTemplate, Rejection, Session, SessionState, SpendingReport, Sync, Template, View,
};
use quorate_domain::{
    BudgetId, LogTime, NodeId, Refill, Revision, SessionId, Span, Subject, TimeZone, Unit, Window, WindowId,
    ZoneName,
};
use serde::{Deserialize, Serialize};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// All budgets and sessions of the cluster. The same log gives the same ledger on every node (I9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    time: LogTime,
    revision: Revision,
    last_budget: BudgetId,
    last_session: SessionId,
    budgets: BTreeMap<BudgetId, Budget>,
    by_key: BTreeMap<Key, BudgetId>,
    by_subject: BTreeMap<Subject, Vec<BudgetId>>,
    sessions: BTreeMap<SessionId, Session>,
    nodes: BTreeMap<NodeId, NodeRecord>,
    /// Budgets whose open window is handed out request by request: holders look here for what to return at once.
    central: BTreeSet<BudgetId>,
    zones: Zones,
    templates: BTreeMap<BudgetId, Template>,
}

/// A broken invariant. The node that finds one must stop: its replica can no longer be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invariant {id} is broken: {what}")]
pub struct Violation {
    /// The id in docs/INVARIANTS.md.
    pub id: &'static str,
    /// What was found.
    pub what: String,
}

impl Ledger {
    /// Applies one committed command. Total and deterministic: a command that cannot be carried out is answered, and
    /// changes nothing but what is over by then: windows, and budgets made for end users that would be made anew the same. `at` never
    /// regresses.
    pub fn apply(&mut self, at: LogTime, command: Command) -> Outcome {
        self.time = self.time.max(at);
        match command {
            // Windows are closed at the first ask after their end: no storm over all budgets at midnight.
            Command::Tick => Outcome::Done,
            Command::PutBudget(put) => self.put_budget(put, None).unwrap_or_else(Outcome::Rejected),
            Command::PutTemplate(PutTemplate { put, end_users_max }) => {
                self.put_budget(put, Some(end_users_max)).unwrap_or_else(Outcome::Rejected)
            }
            Command::MeetEndUser(meet) => self.meet(meet).unwrap_or_else(Outcome::Rejected),
            Command::RemoveBudget { budget, expected } => {
                self.remove_budget(budget, expected).unwrap_or_else(Outcome::Rejected)
            }
            Command::TellMarks(tell) => self.hear_marks(tell),
            Command::OpenSession(open) => self.open_session(&open).unwrap_or_else(Outcome::Rejected),
            Command::Sync(sync) => self.sync(&sync).unwrap_or_else(Outcome::Rejected),
            Command::CloseSession { session } => {
                self.close_session(session).unwrap_or_else(Outcome::Rejected)
            }
            Command::ExpireSession { session } => {
                self.expire_session(session).unwrap_or_else(Outcome::Rejected)
            }
            Command::Resolve(resolve) => self.resolve(&resolve).unwrap_or_else(Outcome::Rejected),
            Command::PutTimeZone(zone) => {
                self.zones.put(zone);
                Outcome::Done
            }
            Command::GoOn { left_out } => self.go_on(left_out),
        }
    }

    /// Log time of the latest command.
    #[must_use]
    pub const fn time(&self) -> LogTime {
        self.time
    }

    /// One budget.
    #[must_use]
    pub fn budget(&self, id: BudgetId) -> Option<&Budget> {
        self.budgets.get(&id)
    }

    /// All budgets.
    pub fn budgets(&self) -> impl Iterator<Item = (BudgetId, &Budget)> {
        self.budgets.iter().map(|(id, budget)| (*id, budget))
    }

    /// The budgets that limit a subject, in the order of their ids.
    #[must_use]
    pub fn budgets_of(&self, subject: &Subject) -> &[BudgetId] {
        self.by_subject.get(subject).map_or(&[], Vec::as_slice)
    }

    /// The window that follows the open one of a budget, once it may be asked for (see [`ASKED_AHEAD`]).
    ///
    /// [`ASKED_AHEAD`]: crate::ASKED_AHEAD
    #[must_use]
    pub fn upcoming(&self, budget: BudgetId) -> Option<Window> {
        self.budget(budget)?.upcoming(self.time, &self.zones)
    }

    /// The budgets that are handed out request by request now.
    #[must_use]
    pub const fn central(&self) -> &BTreeSet<BudgetId> {
        &self.central
    }

    /// What is known of a time zone.
    #[must_use]
    pub fn time_zone(&self, name: &ZoneName) -> Option<&TimeZone> {
        self.zones.get(name)
    }

    /// All time zones that budgets follow or followed.
    pub fn time_zones(&self) -> impl Iterator<Item = &TimeZone> {
        self.zones.iter()
    }

    pub(crate) const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// One session, unless it ended without doubt.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Whether a session may spend. One that may not never will again.
    #[must_use]
    pub fn is_live(&self, session: SessionId) -> bool {
        is_live(&self.sessions, session)
    }

    /// The latest session of a node, perhaps long over; the lowest id if it never had one.
    #[must_use]
    pub fn latest_session(&self, node: NodeId) -> SessionId {
        self.nodes.get(&node).map(|record| record.latest).unwrap_or_default()
    }

    /// How far the journal of a node had come when the ledger last heard of it, in generations.
    #[must_use]
    pub fn journal_of(&self, node: NodeId) -> u64 {
        self.nodes.get(&node).map(|record| record.generation).unwrap_or_default()
    }

    /// All sessions that are open or in doubt.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Checks what must hold at every log index.
    ///
    /// # Errors
    /// The first invariant found broken.
    pub fn validate(&self) -> Result<(), Violation> {
        for (id, budget) in &self.budgets {
            for account in budget.accounts().chain(budget.next()) {
                if !account.is_balanced() {
                    return Err(Violation {
                        id: "I1",
                        what: format!("budget {id}, window {}", account.window().id),
                    });
                }
            }
        }
        Ok(())
    }

    fn go_on(&mut self, left_out: u64) -> Outcome {
        let beyond = |number: u64| number.saturating_add(left_out);
        self.revision = Revision::new(beyond(self.revision.get()));
        self.last_budget = BudgetId::new(beyond(self.last_budget.get()));
        self.last_session = SessionId::new(beyond(self.last_session.get()));
        Outcome::Done
    }

    fn put_budget(&mut self, put: PutBudget, end_users_max: Option<u32>) -> Result<Outcome, Rejection> {
        self.zones.check(&put.spec.kind)?;
        let key = put.spec.key();
        let is_made = |id: &BudgetId| self.budgets.get(id).is_some_and(|found| found.origin().is_some());
        let budget = match (self.by_key.get(&key).copied(), put.expected) {
            // Nobody wrote it: whoever does so now begins with what is spent of it.
            (Some(made), Expected::Absent) if is_made(&made) => {
                self.set_budget(made, &put.spec, Expected::Any)?
            }
            (Some(existing), Expected::Absent) => return Err(Rejection::BudgetExists(existing)),
            (None, Expected::Revision(_)) => return Err(Rejection::BudgetAbsent),
            (None, Expected::Absent | Expected::Any) => self.create_budget(key, put.spec),
            (Some(existing), expected) => self.set_budget(existing, &put.spec, expected)?,
        };
        self.bound_template(budget, end_users_max);
        Ok(Outcome::BudgetStored { budget, revision: self.revision })
    }

    fn create_budget(&mut self, key: Key, spec: BudgetSpec) -> BudgetId {
        let id = next_id(self.last_budget);
        self.last_budget = id;
        self.revision = self.revision.next();
        self.by_key.insert(key, id);
        self.by_subject.entry(spec.subject.clone()).or_default().push(id);
        self.budgets.insert(id, Budget::new(spec, self.revision, self.time, &self.zones));
        id
    }

    fn set_budget(
        &mut self,
        id: BudgetId,
        spec: &BudgetSpec,
        expected: Expected,
    ) -> Result<BudgetId, Rejection> {
        self.expect_budget(id, expected)?;
        self.revision = self.revision.next();
        self.write(id, spec, self.revision);
        self.written(id, spec, self.revision);
        Ok(id)
    }

    fn write(&mut self, id: BudgetId, spec: &BudgetSpec, revision: Revision) {
        self.leak(id);
        let sessions = &self.sessions;
        let is_live = |session| is_live(sessions, session);
        if let Some(budget) = self.budgets.get_mut(&id) {
            budget.set(spec, revision, &is_live);
        }
        self.index(id);
    }

    fn remove_budget(&mut self, id: BudgetId, expected: Expected) -> Result<Outcome, Rejection> {
        self.expect_budget(id, expected)?;
        self.unmake(id);
        self.drop_budget(id);
        self.forget_the_empty();
        Ok(Outcome::Done)
    }

    fn drop_budget(&mut self, id: BudgetId) {
        self.stands_for_itself(id);
        let Some(budget) = self.budgets.remove(&id) else { return };
        let spec = budget.spec();
        self.by_key.remove(&spec.key());
        if let Entry::Occupied(mut siblings) = self.by_subject.entry(spec.subject.clone()) {
            siblings.get_mut().retain(|sibling| *sibling != id);
            if siblings.get().is_empty() {
                siblings.remove();
            }
        }
        let accounts = budget.accounts().chain(budget.next());
        let windows: Vec<_> = accounts.map(|account| account.window().id).collect();
        windows.into_iter().for_each(|window| self.release_all(id, window));
        self.nodes.values_mut().for_each(|record| {
            record.overspent.remove(&id);
        });
        self.central.remove(&id);
    }

    fn expect_budget(&mut self, id: BudgetId, expected: Expected) -> Result<&mut Budget, Rejection> {
        let budget = self.budgets.get_mut(&id).ok_or(Rejection::UnknownBudget(id))?;
        let stored = budget.revision();
        match expected {
            Expected::Absent => Err(Rejection::BudgetExists(id)),
            Expected::Revision(seen) if seen != stored => {
                Err(Rejection::RevisionMismatch { budget: id, stored })
            }
            Expected::Any | Expected::Revision(_) => Ok(budget),
        }
    }

    fn open_session(&mut self, open: &OpenSession) -> Result<Outcome, Rejection> {
        if let Some(session) = self.session_of_boot(open) {
            return Ok(Outcome::SessionOpened { session });
        }
        let latest = self.latest_session(open.node);
        if open.previous != latest {
            return Err(Rejection::LaterSession { node: open.node, latest });
        }
        let mut record = self.nodes.get(&open.node).cloned().unwrap_or_default();
        let told = std::mem::take(&mut record.told).remove(&open.boot).unwrap_or_default();
        let generation = self.settle_earlier_sessions(open, &told, &record);
        // Whatever its journal had to say of them it has said.
        record.unproven.clear();
        let session = SessionId::new(self.last_session.get() + 1);
        self.last_session = session;
        self.nodes.insert(open.node, NodeRecord { latest: session, generation, ..record });
        let life = Session {
            node: open.node,
            boot: open.boot,
            state: SessionState::Live,
            sequence: 0,
            holds: BTreeSet::new(),
            since: self.time,
        };
        self.sessions.insert(session, life);
        Ok(Outcome::SessionOpened { session })
    }

    fn session_of_boot(&self, open: &OpenSession) -> Option<SessionId> {
        let latest = self.nodes.get(&open.node)?.latest;
        let session = self.sessions.get(&latest)?;
        (session.boot == open.boot && session.state == SessionState::Live).then_some(latest)
    }

    fn doubt(&mut self, session: SessionId) {
        self.end_life(session, SessionState::InDoubt);
        self.release_what_is_sure(session);
        self.forget_if_empty(session);
    }

    /// A live session is alive no longer. What it holds stays counted as spent.
    fn end_life(&mut self, session: SessionId, state: SessionState) {
        let Some(life) = self.sessions.get_mut(&session) else { return };
        if life.state != SessionState::Live {
            return;
        }
        (life.state, life.since) = (state, self.time);
        for (budget, window) in life.holds.clone() {
            self.with_account(budget, window, |account, terms| account.lose(session, terms));
        }
    }

    fn close_holding(&mut self, session: SessionId, budget: BudgetId, window: WindowId, proof: &Proof) {
        let unit = self.budgets.get(&budget).map(|budget| budget.spec().unit);
        // What leaks at this instant must not be granted to it first: its journal may hold a bound from before it gave back.
        self.with_account(budget, window, |account, _| account.leaves_line(session));
        self.leak(budget);
        // Nothing runs any more that a dead process had begun.
        let proof = if unit == Some(Unit::Permits) { &Proof::default() } else { proof };
        self.with_account(budget, window, |account, terms| account.close(session, proof, terms));
    }

    /// Lets a bucket leak until now. Before anything more is known as spent of it: that leaks from now on.
    fn leak(&mut self, id: BudgetId) {
        let sessions = &self.sessions;
        if let Some(budget) = self.budgets.get_mut(&id) {
            budget.leak(self.time, &|session| is_live(sessions, session));
        }
    }

    /// Changes an account, if it is still kept.
    fn with_account<T>(
        &mut self,
        id: BudgetId,
        window: WindowId,
        change: impl FnOnce(&mut Account, &Terms<'_>) -> T,
    ) -> Option<T> {
        let sessions = &self.sessions;
        let is_live = |session| is_live(sessions, session);
        let budget = self.budgets.get_mut(&id)?;
        let limit = budget.limit();
        let changed = change(budget.account_mut(window)?, &Terms { limit, is_live: &is_live });
        self.index(id);
        Some(changed)
    }

    /// Keeps `central` true after a change of a budget.
    fn index(&mut self, id: BudgetId) {
        let is_central = self.budgets.get(&id).is_some_and(|budget| budget.current().is_central());
        if is_central {
            self.central.insert(id);
        } else {
            self.central.remove(&id);
        }
    }

    fn sync(&mut self, sync: &Sync) -> Result<Outcome, Rejection> {
        let Some(life) = self.sessions.get_mut(&sync.session) else { return Ok(Outcome::Fenced) };
        if life.state != SessionState::Live {
            return Ok(Outcome::Fenced);
        }
        let is_new = sync.sequence > life.sequence;
        life.sequence = life.sequence.max(sync.sequence);
        let node = life.node;
        if let Some(record) = self.nodes.get_mut(&node) {
            record.generation = record.generation.max(sync.generation);
        }
        sync.overspent.iter().for_each(|told| self.overspend(node, *told));
        if is_new {
            // First: what it reports may end a round, and whoever has left keeps nobody from being served.
            sync.asks.iter().for_each(|ask| self.who_left(sync.session, ask));
        }
        for report in &sync.reports {
            // An old answer to a round is no answer: something may have been granted since.
            let heard = report.heard.filter(|_| is_new);
            self.record(sync.session, &SpendingReport { heard, ..*report })?;
        }
        let answers = sync.asks.iter().map(|ask| self.answer(sync.session, ask, is_new)).collect();
        Ok(Outcome::Synced { answers })
    }

    fn record(&mut self, session: SessionId, report: &SpendingReport) -> Result<(), Rejection> {
        let (budget, window) = (report.budget, report.window);
        if self.budget(budget).and_then(Budget::next).is_some_and(|next| next.window().id == window) {
            // Who was granted of a window ahead does not ask when it begins.
            self.turn(budget);
        }
        self.leak(budget);
        let recorded =
            self.with_account(budget, window, |account, terms| account.record(session, report, terms));
        if recorded == Some(false) {
            self.end_life(session, SessionState::Frozen);
            return Err(Rejection::Inconsistent { session, budget });
        }
        Ok(())
    }

    /// Takes those out of the line whom an ask does not mention any more.
    fn who_left(&mut self, session: SessionId, ask: &Ask) {
        let open = self.budget(ask.budget).map(|budget| budget.current().window().id);
        if let Some(window) = ask.window.or(open) {
            self.with_account(ask.budget, window, |account, _| account.keeps_in_line(session, &ask.places));
        }
    }

    fn answer(&mut self, session: SessionId, ask: &Ask, is_new: bool) -> Answer {
        let id = ask.budget;
        self.turn(id);
        let Some(budget) = self.budgets.get_mut(&id) else { return Answer::UnknownBudget { budget: id } };
        let current = budget.current().window();
        let Some(window) = budget.asked_for(ask.window, self.time, &self.zones) else {
            return Answer::WindowOver { budget: id, current };
        };
        let proves_from = self.asked(id, window).next_round();
        if is_new {
            self.hear(session, ask, window.id);
        }
        let valid_for = self.good_for(id, window);
        let view = View::of(self.asked(id, window), session);
        Answer::Holds { budget: id, view, valid_for, proves_from }
    }

    /// Opens the window of a budget that contains the present.
    fn turn(&mut self, id: BudgetId) {
        let Some(budget) = self.budgets.get_mut(&id) else { return };
        budget.roll(self.time, &self.zones);
        let sessions = &self.sessions;
        let forgotten = budget.forget_settled_windows(&|session| is_live(sessions, session));
        forgotten.iter().for_each(|window| self.release_all(id, *window));
        if !forgotten.is_empty() {
            self.forget_the_empty();
        }
        self.index(id);
    }

    /// How long a grant is good without another word. That of a bucket for half a refill: what a session that is dead for a whole
    /// one ever spends it has spent, whatever the drift of its clock, so that it may leak.
    fn good_for(&self, asked: BudgetId, window: Window) -> Span {
        let refill = self.budgets.get(&asked).and_then(|budget| budget.spec().kind.refill());
        let until_end = window.end.map(|end| end.since(self.time));
        until_end.or_else(|| refill.map(Refill::half)).unwrap_or(Span::FOREVER)
    }

    /// The account of a window that was asked for.
    fn asked(&self, budget: BudgetId, window: Window) -> &Account {
        let account = self.budgets.get(&budget).and_then(|budget| budget.account(window.id));
        account.expect("it was found, and an ask removes neither budgets nor windows")
    }

    fn hear(&mut self, session: SessionId, ask: &Ask, window: WindowId) {
        // Whoever asks may be served at any time from now on.
        if let Some(life) = self.sessions.get_mut(&session) {
            life.holds.insert((ask.budget, window));
        }
        self.leak(ask.budget);
        self.with_account(ask.budget, window, |account, terms| account.ask(session, ask, terms));
    }

    fn close_session(&mut self, session: SessionId) -> Result<Outcome, Rejection> {
        let life = self.sessions.get(&session).ok_or(Rejection::UnknownSession(session))?;
        let holds = life.holds.clone();
        let outstanding = |(budget, window): &(BudgetId, WindowId)| {
            let account = self.budgets.get(budget).and_then(|budget| budget.account(*window));
            account
                .and_then(|account| account.holding(session))
                .is_some_and(|held| !held.outstanding().is_zero())
        };
        if holds.iter().any(outstanding) {
            return Err(Rejection::StillHolding(session));
        }
        for (budget, window) in holds {
            self.with_account(budget, window, |account, terms| {
                account.fold(session);
                account.lose(session, terms);
            });
        }
        self.sessions.remove(&session);
        Ok(Outcome::Done)
    }

    fn expire_session(&mut self, session: SessionId) -> Result<Outcome, Rejection> {
        self.sessions.get(&session).ok_or(Rejection::UnknownSession(session))?;
        self.doubt(session);
        Ok(Outcome::Done)
    }

    fn release(&mut self, session: SessionId, budget: BudgetId, window: WindowId) {
        if let Some(life) = self.sessions.get_mut(&session) {
            life.holds.remove(&(budget, window));
        }
    }

    /// A window is forgotten: nobody holds anything of it any more.
    fn release_all(&mut self, budget: BudgetId, window: WindowId) {
        for life in self.sessions.values_mut() {
            life.holds.remove(&(budget, window));
        }
        self.forget_unproven(budget, window);
    }

    fn forget_if_empty(&mut self, session: SessionId) {
        let is_over =
            self.sessions.get(&session).is_some_and(|s| s.state != SessionState::Live && s.holds.is_empty());
        if is_over {
            self.sessions.remove(&session);
        }
    }
}

fn is_live(sessions: &BTreeMap<SessionId, Session>, session: SessionId) -> bool {
    sessions.get(&session).is_some_and(|life| life.state == SessionState::Live)
}
