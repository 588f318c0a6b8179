//! The judge: knows the truth of every request, which no node and no ledger sees, and holds the promises against it.
//!
//! The truth is what providers bill and what is reserved for requests under way. Nothing here is read from a wallet.

use crate::campaign::Violation;
use crate::owed::Overspending;
use quorate_domain::{BudgetId, LogTime, NodeId, SessionId, WindowId};
use quorate_ledger::{Budget, Ledger, Mark, SessionState};
use std::collections::{BTreeMap, BTreeSet};

/// Where a reservation was made.
pub(crate) type Spot = (BudgetId, WindowId, SessionId);

/// What is true of one session's spending in one window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Truth {
    /// Billed within reservations.
    pub(crate) used: u64,
    /// Reserved for requests under way.
    pub(crate) in_flight: u64,
    /// Billed beyond reservations.
    pub(crate) overrun: u64,
    /// The part of it that a client has heard of.
    heard: u64,
}

impl Truth {
    pub(crate) const fn taken(&self) -> u64 {
        self.used + self.in_flight
    }
}

/// The truth, and what may be spent at most.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    truths: BTreeMap<Spot, Truth>,
    /// The same of all sessions together.
    sums: BTreeMap<(BudgetId, WindowId), Truth>,
    /// How often any of it changed.
    changes: u64,
    /// The most that may be charged and reserved in a window: its limit, or what was granted already when it was cut.
    allowed: BTreeMap<(BudgetId, WindowId), u64>,
    /// What the leader took as spent of what dead sessions held, whether it was or not.
    assumed: BTreeMap<(BudgetId, WindowId), u64>,
    /// How far log time had come anywhere when the node of a session died.
    died: BTreeMap<SessionId, LogTime>,
    /// Nodes whose disk was lost, or put back from a copy.
    diskless: BTreeSet<NodeId>,
    /// Sessions whose journal was on such a disk, as far as the ledger did not know all of them.
    unwitnessed: BTreeSet<SessionId>,
    /// Sessions that somebody declared dead.
    declared: BTreeSet<SessionId>,
    /// What was charged and granted of each window after the latest entry, what was spent beyond, and the limit.
    committed: BTreeMap<(BudgetId, WindowId), (u64, u64, u64)>,
}

impl Oracle {
    pub(crate) fn lost_disk(&mut self, node: NodeId, ledger: &Ledger) {
        self.diskless.insert(node);
        let of_it = ledger.sessions().filter(|(_, life)| life.node == node);
        self.unwitnessed.extend(of_it.map(|(session, _)| session));
        self.unwitnessed.extend(ledger.unproven_sessions(node));
    }

    pub(crate) fn has_lost_its_disk(&self, node: NodeId) -> bool {
        self.diskless.contains(&node)
    }

    pub(crate) fn declared_dead(&mut self, session: SessionId) {
        self.declared.insert(session);
    }

    /// Whatever happens to spending happens to the session's and to the sum.
    fn change(&mut self, spot: Spot, by: impl Fn(&mut Truth)) {
        self.changes += 1;
        by(self.truths.entry(spot).or_default());
        by(self.sums.entry((spot.0, spot.1)).or_default());
    }

    /// How often the truth has changed: as long as it is the same number, so is the truth.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn reserved(&mut self, spot: Spot, amount: u64) {
        self.change(spot, |truth| truth.in_flight += amount);
    }

    /// A request is over: `spent` of what was reserved stays spent.
    pub(crate) fn settled(&mut self, spot: Spot, reserved: u64, spent: u64) {
        self.change(spot, |truth| {
            truth.in_flight -= reserved;
            truth.used += spent.min(reserved);
            truth.overrun += spent.saturating_sub(reserved);
        });
    }

    /// A client hears of the end of a request that overran.
    pub(crate) fn heard_of_overrun(&mut self, spot: Spot, amount: u64) {
        self.change(spot, |truth| truth.heard += amount);
    }

    /// What clients have heard of, but of sessions whose journal was lost.
    fn heard_and_kept(&self, budget: BudgetId, window: WindowId) -> u64 {
        let of_window = self.truths.iter().filter(|((b, w, _), _)| (*b, *w) == (budget, window));
        let kept = of_window.filter(|((.., session), _)| !self.unwitnessed.contains(session));
        kept.map(|(_, truth)| truth.heard).sum()
    }

    /// All that was billed of a budget beyond reservations.
    pub(crate) fn overrun_of(&self, budget: BudgetId) -> u64 {
        self.sums.iter().filter(|((of, _), _)| *of == budget).map(|(_, truth)| truth.overrun).sum()
    }

    pub(crate) fn truth(&self, spot: Spot) -> Truth {
        self.truths.get(&spot).copied().unwrap_or_default()
    }

    pub(crate) fn resolved_as_spent(&mut self, (budget, window, _): Spot, amount: u64) {
        *self.assumed.entry((budget, window)).or_default() += amount;
    }

    /// The node of a session is dead.
    pub(crate) fn died(&mut self, session: SessionId, at: LogTime) {
        self.died.insert(session, at);
    }

    /// Whether a mark is of a window that begins after the session's node died.
    pub(crate) fn is_ahead_of_death(&self, mark: &Mark) -> bool {
        self.died.get(&mark.session).is_some_and(|died| mark.window.start() > *died)
    }

    /// I6: a crash is charged nothing of windows that had not begun then.
    pub(crate) fn check_marks(&self, marks: &[Mark]) -> Result<(), Violation> {
        let Some(mark) = marks.iter().find(|mark| self.is_ahead_of_death(mark)) else { return Ok(()) };
        let what = format!(
            "budget {}, window {}: {} told of a session that died before the window began",
            mark.budget, mark.window, mark.spent_bound
        );
        Err(Violation { id: "I6".to_owned(), what })
    }

    /// A limit was set: from now on so much may be spent in the open window.
    pub(crate) fn allow(&mut self, budget: BudgetId, window: WindowId, allowed: u64) {
        self.allowed.insert((budget, window), allowed);
    }

    /// What a window allowed stays allowed in it when it is over, whatever limit is set later.
    pub(crate) fn keep_allowing(&mut self, budget: BudgetId, window: WindowId, of: &Budget) {
        if of.spec().kind.refill().is_none() {
            self.allowed.entry((budget, window)).or_insert(of.spec().limit.get());
        }
    }

    /// What a window allows. A bucket allows more and more.
    fn allowed(&self, budget: BudgetId, window: WindowId, of: &Budget) -> u64 {
        let allowed = self.allowed.get(&(budget, window)).copied();
        let is_bucket = of.spec().kind.refill().is_some();
        allowed.filter(|allowed| !is_bucket || *allowed > of.limit().get()).unwrap_or(of.limit().get())
    }

    /// I1 and G4, after an entry of the log.
    pub(crate) fn check_ledger(&mut self, ledger: &Ledger) -> Result<(), Violation> {
        ledger.validate().map_err(|broken| Violation { id: broken.id.to_owned(), what: broken.what })?;
        self.check_doubt(ledger)?;
        self.check_pools(ledger)?;
        self.check_grants(ledger)
    }

    /// I1: what is granted by an entry was free, after all that was spent beyond grants. One that tells of more of that as well, or
    /// lowers the limit, may have granted before.
    fn check_grants(&mut self, ledger: &Ledger) -> Result<(), Violation> {
        for (budget, found) in ledger.budgets() {
            let account = found.current();
            let (window, limit) = (account.window().id, found.limit().get());
            let committed = account.used().get() + account.outstanding().get();
            let beyond = account.overrun().get() + account.overspend().get();
            let before = self.committed.insert((budget, window), (committed, beyond, limit));
            let has_granted =
                before.is_some_and(|known| committed > known.0 && beyond == known.1 && limit >= known.2);
            let taken = committed + beyond;
            if has_granted && taken > limit {
                let what = format!("budget {budget}, window {window}: granted up to {taken} of {limit}");
                return Err(Violation { id: "I1".to_owned(), what });
            }
        }
        Ok(())
    }

    /// G4: only who has lost its disk, or was declared dead, leaves more in doubt than its journal does.
    fn check_doubt(&self, ledger: &Ledger) -> Result<(), Violation> {
        let has_cause =
            |id: &SessionId, node: NodeId| self.declared.contains(id) || self.diskless.contains(&node);
        let mut doubtful = ledger.sessions().filter(|(_, life)| life.state == SessionState::InDoubt);
        match doubtful.find(|(id, life)| !has_cause(id, life.node)) {
            Some((id, life)) => {
                let what = format!("session {id} of node {} is in doubt, and its disk is there", life.node);
                Err(Violation { id: "G4".to_owned(), what })
            }
            None => Ok(()),
        }
    }

    /// G1 and I3, after an entry of the log or a change of the truth.
    pub(crate) fn check(&self, ledger: &Ledger) -> Result<(), Violation> {
        for ((budget, window), truth) in &self.sums {
            let Some(found) = ledger.budget(*budget) else { continue };
            let (taken, allowed) = (truth.taken(), self.allowed(*budget, *window, found));
            if taken > allowed {
                let what =
                    format!("budget {budget}, window {window}: {taken} charged and reserved of {allowed}");
                return Err(Violation { id: "G1".to_owned(), what });
            }
            if let Some(account) = found.account(*window) {
                let known = account.used().get() + account.outstanding().get();
                if taken > known {
                    let what =
                        format!("budget {budget}, window {window}: {taken} true, {known} in the ledger");
                    return Err(Violation { id: "I3".to_owned(), what });
                }
            }
        }
        Ok(())
    }

    /// I1: the pool of a window is never overdrawn, but by a cut of its limit.
    fn check_pools(&self, ledger: &Ledger) -> Result<(), Violation> {
        for (budget, found) in ledger.budgets() {
            for account in found.accounts().chain(found.next()) {
                let window = account.window().id;
                let allowed = self.allowed(budget, window, found);
                let committed = account.used().get() + account.outstanding().get();
                if committed > allowed {
                    let what = format!("budget {budget}, window {window}: {committed} counted of {allowed}");
                    return Err(Violation { id: "I1".to_owned(), what });
                }
            }
        }
        Ok(())
    }

    /// What is unreserved in the open window of a budget, in the whole cluster, at this instant (G2). `granted` is what
    /// the ledger has granted by name to requests that wait still: it counts as reserved from then on. What dead
    /// sessions hold and have not spent is unreserved: a denial that rests on it has to name it. What has leaked by `at` is
    /// there, whether an entry has told or not.
    pub(crate) fn unreserved(&self, ledger: &Ledger, budget: BudgetId, granted: u64, at: LogTime) -> i128 {
        let Some(found) = ledger.budget(budget) else { return 0 };
        let Some(window) = open_window(ledger, budget, found) else { return 0 };
        let mut gone = i128::from(granted);
        let account = found.account(window);
        let mut held_by_sessions = 0;
        for (session, holding) in account.into_iter().flat_map(|account| account.holdings()) {
            held_by_sessions += holding.used.get();
            gone += i128::from(self.truth((budget, window, session)).taken());
        }
        let closed = account.map_or(0, |account| account.used().get()) - held_by_sessions;
        let overrun = self.sums.get(&(budget, window)).map_or(0, |truth| truth.overrun);
        let overspend = account.map_or(0, |account| account.overspend().get());
        let beyond = i128::from(overrun) + i128::from(overspend);
        i128::from(found.limit_at(at).get()) - gone - i128::from(closed) - beyond
    }

    /// I6: beyond grants no more is charged than was billed.
    pub(crate) fn check_beyond(&self, ledger: &Ledger, overspending: &Overspending) -> Result<(), Violation> {
        for (id, budget) in ledger.budgets() {
            let charged: u64 =
                budget.accounts().map(|account| account.overrun().get() + account.overspend().get()).sum();
            let (overrun, overspent) = (self.overrun_of(id), overspending.without_grants(id));
            if charged > overrun + overspent {
                let what = format!(
                    "budget {id}: {charged} charged beyond grants, of {overrun} overrun and {overspent} overspent"
                );
                return Err(Violation { id: "I6".to_owned(), what });
            }
        }
        Ok(())
    }

    /// I5, I6 and G1 when everything is over: nothing is outstanding but what is in doubt, and the ledger says what
    /// providers billed, plus what was charged for the dead.
    pub(crate) fn check_quiescence(&self, ledger: &Ledger, at: LogTime) -> Result<(), Violation> {
        for (id, budget) in ledger.budgets() {
            for account in budget.accounts() {
                let window = account.window().id;
                let in_doubt: u64 = account
                    .holdings()
                    .filter(|(session, _)| {
                        ledger.session(*session).is_some_and(|life| life.state != SessionState::Live)
                    })
                    .map(|(_, holding)| holding.outstanding().get())
                    .sum();
                let truth = self.sums.get(&(id, window)).copied().unwrap_or_default();
                let (billed, heard) = (truth.used, self.heard_and_kept(id, window));
                let (used, outstanding) = (account.used().get(), account.outstanding().get());
                let broken = |id: &'static str, what: &str| {
                    Err(Violation {
                        id: id.to_owned(),
                        what: format!("budget {}, window {window}, at {at}: {what}", budget.spec().subject),
                    })
                };
                if account.line_length() > 0 {
                    return broken("L2", "somebody who is gone stands in line for ever");
                }
                if outstanding != in_doubt {
                    return broken(
                        "I5",
                        &format!(
                            "{outstanding} outstanding, {in_doubt} in doubt: {:?}",
                            account
                                .holdings()
                                .filter(|(_, held)| !held.outstanding().is_zero())
                                .collect::<Vec<_>>()
                        ),
                    );
                }
                if billed > used + in_doubt {
                    return broken("I3", &format!("{billed} billed, {used} charged, {in_doubt} in doubt"));
                }
                let assumed = self.assumed.get(&(id, window)).copied().unwrap_or(0);
                let crash = account.crash_charged().get();
                if used > billed + crash + assumed {
                    let what = format!(
                        "{billed} billed, {used} charged, {crash} for crashes, {assumed} by resolutions"
                    );
                    return broken("I6", &what);
                }
                if account.overrun().get() < heard {
                    return broken("G1", &format!("{heard} overrun, {} in the ledger", account.overrun()));
                }
            }
        }
        Ok(())
    }
}

/// The window of a budget that contains the present, whether anybody has asked for any of it or not.
fn open_window(ledger: &Ledger, id: BudgetId, budget: &Budget) -> Option<WindowId> {
    let latest = budget.current().window();
    if !latest.has_ended_at(ledger.time()) {
        return Some(latest.id);
    }
    ledger.report(id).map(|report| report.window.id)
}
