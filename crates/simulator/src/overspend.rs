//! Requests of keys that may overspend: on a node that is cut off they go on, and what no grant covers is told when the node is
//! heard again.

use crate::campaign::Violation;
use crate::event::Event;
use crate::lives::cost;
use crate::reached::Reached;
use crate::request::{Request, State};
use crate::world::{World, budget_id, node_id};
use quorate_domain::{Amount, BudgetId, Unit};
use quorate_ledger::Ledger;
use quorate_wallet::{Charge, Overdrafts, OverspendMark, Reservation, Wallet};
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is true of one node's overspending of one budget.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    /// Billed, as far as it was foreseen.
    least: u64,
    /// Foreseen or billed, whichever is more.
    most: u64,
    /// Foreseen of requests under way.
    in_flight: u64,
}

/// What nodes have overspent, and what waits for their journals.
#[derive(Debug, Default)]
pub(crate) struct Overspending {
    owed: BTreeMap<(usize, BudgetId), Owed>,
}

impl Overspending {
    /// What went beyond grants of a session that is over is told as overspent, unless the node dies before.
    pub(crate) fn owes(&mut self, place: usize, beyond: &[(BudgetId, Amount)]) {
        for (budget, amount) in beyond {
            self.owed.entry((place, *budget)).or_default().most += amount.get();
        }
    }

    /// A node dies, and with it what it had not sent.
    pub(crate) fn never_sent(&mut self, place: usize, of: &Overdrawn, requests: &[Request]) {
        let unsent = of.uncovered.iter().flat_map(|(number, _)| &requests[*number].overdrawn);
        for (budget, _, reserved) in unsent {
            self.owed.entry((place, *budget)).or_default().in_flight -= reserved;
        }
    }

    /// What is overspent of a budget, or may be by requests under way, and the ledger has not heard of.
    pub(crate) fn untold(&self, budget: BudgetId, ledger: &Ledger) -> u64 {
        let untold = |((place, _), owed): (&(usize, BudgetId), &Owed)| {
            let told = ledger.overspent_by(node_id(*place)).find(|told| told.budget == budget);
            let known = told.map_or(0, |told| told.total.get());
            (owed.least + owed.in_flight).saturating_sub(known)
        };
        self.owed.iter().filter(|((_, of), _)| *of == budget).map(untold).sum()
    }
}

/// A node's part in it.
#[derive(Debug, Default)]
pub(crate) struct Overdrawn {
    /// Of this life of the node.
    pub(crate) drafts: Option<Arc<Overdrafts>>,
    /// Requests that may not be sent before the journal holds what they may overspend.
    uncovered: Vec<(usize, Reservation)>,
    writing: Option<Vec<OverspendMark>>,
}

impl World {
    /// Whether a node has reason to believe that no majority can be reached.
    pub(crate) fn is_cut_off(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        node.is_deaf || node.is_mute || !self.log.has_leader
    }

    pub(crate) fn overspends(&mut self, number: usize, wallet: &Wallet, path: &[Charge]) {
        let (place, bound) = (self.plan.requests[number].node, self.plan.requests[number].bound);
        let Ok(reservation) = wallet.overdraw(path, cost(bound), self.mono(place)) else { return };
        let is_taken = |charge: &&Charge| reservation.taken().any(|(budget, ..)| budget == charge.budget);
        let beyond = path.iter().filter(|charge| !is_taken(charge) && charge.unit != Unit::Permits);
        let amount = |charge: &Charge| cost(bound).to_reserve(charge.unit).get();
        self.requests[number].overdrawn =
            beyond.map(|charge| (charge.budget, charge.unit, amount(charge))).collect();
        self.requests[number].goes_on_regardless = true;
        for (budget, _, reserved) in &self.requests[number].overdrawn {
            self.overspending.owed.entry((place, *budget)).or_default().in_flight += reserved;
        }
        // Until it is sent.
        self.requests[number].state = State::Failed;
        self.nodes[place].overdrawn.uncovered.push((number, reservation));
        if !self.requests[number].overdrawn.is_empty() {
            self.coverage.reach(Reached::Overspent);
        }
        self.send_the_covered(place);
    }

    pub(crate) fn flush_overspent(&mut self, place: usize, wallet: &Wallet) {
        let marks = wallet.overdrafts().marks();
        if marks.is_empty() || self.nodes[place].overdrawn.writing.is_some() {
            return;
        }
        self.nodes[place].overdrawn.writing = Some(marks);
        let (life, delay) = (self.nodes[place].life, self.draw.random_range(1..=self.plan.timing.sync_us));
        self.after(delay, Event::OverspentSynced { node: place, life });
    }

    pub(crate) fn overspent_synced(&mut self, place: usize, life: u64) {
        let node = &mut self.nodes[place];
        if !node.is_up || node.life != life {
            return;
        }
        let (Some(marks), Some(drafts)) = (node.overdrawn.writing.take(), &node.overdrawn.drafts) else {
            return;
        };
        node.disk.write_overspent(&marks);
        drafts.journalled(&marks);
        self.journals_written += 1;
        self.send_the_covered(place);
        self.tell_overruns(place);
        self.look(place);
    }

    fn send_the_covered(&mut self, place: usize) {
        let is_covered = |(_, reservation): &mut (usize, Reservation)| reservation.is_covered();
        let covered: Vec<_> = self.nodes[place].overdrawn.uncovered.extract_if(.., is_covered).collect();
        for (number, reservation) in covered {
            self.runs(number, reservation);
        }
    }

    /// A session is open: what the journal and the ledger know of the node's overspending goes on in its wallet.
    pub(crate) fn drafts_of(&mut self, place: usize) -> Arc<Overdrafts> {
        let node = &mut self.nodes[place];
        let restored = || Arc::new(Overdrafts::restored(node.disk.overspent()));
        let drafts = node.overdrawn.drafts.get_or_insert_with(restored);
        drafts.known(self.log.ledger.overspent_by(node_id(place)));
        Arc::clone(drafts)
    }

    pub(crate) fn billed_overspend(&mut self, number: usize, actual: u64) {
        let place = self.plan.requests[number].node;
        for (budget, unit, reserved) in &self.requests[number].overdrawn {
            let spent = cost(actual).to_charge(*unit).get();
            let owed = self.overspending.owed.entry((place, *budget)).or_default();
            owed.in_flight -= reserved;
            owed.least += spent.min(*reserved);
            owed.most += spent.max(*reserved);
        }
    }

    /// G1 and I6 of what was overspent: the ledger knows of all that was billed, and of no more than could be.
    pub(crate) fn check_overspending(&self) -> Result<(), Violation> {
        for place in 0..self.nodes.len() {
            let told: BTreeMap<BudgetId, Amount> =
                self.log.ledger.overspent_by(node_id(place)).map(|told| (told.budget, told.total)).collect();
            for budget in (0..self.plan.budgets.len()).map(budget_id) {
                let owed = self.overspending.owed.get(&(place, budget)).copied().unwrap_or_default();
                let told = told.get(&budget).map_or(0, |told| told.get());
                let what =
                    || format!("node {place}, budget {budget}: {owed:?} was overspent, {told} in the ledger");
                if told < owed.least && !self.oracle.has_lost_its_disk(node_id(place)) {
                    return Err(Violation { id: "G1".to_owned(), what: what() });
                }
                if told > owed.most {
                    return Err(Violation { id: "I6".to_owned(), what: what() });
                }
            }
        }
        self.check_windows_of_the_overspent()
    }

    /// What a lifetime budget counts as overspent is what its nodes have told.
    fn check_windows_of_the_overspent(&self) -> Result<(), Violation> {
        for (id, budget) in self.log.ledger.budgets() {
            let told = (0..self.nodes.len()).flat_map(|place| self.log.ledger.overspent_by(node_id(place)));
            let told: u64 = told.filter(|told| told.budget == id).map(|told| told.total.get()).sum();
            let counted: u64 = budget.accounts().map(|account| account.overspend().get()).sum();
            let is_whole = budget.current().window().end.is_none();
            if counted > told || (is_whole && counted != told) {
                let what = format!("budget {id}: {told} told as overspent, {counted} counted");
                return Err(Violation { id: "I1".to_owned(), what });
            }
        }
        Ok(())
    }
}
