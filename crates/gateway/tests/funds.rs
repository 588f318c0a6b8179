//! Three nodes' funds over one ledger that answers after a moment: nothing is overspent, and nothing that fits is
//! turned away.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that finds something else has failed")]

use bytes::Bytes;
use parking_lot::RwLock;
use quorate_catalog::Catalog;
use quorate_domain::{
    Amount, BootId, BudgetId, Clock, LogTime, MonoTime, NanoUsd, NodeId, SessionId, Span, Subject, Tokens,
    Unit, WindowId,
};
use quorate_gateway::replica::{ClusterStatus, Eventually, Journal, NotChanged, Replica, Unavailable};
use quorate_gateway::{Cause, Funds, Refusal};
use quorate_idempotency::Records;
use quorate_lease::{Lease, RevocationBound, Standing};
use quorate_ledger::{
    Begun, BudgetSpec, Command, Evidence, Expected, Kind, Ledger, Mark, OpenSession, Outcome, Overspent,
    PutBudget, Sync,
};
use quorate_membership::{JoinToken, Membership, Sight};
use quorate_wallet::Cost;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(2);
const BUDGET: BudgetId = BudgetId::new(1);

static UNLIMITED: Lease = Lease::unlimited();

/// One replicated ledger, seen by every node at once, a moment after it was asked.
struct Cluster {
    catalog: RwLock<Catalog>,
    ledger: RwLock<Ledger>,
    members: RwLock<Membership>,
    applied: watch::Sender<u64>,
    is_cut_off: AtomicBool,
    commands: AtomicU64,
    /// On its way for long: it comes just before the next command.
    late: parking_lot::Mutex<Option<Command>>,
}

struct Seat {
    cluster: Arc<Cluster>,
    /// Of a follower: what it has applied, which is what was agreed on before it asked last.
    copy: Option<RwLock<Ledger>>,
    journal: Arc<Memory>,
    node: u64,
}

#[derive(Default)]
struct Memory {
    marks: parking_lot::Mutex<Vec<Mark>>,
    overspent: parking_lot::Mutex<BTreeMap<BudgetId, Amount>>,
}

impl Memory {
    /// The latest watermark that is written.
    fn watermark(&self) -> Amount {
        self.marks.lock().last().map(|mark| mark.spent_bound).unwrap_or_default()
    }
}

/// The paused clock of the test's runtime.
struct TestClock {
    start: tokio::time::Instant,
}

impl TestClock {
    #[expect(clippy::disallowed_methods, reason = "the clock of a paused runtime is the test's own")]
    fn since_start(&self) -> Duration {
        tokio::time::Instant::now() - self.start
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of a paused runtime is the test's own")]
    fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Clock for TestClock {
    fn mono(&self) -> MonoTime {
        MonoTime::from_micros(u64::try_from(self.since_start().as_micros()).unwrap() + 1)
    }

    fn wall(&self) -> LogTime {
        LogTime::from_millis(u64::try_from(self.since_start().as_millis()).unwrap())
    }
}

impl Seat {
    /// What the ledger hears of never passes what the journal holds, which never passes what was granted.
    fn check(&self) {
        let report = self.cluster.ledger.read().report(BUDGET).unwrap();
        let watermark = self.journal.watermark();
        for held in report.holdings.iter().filter(|holding| holding.node == self.node()) {
            assert!(held.used <= watermark && watermark <= held.granted, "I2: {watermark:?} of {held:?}");
            assert!(held.used.saturating_add(held.returned) <= held.granted, "I2: {held:?}");
        }
    }
}

impl Replica for Seat {
    fn node(&self) -> NodeId {
        NodeId::new(self.node)
    }

    fn boot(&self) -> BootId {
        BootId::new(self.node)
    }

    fn catalog(&self) -> &RwLock<Catalog> {
        &self.cluster.catalog
    }

    fn ledger(&self) -> &RwLock<Ledger> {
        self.copy.as_ref().unwrap_or(&self.cluster.ledger)
    }

    fn propose_catalog(
        &self,
        _command: quorate_catalog::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoQuorum) })
    }

    fn propose_ledger(
        &self,
        command: Command,
        limit: Duration,
    ) -> Eventually<'_, Result<Outcome, Unavailable>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.cluster.is_cut_off.load(Ordering::Acquire) {
                tokio::time::sleep(limit).await;
                return Err(Unavailable::TimedOut);
            }
            let late = self.cluster.late.lock().take();
            let apply = |command| self.cluster.ledger.write().apply(LogTime::from_millis(1), command);
            let outcome = late.into_iter().chain([command]).map(apply).last().unwrap();
            self.cluster.ledger.read().validate().unwrap();
            self.check();
            self.cluster.commands.fetch_add(1, Ordering::Relaxed);
            self.cluster.applied.send_modify(|index| *index += 1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(outcome)
        })
    }

    fn idempotency(&self) -> &RwLock<Records> {
        panic!("nobody asks")
    }

    fn propose_idempotency(
        &self,
        _command: quorate_idempotency::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoQuorum) })
    }

    fn membership(&self) -> &RwLock<Membership> {
        &self.cluster.members
    }

    fn propose_membership(
        &self,
        command: quorate_membership::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_membership::Outcome, Unavailable>> {
        let outcome = self.cluster.members.write().apply(LogTime::default(), command);
        Box::pin(async move { Ok(outcome) })
    }

    fn create_token(
        &self,
        _ttl: Span,
        _uses: u32,
        _actor: String,
    ) -> Eventually<'_, Result<JoinToken, NotChanged>> {
        Box::pin(async { Err(NotChanged::Failed("nobody joins here".to_owned())) })
    }

    fn rotate_root(&self) -> Eventually<'_, Result<(), NotChanged>> {
        Box::pin(async { Err(NotChanged::Failed("nobody has a certificate here".to_owned())) })
    }

    fn read_barrier(&self, _limit: Duration) -> Eventually<'_, Result<(), Unavailable>> {
        Box::pin(async {
            if let Some(copy) = &self.copy {
                *copy.write() = self.cluster.ledger.read().clone();
            }
            Ok(())
        })
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.cluster.applied.subscribe()
    }

    fn lease(&self) -> &Lease {
        &UNLIMITED
    }

    fn revocation_bound(&self) -> Span {
        RevocationBound::DEFAULT.span()
    }

    fn everywhere(&self, _since: MonoTime) -> Eventually<'_, Standing> {
        Box::pin(async { Standing::Acknowledged })
    }

    fn snapshot(&self) -> Eventually<'_, Result<Vec<Bytes>, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoQuorum) })
    }

    fn status(&self) -> ClusterStatus {
        panic!("nobody asks")
    }

    fn sight(&self, _limit: Duration) -> Eventually<'_, Result<Sight, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoQuorum) })
    }

    fn transfer_leadership(&self, _to: Option<NodeId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

impl Journal for Memory {
    fn load_overspent(&self) -> Result<Vec<(BudgetId, Amount)>, String> {
        Ok(self.overspent.lock().iter().map(|(budget, bound)| (*budget, *bound)).collect())
    }

    fn write_overspent(&self, bounds: Vec<(BudgetId, Amount)>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(500)).await;
            self.overspent.lock().extend(bounds);
            Ok(())
        })
    }

    fn forget_overspent(&self, budgets: Vec<BudgetId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move {
            self.overspent.lock().retain(|budget, _| !budgets.contains(budget));
            Ok(())
        })
    }

    fn generation(&self) -> u64 {
        1
    }

    fn load(&self) -> Result<Vec<Mark>, String> {
        Ok(self.marks.lock().clone())
    }

    fn write(&self, _begun: Begun, marks: Vec<Mark>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(500)).await;
            self.marks.lock().extend(marks);
            Ok(())
        })
    }

    fn forget(
        &self,
        _session: SessionId,
        _windows: Vec<(BudgetId, WindowId)>,
    ) -> Eventually<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn forget_before(&self, _session: SessionId, _heard: u64) -> Eventually<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    cluster: Arc<Cluster>,
    nodes: Vec<Funds>,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl World {
    async fn with_budget(limit: u64) -> Self {
        let cluster = Arc::new(Cluster {
            members: RwLock::default(),
            catalog: RwLock::default(),
            ledger: RwLock::default(),
            applied: watch::Sender::new(0),
            is_cut_off: AtomicBool::new(false),
            commands: AtomicU64::new(0),
            late: parking_lot::Mutex::default(),
        });
        let subject = Subject::Team("search".parse().unwrap());
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: Kind::Lifetime,
            limit: Amount::new(limit),
            auto_resolve: quorate_ledger::AutoResolve::Never,
            reserve: quorate_ledger::Reserve::Bound,
        };
        cluster.ledger.write().apply(
            LogTime::from_millis(1),
            Command::PutBudget(PutBudget { spec, expected: Expected::Absent }),
        );
        let clock = Arc::new(TestClock::start());
        let mut world = Self {
            cluster,
            nodes: vec![],
            stop: CancellationToken::new(),
            tasks: tokio::task::JoinSet::new(),
        };
        for node in 1..=3 {
            let journal = Arc::<Memory>::default();
            let seat =
                Seat { cluster: Arc::clone(&world.cluster), copy: None, journal: Arc::clone(&journal), node };
            let (funds, treasurer) = Funds::new(Arc::new(seat), journal, clock.clone());
            let stop = world.stop.clone();
            world.tasks.spawn(async move { treasurer.run(stop, PATIENCE).await.unwrap() });
            while !funds.is_open() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.nodes.push(funds);
        }
        world
    }

    /// One request: reserves `bound`, takes a while, costs `real`. Says what it cost or why it was refused.
    async fn request(funds: Funds, bound: u64, real: u64) -> Result<u64, Refusal> {
        let path = funds.path_of(&[Subject::Team("search".parse().unwrap())]).unwrap();
        let cost = |tokens| Cost { tokens: Tokens::new(tokens), money: NanoUsd::ZERO };
        let reservation = funds.reserve(&path, &cost(bound).into(), PATIENCE).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        funds.settle(reservation, &cost(real)).await;
        Ok(real)
    }

    /// So many requests at once, in turn over the nodes.
    async fn requests(&self, count: usize, bound: u64, real: u64) -> Vec<Result<u64, Refusal>> {
        let mut running = tokio::task::JoinSet::new();
        for number in 0..count {
            running.spawn(Self::request(self.nodes[number % 3].clone(), bound, real));
        }
        running.join_all().await
    }

    async fn close(mut self) -> Arc<Cluster> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.cluster
    }
}

fn admitted(results: &[Result<u64, Refusal>]) -> usize {
    results.iter().filter(|result| result.is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_requests_on_a_budget_for_fifty_admit_fifty() {
    let world = World::with_budget(5_000).await;
    let results = world.requests(200, 100, 100).await;
    assert_eq!(admitted(&results), 50);
    let denials = results.iter().filter_map(|result| result.as_ref().err());
    for denial in denials {
        assert!(matches!(denial, Refusal::Denied { cause: Cause::Spent | Cause::Held, .. }), "{denial:?}");
    }
    let cluster = world.close().await;
    let report = cluster.ledger.read().report(BUDGET).unwrap();
    assert_eq!((report.used.get(), report.outstanding.get(), report.free.get()), (5_000, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_requests_do_not_use_goes_to_others_until_the_budget_is_gone() {
    let world = World::with_budget(10_000).await;
    let mut spent = 0;
    loop {
        let results = world.requests(30, 300, 70).await;
        let cost: u64 = results.iter().filter_map(|result| result.as_ref().ok()).sum();
        spent += cost;
        if cost == 0 {
            break;
        }
    }
    assert!(10_000 - spent < 300, "{spent} spent: a request of 300 would still have fitted");
    let cluster = world.close().await;
    assert_eq!(cluster.ledger.read().report(BUDGET).unwrap().used.get(), spent);
}

#[tokio::test(start_paused = true)]
async fn a_storm_on_a_spent_budget_costs_the_log_next_to_nothing() {
    let world = World::with_budget(1_000).await;
    while admitted(&world.requests(3, 100, 100).await) > 0 {}
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = world.cluster.commands.load(Ordering::Relaxed);
    assert_eq!(admitted(&world.requests(3_000, 100, 100).await), 0);
    let commands = world.cluster.commands.load(Ordering::Relaxed) - before;
    assert!(commands < 30, "{commands} entries for 3000 denials");
}

#[tokio::test(start_paused = true)]
async fn requests_covered_by_a_grant_go_on_without_the_ledger_and_others_are_told_it_is_out_of_reach() {
    let world = World::with_budget(1_000_000).await;
    assert_eq!(admitted(&world.requests(3, 100, 100).await), 3);
    world.cluster.is_cut_off.store(true, Ordering::Release);
    assert_eq!(admitted(&world.requests(90, 100, 100).await), 90);
    let too_much = World::request(world.nodes[0].clone(), 900_000, 1).await;
    assert_eq!(too_much, Err(Refusal::Unavailable));
    world.cluster.is_cut_off.store(false, Ordering::Release);
    world.close().await;
}

/// Its disk is lost, and the last word of its earlier life is on its way while it opens its session.
#[tokio::test(start_paused = true)]
async fn what_a_node_had_overspent_is_taken_up_from_what_was_told_until_its_session_was_opened() {
    let mut world = World::with_budget(1_000_000).await;
    let apply = |command| world.cluster.ledger.write().apply(LogTime::from_millis(1), command);
    let (node, boot, previous) = (NodeId::new(4), BootId::new(40), SessionId::default());
    let evidence = Evidence::Intact { generation: 1, marks: vec![] };
    let opened = apply(Command::OpenSession(OpenSession { node, boot, previous, evidence }));
    let Outcome::SessionOpened { session } = opened else { panic!("{opened:?}") };
    let told = |sequence, total| {
        let overspent = vec![Overspent { budget: BUDGET, total: Amount::new(total) }];
        Command::Sync(Sync { session, sequence, generation: 1, reports: vec![], asks: vec![], overspent })
    };
    apply(told(1, 40));
    *world.cluster.late.lock() = Some(told(2, 100));
    let journal = Arc::<Memory>::default();
    let copy = Some(RwLock::default());
    let seat = Seat { cluster: Arc::clone(&world.cluster), copy, journal: Arc::clone(&journal), node: 4 };
    let (funds, treasurer) = Funds::new(Arc::new(seat), journal, Arc::new(TestClock::start()));
    let stop = world.stop.clone();
    world.tasks.spawn(async move { treasurer.run(stop, PATIENCE).await.unwrap() });
    while !funds.is_open() {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    assert_eq!(funds.wallet().unwrap().overdrafts().settled(BUDGET), Amount::new(100));
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_session_was_declared_dead_reserves_and_overspends_nothing_until_it_has_another() {
    let world = World::with_budget(1_000_000).await;
    assert_eq!(admitted(&world.requests(3, 100, 100).await), 3);
    let funds = &world.nodes[0];
    let session = funds.wallet().unwrap().session();
    let dead = Command::ExpireSession { session };
    world.cluster.ledger.write().apply(LogTime::from_millis(1), dead);
    // It hears of it with its next report, and of nothing more.
    assert_eq!(World::request(funds.clone(), 100, 100).await, Ok(100));
    while funds.is_open() {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    world.cluster.is_cut_off.store(true, Ordering::Release);
    let path = funds.path_of(&[Subject::Team("search".parse().unwrap())]).unwrap();
    let need = Cost { tokens: Tokens::new(100), money: NanoUsd::ZERO }.into();
    for _ in 0..30 {
        assert!(!funds.is_open());
        assert_eq!(funds.reserve(&path, &need, PATIENCE).await.err(), Some(Refusal::Unavailable));
        assert_eq!(funds.overspend(&path, &need).await.err(), Some(Refusal::Unavailable));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.cluster.is_cut_off.store(false, Ordering::Release);
    while !funds.is_open() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(funds.wallet().unwrap().session() > session);
    assert_eq!(World::request(funds.clone(), 100, 100).await, Ok(100));
    world.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_drained_holds_nothing_and_spends_again_when_that_is_taken_back() {
    let mut world = World::with_budget(1_000_000).await;
    assert_eq!(admitted(&world.requests(3, 100, 100).await), 3);
    let funds = world.nodes.clone();
    world.stop.cancel();
    while let Some(ended) = world.tasks.join_next().await {
        ended.unwrap();
    }
    let report = world.cluster.ledger.read().report(BUDGET).unwrap();
    assert_eq!((report.used.get(), report.outstanding.get()), (300, 0));
    assert_eq!(World::request(funds[0].clone(), 100, 100).await, Err(Refusal::Unavailable));
    world.stop = CancellationToken::new();
    for funds in &funds {
        let (treasurer, stop) = (funds.treasurer(), world.stop.clone());
        world.tasks.spawn(async move { treasurer.run(stop, PATIENCE).await.unwrap() });
    }
    while !funds.iter().all(Funds::is_open) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(admitted(&world.requests(3, 100, 100).await), 3);
    let report = world.close().await.ledger.read().report(BUDGET).unwrap();
    assert_eq!((report.used.get(), report.outstanding.get()), (600, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_whole_budget_is_told_so_at_once() {
    let world = World::with_budget(1_000).await;
    let refusal = World::request(world.nodes[0].clone(), 1_001, 1).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Denied { cause: Cause::TooBig, .. }), "{refusal:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_in_line_takes_nothing_along() {
    let world = World::with_budget(1_000).await;
    let path = world.nodes[0].path_of(&[Subject::Team("search".parse().unwrap())]).unwrap();
    let cost = Cost { tokens: Tokens::new(100), money: NanoUsd::ZERO };
    for micros in (0..8_000).step_by(100) {
        let need = cost.into();
        let reserve = world.nodes[0].reserve(&path, &need, PATIENCE);
        if let Ok(Ok(reservation)) = tokio::time::timeout(Duration::from_micros(micros), reserve).await {
            reservation.cancel();
        }
    }
    let cluster = world.close().await;
    let report = cluster.ledger.read().report(BUDGET).unwrap();
    assert_eq!((report.used.get(), report.outstanding.get()), (0, 0));
}
