//! The judge: knows what providers billed and what is reserved, which no node sees, and holds the promises against it.

use crate::reached::Reached;
use quorate_domain::{BudgetId, KeyId, NodeId, SessionId, WindowId};
use quorate_ledger::{Budget, Ledger, Session, SessionState};
use quorate_simulator::{Coverage, Overspending, Rates, Reserved, Violation};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a reservation was made.
pub(crate) type Spot = (BudgetId, WindowId, SessionId);

#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    billed: u64,
    in_flight: u64,
    /// Charged in full because nobody heard what it cost.
    unheard: u64,
    /// Billed beyond what was reserved; and what of it the client was told.
    over: u64,
    told_over: u64,
}

/// A request that waits, and the least that was unreserved of each budget of its path since it came (G2).
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) session: SessionId,
    /// Before that it has patience, by any clock: no last call in line is its own.
    pub(crate) may_call_at: Duration,
    /// Those of its path, and what it needs of each.
    pub(crate) budgets: Vec<(BudgetId, u64)>,
    pub(crate) least: BTreeMap<BudgetId, i128>,
}

/// When a key was withdrawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Revocation {
    pub(crate) committed: Option<Duration>,
    pub(crate) returned: Option<Duration>,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    truths: BTreeMap<Spot, Truth>,
    /// The highest limit that was ever set, or may have been.
    pub(crate) allowed: BTreeMap<BudgetId, u64>,
    pub(crate) rates: Rates,
    /// Buckets that go by estimates.
    pub(crate) by_estimate: BTreeSet<BudgetId>,
    /// Budgets of requests that run at the same time: G1 says of them that no more run than their limits (I11).
    pub(crate) permits: BTreeSet<BudgetId>,
    pub(crate) overspending: Overspending,
    /// Nodes whose journal was put back, or that were removed: what they overspent may never be told.
    pub(crate) lost: BTreeSet<NodeId>,
    pub(crate) waits: BTreeMap<usize, Wait>,
    pub(crate) revocations: BTreeMap<KeyId, Revocation>,
    /// Digests of the history by index, whoever had it first.
    histories: BTreeMap<u64, ([u8; 32], usize)>,
    hashes: BTreeMap<u64, ([u8; 32], usize)>,
    leaders: BTreeSet<(u64, usize)>,
    pub(crate) coverage: Coverage<Reached>,
    pub(crate) violation: Option<Violation>,
    pub(crate) admitted: u64,
    pub(crate) denied: u64,
}

impl Judge {
    pub(crate) fn broken(&mut self, id: &str, what: String) {
        let id = id.to_owned();
        self.violation.get_or_insert(Violation { id, what });
    }

    pub(crate) fn reach(&mut self, state: Reached) {
        self.coverage.reach(state);
    }

    /// A reservation came to nothing.
    pub(crate) fn released(&mut self, spots: &[(Spot, u64)]) {
        for (spot, reserved) in spots {
            self.truths.entry(*spot).or_default().in_flight -= reserved;
        }
    }

    /// Somebody holds so much, for which a provider will be asked (G1: it will never be more than is allowed).
    pub(crate) fn reserved(&mut self, spots: &[(Spot, u64)]) {
        for ((budget, window, session), amount) in spots {
            self.truths.entry((*budget, *window, *session)).or_default().in_flight += amount;
            let of_window = self.truths.iter().filter(|((b, w, _), _)| (b, w) == (budget, window));
            let taken: u64 = of_window.map(|(_, truth)| truth.billed + truth.in_flight).sum();
            let allowed = self.allowed.get(budget).copied().unwrap_or(u64::MAX);
            if taken > allowed && !self.rates.has(*budget) {
                let what = format!("{taken} billed and reserved of {allowed}, budget {budget}");
                self.broken("G1", what);
            }
        }
    }

    /// A provider bills.
    pub(crate) fn billed(
        &mut self,
        spots: &[(Spot, u64)],
        (node, reserved_then, actual): (NodeId, &BTreeMap<BudgetId, Reserved>, u64),
    ) {
        for (spot, reserved) in spots {
            let then = reserved_then.get(&spot.0).copied().unwrap_or_default();
            let (within, beyond) = (actual.min(*reserved), actual.saturating_sub(*reserved));
            self.rates.billed(spot.0, then, (within, beyond));
            let truth = self.truths.entry(*spot).or_default();
            truth.in_flight -= reserved;
            truth.billed += actual.min(*reserved);
            truth.over += actual.saturating_sub(*reserved);
            // When its session is over, a node tells of that as overspent.
            self.overspending.may_be_told(node, spot.0, actual.saturating_sub(*reserved));
        }
    }

    /// A request has ended whose provider billed so much.
    pub(crate) fn told_overrun(&mut self, spots: &[(Spot, u64)], actual: u64) {
        for (spot, reserved) in spots.iter().filter(|(_, reserved)| *reserved < actual) {
            self.truths.entry(*spot).or_default().told_over += actual - reserved;
            let is_by_estimate = self.by_estimate.contains(&spot.0);
            self.reach(if is_by_estimate { Reached::BeyondEstimate } else { Reached::Overrun });
        }
    }

    /// Nobody will hear what it cost.
    pub(crate) fn unheard(
        &mut self,
        spots: &[(Spot, u64)],
        (reserved_then, bound, actual): (&BTreeMap<BudgetId, Reserved>, u64, u64),
    ) {
        for (spot, reserved) in spots {
            let then = reserved_then.get(&spot.0).copied().unwrap_or_default();
            self.rates.assumed(spot.0, then, bound.saturating_sub(actual.max(*reserved)));
            self.truths.entry(*spot).or_default().unheard += reserved.saturating_sub(actual);
        }
    }

    /// For each request that waits: what is unreserved now (G2).
    pub(crate) fn sample(&mut self, ledger: &Ledger, held_in_line: &BTreeMap<BudgetId, u64>, at: Duration) {
        let mut waits = std::mem::take(&mut self.waits);
        let mut known: BTreeMap<BudgetId, i128> = BTreeMap::new();
        let held = |budget| i128::from(held_in_line.get(&budget).copied().unwrap_or(0));
        for wait in waits.values_mut() {
            for (budget, need) in &wait.budgets {
                let unreserved = || self.unreserved(ledger, *budget) - held(*budget);
                let unreserved = *known.entry(*budget).or_insert_with(unreserved);
                let now = left_by_others(
                    ledger,
                    (*budget, *need),
                    (wait.session, at >= wait.may_call_at),
                    unreserved,
                );
                let least = wait.least.entry(*budget).or_insert(i128::MAX);
                *least = now.min(*least);
            }
        }
        self.waits = waits;
    }

    /// What was granted by name counts as reserved, whether the request has taken it or not: an instant at which it was counted
    /// twice looks scarcer than it was, which may hide a false denial and never makes one up.
    fn unreserved(&self, ledger: &Ledger, budget: BudgetId) -> i128 {
        let Some(found) = ledger.budget(budget) else { return 0 };
        let account = found.current();
        let window = account.window().id;
        let (mut gone, mut held) = (0_i128, 0_u64);
        for (session, holding) in account.holdings() {
            held += holding.used.get();
            let truth = self.truths.get(&(budget, window, session)).copied().unwrap_or_default();
            let served: u64 = holding.served.values().map(|amount| amount.get()).sum();
            gone += i128::from((truth.billed + truth.in_flight + truth.unheard).max(holding.used.get()));
            gone += i128::from(served);
        }
        let closed = account.used().get() - held;
        let over = |((of, in_window, _), truth): (&Spot, &Truth)| {
            if (*of, *in_window) == (budget, window) { truth.over } else { 0 }
        };
        let overrun = account.overrun().get().max(self.truths.iter().map(over).sum());
        let beyond = overrun + account.overspend().get();
        let untold = self.overspending.untold(budget, ledger);
        i128::from(found.limit_at(ledger.time()).get()) - gone - i128::from(closed + beyond + untold)
    }

    /// A request is turned away (G2).
    pub(crate) fn denied(&mut self, number: usize, budget: BudgetId, (need, doubtful): (u64, u64)) {
        let least = self.waits.get(&number).and_then(|wait| wait.least.get(&budget)).copied();
        if let Some(least) = least.filter(|least| *least >= i128::from(need) + i128::from(doubtful)) {
            let what = format!(
                "request {number} was denied {need} of budget {budget}; never less than {least} was unreserved"
            );
            self.broken("G2", what);
        }
    }

    /// A node lets a request of a key through (G3).
    pub(crate) fn let_through(&mut self, key: KeyId, at: Duration, bound: Duration) {
        let Some(revocation) = self.revocations.get(&key).copied() else { return };
        if let Some(returned) = revocation.returned.filter(|returned| at > *returned) {
            self.broken("G3", format!("key {key} was admitted {:?} after its revocation", at - returned));
        }
        let Some(committed) = revocation.committed.filter(|committed| at > *committed) else { return };
        self.reach(Reached::RevokedKeyWithinBound);
        if at - committed > bound {
            self.broken("G3", format!("key {key} was admitted {:?} after the commit", at - committed));
        }
    }

    /// What a node has come to, and by which way (I9).
    pub(crate) fn history(&mut self, node: usize, index: u64, digest: [u8; 32]) {
        Self::same(&mut self.histories, (node, index, digest)).unwrap_or_else(|what| self.broken("I9", what));
    }

    /// The fingerprint of all of a node's state (I9).
    pub(crate) fn hash(&mut self, node: usize, index: u64, digest: [u8; 32]) {
        Self::same(&mut self.hashes, (node, index, digest)).unwrap_or_else(|what| self.broken("I9", what));
    }

    fn same(
        known: &mut BTreeMap<u64, ([u8; 32], usize)>,
        (node, index, digest): (usize, u64, [u8; 32]),
    ) -> Result<(), String> {
        let (first, of) = *known.entry(index).or_insert((digest, node));
        if first == digest {
            return Ok(());
        }
        Err(format!("nodes {} and {} differ at entry {index}", of + 1, node + 1))
    }

    /// A node says that it leads. Two may, of one term even: openraft orders votes by term and node. What they decide is held
    /// against each other by I9.
    pub(crate) fn leads(&mut self, node: usize, term: u64) {
        let is_first = self.leaders.is_empty();
        if self.leaders.insert((term, node)) && !is_first {
            self.reach(Reached::LeaderChanged);
        }
    }

    /// When everything is over (I3, I5, I6): the ledger says what providers billed, plus what was charged for the dead and for
    /// those of whom nothing was heard.
    pub(crate) fn close(
        &mut self,
        ledger: &Ledger,
        (all, members): (&[NodeId], &BTreeSet<NodeId>),
        loses_nothing: bool,
    ) {
        let overspent = self.overspending.check(ledger, all, |node| self.lost.contains(&node));
        overspent.unwrap_or_else(|broken| self.broken(&broken.id, broken.what));
        let admitted = self.rates.check(ledger);
        admitted.unwrap_or_else(|broken| self.broken(&broken.id, broken.what));
        // Of a bucket what was used leaks out.
        for (id, budget) in ledger.budgets().filter(|(_, budget)| budget.spec().kind.refill().is_none()) {
            for account in budget.accounts() {
                let window = account.window().id;
                let lives = |life: &Session| life.state == SessionState::Live && members.contains(&life.node);
                let is_dead = |session| !ledger.session(session).is_some_and(lives);
                let dead = account.holdings().filter(|(session, _)| is_dead(*session));
                let in_doubt: u64 = dead.map(|(_, holding)| holding.outstanding().get()).sum();
                let of_window = || self.truths.iter().filter(|((b, w, _), _)| (*b, *w) == (id, window));
                let billed: u64 = of_window().map(|(_, truth)| truth.billed + truth.in_flight).sum();
                let unheard: u64 = of_window().map(|(_, truth)| truth.unheard).sum();
                let (used, outstanding) = (account.used().get(), account.outstanding().get());
                let crash = account.crash_charged().get();
                let over: u64 = of_window().map(|(_, truth)| truth.over).sum();
                let told_over: u64 = of_window().map(|(_, truth)| truth.told_over).sum();
                let overrun = account.overrun().get();
                let of = format!("budget {id}, window {window}");
                if overrun > over || (loses_nothing && told_over > overrun) {
                    let what =
                        format!("{of}: {over} billed beyond bounds, {told_over} told, {overrun} overrun");
                    self.broken("G1", what);
                }
                if outstanding != in_doubt {
                    self.broken("I5", format!("{of}: {outstanding} outstanding, {in_doubt} in doubt"));
                }
                if billed > used + in_doubt {
                    self.broken("I3", format!("{of}: {billed} billed, {used} charged, {in_doubt} in doubt"));
                }
                if used > billed + unheard + crash {
                    let what =
                        format!("{of}: {billed} billed, {unheard} unheard, {crash} crash, {used} charged");
                    self.broken("I6", what);
                }
            }
            self.close_beyond(id, budget);
        }
    }

    /// I6: what went beyond grants is charged once, as overrun or as overspent.
    fn close_beyond(&mut self, id: BudgetId, budget: &Budget) {
        let charged = budget.accounts().map(|account| account.overrun().get() + account.overspend().get());
        let charged: u64 = charged.sum();
        let over: u64 =
            self.truths.iter().filter(|((of, ..), _)| *of == id).map(|(_, truth)| truth.over).sum();
        let without_grants = self.overspending.without_grants(id);
        if charged > over + without_grants {
            let what = format!(
                "budget {id}: {charged} charged beyond grants, {over} billed beyond bounds, {without_grants} overspent"
            );
            self.broken("I6", what);
        }
    }
}

/// What others in line, whose patience is over, leave of what is unreserved, each taking all it needs or nothing. Which of them
/// stand before the request is not known here: all count, but for one of its own session that needs the same, which is itself if it
/// has no patience left. So little is left at most, and a denial that is false by that is false.
fn left_by_others(
    ledger: &Ledger,
    (budget, need): (BudgetId, u64),
    (session, mut may_be_itself): (SessionId, bool),
    unreserved: i128,
) -> i128 {
    let Some(account) = ledger.budget(budget).map(|found| found.current()) else { return unreserved };
    let last_calls = account.line().filter(|(_, place)| place.is_last_call);
    let others = last_calls.filter(|(of, place)| {
        let is_alike = *of == session && place.need.get() == need;
        !(is_alike && std::mem::take(&mut may_be_itself))
    });
    let take = |left: i128, amount: i128| if left < amount { left } else { left - amount };
    others.map(|(_, place)| i128::from(place.need.get())).fold(unreserved, take)
}
