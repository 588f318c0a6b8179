//! Starts, stops and restarts replicas, and waits for states instead of moments.

use prometheus_client::registry::Registry;
use quorate_consensus::{
    CERTIFICATE_LIFETIME, Command, Fingerprint, MachineLimits, Metrics, Outcome, ProposeError, Replica,
    RunError, Settings, SnapshotPolicy, Start, StartError, Status, Timings,
};
use quorate_domain::{Amount, Clock, LogTime, MonoTime, Name, NodeId, Span, Subject, Unit};
use quorate_lease::RevocationBound;
use quorate_ledger::{BudgetSpec, Expected, Kind, PutBudget};
use quorate_membership::{self as membership, By, Change, JoinToken, Levels, Order};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; nothing waits so long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The machine's own clock.
pub(crate) struct Machine(Instant);

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "tests own their clock")]
    pub(crate) fn clock() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for Machine {
    fn mono(&self) -> MonoTime {
        MonoTime::from_micros(self.0.elapsed().as_micros().try_into().unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "tests own their clock")]
    fn wall(&self) -> LogTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        LogTime::from_millis(since.as_millis().try_into().unwrap())
    }
}

/// A clock whose time of day jumps an hour to and fro each time it is looked at.
pub(crate) struct Jumping {
    machine: Arc<dyn Clock>,
    n_looks: AtomicU64,
}

impl Jumping {
    pub(crate) fn clock() -> Arc<dyn Clock> {
        Arc::new(Self { machine: Machine::clock(), n_looks: AtomicU64::new(0) })
    }
}

impl Clock for Jumping {
    fn mono(&self) -> MonoTime {
        self.machine.mono()
    }

    fn wall(&self) -> LogTime {
        let is_back = self.n_looks.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let away = if is_back { 0 } else { 7_200_000 };
        LogTime::from_millis(self.machine.wall().millis() - 3_600_000 + away)
    }
}

pub(crate) fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        name: None,
        zone: None,
        admin_address: "127.0.0.1:1".to_owned(),
        certificates: CERTIFICATE_LIFETIME,
        levels: Levels::OURS,
        timings: Timings::default(),
        revocation_bound: RevocationBound::DEFAULT,
        snapshots: SnapshotPolicy::default(),
        // Some of these nodes have clocks that jump by hours.
        machine: MachineLimits {
            clock_skew_max: Span::from_millis(24 * 60 * 60 * 1_000),
            ..MachineLimits::DEFAULT
        },
    }
}

/// A replica that runs. Dropped, it stops at once, without a word to anybody.
pub(crate) struct Running {
    pub(crate) replica: Replica,
    pub(crate) clock: Arc<dyn Clock>,
    stop: CancellationToken,
    task: JoinSet<Result<(), RunError>>,
}

impl Running {
    pub(crate) async fn start(settings: Settings, start: Start) -> Result<Self, StartError> {
        Self::start_by(Machine::clock(), settings, start).await
    }

    async fn start_by(clock: Arc<dyn Clock>, settings: Settings, start: Start) -> Result<Self, StartError> {
        let metrics = Metrics::register(&mut Registry::default(), clock.clone());
        let (replica, runner) = Replica::start(settings, clock.clone(), metrics, start).await?;
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(runner.run(stop.clone()));
        Ok(Self { replica, clock, stop, task })
    }

    /// Stops in order: hands over, writes, closes.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = self.task.join_next().await.unwrap();
        ended.unwrap().unwrap();
    }

    /// Waits until it stops by itself, and says why.
    pub(crate) async fn ended(mut self) -> RunError {
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await;
        ended.expect("it stops in time").unwrap().unwrap().unwrap_err()
    }

    /// Takes the node off the network. It still believes in itself, and its files stay open.
    pub(crate) fn cut_off(mut self) -> Replica {
        self.task.abort_all();
        self.replica
    }
}

/// Several nodes of one cluster.
pub(crate) struct Cluster {
    pub(crate) dirs: Vec<TempDir>,
    pub(crate) nodes: Vec<Option<Running>>,
    addresses: Vec<String>,
    policy: SnapshotPolicy,
    bound: RevocationBound,
    clock: fn() -> Arc<dyn Clock>,
}

impl Cluster {
    /// Founds a cluster and has others join until all vote.
    pub(crate) async fn of(size: usize, policy: SnapshotPolicy) -> Self {
        Self::by(Machine::clock, size, policy).await
    }

    /// The same, with clocks of another kind.
    pub(crate) async fn by(clock: fn() -> Arc<dyn Clock>, size: usize, policy: SnapshotPolicy) -> Self {
        Self { policy, clock, ..Self::nobody() }.grown_to(size).await
    }

    /// The same, with leases of another length.
    pub(crate) async fn with_bound(bound: RevocationBound, size: usize) -> Self {
        Self { bound, ..Self::nobody() }.grown_to(size).await
    }

    fn nobody() -> Self {
        Self {
            dirs: Vec::new(),
            nodes: Vec::new(),
            addresses: Vec::new(),
            policy: SnapshotPolicy::default(),
            bound: RevocationBound::DEFAULT,
            clock: Machine::clock,
        }
    }

    async fn grown_to(mut self, size: usize) -> Self {
        for _ in 0..size {
            self.grow().await;
        }
        self
    }

    fn settings(&self, dir: &Path) -> Settings {
        Settings { snapshots: self.policy, revocation_bound: self.bound, ..settings(dir) }
    }

    pub(crate) async fn grow(&mut self) {
        let dir = TempDir::new().unwrap();
        let start = match self.nodes.first() {
            None => Start::Found,
            Some(_) => Start::Join(token(self.running().next().unwrap()).await),
        };
        let settings = self.settings(dir.path());
        let node = Running::start_by((self.clock)(), settings, start).await.unwrap();
        self.addresses.push(node.replica.address().to_owned());
        self.dirs.push(dir);
        self.nodes.push(Some(node));
        seat_all(self.running().next().unwrap()).await;
        let size = self.nodes.len();
        for node in self.running() {
            wait(node, "all nodes vote", |status| {
                status.leader.is_some() && status.peers.iter().filter(|peer| peer.votes).count() == size
            })
            .await;
        }
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Replica> {
        self.nodes.iter().flatten().map(|node| &node.replica)
    }

    pub(crate) fn node(&self, at: usize) -> &Replica {
        &self.nodes[at].as_ref().unwrap().replica
    }

    /// Where the leader is, as the others see it.
    pub(crate) async fn leader(&self) -> usize {
        let mut known = self.running().next().unwrap().leader();
        let leader = known.wait_for(Option::is_some).await.unwrap().unwrap();
        self.nodes
            .iter()
            .position(|node| node.as_ref().is_some_and(|node| node.replica.node() == leader))
            .unwrap()
    }

    pub(crate) async fn stop(&mut self, at: usize) {
        self.nodes[at].take().unwrap().stop().await;
    }

    /// Starts a stopped node on its old address and directory.
    pub(crate) async fn restart(&mut self, at: usize) {
        let listen = self.addresses[at].parse().unwrap();
        self.restart_on(at, listen).await;
    }

    /// Starts a stopped node on its old directory and another address.
    pub(crate) async fn restart_on(&mut self, at: usize, listen: SocketAddr) {
        let settings = Settings { listen, ..self.settings(self.dirs[at].path()) };
        self.nodes[at] = Some(Running::start(settings, Start::Resume).await.unwrap());
    }

    /// Waits until all running nodes have applied the same, and compares their states.
    pub(crate) async fn agree(&self) {
        let same = tokio::time::timeout(PATIENCE, async {
            loop {
                let furthest = self.running().map(|node| node.status().committed).max().unwrap();
                for node in self.running() {
                    applied(node, furthest).await;
                }
                let hashes: Vec<_> = self.running().map(|node| node.state().hash()).collect();
                // Nodes write of their own accord, too: that they started, that they trust, what they were given.
                if hashes.windows(2).all(|pair| pair[0].applied == pair[1].applied) {
                    return hashes;
                }
            }
        });
        let hashes = same.await.expect("the nodes come to rest");
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "I9: {hashes:?}");
        let histories: Vec<_> = self.running().filter_map(|node| node.status().history).collect();
        let differ = |pair: &[Fingerprint]| pair[0].applied == pair[1].applied && pair[0] != pair[1];
        assert!(!histories.windows(2).any(differ), "I9: {histories:?}");
    }
}

/// Gives every member a seat, whatever the autopilot thinks of their number.
async fn seat_all(node: &Replica) {
    loop {
        node.read_barrier(PATIENCE).await.unwrap();
        let (expected, voters) = {
            let table = node.state().membership.read();
            (table.revision(), table.iter().map(|(id, _)| id).collect())
        };
        let by = By { actor: "a test".to_owned(), reason: None };
        let order = membership::Command::Change(Order { expected, by, change: Change::Seat { voters } });
        let outcome = node.propose_within(Command::Membership(order), PATIENCE).await.unwrap();
        if outcome == Outcome::Membership(membership::Outcome::Done) {
            return;
        }
    }
}

pub(crate) async fn applied(node: &Replica, index: u64) {
    let mut applied = node.applied();
    let reached = applied.wait_for(|applied| *applied >= index);
    tokio::time::timeout(PATIENCE, reached).await.expect("the node applies in time").unwrap();
}

/// Waits until a node's view of the cluster is as described.
pub(crate) async fn wait(node: &Replica, what: &str, wanted: impl Fn(&Status) -> bool) {
    let seen = tokio::time::timeout(PATIENCE, async {
        while !wanted(&node.status()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(seen.await.is_ok(), "{what}: {:?}", node.status());
}

/// A token that lets one node in.
pub(crate) async fn token(node: &Replica) -> JoinToken {
    node.create_token(Span::from_millis(24 * 60 * 60 * 1_000), 1, "a test".to_owned()).await.unwrap()
}

fn spec(user: u64, limit: u64) -> BudgetSpec {
    BudgetSpec {
        subject: Subject::User(Name::parse(&format!("user-{user}")).unwrap()),
        unit: Unit::Tokens,
        kind: Kind::Lifetime,
        limit: Amount::new(limit),
        auto_resolve: quorate_ledger::AutoResolve::Never,
        reserve: quorate_ledger::Reserve::Bound,
    }
}

/// A command that is refused when it is applied a second time.
pub(crate) fn once(user: u64) -> Command {
    let put = PutBudget { spec: spec(user, 1_000), expected: Expected::Absent };
    Command::Ledger(quorate_ledger::Command::PutBudget(put))
}

pub(crate) async fn create(node: &Replica, user: u64) -> Result<(), ProposeError> {
    let outcome = node.propose_within(once(user), PATIENCE).await?;
    let stored = matches!(outcome, Outcome::Ledger(quorate_ledger::Outcome::BudgetStored { .. }));
    assert!(stored, "budget of user {user}: {outcome:?}");
    Ok(())
}

pub(crate) fn count(node: &Replica) -> usize {
    node.state().ledger.read().budgets().count()
}

/// Ids of nodes, for comparing.
pub(crate) fn ids(status: &Status) -> Vec<NodeId> {
    status.peers.iter().map(|peer| peer.node).collect()
}
