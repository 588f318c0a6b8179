//! All there is in a run, and who is alive in it.

use crate::chance::Chance;
use crate::clock::{MachineClock, now};
use crate::disk::Platter;
use crate::judge::Judge;
use crate::life::{Death, Life};
use crate::network::Hub;
use crate::node::Alive;
use crate::plan::{Plan, Who};
use crate::reached::Reached;
use crate::story::Story;
use crate::trip::Tripwire;
use parking_lot::Mutex;
use quorate_consensus::Role;
use quorate_domain::{BudgetId, LogTime, NodeId, WindowId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// All there is in a run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) start: Instant,
    pub(crate) story: Arc<Story>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) chance: Chance,
    pub(crate) judge: Mutex<Judge>,
    /// The windows that were open when somebody looked last, and how many stood in line for them.
    pub(crate) windows: Mutex<BTreeMap<BudgetId, (WindowId, usize)>>,
    /// Log time when somebody looked last.
    pub(crate) log_time: Mutex<LogTime>,
    /// Whether nothing goes wrong any more.
    pub(crate) is_healed: AtomicBool,
    pub(crate) seats: Vec<Seat>,
    /// What outlives nodes: providers, clients, operators, faults.
    tasks: Mutex<JoinSet<()>>,
}

/// A machine, and the node on it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) platter: Arc<Platter>,
    pub(crate) clock: Arc<MachineClock>,
    pub(crate) now: Mutex<Sitting>,
}

/// What is on a machine now.
#[derive(Debug, Default)]
pub(crate) struct Sitting {
    /// The process, from its start on.
    pub(crate) life: Option<Arc<Life>>,
    /// The same once it is a member and serves.
    pub(crate) alive: Option<Arc<Alive>>,
    /// Whether it is stopping in order.
    pub(crate) drains: bool,
    /// Whether the node was removed for good, or has not joined yet.
    pub(crate) is_out: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, tells: bool) -> Self {
        let start = now();
        let story = Arc::new(Story::new(start, tells));
        let seed = plan.seed;
        let wires: Vec<Arc<Tripwire>> = (0..=plan.nodes).map(|_| Arc::default()).collect();
        let lots = (Chance::of(seed, 2), story.clone());
        let hub = Arc::new(Hub::new(plan.latency.clone(), lots, wires.clone()));
        let platter = |place: usize| {
            Platter::new(Chance::of(seed, 10 + place as u64), plan.sync_us, wires[place].clone())
        };
        let seat = |place: usize| Seat {
            platter: Arc::new(platter(place)),
            clock: Arc::new(MachineClock::new(start, plan.ppm[place], plan.before_minute_ms)),
            now: Mutex::new(Sitting { is_out: place >= plan.nodes, ..Sitting::default() }),
        };
        let seats = (0..=plan.nodes).map(seat).collect();
        let chance = Chance::of(seed, 3);
        Self {
            plan,
            start,
            story,
            hub,
            chance,
            judge: Mutex::default(),
            windows: Mutex::default(),
            log_time: Mutex::default(),
            is_healed: AtomicBool::new(false),
            seats,
            tasks: Mutex::default(),
        }
    }

    /// Since the run began.
    pub(crate) fn at(&self) -> Duration {
        now() - self.start
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(task);
    }

    pub(crate) fn reach(&self, state: Reached) {
        self.judge.lock().reach(state);
    }

    pub(crate) fn broken(&self, id: &str, what: String) {
        self.story.tell(|| format!("BROKEN {id}: {what}"));
        self.judge.lock().broken(id, what);
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.is_healed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.judge.lock().violation.is_some()
    }

    /// The node that serves at a place.
    pub(crate) fn alive(&self, place: usize) -> Option<Arc<Alive>> {
        self.seats[place].now.lock().alive.clone()
    }

    /// All that serve.
    pub(crate) fn all_alive(&self) -> Vec<Arc<Alive>> {
        (0..self.seats.len()).filter_map(|place| self.alive(place)).collect()
    }

    /// Some node that serves, drawn by lot.
    pub(crate) fn some_alive(&self) -> Option<Arc<Alive>> {
        let all = self.all_alive();
        (!all.is_empty()).then(|| all[self.chance.place(all.len())].clone())
    }

    /// The one that has applied most.
    pub(crate) fn furthest(&self) -> Option<Arc<Alive>> {
        self.all_alive()
            .into_iter()
            .max_by_key(|alive| alive.replica.state().history().map(|history| history.applied))
    }

    /// Where whoever leads is; of two, the one of the later term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders = self.all_alive().into_iter().filter_map(|alive| {
            let status = alive.replica.status();
            (status.role == Role::Leader).then_some((status.term, alive.life.node))
        });
        leaders.max().map(|(_, place)| place)
    }

    /// A leader whose place another has taken, and does not know it. In openraft's order of votes two may lead in one term.
    pub(crate) fn former_leader(&self) -> Option<Arc<Alive>> {
        let leaders = self.all_alive().into_iter().filter_map(|alive| {
            let status = alive.replica.status();
            (status.role == Role::Leader).then_some((status.term, alive.life.node))
        });
        let mut leaders: Vec<_> = leaders.collect();
        leaders.sort_unstable();
        (leaders.len() > 1).then(|| self.alive(leaders[0].1)).flatten()
    }

    /// One that has heard of the latest term.
    pub(crate) fn up_to_date(&self) -> Option<Arc<Alive>> {
        let all = self.all_alive().into_iter();
        all.max_by_key(|alive| (alive.replica.status().term, alive.replica.leader().borrow().is_some()))
    }

    pub(crate) fn place_of(&self, who: Who) -> Option<usize> {
        match who {
            Who::Node(place) => Some(place),
            Who::Leader => self.leader(),
        }
    }

    /// Looks at the cluster: who leads, what is unreserved, how budgets are handed out.
    pub(crate) fn look(&self) {
        for alive in self.all_alive() {
            let status = alive.replica.status();
            if status.role == Role::Leader {
                self.judge.lock().leads(alive.life.node, status.term);
            }
        }
        self.sample();
    }

    /// Buckets are judged by what the ledger has heard of, as far as anybody knows.
    pub(crate) fn follow_rates(&self) {
        if let Some(furthest) = self.furthest() {
            let ledger = furthest.replica.state().ledger.read();
            self.judge.lock().rates.follow(&ledger);
        }
    }

    pub(crate) fn sample(&self) {
        if let Some(furthest) = self.furthest() {
            let mut held: BTreeMap<BudgetId, u64> = BTreeMap::new();
            let wallets = self.all_alive().into_iter().filter_map(|alive| alive.funds.wallet());
            for (budget, _, amount) in wallets.flat_map(|wallet| wallet.held_in_line()) {
                *held.entry(budget).or_default() += amount.get();
            }
            let ledger = furthest.replica.state().ledger.read();
            self.judge.lock().sample(&ledger, &held, self.at());
        }
    }

    /// Whether the ledger, as far as anybody knows, has granted the node something it has not reported.
    pub(crate) fn holds_grants(&self, place: usize) -> bool {
        let Some(furthest) = self.furthest() else { return false };
        let Some(node) = self.alive(place).map(|alive| alive.replica.node()) else { return false };
        let ledger = furthest.replica.state().ledger.read();
        let session = ledger.latest_session(node);
        let holds = |account: &quorate_ledger::Account| {
            account.holding(session).is_some_and(|holding| !holding.outstanding().is_zero())
        };
        ledger.budgets().any(|(_, budget)| budget.accounts().any(holds))
    }

    /// Whether a node has overspent something of which the ledger has not heard.
    fn has_overspent(&self, place: usize) -> bool {
        let Some(furthest) = self.furthest() else { return false };
        let ledger = furthest.replica.state().ledger.read();
        self.judge.lock().overspending.untold_by(node_id(place), &ledger) > 0
    }

    /// Ends what is on a machine.
    pub(crate) fn end(&self, place: usize, death: Death) {
        let life = self.seats[place].now.lock().life.clone();
        let Some(life) = life.filter(|life| life.lives()) else { return };
        if self.holds_grants(place) {
            self.reach(Reached::CrashedWithGrant);
        }
        if self.has_overspent(place) {
            self.reach(Reached::DiedOverspent);
        }
        self.story.tell(|| format!("node {} {death:?}", place + 1));
        life.end(death);
        self.seats[place].platter.crash();
        let mut sitting = self.seats[place].now.lock();
        (sitting.alive, sitting.life, sitting.drains) = (None, None, false);
    }
}

/// The node that a place has in a cluster that grew one by one.
pub(crate) fn node_id(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1)
}
