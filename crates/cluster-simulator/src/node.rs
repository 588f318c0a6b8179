//! A node: what `quorate serve` builds, but for its servers. The replica, the journal, the treasurer and the ticker are the real
//! ones, and so is everything below them down to the host.

use crate::clock::NodeClock;
use crate::disk::NodeDisk;
use crate::life::{Death, Life};
use crate::network::{NodeNetwork, address};
use crate::reached::Reached;
use crate::world::World;
use prometheus_client::registry::Registry;
use quorate_consensus::host::Host;
use quorate_consensus::{
    CERTIFICATE_LIFETIME, Journal, JournalMetrics, MachineLimits, Metrics, Refusal, Replica, RunError,
    Runner, Settings, SnapshotPolicy, Start, StartError, Timings,
};
use quorate_domain::{Clock, NodeId, SessionId, Span};
use quorate_gateway::{Funds, Treasurer};
use quorate_lease::RevocationBound;
use quorate_ledger::Mark;
use quorate_membership::{JoinToken, Levels, Mismatch};
use quorate_node::{BridgedJournal, BridgedReplica, keep_time};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the journal is.
pub(crate) const JOURNAL: &str = "/node/journal";

/// As long as a node has to return its grants when it is told to stop.
const RETURN_LIMIT: Duration = Duration::from_secs(5);
/// Longer than any clock jumps.
const TOKEN_TTL: Span = Span::from_millis(60 * 24 * 60 * 60 * 1_000);
/// Between two tries to join.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// A node that serves.
pub(crate) struct Alive {
    pub(crate) life: Arc<Life>,
    pub(crate) replica: Replica,
    pub(crate) bridged: Arc<dyn quorate_gateway::replica::Replica>,
    pub(crate) funds: Funds,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    /// Requests under way.
    pub(crate) busy: AtomicUsize,
    pub(crate) stop_money: CancellationToken,
    pub(crate) money_stopped: CancellationToken,
    stop_raft: CancellationToken,
    raft_stopped: CancellationToken,
}

impl fmt::Debug for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alive").field("node", &self.life.node).finish_non_exhaustive()
    }
}

impl World {
    /// Starts what is on a machine.
    pub(crate) fn boot(self: &Arc<Self>, place: usize) {
        if self.seats[place].now.lock().life.is_some() {
            return;
        }
        self.hub.revived(place);
        let life = Arc::new(Life::new(place, self.hub.clone()));
        self.seats[place].now.lock().life = Some(life.clone());
        self.story.tell(|| format!("node {} starts", place + 1));
        let (world, own) = (self.clone(), life.clone());
        life.spawn(async move { world.live(own).await });
    }

    async fn live(self: Arc<Self>, life: Arc<Life>) {
        let clock: Arc<dyn Clock> = Arc::new(NodeClock::boot(self.seats[life.node].clock.clone()));
        let disk = NodeDisk::new(self.seats[life.node].platter.clone(), life.clone());
        let journal_metrics = JournalMetrics::register(&mut Registry::default(), clock.clone());
        let journal = Journal::open_on(&disk, JOURNAL.as_ref(), journal_metrics);
        let started = self.start(&life, &clock, &disk).await;
        let (journal, (replica, runner)) = match (journal, started) {
            (Ok(journal), Ok(started)) => (journal, started),
            (Err(error), _) => return self.broken("start", error.to_string()),
            (_, Err(error)) => return self.broken("start", format!("node {}: {error}", life.node + 1)),
        };
        let bridged: Arc<dyn quorate_gateway::replica::Replica> = Arc::new(BridgedReplica(replica.clone()));
        self.look_at_journal(&journal, replica.node());
        let bridge = Arc::new(BridgedJournal(journal.clone()));
        let (funds, treasurer) = Funds::new(bridged.clone(), bridge, clock.clone());
        let token = CancellationToken::new;
        let alive = Arc::new(Alive {
            life: life.clone(),
            replica,
            bridged,
            funds,
            journal,
            clock,
            busy: AtomicUsize::new(0),
            stop_money: token(),
            money_stopped: token(),
            stop_raft: token(),
            raft_stopped: token(),
        });
        life.spawn(self.clone().run_raft(alive.clone(), runner));
        life.spawn(self.clone().run_money(alive.clone(), treasurer));
        let beat = keep_time(alive.bridged.clone(), alive.clock.clone(), alive.stop_money.clone());
        life.spawn(beat);
        life.spawn(self.clone().watch(alive.clone()));
        self.story.tell(|| format!("node {} serves as {}", life.node + 1, alive.replica.node()));
        let mut sitting = self.seats[life.node].now.lock();
        if sitting.life.as_ref().is_some_and(|current| Arc::ptr_eq(current, &life)) {
            sitting.alive = Some(alive);
        }
    }

    /// Resumes if there is something to resume, and joins otherwise, until it succeeds.
    async fn start(
        &self,
        life: &Arc<Life>,
        clock: &Arc<dyn Clock>,
        disk: &NodeDisk,
    ) -> Result<(Replica, Runner), StartError> {
        loop {
            match self.start_as(life, clock, (disk, Start::Resume)).await {
                Err(StartError::NoIdentity) => {}
                ended => return ended,
            }
            let start = if life.node == 0 { Start::Found } else { Start::Join(self.token(life.node).await) };
            match self.start_as(life, clock, (disk, start)).await {
                // Whose clock is hours off is let in once somebody has set it.
                Err(StartError::NotJoined { .. } | StartError::ClockOff { .. }) => {
                    tokio::time::sleep(JOIN_PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    /// As an operator does: has any node make a token, and names all others as seeds.
    async fn token(&self, place: usize) -> JoinToken {
        loop {
            if let Some(other) = self.some_alive()
                && let Ok(token) = other.replica.create_token(TOKEN_TTL, 1, "operator".to_owned()).await
            {
                return JoinToken { seeds: self.seeds(place), ..token };
            }
            tokio::time::sleep(JOIN_PAUSE).await;
        }
    }

    fn seeds(&self, place: usize) -> Vec<String> {
        let others = (0..self.plan.nodes).filter(|other| *other != place);
        others.map(|other| address(other).to_string()).collect()
    }

    async fn start_as(
        &self,
        life: &Arc<Life>,
        clock: &Arc<dyn Clock>,
        (disk, start): (&NodeDisk, Start),
    ) -> Result<(Replica, Runner), StartError> {
        let network = Arc::new(NodeNetwork(life.clone()));
        let host = Host { disk: Arc::new(disk.clone()), network };
        let metrics = Metrics::register(&mut Registry::default(), clock.clone());
        let (every, keep) = self.plan.snapshots;
        let settings = Settings {
            dir: "/node".into(),
            listen: address(life.node),
            advertise: None,
            name: None,
            zone: None,
            admin_address: address(life.node).to_string(),
            certificates: CERTIFICATE_LIFETIME,
            levels: Levels::OURS,
            timings: Timings::default(),
            revocation_bound: RevocationBound::DEFAULT,
            snapshots: SnapshotPolicy { every, keep },
            machine: MachineLimits::DEFAULT,
        };
        Replica::start_on(host, settings, (clock.clone(), metrics), start).await
    }

    /// What the journal of a node that comes back says, beside what the others know.
    fn look_at_journal(&self, journal: &Journal, node: NodeId) {
        let (Some(other), Ok(marks)) = (self.furthest(), journal.load()) else { return };
        let ledger = other.replica.state().ledger.read();
        if journal.generation() < ledger.journal_of(node) {
            self.reach(Reached::DiskRolledBack);
            return;
        }
        let is_above = |mark: &Mark| {
            let account = ledger.budget(mark.budget).and_then(|budget| budget.account(mark.window));
            let holding = account.and_then(|account| account.holding(mark.session));
            holding.is_some_and(|holding| mark.spent_bound.saturating_add(holding.returned) > holding.granted)
        };
        if marks.iter().any(is_above) {
            self.reach(Reached::Clamped);
        }
    }

    async fn run_raft(self: Arc<Self>, alive: Arc<Alive>, runner: Runner) {
        let ended = runner.run(alive.stop_raft.clone()).await;
        alive.raft_stopped.cancel();
        let node = alive.life.node + 1;
        match ended {
            Ok(()) => {}
            Err(error) if !alive.life.lives() => drop(error),
            Err(RunError::Expelled(Refusal::Card(Mismatch::Removed(_))))
                if self.seats[alive.life.node].now.lock().is_out => {}
            // openraft may end before anybody has told it.
            Err(RunError::Raft(_)) if self.seats[alive.life.node].now.lock().is_out => {}
            Err(error) => self.broken("run", format!("node {node}: {error}")),
        }
    }

    async fn run_money(self: Arc<Self>, alive: Arc<Alive>, treasurer: Treasurer) {
        let ended = treasurer.run(alive.stop_money.clone(), RETURN_LIMIT).await;
        alive.money_stopped.cancel();
        if let Err(error) = ended
            && alive.life.lives()
        {
            self.broken("run", format!("node {}: {error}", alive.life.node + 1));
        }
    }

    /// Looks at the node whenever it has applied something.
    async fn watch(self: Arc<Self>, alive: Arc<Alive>) {
        let mut applied = alive.replica.applied();
        let (place, platter) = (alive.life.node, self.seats[alive.life.node].platter.clone());
        let mut installed = platter.installed.load(Ordering::Relaxed);
        let mut session: Option<SessionId> = None;
        let mut since_hash = 0;
        while applied.changed().await.is_ok() {
            let index = *applied.borrow_and_update();
            let Some(history) = alive.replica.state().history() else { continue };
            self.story.mix(&[place as u64, index, u64::from(history.sha256[0])]);
            self.judge.lock().history(place, history.applied, history.sha256);
            since_hash += 1;
            if since_hash >= 16 && index.is_multiple_of(4) {
                since_hash = 0;
                let hash = alive.replica.state().hash();
                self.judge.lock().hash(place, hash.applied, hash.sha256);
                if let Err(broken) = alive.replica.state().ledger.read().validate() {
                    self.broken(broken.id, broken.what);
                }
            }
            let now = platter.installed.load(Ordering::Relaxed);
            if now > installed {
                installed = now;
                self.reach(Reached::SnapshotInstalled);
                if self.holds_grants(place) {
                    self.reach(Reached::SnapshotInstalledWithGrant);
                }
            }
            let open = alive.funds.wallet().map(|wallet| wallet.session());
            if open.is_some() && open != session {
                if session.is_some() {
                    self.reach(Reached::SessionReopened);
                }
                session = open;
            }
            self.note_revocations(&alive);
            self.follow_rates();
            self.look();
        }
    }

    /// A revocation is committed when the first node shows it.
    fn note_revocations(&self, alive: &Alive) {
        let at = self.at();
        let catalog = alive.replica.state().catalog.read();
        let mut judge = self.judge.lock();
        for (key, revocation) in &mut judge.revocations {
            let is_revoked = || catalog.keys().get(key).is_some_and(|key| key.is_revoked());
            if revocation.committed.is_none() && is_revoked() {
                revocation.committed = Some(at);
            }
        }
    }

    /// Stops a node in order, as SIGTERM does, and starts it again after a while.
    pub(crate) async fn drain(self: Arc<Self>, place: usize, pause: Duration) {
        let Some(alive) = self.alive(place) else { return };
        if std::mem::replace(&mut self.seats[place].now.lock().drains, true) {
            return;
        }
        self.story.tell(|| format!("node {} drains", place + 1));
        let finished = async {
            while alive.busy.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Requests that do not end in time are left to the journal.
        let _ = tokio::time::timeout(RETURN_LIMIT, finished).await;
        alive.stop_money.cancel();
        let _ = tokio::time::timeout(RETURN_LIMIT * 3, alive.money_stopped.cancelled()).await;
        alive.stop_raft.cancel();
        let _ = tokio::time::timeout(RETURN_LIMIT, alive.raft_stopped.cancelled()).await;
        if !alive.life.lives() {
            return;
        }
        self.end(place, Death::Killed);
        self.reach(Reached::Drained);
        tokio::time::sleep(pause).await;
        if !self.seats[place].now.lock().is_out {
            self.boot(place);
        }
    }
}
