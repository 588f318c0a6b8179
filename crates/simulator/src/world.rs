//! One run: nodes with real wallets, one ideal log with a real ledger, and everything between them unreliable.
//!
//! Events happen one after the other at simulated microseconds. The log is ideal: what it accepts is in one order and
//! is never lost. Messages to it and answers from it are lost, doubled, late and out of order; replicas lag.

use crate::campaign::Violation;
use crate::coverage::Coverage;
use crate::entries::Bounds;
use crate::event::{Event, Queue};
use crate::fairness::{Lines, Passed};
use crate::judge::Judged;
use crate::meetings;
use crate::node::Node;
use crate::oracle::{Oracle, Spot};
use crate::owed::Overspending;
use crate::plan::{BudgetPlan, Direction, KindPlan, Making, Plan, What};
use crate::promptness::Promptness;
use crate::rates::Rates;
use crate::reached::Reached;
use crate::request::{Request, State};
use quorate_domain::{Amount, BootId, BudgetId, LogTime, NodeId, Unit};
use quorate_ledger::{Budget, BudgetSpec, Command, Expected, Kind, Ledger, Outcome, Place, PutBudget};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

/// After the last request and the last fault, so long is given to come to rest.
const SETTLE_US: u64 = 66_000_000;
/// Log time moves at least this often.
const TICK_US: u64 = 1_000_000;

/// What a run has shown.
#[derive(Debug)]
pub struct Report {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// The states it reached.
    pub coverage: Coverage<Reached>,
    /// Identifies the run: the same plan gives the same number.
    pub trace: u64,
    /// What happened, one line an event, if it was asked for.
    pub story: Vec<String>,
    /// Requests admitted and turned away.
    pub admitted: u64,
    /// Requests turned away.
    pub denied: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Milliseconds of simulated time.
    pub simulated_ms: u64,
    /// Reports and wishes that nodes sent to the ledger.
    pub items: u64,
    /// Requests that a grant at hand covered when they came.
    pub local: u64,
    /// Of each budget, what was charged in the end in its last window.
    pub charged: Vec<u64>,
}

/// The log and its ledger.
pub(crate) struct Log {
    pub(crate) ledger: Ledger,
    pub(crate) entries: Vec<(LogTime, Command)>,
    pub(crate) wall_offset_ms: i64,
    pub(crate) has_leader: bool,
    pub(crate) leads_since: u64,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) draw: ChaCha8Rng,
    queue: Queue,
    pub(crate) log: Log,
    pub(crate) nodes: Vec<Node>,
    pub(crate) requests: Vec<Request>,
    pub(crate) oracle: Oracle,
    pub(crate) coverage: Coverage<Reached>,
    trace: DefaultHasher,
    /// The event that happens, in words.
    line: String,
    story: Option<Vec<String>>,
    lines: Lines,
    pub(crate) promptness: Promptness,
    pub(crate) rates: Rates,
    pub(crate) overspending: Overspending,
    /// Nodes to which something happened since they were judged.
    pub(crate) touched: BTreeSet<usize>,
    /// Nodes with somebody in line, when that was looked at last.
    pub(crate) in_line: BTreeSet<usize>,
    pub(crate) judged: Judged,
    /// How often a node has written its journal.
    pub(crate) journals_written: u64,
    /// Nothing goes wrong in it.
    pub(crate) is_calm: bool,
    /// What requests cost, as the ledger is told: reports and wishes.
    pub(crate) items: u64,
    pub(crate) local: u64,
    pub(crate) violation: Option<Violation>,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan, tells: bool) -> Report {
    let mut world = World::new(plan.clone(), tells);
    world.live();
    world.report()
}

impl World {
    fn new(plan: Plan, tells: bool) -> Self {
        let draw = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x51_0D_0C);
        let log = Log {
            ledger: Ledger::default(),
            entries: Vec::new(),
            wall_offset_ms: 0,
            has_leader: true,
            leads_since: 0,
        };
        let nodes = (0..plan.nodes).map(Node::new).collect();
        let requests = plan.requests.iter().map(|_| Request::default()).collect();
        let is_calm = plan.is_calm();
        Self {
            plan,
            now: 1,
            draw,
            queue: Queue::default(),
            log,
            nodes,
            requests,
            oracle: Oracle::default(),
            coverage: Coverage::default(),
            trace: DefaultHasher::new(),
            line: String::new(),
            story: tells.then(Vec::new),
            lines: Lines::default(),
            promptness: Promptness::default(),
            rates: Rates::default(),
            overspending: Overspending::default(),
            touched: BTreeSet::new(),
            in_line: BTreeSet::new(),
            judged: Judged::default(),
            journals_written: 0,
            is_calm,
            items: 0,
            local: 0,
            violation: None,
        }
    }

    fn live(&mut self) {
        for place in 0..self.plan.budgets.len() {
            let BudgetPlan { limit, making, .. } = self.plan.budgets[place];
            if making != Making::FirstSight {
                self.set_limit(place, limit);
            }
        }
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for request in 0..self.plan.requests.len() {
            self.at(self.plan.requests[request].at_us, Event::Arrives(request));
        }
        for fault in 0..self.plan.faults.len() {
            self.at(self.plan.faults[fault].at_us, Event::Fault(fault));
        }
        self.at(TICK_US, Event::Tick);
        let end = self.end_of_trouble() + SETTLE_US;
        while let Some(event) = self.next_event(end) {
            self.happen(event);
            self.judge();
            if self.violation.is_some() {
                return;
            }
        }
        self.judge_the_end();
    }

    fn end_of_trouble(&self) -> u64 {
        let requests =
            self.plan.requests.iter().map(|request| request.at_us + request.takes_us + request.patience_us);
        let faults = self.plan.faults.iter().map(|fault| fault.at_us + 2_000_000);
        requests.chain(faults).max().unwrap_or(0)
    }

    fn next_event(&mut self, end: u64) -> Option<Event> {
        let (at, event) = self.queue.next().filter(|(at, _)| *at <= end)?;
        self.now = at;
        self.line.clear();
        // Writing to a text does not fail.
        let _written = write!(self.line, "{at} {event:?}");
        self.line.hash(&mut self.trace);
        if let Some(story) = &mut self.story {
            story.push(self.line.clone());
        }
        Some(event)
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.queue.put(at.max(self.now), event);
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let line = format!("{}   {}", self.now, line());
            story.push(line);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(request) => self.arrives(request),
            Event::Leaves(request) => self.leaves(request),
            Event::Bills(request) => self.bills(request),
            Event::Fault(fault) => self.strike(fault),
            Event::Returns(node) => self.start(node),
            Event::Heals(node, direction) => self.heal(node, direction),
            Event::Resumes(node) => {
                self.nodes[node].is_paused = false;
                self.nodes[node].free_since = self.now;
                self.nodes[node].runs_since = self.now;
                self.look(node);
            }
            Event::LeaderBack => (self.log.has_leader, self.log.leads_since) = (true, self.now),
            Event::Tick => {
                self.append(Command::Tick);
                self.resolve_what_is_due();
                self.after(TICK_US, Event::Tick);
            }
            Event::Looks(node) => {
                self.nodes[node].looks_at = None;
                self.look(node);
            }
            Event::Proposed { node, life, exchange, command } => self.proposed(node, life, exchange, command),
            Event::Answered { node, life, exchange, outcome } => self.answered(node, life, exchange, outcome),
            Event::GivesUp { node, life, exchange } => self.gives_up(node, life, exchange),
            Event::Synced { node, life } => self.synced(node, life),
            Event::OverspentSynced { node, life } => self.overspent_synced(node, life),
            Event::Applies { node, life, upto } => self.applies(node, life, upto),
            Event::Barrier { node, life, upto } => self.barrier(node, life, upto),
        }
    }

    // The log.

    fn wall_ms(&self) -> u64 {
        const BEGINNING_MS: u64 = 1_800_000_000_000 / 60_000 * 60_000;
        let wall = BEGINNING_MS + self.plan.starts_at_ms + self.now / 1_000;
        wall.saturating_add_signed(self.log.wall_offset_ms)
    }

    /// Log time of an entry that is agreed on now.
    pub(crate) fn log_time(&self) -> LogTime {
        LogTime::from_millis(self.wall_ms()).max(self.log.ledger.time())
    }

    /// An entry is agreed on, and on its way to every replica.
    pub(crate) fn append(&mut self, command: Command) -> Option<Outcome> {
        if !self.log.has_leader {
            return None;
        }
        let at = self.log_time();
        let central = self.log.ledger.central().clone();
        let waited = self.waited_for();
        let bounds = Bounds::of(&self.log.ledger, at, &command);
        let outcome = self.log.ledger.apply(at, command.clone());
        let is_kept = bounds.check(&self.log.ledger, &outcome);
        let mut lines = std::mem::take(&mut self.lines);
        let cannot_be_met = |budget, session, place: &Place| self.cannot_be_met(budget, session, place);
        let is_fair = lines.follow(&self.log.ledger, &command, &cannot_be_met);
        self.lines = lines;
        if is_fair == Ok(Passed::WhoCannotBeMet) {
            self.coverage.reach(Reached::PassedOver);
        }
        if let Err(violation) = is_kept.and(is_fair.map(|_| ())) {
            self.violation.get_or_insert(violation);
        }
        self.watch_modes(&central, &command);
        self.watch_answers(&outcome);
        self.watch_buckets(&waited);
        self.rates.follow(&self.log.ledger);
        self.log.entries.push((at, command));
        let upto = self.log.entries.len();
        for node in 0..self.nodes.len() {
            self.replicate(node, upto);
        }
        Some(outcome)
    }

    /// The leader says what has become of what dead sessions held of buckets.
    fn resolve_what_is_due(&mut self) {
        let due: Vec<_> = self.log.ledger.due_resolutions().collect();
        for resolve in due {
            let spot = (resolve.budget, resolve.window, resolve.session);
            let before = self.charged_in(spot);
            if self.append(Command::Resolve(resolve)).is_some() {
                self.coverage.reach(Reached::DoubtLeaked);
                self.oracle.resolved_as_spent(spot, self.charged_in(spot) - before);
            }
        }
    }

    /// What the ledger counts as used in the window of a session.
    fn charged_in(&self, (budget, window, _): Spot) -> u64 {
        let account = self.log.ledger.budget(budget).and_then(|found| found.account(window));
        account.map_or(0, |account| account.used().get())
    }

    pub(crate) fn replicate(&mut self, node: usize, upto: usize) {
        let life = self.nodes[node].life;
        if !self.nodes[node].is_deaf && self.nodes[node].is_up {
            let delay = self.message_delay();
            self.after(delay, Event::Applies { node, life, upto });
        }
    }

    pub(crate) fn set_limit(&mut self, place: usize, limit: u64) {
        let budget = self.plan.budgets[place].clone();
        let name = meetings::subject(budget.making, place);
        let spec = BudgetSpec {
            subject: name.parse().expect("letters and a number name a subject"),
            unit: budget.unit,
            kind: match budget.kind {
                KindPlan::Lifetime => Kind::Lifetime,
                KindPlan::Minutes => Kind::Fixed(quorate_domain::Period::Minute),
                KindPlan::Bucket(refill) => Kind::Bucket(refill),
            },
            limit: Amount::new(limit),
            auto_resolve: quorate_ledger::AutoResolve::Never,
            reserve: budget.reserve,
        };
        // Of a template nothing is spent, but of what is made from it.
        let id = budget_id(if budget.making == Making::Template { place + 1 } else { place });
        let before = self.log.ledger.budget(id).cloned();
        let outcome = self.append(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
        if let (Some(before), Some(_)) = (before, outcome) {
            let open = before.current();
            let granted = open.used().get() + open.outstanding().get();
            if granted > limit && !matches!(budget.kind, KindPlan::Bucket(_)) {
                self.coverage.reach(Reached::CutBelowGranted);
            }
            for account in before.accounts() {
                self.oracle.keep_allowing(id, account.window().id, &before);
            }
            self.oracle.allow(id, open.window().id, limit.max(granted).max(self.granted_first(id, &before)));
            if let Some(next) = before.next() {
                let granted = next.used().get() + next.outstanding().get();
                self.oracle.allow(id, next.window().id, limit.max(granted));
            }
        }
    }

    /// What of a bucket had leaked when its limit was set may have been granted before it was.
    fn granted_first(&self, id: BudgetId, before: &Budget) -> u64 {
        let Some(after) = self.log.ledger.budget(id).map(Budget::current) else { return 0 };
        let granted = after.used().get() + after.outstanding().get();
        granted.min(before.limit_at(self.log.ledger.time()).get())
    }

    /// How long a message takes; now and then a hundred times as long.
    pub(crate) fn message_delay(&mut self) -> u64 {
        let is_late = self.draw.random_range(0..1_000) < self.plan.timing.late;
        let delay = self.draw.random_range(1..=self.plan.timing.message_us);
        if is_late { delay * 100 } else { delay }
    }

    pub(crate) fn is_lost(&mut self) -> bool {
        self.draw.random_range(0..1_000) < self.plan.timing.lost
    }

    pub(crate) fn is_doubled(&mut self) -> bool {
        self.draw.random_range(0..1_000) < self.plan.timing.doubled
    }

    fn proposed(&mut self, node: usize, life: u64, exchange: u64, command: Command) {
        self.watch_message(node, &command);
        let Some(outcome) = self.append(command) else { return };
        if self.nodes[node].is_deaf || self.is_lost() {
            return;
        }
        let delay = self.message_delay();
        self.after(delay, Event::Answered { node, life, exchange, outcome });
    }

    // What goes wrong.

    fn strike(&mut self, fault: usize) {
        match self.plan.faults[fault].what.clone() {
            What::Crash { node, for_us, disk } => {
                self.crash(node, disk);
                self.after(for_us, Event::Returns(node));
            }
            What::CutOff { node, for_us, which } => {
                let seat = &mut self.nodes[node];
                seat.is_deaf |= which != Direction::From;
                seat.is_mute |= which != Direction::To;
                self.after(for_us, Event::Heals(node, which));
            }
            What::Pause { node, for_us } => {
                self.nodes[node].is_paused = true;
                self.after(for_us, Event::Resumes(node));
            }
            What::Snapshot { node } => self.install_snapshot(node),
            What::NoLeader { for_us } => {
                self.watch_leader();
                self.log.has_leader = false;
                self.after(for_us, Event::LeaderBack);
            }
            What::ClockJump { by_ms } => {
                self.log.wall_offset_ms += by_ms;
                self.coverage.reach(Reached::ClockJumped);
            }
            What::SetLimit { budget, limit } => self.set_limit(budget, limit),
            What::Expire { node } => {
                if let Some(session) = self.nodes[node].session() {
                    self.oracle.declared_dead(session);
                    self.append(Command::ExpireSession { session });
                }
            }
            What::Drain { node, for_us } => self.drain(node, for_us),
        }
    }

    fn heal(&mut self, node: usize, which: Direction) {
        let seat = &mut self.nodes[node];
        seat.is_deaf &= which == Direction::From;
        seat.is_mute &= which == Direction::To;
        seat.free_since = self.now;
        let upto = self.log.entries.len();
        self.replicate(node, upto);
    }

    fn report(self) -> Report {
        let count = |state: State| self.requests.iter().filter(|request| request.was(state)).count() as u64;
        Report {
            admitted: count(State::Runs),
            denied: count(State::Denied),
            entries: self.log.entries.len() as u64,
            simulated_ms: self.now / 1_000,
            items: self.items,
            local: self.local,
            charged: self.log.ledger.budgets().map(|(_, budget)| budget.current().used().get()).collect(),
            violation: self.violation,
            coverage: self.coverage,
            trace: self.trace.finish(),
            story: self.story.unwrap_or_default(),
        }
    }
}

/// The id that the ledger gives the budget at this place of the plan: they are made in order.
pub(crate) const fn budget_id(place: usize) -> BudgetId {
    BudgetId::new(place as u64 + 1)
}

/// The place of the plan at which a budget stands.
pub(crate) fn place_of(budget: BudgetId) -> usize {
    usize::try_from(budget.get() - 1).expect("budgets are numbered from one")
}

pub(crate) const fn node_id(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1)
}

pub(crate) const fn boot_id(place: usize, life: u64) -> BootId {
    BootId::new(place as u64 * 1_000 + life)
}

/// Whether a budget of this unit is charged for a request that costs this much.
pub(crate) const fn in_unit(unit: Unit, tokens: u64) -> u64 {
    match unit {
        Unit::Tokens | Unit::NanoUsd => tokens,
        Unit::Requests | Unit::Permits => 1,
    }
}
