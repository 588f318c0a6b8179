//! Requests of keys that may overspend: on a node that is cut off they go on, and what no grant covers is told when the node is
//! heard again.

use crate::event::Event;
use crate::lives::cost;
use crate::reached::Reached;
use crate::request::{Request, State};
use crate::world::{World, node_id};
use quorate_domain::{BudgetId, Unit};
use quorate_wallet::{Charge, Overdrafts, OverspendMark, Reservation, Wallet};
use rand::RngExt;
use std::sync::Arc;

/// A node's part in it.
#[derive(Debug, Default)]
pub(crate) struct Overdrawn {
    /// Of this life of the node.
    pub(crate) drafts: Option<Arc<Overdrafts>>,
    /// Requests that may not be sent before the journal holds what they may overspend.
    uncovered: Vec<(usize, Reservation)>,
    writing: Option<Vec<OverspendMark>>,
}

impl Overdrawn {
    /// What was foreseen of requests that its node has not sent, and never will.
    pub(crate) fn never_sent(&self, requests: &[Request]) -> impl Iterator<Item = (BudgetId, u64)> {
        let unsent = self.uncovered.iter().flat_map(|(number, _)| &requests[*number].overdrawn);
        unsent.map(|(budget, _, reserved)| (*budget, *reserved))
    }
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
            self.overspending.foreseen(node_id(place), *budget, *reserved);
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
            self.overspending.billed(node_id(place), *budget, (*reserved, spent));
        }
    }
}
