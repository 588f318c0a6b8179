//! How a replica comes to life: identity, files, Raft, in this order.

use super::core::Core;
use super::entrance::{self, Entrant, Settled};
use super::entries::GROUPS_MAX;
use super::error::StartError;
use super::freshness::Freshness;
use super::handle::Replica;
use super::identity::Place;
use super::proposer::{OPERATIONS_MAX, PENDING_MAX};
use super::rounds::ASKERS_MAX;
use super::runner::Runner;
use super::service::Service;
use super::settings::{Settings, Start};
use crate::host::{self, Host, Socket};
use crate::metrics::Metrics;
use crate::raft::Peer;
use crate::store::{LogStore, Snapshots, StateStore, StoreError};
use crate::transport::{Caller, Links, Listener, Local, Network, Told};
use crate::trust::{Myself, Register};
use openraft::{Config, Raft};
use parking_lot::Mutex;
use quorate_domain::{BootId, Clock, ClusterId, NodeId};
use quorate_membership::Profile;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

/// As long as the largest state may take over a slow link.
const SNAPSHOT_PATIENCE_MS: u64 = 60_000;

impl Replica {
    /// Binds the peer address, opens the data directory and starts Raft. Nothing is answered before
    /// [`Runner::run`] runs.
    ///
    /// # Errors
    /// When the address is taken, the directory cannot be used, or no cluster lets the node in.
    pub async fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        start: Start,
    ) -> Result<(Self, Runner), StartError> {
        Self::start_on(Host::machine(), settings, (clock, metrics), start).await
    }

    /// The same on another host.
    ///
    /// # Errors
    /// As [`Replica::start`].
    pub async fn start_on(
        host: Host,
        settings: Settings,
        (clock, metrics): (Arc<dyn Clock>, Metrics),
        start: Start,
    ) -> Result<(Self, Runner), StartError> {
        let (socket, address) = listen(&host, &settings).await?;
        // The lock on the log guards the identity too: no second process gets past it.
        host.disk.create_dir(&settings.dir).map_err(|error| StoreError::from_io(&settings.dir, &error))?;
        let log = LogStore::open(&*host.disk, &settings.dir.join("raft"), metrics.log.clone())?;
        let profile = entrance::profile(&settings, address);
        let entrant =
            Entrant { host: &host, settings: &settings, clock: &clock, profile: &profile, log: &log };
        let settled = entrant.settle(start).await?;
        Opened { host, settings, clock, metrics, socket, profile, log, settled }.run().await
    }
}

async fn listen(host: &Host, settings: &Settings) -> Result<(Box<dyn Socket>, String), StartError> {
    let failed = |error: std::io::Error| StartError::Listen {
        address: settings.listen.to_string(),
        cause: error.to_string(),
    };
    let socket = host.network.listen(settings.listen).await.map_err(failed)?;
    let bound = socket.address().map_err(failed)?;
    if bound.ip().is_unspecified() && settings.advertise.is_none() {
        let problem = format!("peers cannot dial {bound}: an address to advertise must be set");
        return Err(StartError::Settings(problem));
    }
    let address = settings.advertise.clone().unwrap_or_else(|| bound.to_string());
    Ok((socket, address))
}

fn draw_boot() -> Result<BootId, StartError> {
    host::random().map(BootId::new).map_err(|error| StartError::Random(error.to_string()))
}

/// Everything but Raft.
struct Opened {
    host: Host,
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    socket: Box<dyn Socket>,
    profile: Profile,
    log: LogStore,
    settled: Settled,
}

impl Opened {
    /// Opens the snapshots, which must reach as far as the log begins.
    fn snapshots(&self) -> Result<Arc<Snapshots>, StartError> {
        let snapshots = Snapshots::open(self.host.disk.clone(), &self.settings.dir.join("snapshots"))?;
        snapshots.reach(self.log.purged())?;
        Ok(Arc::new(snapshots))
    }

    async fn run(self) -> Result<(Replica, Runner), StartError> {
        let (boot, snapshots) = (draw_boot()?, self.snapshots()?);
        let (applied_sender, applied) = watch::channel(0);
        let (metrics, levels) = (self.metrics.snapshot.clone(), self.settings.levels);
        let store = StateStore::new(snapshots.clone(), applied_sender, metrics, levels);
        let (state, refused) = (store.state().clone(), store.refused());
        let Place { cluster, node, founder, lineage } = self.settled.place;
        let (storage, starts) = (self.settled.storage, self.settled.starts);
        let myself = Myself { cluster, lineage, node, storage, starts, boot, levels };
        let register = Arc::new(Register::new(myself, state.clone(), self.log.clone()));
        let (keyring, told) = (Arc::new(self.settled.keyring), Told::default());
        let local = Local::Member(keyring.clone(), register.clone());
        let (links, link_tasks) =
            Links::new(Caller { local, told: told.clone(), network: self.host.network.clone() });
        let links = Arc::new(links);
        let config = Arc::new(raft_config(&self.settings, cluster)?);
        let raft = Raft::new(node.get(), config, Network(links.clone()), self.log.clone(), store).await;
        let raft = raft.map_err(|fatal| not_started(refused.get(), &snapshots, &fatal))?;
        register.attach(raft.clone());
        if founder {
            found(&raft, node, &self.profile.peer_address).await?;
        }
        let (pending, pending_queue) = mpsc::channel(PENDING_MAX);
        let (groups, group_queue) = mpsc::channel(GROUPS_MAX);
        let (askers, asker_queue) = mpsc::channel(ASKERS_MAX);
        let core = Arc::new(Core {
            node,
            cluster,
            boot,
            profile: self.profile,
            register: register.clone(),
            keyring: keyring.clone(),
            certificates: self.settings.certificates,
            timings: self.settings.timings,
            clock: self.clock,
            state,
            raft: raft.clone(),
            log: self.log,
            refused,
            links,
            disk: self.host.disk,
            metrics: self.metrics,
            applied,
            leader: watch::Sender::new(None),
            compared: watch::Sender::default(),
            sequence: AtomicU64::new(1),
            operations: Arc::new(Semaphore::new(OPERATIONS_MAX)),
            pending,
            groups,
            freshness: Freshness::new(self.settings.revocation_bound, askers),
            outlook: Mutex::default(),
            dir: self.settings.dir,
            limits: self.settings.machine,
            vitals: Mutex::default(),
        });
        let service = Service(core.clone());
        let listener = Listener { keyring, register, told: told.clone(), raft, snapshots, service };
        let runner = Runner {
            core: core.clone(),
            socket: self.socket,
            listener,
            told,
            links: link_tasks,
            pending: pending_queue,
            groups: group_queue,
            rounds: asker_queue,
        };
        Ok((Replica(core), runner))
    }
}

/// openraft says that it could not read, but not what.
fn not_started(
    refused: Option<&StoreError>,
    snapshots: &Snapshots,
    fatal: &dyn std::fmt::Display,
) -> StartError {
    let unreadable = || snapshots.verify().err();
    let cause = refused.cloned().or_else(unreadable);
    cause.map_or_else(|| StartError::Raft(fatal.to_string()), StartError::Store)
}

/// Makes the founder the only member, unless it was done before.
async fn found(
    raft: &Raft<crate::raft::Types, StateStore>,
    node: NodeId,
    address: &str,
) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
    if raft.is_initialized().await.map_err(|error| failed(&error))? {
        return Ok(());
    }
    let members = BTreeMap::from([(node.get(), Peer { address: address.to_owned() })]);
    raft.initialize(members).await.map_err(|error| failed(&error))
}

fn raft_config(settings: &Settings, cluster: ClusterId) -> Result<Config, StartError> {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let timings = settings.timings;
    let config = Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: millis(timings.heartbeat),
        election_timeout_min: millis(timings.election_min),
        election_timeout_max: millis(timings.election_max),
        // Two nodes that see each other but not their leader would wait for it without end otherwise.
        quorum_loss_probe_interval: Some(4 * millis(timings.election_max)),
        enable_pre_vote: Some(true),
        // A leader may have agreed with a quorum of the others on what its own disk did not hold yet when it died. If it went
        // on in its old term, it would put other entries in their place.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: SNAPSHOT_PATIENCE_MS,
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(settings.snapshots.every),
        max_in_snapshot_log_to_keep: settings.snapshots.keep,
        replication_lag_threshold: settings.snapshots.keep.max(1),
        purge_batch_size: (settings.snapshots.every / 8).clamp(1, 4_096),
        max_payload_entries: 1_024,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Settings(error.to_string()))
}
