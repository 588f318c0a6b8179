//! A node: a real wallet, a replica that lags, a journal that takes its time. What `gateway::funds` does with tasks is
//! done here with events, in the same order.

use crate::campaign::Violation;
use crate::disk::Disk;
use crate::event::Event;
use crate::exchange::{EXCHANGE_LIMIT_US, Exchange};
use crate::lives::Untold;
use crate::oracle::Oracle;
use crate::overspend::Overdrawn;
use crate::plan::{DiskFate, Plan, RequestPlan};
use crate::reached::Reached;
use crate::request::{Request, State};
use crate::world::{World, node_id, place_of};
use quorate_domain::{Amount, BudgetId, MonoTime, PlaceId, SessionId, Unit, WindowId};
use quorate_ledger::{Account, Command, Ledger};
use quorate_wallet::{Cause, Marks, Refusal, Wallet};
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;

const LOOK_EVERY_US: u64 = 500_000;
const LOOK_WHILE_WAITED_US: u64 = 50_000;

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: usize,
    pub(crate) is_up: bool,
    /// Which life of the node this is: what was meant for an earlier one does not reach it.
    pub(crate) life: u64,
    pub(crate) is_deaf: bool,
    pub(crate) is_mute: bool,
    pub(crate) is_paused: bool,
    /// When it last went on after it stood still.
    pub(crate) runs_since: u64,
    /// Since when nothing keeps it from the ledger.
    pub(crate) free_since: u64,
    pub(crate) replica: Ledger,
    applied: usize,
    pub(crate) wallet: Option<Arc<Wallet>>,
    pub(crate) disk: Disk,
    writing: Option<Marks>,
    pub(crate) exchange: Option<(u64, Exchange)>,
    pub(crate) exchanges: u64,
    /// When the barrier under way was asked for, and the latest that was answered.
    barrier: Option<MonoTime>,
    as_of: Option<MonoTime>,
    pub(crate) tickets: BTreeMap<PlaceId, usize>,
    /// Requests that were billed while the node stood still.
    pub(crate) late: Vec<usize>,
    /// Overrun that nobody was told of yet, because the journal does not hold it.
    pub(crate) untold: Vec<Untold>,
    pub(crate) overdrawn: Overdrawn,
    pub(crate) looks_at: Option<u64>,
    /// It drains, and comes back so long after.
    pub(crate) drains: Option<u64>,
    /// Its line, as it was when it was looked at last.
    line: LineSeen,
}

/// What is seen of a node's line.
#[derive(Debug, Default)]
struct LineSeen {
    /// What those in it have taken already.
    held: Vec<(BudgetId, WindowId, Amount)>,
    /// The budget that each of them lacks.
    lacks: BTreeMap<PlaceId, BudgetId>,
}

impl Node {
    pub(crate) fn new(place: usize) -> Self {
        Self {
            place,
            is_up: false,
            life: 0,
            is_deaf: false,
            is_mute: false,
            is_paused: false,
            runs_since: 0,
            free_since: 0,
            replica: Ledger::default(),
            applied: 0,
            wallet: None,
            disk: Disk::default(),
            writing: None,
            exchange: None,
            exchanges: 0,
            barrier: None,
            as_of: None,
            tickets: BTreeMap::new(),
            late: Vec::new(),
            untold: Vec::new(),
            overdrawn: Overdrawn::default(),
            looks_at: None,
            drains: None,
            line: LineSeen::default(),
        }
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.wallet.as_ref().map(|wallet| wallet.session())
    }

    /// The requests in its line.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.tickets.values().copied()
    }

    /// Takes down what is to be seen of its line, after something has happened to it.
    pub(crate) fn look_at_line(&mut self) {
        let wallet = self.wallet.as_ref().filter(|_| self.is_up && !self.tickets.is_empty());
        self.line = wallet.map_or_else(LineSeen::default, |wallet| LineSeen {
            held: wallet.held_in_line(),
            lacks: self.tickets.keys().filter_map(|id| Some((*id, wallet.lacks(*id)?))).collect(),
        });
    }

    /// What requests in its line need of the ledger, budget by budget.
    pub(crate) fn needs(&self, plan: &Plan) -> impl Iterator<Item = (BudgetId, u64)> {
        self.line.lacks.iter().map(|(id, budget)| {
            let request = &plan.requests[self.tickets[id]];
            (*budget, plan.budgets[place_of(*budget)].most_of(request))
        })
    }

    pub(crate) fn has_line(&self) -> bool {
        self.wallet.as_ref().is_some_and(|wallet| wallet.has_line())
    }

    /// I2: what is true of this node's spending is below what its journal holds, or known to the ledger.
    pub(crate) fn check(&self, oracle: &Oracle, ledger: &Ledger) -> Result<(), Violation> {
        let Some(wallet) = self.wallet.as_ref().filter(|_| self.is_up) else { return Ok(()) };
        let session = wallet.session();
        for account in wallet.accounts() {
            let (budget, window) = (account.budget(), account.window().id);
            let taken = oracle.truth((budget, window, session)).taken();
            let durable = self.disk.bound(session, budget, window).get();
            // The journal forgets what the ledger knows.
            // The ledger keeps no window of which it does not know all.
            let Some(shown) = ledger.budget(budget).and_then(|it| it.account(window)) else { continue };
            let known = shown.holding(session).map_or(0, |held| held.used.get());
            if taken > durable.max(known) {
                let what =
                    format!("node {}, budget {budget}: {taken} taken, {durable} in the journal", self.place);
                return Err(Violation { id: "I2".to_owned(), what });
            }
        }
        Ok(())
    }

    /// What the ledger has granted by name to requests of this node that wait for it still, and what those in line
    /// have taken of this budget already.
    pub(crate) fn granted_by_name(&self, account: &Account, budget: BudgetId) -> u64 {
        let of_it =
            |(of, window, _): &&(BudgetId, WindowId, Amount)| (*of, *window) == (budget, account.window().id);
        let taken: u64 = self.line.held.iter().filter(of_it).map(|(_, _, amount)| amount.get()).sum();
        let Some(holding) = self.session().and_then(|session| account.holding(session)) else { return taken };
        let is_awaited = |id: &PlaceId| self.line.lacks.get(id) == Some(&budget);
        let awaited = holding.served.iter().filter(|(id, _)| is_awaited(id));
        taken + awaited.map(|(_, amount)| amount.get()).sum::<u64>()
    }
}

impl World {
    /// What a node's own clock shows now.
    pub(crate) fn mono(&self, place: usize) -> MonoTime {
        MonoTime::from_micros(self.plan.clock(place).shows_at(self.now))
    }

    // Lives.

    pub(crate) fn start(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if node.is_up {
            return;
        }
        node.is_up = true;
        node.life += 1;
        let upto = self.log.entries.len();
        self.replicate(place, upto);
        self.look(place);
    }

    pub(crate) fn crash(&mut self, place: usize, fate: DiskFate) {
        self.nodes[place].is_up = false;
        let heard = self.log.ledger.journal_of(node_id(place));
        let died = self.nodes[place].session();
        died.into_iter().for_each(|session| self.oracle.died(session, self.log.ledger.time()));
        self.tear(place);
        let disk = &mut self.nodes[place].disk;
        let is_kept = match fate {
            DiskFate::Kept => true,
            DiskFate::Lost => {
                disk.lose();
                false
            }
            DiskFate::RolledBack { older } => {
                let is_old = disk.roll_back(heard, older);
                is_old.then(|| self.coverage.reach(Reached::DiskRolledBack));
                !is_old
            }
        };
        if !is_kept {
            self.oracle.lost_disk(node_id(place), &self.log.ledger);
        }
        self.end_life(place);
    }

    /// A node dies in the middle of a write: nothing of it is on the disk, or all, or a part.
    fn tear(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let Some(marks) = node.writing.take() else { return };
        let lines = marks.written();
        let written = self.draw.random_range(0..=lines.len());
        if written > 0 {
            let disk = &mut self.nodes[place].disk;
            // What it says of windows comes last.
            let begun = disk.begun().filter(|_| written < lines.len()).unwrap_or(marks.begun);
            disk.write(begun, &lines[..written]);
        }
        if (1..lines.len()).contains(&written) {
            self.coverage.reach(Reached::TornJournal);
        }
    }

    /// What was in memory is gone. Providers go on with what they have begun.
    pub(crate) fn end_life(&mut self, place: usize) {
        self.touched.insert(place);
        let node = &mut self.nodes[place];
        node.is_up = false;
        node.wallet = None;
        (node.writing, node.exchange, node.barrier, node.as_of) = (None, None, None, None);
        node.tickets.clear();
        node.late.clear();
        node.untold.clear();
        let overdrawn = std::mem::take(&mut node.overdrawn);
        for (budget, reserved) in overdrawn.never_sent(&self.requests) {
            self.overspending.never_sent(node_id(place), budget, reserved);
        }
        let node = &mut self.nodes[place];
        node.is_paused = false;
        node.drains = None;
        for (number, request) in self.requests.iter_mut().enumerate() {
            if self.plan.requests[number].node == place {
                request.reservation = None;
                // The connections of a dead process are closed: nothing of it runs at a provider for long.
                request.spots.retain(|(spot, reserved)| {
                    let place = place_of(spot.0);
                    let is_permit = self.plan.budgets[place].unit == Unit::Permits;
                    if is_permit && request.state == State::Runs {
                        self.oracle.settled(*spot, *reserved, 0);
                    }
                    !is_permit
                });
                if request.state == State::Waits {
                    request.state = State::Failed;
                }
            }
        }
    }

    pub(crate) fn drain(&mut self, place: usize, for_us: u64) {
        if self.nodes[place].is_up {
            self.nodes[place].drains = Some(for_us);
            self.look(place);
        }
    }

    // What the treasurer does.

    /// Does whatever can be done now, and says when to look again.
    pub(crate) fn look(&mut self, place: usize) {
        self.touched.insert(place);
        let node = &self.nodes[place];
        if !node.is_up || node.is_paused {
            return;
        }
        for number in std::mem::take(&mut self.nodes[place].late) {
            self.settle(number);
        }
        let Some(wallet) = self.nodes[place].wallet.clone() else {
            self.open(place);
            return self.look_again(place, LOOK_WHILE_WAITED_US);
        };
        if wallet.is_fenced() && self.nodes[place].drains.is_none() {
            self.turn_everyone_away(place, &wallet);
            self.record_overruns(place, &wallet);
            if self.nodes[place].writing.is_some() {
                // The journal is read once it is written.
                return self.look_again(place, LOOK_WHILE_WAITED_US);
            }
            self.nodes[place].wallet = None;
            self.open(place);
            return self.look_again(place, LOOK_WHILE_WAITED_US);
        }
        self.flush(place, &wallet);
        self.serve(place, &wallet);
        let is_urgent = self.follow(place, &wallet);
        self.flush(place, &wallet);
        self.turn_away(place, &wallet);
        self.ask_whether_behind(place, &wallet);
        if self.nodes[place].drains.is_some() {
            self.drain_on(place, &wallet);
        }
        self.speak(place, &wallet, is_urgent);
        let next = if wallet.has_line() { LOOK_WHILE_WAITED_US } else { LOOK_EVERY_US };
        self.look_again(place, next);
    }

    fn look_again(&mut self, place: usize, after: u64) {
        let deadline = self.nodes[place].wallet.as_ref().and_then(|wallet| wallet.next_deadline());
        let deadline = deadline.map(|deadline| self.plan.clock(place).shows(deadline.micros()));
        let deadline = deadline.filter(|deadline| *deadline > self.now);
        let at = deadline.unwrap_or(u64::MAX).min(self.now + after);
        if self.nodes[place].looks_at.is_none_or(|known| at < known) {
            self.nodes[place].looks_at = Some(at);
            self.at(at, Event::Looks(place));
        }
    }

    fn flush(&mut self, place: usize, wallet: &Wallet) {
        self.flush_overspent(place, wallet);
        if self.nodes[place].writing.is_some() {
            return;
        }
        let marks = wallet.marks(self.mono(place));
        if marks.is_empty() {
            return;
        }
        if wallet.has_line() {
            self.coverage.reach(Reached::WaitedForJournal);
        }
        self.nodes[place].writing = Some(marks);
        let (life, delay) = (self.nodes[place].life, self.draw.random_range(1..=self.plan.timing.sync_us));
        self.after(delay, Event::Synced { node: place, life });
    }

    pub(crate) fn synced(&mut self, place: usize, life: u64) {
        let node = &mut self.nodes[place];
        if !node.is_up || node.life != life {
            return;
        }
        let (Some(marks), Some(wallet)) = (node.writing.take(), node.wallet.clone()) else { return };
        self.journals_written += 1;
        node.disk.write(marks.begun, &marks.written());
        let over = wallet.settled_windows();
        node.disk.forget(wallet.session(), &over);
        wallet.journalled(&marks, self.mono(place));
        self.tell_overruns(place);
        self.look(place);
    }

    fn serve(&mut self, place: usize, wallet: &Wallet) {
        for (id, reservation) in wallet.serve(self.mono(place)) {
            let Some(number) = self.nodes[place].tickets.remove(&id) else {
                reservation.cancel();
                continue;
            };
            self.coverage.reach(Reached::AdmittedInLine);
            self.runs(number, reservation);
        }
        if !wallet.held_in_line().is_empty() {
            self.coverage.reach(Reached::HeldWhileWaiting);
        }
    }

    fn follow(&mut self, place: usize, wallet: &Wallet) -> bool {
        let now = self.mono(place);
        let node = &self.nodes[place];
        let is_urgent = wallet.follow(&node.replica, now);
        let budgets = node.replica.central().iter();
        let granted_to_nobody = budgets.filter_map(|budget| wallet.account(*budget)).any(|account| {
            let shown = node.replica.budget(account.budget()).and_then(|it| it.account(account.window().id));
            let holding = shown.filter(|it| it.is_central()).and_then(|it| it.holding(wallet.session()));
            holding.is_some_and(|it| it.served.keys().any(|id| !node.tickets.contains_key(id)))
        });
        if granted_to_nobody {
            self.coverage.reach(Reached::GrantedToNobody);
        }
        is_urgent
    }

    fn turn_away(&mut self, place: usize, wallet: &Wallet) {
        let node = &self.nodes[place];
        let refused = wallet.turn_away(&node.replica, node.as_of, self.mono(place));
        if !refused.is_empty() {
            self.sample();
        }
        refused.iter().for_each(|(id, refusal)| self.check_hope(place, *id, refusal));
        for (id, refusal) in refused {
            if refusal == Refusal::Unavailable {
                self.check_reach(place, id);
            }
            self.refuse(place, wallet, id, &refusal);
        }
    }

    /// L2: nobody is told that the ledger is out of reach by a node that reaches it, whatever becomes of the others.
    fn check_reach(&mut self, place: usize, id: PlaceId) {
        let node = &self.nodes[place];
        let Some(number) = node.tickets.get(&id) else { return };
        let free_since = node.free_since.max(self.log.leads_since);
        let is_free = self.log.has_leader && !node.is_deaf && !node.is_mute && self.plan.timing.is_reliable();
        if is_free && free_since + EXCHANGE_LIMIT_US <= self.plan.requests[*number].at_us {
            let what = format!("request {number} is told that the ledger is out of reach, and it is not");
            self.violation.get_or_insert(Violation { id: "L2".to_owned(), what });
        }
    }

    fn turn_everyone_away(&mut self, place: usize, wallet: &Wallet) {
        let ids: Vec<PlaceId> = self.nodes[place].tickets.keys().copied().collect();
        for id in ids {
            self.refuse(place, wallet, id, &Refusal::Unavailable);
        }
    }

    fn refuse(&mut self, place: usize, wallet: &Wallet, id: PlaceId, refusal: &Refusal) {
        wallet.leave(id);
        let Some(number) = self.nodes[place].tickets.remove(&id) else { return };
        self.tell(|| format!("request {number} is refused: {refusal:?}"));
        match refusal {
            Refusal::Unavailable => {
                self.coverage.reach(Reached::Unavailable);
                self.requests[number].state = State::Failed;
            }
            Refusal::Denied { budget, need, cause, doubtful, .. } => {
                self.requests[number].state = State::Denied;
                self.coverage.reach(match cause {
                    Cause::TooBig => Reached::DeniedTooBig,
                    Cause::Spent => Reached::DeniedSpent,
                    Cause::Held if doubtful.is_zero() => Reached::DeniedHeld,
                    Cause::Held => Reached::DeniedUnanswered,
                    Cause::InDoubt => Reached::DeniedInDoubt,
                });
                self.check_denial(number, *budget, *need, *doubtful);
            }
        }
    }

    /// G2: at an instant while the request waited, less was unreserved than it needs, but for what is in doubt.
    fn check_denial(&mut self, number: usize, budget: BudgetId, need: Amount, doubtful: Amount) {
        let place = place_of(budget);
        let Some(least) = self.requests[number].least(place) else { return };
        if least >= i128::from(need.get()) + i128::from(doubtful.get()) {
            let what = format!(
                "request {number} needs {need} of budget {budget}; never less than {least} was unreserved"
            );
            self.violation.get_or_insert(Violation { id: "G2".to_owned(), what });
        }
    }

    fn ask_whether_behind(&mut self, place: usize, wallet: &Wallet) {
        let node = &self.nodes[place];
        let can_ask = !node.is_mute && !node.is_deaf && self.log.has_leader && node.barrier.is_none();
        if !can_ask || !wallet.needs_barrier(&node.replica, self.mono(place)) {
            return;
        }
        let (life, upto) = (node.life, self.log.entries.len());
        self.nodes[place].barrier = Some(self.mono(place));
        let delay = self.message_delay() + self.message_delay();
        self.after(delay, Event::Barrier { node: place, life, upto });
    }

    pub(crate) fn barrier(&mut self, place: usize, life: u64, upto: usize) {
        if !self.nodes[place].is_up || self.nodes[place].life != life {
            return;
        }
        self.catch_up(place, upto);
        let node = &mut self.nodes[place];
        node.as_of = node.barrier.take();
        self.look(place);
    }

    pub(crate) fn applies(&mut self, place: usize, life: u64, upto: usize) {
        let node = &self.nodes[place];
        if node.is_up && node.life == life && !node.is_deaf && node.applied < upto {
            self.catch_up(place, upto);
            self.look(place);
        }
    }

    pub(crate) fn catch_up(&mut self, place: usize, upto: usize) {
        let node = &mut self.nodes[place];
        while node.applied < upto {
            let (at, command) = self.log.entries[node.applied].clone();
            node.replica.apply(at, command);
            node.applied += 1;
        }
    }

    /// The replica is replaced by what the leader has: it sees none of the entries between.
    pub(crate) fn install_snapshot(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        if !node.is_up || node.is_deaf {
            return;
        }
        node.replica = self.log.ledger.clone();
        node.applied = self.log.entries.len();
        let known = |budget, window| {
            let accounts = node.wallet.iter().flat_map(|wallet| wallet.accounts());
            let mut of_it = accounts.filter(|it| (it.budget(), it.window().id) == (budget, window));
            of_it.next().map_or(Amount::ZERO, |account| account.granted())
        };
        let session = node.session();
        let holds = session.and_then(|session| node.replica.session(session)).map(|life| &life.holds);
        let is_news = |(budget, window): &(BudgetId, WindowId)| {
            let account = node.replica.budget(*budget).and_then(|it| it.account(*window));
            let holding = account.and_then(|it| it.holding(session?));
            holding.is_some_and(|it| it.granted > known(*budget, *window))
        };
        if holds.into_iter().flatten().any(is_news) {
            self.coverage.reach(Reached::SnapshotMidGrant);
        }
        self.look(place);
    }

    // Leaving in order.

    fn drain_on(&mut self, place: usize, wallet: &Wallet) {
        self.turn_everyone_away(place, wallet);
        let runs_here = |(plan, request): (&RequestPlan, &Request)| {
            plan.node == place && request.reservation.is_some() && request.state == State::Runs
        };
        let is_idle = !self.plan.requests.iter().zip(&self.requests).any(runs_here);
        if !is_idle {
            return;
        }
        wallet.drain();
        wallet.give_back_all();
        let is_quiet = self.nodes[place].exchange.is_none() && wallet.is_at_rest();
        if is_quiet {
            let command = Command::CloseSession { session: wallet.session() };
            self.send(place, Exchange::Closing, &command);
        }
    }

    pub(crate) fn leave_in_order(&mut self, place: usize) {
        self.coverage.reach(Reached::Drained);
        let for_us = self.nodes[place].drains.unwrap_or(0);
        self.end_life(place);
        self.after(for_us, Event::Returns(place));
    }
}
