//! The lives of requests: they come, perhaps wait, run, are billed, and are settled.

use crate::campaign::Violation;
use crate::event::Event;
use crate::oracle::Spot;
use crate::plan::{BudgetPlan, RequestPlan};
use crate::reached::Reached;
use crate::request::State;
use crate::world::{World, budget_id, in_unit, node_id, place_of};
use quorate_domain::{Amount, BudgetId, MonoTime, NanoUsd, Tokens, Unit, WindowId};
use quorate_ledger::Reserve;
use quorate_wallet::{Charge, Cost, Need, Overrun, Reservation, Wallet};

pub(crate) fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::ZERO }
}

fn need(plan: &RequestPlan) -> Need {
    let least = cost(plan.cut_to.unwrap_or(plan.bound));
    Need { most: cost(plan.bound), least, expected: Tokens::new(plan.expected) }
}

/// What a budget of this unit is charged in the end.
fn charged(unit: Unit, tokens: u64) -> u64 {
    cost(tokens).to_charge(unit).get()
}

impl World {
    pub(crate) fn arrives(&mut self, number: usize) {
        if self.meets_first(number) {
            return;
        }
        let plan = self.plan.requests[number].clone();
        self.touched.insert(plan.node);
        let node = &self.nodes[plan.node];
        let knows_all = plan.path.iter().all(|place| node.replica.budget(budget_id(*place)).is_some());
        let serves = node.is_up && !node.is_paused && node.drains.is_none() && knows_all;
        let Some(wallet) = node.wallet.clone().filter(|_| serves) else {
            self.requests[number].state = State::Failed;
            return;
        };
        self.requests[number].life = node.life;
        let path: Vec<Charge> = plan
            .path
            .iter()
            .map(|place| {
                let budget = &self.plan.budgets[*place];
                Charge { budget: budget_id(*place), unit: budget.unit, reserve: budget.reserve }
            })
            .collect();
        let now = self.mono(plan.node);
        if let Ok(reservation) = wallet.reserve(&path, need(&plan), now) {
            self.coverage.reach(Reached::AdmittedLocally);
            self.local += 1;
            self.runs(number, reservation);
        } else if !wallet.is_open() {
            self.requests[number].state = State::Failed;
        } else if plan.may_overspend && self.is_cut_off(plan.node) {
            self.overspends(number, &wallet, &path);
        } else {
            // The journal is this node's own: who waits for it alone is decided on here.
            let is_covered = |charge: &Charge| {
                let account = wallet.account(charge.budget).filter(|account| !account.is_closed());
                account.is_some_and(|account| account.free() >= need(&plan).most_of(*charge))
            };
            self.local += u64::from(!wallet.has_line() && path.iter().all(is_covered));
            let deadline = MonoTime::from_micros(now.micros() + plan.patience_us);
            let id = wallet.queue(path.into(), need(&plan), now, deadline);
            let request = &mut self.requests[number];
            (request.state, request.id, request.deadline) = (State::Waits, id, deadline);
            self.nodes[plan.node].tickets.insert(id, number);
            if let Some(after) = plan.leaves_after_us {
                self.after(after, Event::Leaves(number));
            }
            self.sample();
        }
        self.look(plan.node);
    }

    pub(crate) fn leaves(&mut self, number: usize) {
        let place = self.plan.requests[number].node;
        let (state, id, life) = {
            let request = &self.requests[number];
            (request.state, request.id, request.life)
        };
        if state == State::Waits && self.nodes[place].life == life {
            self.requests[number].state = State::Left;
            self.nodes[place].tickets.remove(&id);
            let _was_there = self.nodes[place].wallet.as_ref().is_some_and(|wallet| wallet.leave(id));
            self.look(place);
        }
    }

    pub(crate) fn runs(&mut self, number: usize, mut reservation: Reservation) {
        let place = self.plan.requests[number].node;
        let Some(session) = self.nodes[place].session() else { return };
        let least = reservation.least(Unit::Tokens).map(Amount::get);
        if let Some(cut_to) = least.filter(|least| *least < self.plan.requests[number].bound) {
            reservation.shrink(&cost(cut_to));
            self.requests[number].cut_to = Some(cut_to);
            self.coverage.reach(Reached::CutShort);
        }
        if !self.requests[number].goes_on_regardless {
            self.check_taken(number, &reservation);
        }
        for (budget, window, amount) in reservation.taken() {
            let spot = (budget, window, session);
            if let Some(found) = self.log.ledger.budget(budget) {
                self.oracle.keep_allowing(budget, window, found);
                if found.next().is_some_and(|next| next.window().id == window) {
                    self.coverage.reach(Reached::SpentUnasked);
                    let earlier = (budget, found.current().window().id, session);
                    if self.oracle.truth(earlier).in_flight > 0 {
                        self.coverage.reach(Reached::TurnedInFlight);
                    }
                }
            }
            self.check_has_begun(number, window);
            self.oracle.reserved(spot, amount.get());
            let reserved = self.rates.reserved(budget, self.log.ledger.time());
            self.requests[number].spots.push((spot, amount.get()));
            self.requests[number].reserved.insert(budget, reserved);
        }
        self.requests[number].state = State::Runs;
        self.requests[number].reservation = Some(reservation);
        self.after(self.plan.requests[number].takes_us, Event::Bills(number));
    }

    /// I15: nothing is reserved of a window that has not begun by log time.
    fn check_has_begun(&mut self, number: usize, window: WindowId) {
        if window.start() > self.log.ledger.time() {
            let what = format!("request {number} runs in window {window}, which has not begun");
            self.violation.get_or_insert(Violation { id: "I15".to_owned(), what });
        }
    }

    /// I7 and I13: it holds something of every budget of its path, and nowhere less than it cannot do without.
    fn check_taken(&mut self, number: usize, reservation: &Reservation) {
        let plan = &self.plan.requests[number];
        // What is taken by estimate is no more than the answer was cut to.
        let most = |budget: &BudgetPlan| {
            self.requests[number].cut_to.map_or(u64::MAX, |cut_to| in_unit(budget.unit, cut_to))
        };
        let least = |place: &usize| {
            let budget = &self.plan.budgets[*place];
            (budget_id(*place), budget.least_of(plan).min(most(budget)))
        };
        let path: Vec<(BudgetId, u64)> = plan.path.iter().map(least).collect();
        let taken: Vec<(BudgetId, u64)> =
            reservation.taken().map(|(budget, _, amount)| (budget, amount.get())).collect();
        let broken = if taken.len() != path.len() || path.iter().zip(&taken).any(|(of, it)| of.0 != it.0) {
            Some("I7")
        } else {
            let is_short = |((_, least), (_, amount)): (&(BudgetId, u64), &(BudgetId, u64))| amount < least;
            path.iter().zip(&taken).any(is_short).then_some("I13")
        };
        if let Some(id) = broken {
            let what = format!("request {number} asks for {path:?}, and runs with {taken:?}");
            self.violation.get_or_insert(Violation { id: id.to_owned(), what });
        }
    }

    /// The provider has done its work, whatever became of the node.
    pub(crate) fn bills(&mut self, number: usize) {
        let plan = self.plan.requests[number].clone();
        if plan.actual.is_none() {
            self.coverage.reach(Reached::UsageMissing);
        }
        for (spot, amount) in self.requests[number].spots.clone() {
            let budget = &self.plan.budgets[place_of(spot.0)];
            let spent = charged(budget.unit, self.actual(number));
            if spent > amount {
                self.coverage.reach(match budget.reserve {
                    Reserve::Bound => Reached::Overrun,
                    Reserve::Estimate => Reached::BeyondEstimate,
                });
            }
            self.oracle.settled(spot, amount, spent);
            let (within, beyond) = (spent.min(amount), spent.saturating_sub(amount));
            let reserved = self.requests[number].reserved.get(&spot.0).copied().unwrap_or_default();
            self.rates.billed(spot.0, reserved, (within, beyond));
            let current = self.log.ledger.budget(spot.0).map(|budget| budget.current().window().id);
            if current.is_some_and(|current| current != spot.1) {
                self.coverage.reach(Reached::SettledLate);
            }
        }
        let actual = self.actual(number);
        self.billed_overspend(number, actual);
        self.requests[number].state = State::Billed;
        if self.nodes[plan.node].is_paused {
            self.nodes[plan.node].late.push(number);
        } else {
            self.settle(number);
            self.look(plan.node);
        }
    }

    /// What the provider bills: within the limit it was told, but for one that pays no heed to limits. One that does not say is
    /// taken to bill all of it.
    fn actual(&self, number: usize) -> u64 {
        let plan = &self.plan.requests[number];
        let told = self.requests[number].cut_to.unwrap_or(plan.bound);
        let Some(actual) = plan.actual else { return told };
        if actual > plan.bound { actual } else { actual.min(told) }
    }

    pub(crate) fn settle(&mut self, number: usize) {
        let actual = self.actual(number);
        let plan = &self.plan.requests[number];
        let Some(reservation) = self.requests[number].reservation.take() else { return };
        let beyond = |(spot, reserved): &(Spot, u64)| {
            let place = place_of(spot.0);
            let spent = charged(self.plan.budgets[place].unit, actual);
            (spent > *reserved).then(|| (*spot, spent - reserved))
        };
        let amounts: Vec<(Spot, u64)> = self.requests[number].spots.iter().filter_map(beyond).collect();
        let overrun = reservation.settle(&cost(actual));
        let place = plan.node;
        if !amounts.is_empty()
            && let Some(wallet) = self.nodes[place].wallet.clone()
        {
            self.nodes[place].untold.push(Untold { overrun, booked: amounts, owed: Vec::new() });
            self.record_overruns(place, &wallet);
        }
        self.tell_overruns(place);
    }

    /// Has the journal hold what nobody has heard of yet; what it never will, since the session is over, is owed.
    pub(crate) fn record_overruns(&mut self, place: usize, wallet: &Wallet) {
        for untold in &mut self.nodes[place].untold {
            for (budget, amount) in wallet.record_or_owe(&mut untold.overrun) {
                untold.booked.retain(|(spot, _)| spot.0 != budget);
                untold.owed.push((budget, amount.get()));
                self.overspending.may_be_told(node_id(place), budget, amount.get());
            }
        }
    }

    /// Clients hear of the end of requests whose overrun is in the journal.
    pub(crate) fn tell_overruns(&mut self, place: usize) {
        let node = node_id(place);
        for told in self.nodes[place].untold.extract_if(.., |untold| untold.overrun.is_durable()) {
            for (spot, amount) in told.booked {
                self.oracle.heard_of_overrun(spot, amount);
            }
            for (budget, amount) in told.owed {
                self.overspending.heard_of(node, budget, amount);
            }
        }
    }
}

/// Overrun of a request whose end nobody has heard of yet, because no journal holds it.
#[derive(Debug)]
pub(crate) struct Untold {
    overrun: Overrun,
    /// What is in the books of its session.
    booked: Vec<(Spot, u64)>,
    /// What is told as overspent, since its session is over.
    owed: Vec<(BudgetId, u64)>,
}
