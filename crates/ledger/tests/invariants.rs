//! Random lives of honest nodes over a log that repeats and delays their reports: I1, I3, I4 and I5 must hold.
//!
//! The nodes keep their own truth of what they spent; the ledger never sees it, only reports and journals.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that finds something else has failed")]

use proptest::prelude::*;
use quorate_domain::{Amount, BootId, BudgetId, LogTime, NodeId, Period, SessionId, Subject, Unit, WindowId};
use quorate_ledger::*;
use std::collections::BTreeMap;

const BUDGET: BudgetId = BudgetId::new(1);
const NODES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A node asks for room for a request of this size.
    Ask { node: usize, size: u64, greed: u64 },
    /// A node spends from what it was granted, after raising its watermark by `headroom` beyond.
    Spend { node: usize, size: u64, headroom: u64 },
    /// A provider bills more than was reserved; the journal holds it before anybody hears of the end.
    Overrun { node: usize, size: u64 },
    /// A node reports; `delayed` keeps a copy to be delivered later.
    Report { node: usize, delayed: bool },
    /// An old report arrives again.
    Redeliver { which: usize },
    /// A node gives back what is idle.
    Return { node: usize },
    /// A node dies and comes back with its journal.
    Restart { node: usize },
    /// A node dies and its journal is gone.
    LoseDisk { node: usize },
    /// Log time passes.
    Pass { millis: u64 },
    /// The limit is raised.
    Raise { by: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    prop_oneof![
        6 => (node.clone(), 1..40_u64, 0..80_u64).prop_map(|(node, size, greed)| Step::Ask { node, size, greed }),
        8 => (node.clone(), 1..40_u64, 0..9_u64).prop_map(|(node, size, headroom)| Step::Spend { node, size, headroom }),
        1 => (node.clone(), 1..30_u64).prop_map(|(node, size)| Step::Overrun { node, size }),
        5 => (node.clone(), any::<bool>()).prop_map(|(node, delayed)| Step::Report { node, delayed }),
        3 => (0..64_usize).prop_map(|which| Step::Redeliver { which }),
        2 => node.clone().prop_map(|node| Step::Return { node }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        1 => node.prop_map(|node| Step::LoseDisk { node }),
        1 => (1..30_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (0..50_u64).prop_map(|by| Step::Raise { by }),
    ]
}

/// A node's own account of one window: what it knows it was granted, spent, gave back, and wrote to its journal.
#[derive(Clone, Copy, Default)]
struct Own {
    granted: u64,
    used: u64,
    returned: u64,
    watermark: u64,
    overrun: u64,
}

struct Node {
    session: SessionId,
    boot: u64,
    window: Option<WindowId>,
    accounts: BTreeMap<WindowId, Own>,
}

struct World {
    ledger: Ledger,
    at: u64,
    kind: Kind,
    limit: u64,
    nodes: Vec<Node>,
    copies: Vec<Sync>,
    /// What providers billed, window by window: the truth.
    billed: BTreeMap<WindowId, u64>,
    /// The part of it beyond what was reserved.
    overran: BTreeMap<WindowId, u64>,
    /// Whether a disk was lost, and with it perhaps the only word of an overrun.
    lost_a_disk: bool,
}

impl World {
    fn new(kind: Kind, limit: u64) -> Self {
        let nodes = (0..NODES)
            .map(|_| Node { session: SessionId::new(0), boot: 0, window: None, accounts: BTreeMap::new() })
            .collect();
        let mut world = Self {
            ledger: Ledger::default(),
            at: 1,
            kind,
            limit,
            nodes,
            copies: vec![],
            billed: BTreeMap::new(),
            overran: BTreeMap::new(),
            lost_a_disk: false,
        };
        world.raise(0);
        (0..NODES).for_each(|node| world.open(node, Evidence::Intact { generation: 1, marks: vec![] }));
        world
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let before = self.ledger.clone();
        let outcome = self.ledger.apply(LogTime::from_millis(self.at), command);
        self.ledger.validate().expect("I1");
        let never_decreases = |old: Holding, new: Holding| {
            new.granted >= old.granted && new.used >= old.used && new.returned >= old.returned
        };
        for (_, budget) in before.budgets() {
            for account in budget.accounts() {
                let now = self.ledger.budget(BUDGET).and_then(|budget| budget.account(account.window().id));
                for (session, old) in account.holdings() {
                    let new = now.map(|now| now.holding(session)).filter(|new| *new != Holding::default());
                    assert!(new.is_none_or(|new| never_decreases(*old, new)), "I4");
                }
            }
        }
        outcome
    }

    fn raise(&mut self, by: u64) {
        self.limit += by;
        let spec = BudgetSpec {
            subject: Subject::User("ann".parse().unwrap()),
            unit: Unit::Tokens,
            kind: self.kind,
            limit: Amount::new(self.limit),
        };
        self.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
    }

    fn open(&mut self, node: usize, evidence: Evidence) {
        self.nodes[node].boot += 1;
        let boot = BootId::new(self.nodes[node].boot);
        let open = OpenSession { node: NodeId::new(node as u64), boot, evidence };
        let Outcome::SessionOpened { session } = self.apply(Command::OpenSession(open)) else { panic!() };
        let life = &mut self.nodes[node];
        (life.session, life.window) = (session, None);
        life.accounts.clear();
    }

    fn ask(&mut self, node: usize, size: u64, greed: u64) {
        let life = &self.nodes[node];
        let own = life.window.and_then(|window| life.accounts.get(&window)).copied().unwrap_or_default();
        let need = Amount::new(own.used + own.returned + size);
        let ask =
            Ask { budget: BUDGET, window: life.window, need, want: need.saturating_add(Amount::new(greed)) };
        let sync = Sync { session: life.session, reports: self.reports(node), asks: vec![ask] };
        let Outcome::Synced { answers } = self.apply(Command::Sync(sync)) else {
            panic!("honest nodes are never fenced")
        };
        match answers[0] {
            Answer::Holds { window, granted, .. } => {
                let life = &mut self.nodes[node];
                life.window = Some(window.id);
                life.accounts.entry(window.id).or_default().granted = granted.get();
            }
            Answer::WindowOver { .. } => self.nodes[node].window = None,
            Answer::UnknownBudget { .. } => panic!("it exists"),
        }
    }

    fn spend(&mut self, node: usize, size: u64, headroom: u64) {
        let life = &mut self.nodes[node];
        let Some(window) = life.window else { return };
        let own = life.accounts.entry(window).or_default();
        let room = own.granted - own.returned - own.used;
        let spent = size.min(room);
        own.watermark = own.watermark.max((own.used + spent + headroom).min(own.granted - own.returned));
        own.used += spent;
        *self.billed.entry(window).or_default() += spent;
    }

    fn overrun(&mut self, node: usize, size: u64) {
        let life = &mut self.nodes[node];
        let Some(own) = life.window.and_then(|window| life.accounts.get_mut(&window)) else { return };
        if own.granted == 0 {
            // Nothing was reserved, so nobody was sent to a provider.
            return;
        }
        own.overrun += size;
        let window = life.window.unwrap();
        *self.billed.entry(window).or_default() += size;
        *self.overran.entry(window).or_default() += size;
    }

    fn reports(&self, node: usize) -> Vec<SpendingReport> {
        let report = |(window, own): (&WindowId, &Own)| SpendingReport {
            budget: BUDGET,
            window: *window,
            used: Amount::new(own.used),
            returned: Amount::new(own.returned),
            overrun: Amount::new(own.overrun),
        };
        self.nodes[node].accounts.iter().map(report).collect()
    }

    fn report(&mut self, node: usize, delayed: bool) {
        let sync = Sync { session: self.nodes[node].session, reports: self.reports(node), asks: vec![] };
        self.copies.push(sync.clone());
        if !delayed {
            self.apply(Command::Sync(sync));
        }
    }

    fn give_back(&mut self, node: usize) {
        for own in self.nodes[node].accounts.values_mut() {
            own.returned = own.granted - own.used;
            own.watermark = own.watermark.min(own.used);
        }
    }

    fn restart(&mut self, node: usize) {
        let session = self.nodes[node].session;
        let mark = |(window, own): (&WindowId, &Own)| Mark {
            session,
            budget: BUDGET,
            window: *window,
            spent_bound: Amount::new(own.watermark),
            settled: Amount::new(own.used),
            overrun: Amount::new(own.overrun),
        };
        let marks = self.nodes[node].accounts.iter().map(mark).collect();
        let generation = self.nodes[node].boot + 1;
        self.open(node, Evidence::Intact { generation, marks });
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Ask { node, size, greed } => self.ask(node, size, greed),
            Step::Spend { node, size, headroom } => self.spend(node, size, headroom),
            Step::Overrun { node, size } => self.overrun(node, size),
            Step::Report { node, delayed } => self.report(node, delayed),
            Step::Redeliver { which } => {
                if let Some(sync) = self.copies.get(which % self.copies.len().max(1)).cloned() {
                    self.apply(Command::Sync(sync));
                }
            }
            Step::Return { node } => self.give_back(node),
            Step::Restart { node } => self.restart(node),
            Step::LoseDisk { node } => {
                self.lost_a_disk = true;
                self.open(node, Evidence::Lost);
            }
            Step::Pass { millis } => self.at += millis,
            Step::Raise { by } => self.raise(by),
        }
    }

    /// I3: what was billed in a window never exceeds the limit but by overrun, and what was billed within
    /// reservations never exceeds what the ledger counts as gone.
    fn check_bill(&self) {
        for (window, billed) in &self.billed {
            let billed = billed - self.overran.get(window).copied().unwrap_or(0);
            assert!(billed <= self.limit, "I3: {billed} billed of {}", self.limit);
            if let Some(account) = self.ledger.budget(BUDGET).unwrap().account(*window) {
                let gone = account.used().saturating_add(account.outstanding()).get();
                assert!(billed <= gone, "I3: {billed} billed, {gone} accounted for");
            }
        }
    }

    /// I5: when everyone has reported and returned, what is not free is what was billed, or charged for the dead.
    fn check_quiescence(&mut self) {
        for node in 0..NODES {
            self.give_back(node);
            self.report(node, false);
        }
        let report = self.ledger.report(BUDGET).unwrap();
        let overran = self.overran.get(&report.window.id).copied().unwrap_or(0);
        let billed = self.billed.get(&report.window.id).copied().unwrap_or(0) - overran;
        assert_eq!(report.outstanding, report.in_doubt, "I5: only the dead hold anything");
        let charged = report.used.get() + report.in_doubt.get();
        assert!(charged >= billed, "I5");
        if report.in_doubt.is_zero() {
            assert!(
                self.lost_a_disk || report.overrun.get() == overran,
                "G1: overrun is counted, whoever died"
            );
            assert_eq!(report.used.get() - billed, report.crash_charged.get(), "I6");
        }
        assert_eq!(report.free.get(), self.limit.saturating_sub(charged + report.overrun.get()), "I1");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_honest_nodes_overspends_or_leaks(
        steps in prop::collection::vec(step(), 1..120),
        limit in 1..400_u64,
        lifetime in any::<bool>(),
    ) {
        let kind = if lifetime { Kind::Lifetime } else { Kind::Fixed(Period::Minute) };
        let mut world = World::new(kind, limit);
        for step in &steps {
            world.take(step);
            world.check_bill();
        }
        world.check_quiescence();
    }
}
