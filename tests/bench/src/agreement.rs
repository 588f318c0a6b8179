//! One agreed write: a cluster of three processes over loopback, all logs on one disk, the callers inside the
//! leader's process, as the prototype was measured.

use crate::clock::{self, SystemClock};
use crate::process::{Running, poll};
use crate::statistics;
use anyhow::{Context, Result, ensure};
use prometheus_client::registry::Registry;
use quorate_consensus::{
    CERTIFICATE_LIFETIME, MachineLimits, Metrics, Replica, Settings, SnapshotPolicy, Start, Timings,
};
use quorate_domain::{Clock, SessionId, Span};
use quorate_membership::{JoinToken, Levels};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const NODES: usize = 3;
const CALLERS: [usize; 3] = [1, 16, 256];
const SLICE: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);
/// Longer than the followers take to start.
const TOKEN_TTL: Span = Span::from_millis(600_000);
const REAL_TIME: [&str; 3] = ["chrt", "-r", "5"];
const BOTH_CORES: &str = "0,1";
/// Between two looks at the membership of a cluster that grows.
const PAUSE: Duration = Duration::from_millis(10);

/// What the prototype found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    pub(crate) per_second: f64,
    /// In milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// With 1, 16 and 256 callers. The throw-away prototype with its writes in batches, three processes over loopback, all three logs on the one
/// disk. First in real-time scheduling, then in ordinary scheduling at a load of 9 to 12.
const PROTOTYPE: [[Before; 3]; 2] = [
    [before(2_534.0, 0.39, 0.58), before(19_911.0, 0.78, 1.23), before(185_903.0, 1.35, 2.39)],
    // Of one caller and of sixteen, p99 was only noted for writes without batches.
    [before(1_462.0, 0.58, 3.5), before(11_670.0, 1.25, 6.0), before(79_913.0, 3.1, 7.6)],
];

const fn before(per_second: f64, p50: f64, p99: f64) -> Before {
    Before { per_second, p50, p99 }
}

/// How the kernel shares the cores between the cluster and everything else on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheduling {
    /// Before everything else, as the prototype's better figures were measured.
    RealTime,
    /// With everything else.
    Ordinary,
}

impl Scheduling {
    /// Both, as far as this user may use them.
    pub(crate) fn allowed() -> Vec<Self> {
        let [program, words @ ..] = REAL_TIME;
        let tried = Command::new(program).args(words).arg("true").stderr(Stdio::null()).status();
        let may = tried.is_ok_and(|status| status.success());
        if may { vec![Self::RealTime, Self::Ordinary] } else { vec![Self::Ordinary] }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RealTime => "real-time",
            Self::Ordinary => "ordinary",
        }
    }

    /// What the prototype found when it was scheduled so.
    pub(crate) const fn prototype(self) -> &'static [Before; 3] {
        match self {
            Self::RealTime => &PROTOTYPE[0],
            Self::Ordinary => &PROTOTYPE[1],
        }
    }

    const fn prefix(self) -> &'static [&'static str] {
        match self {
            Self::RealTime => &REAL_TIME,
            Self::Ordinary => &[],
        }
    }
}

/// What was found with so many callers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) callers: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_micros: u32,
    pub(crate) p99_micros: u32,
}

/// Starts the cluster, each node a process of this program on both cores, and waits for what its leader finds.
pub(crate) async fn measure(folder: &Path, scheduling: Scheduling) -> Result<Vec<Point>> {
    let folder = folder.join(format!("agreement-{}", scheduling.name()));
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let start = |role: &str, leader: Option<&str>| {
        let folder = folder.join(format!("replica-{role}"));
        fs::create_dir_all(&folder)?;
        let log = folder.join("output.log");
        let data = folder.join("data").to_string_lossy().into_owned();
        let mut command: Vec<String> = scheduling.prefix().iter().map(|&word| word.to_owned()).collect();
        command.extend([program.clone(), "replica".to_owned(), data]);
        command.extend(leader.map(str::to_owned));
        Ok::<_, anyhow::Error>((Running::start(BOTH_CORES, &command, &log)?, log))
    };
    let line = |log: &Path, number| Ok(fs::read_to_string(log)?.lines().nth(number).map(str::to_owned));
    let (mut leader, log) = start("leader", None)?;
    let token = poll("the leader's join token", || line(&log, 0)).await?;
    let mut followers = Vec::new();
    for number in 1..NODES {
        followers.push(start(&format!("follower-{number}"), Some(&token))?);
    }
    let found = || match line(&log, 1)? {
        Some(found) => Ok(serde_json::from_str(&found).ok()),
        None => leader.check(&log).map(|()| None),
    };
    poll("what the leader found", found).await
}

/// Plays a node: founds a cluster and measures once all have joined, or joins one and serves until it is ended.
pub(crate) async fn play(folder: PathBuf, leader: Option<String>) -> Result<()> {
    let is_founder = leader.is_none();
    let start = match leader {
        None => Start::Found,
        Some(token) => Start::Join(JoinToken::parse(&token)?),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let metrics = Metrics::register(&mut Registry::default(), clock.clone());
    let settings = Settings {
        dir: folder,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        name: None,
        zone: None,
        admin_address: "127.0.0.1:1".to_owned(),
        certificates: CERTIFICATE_LIFETIME,
        levels: Levels::OURS,
        machine: MachineLimits::DEFAULT,
        revocation_bound: quorate_lease::RevocationBound::DEFAULT,
        timings: Timings::default(),
        snapshots: SnapshotPolicy::default(),
    };
    let (replica, runner) = Replica::start(settings, clock, metrics, start).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(runner.run(CancellationToken::new()));
    if is_founder {
        let uses = u32::try_from(NODES).unwrap_or(u32::MAX);
        let token = replica.create_token(TOKEN_TTL, uses, "a measurement".to_owned()).await?;
        println!("{}", token.expose());
        while replica.status().peers.iter().filter(|peer| peer.votes).count() < NODES {
            tokio::time::sleep(PAUSE).await;
        }
        println!("{}", serde_json::to_string(&points(&replica).await?)?);
    }
    tasks.join_next().await.context("the replica never ran")???;
    Ok(())
}

async fn points(replica: &Replica) -> Result<Vec<Point>> {
    let mut found = Vec::new();
    for callers in CALLERS {
        point(replica, callers, WARM_UP).await?;
        found.push(point(replica, callers, SLICE).await?);
    }
    let leads = *replica.leader().borrow() == Some(replica.node());
    ensure!(leads, "the leader changed while it was measured");
    Ok(found)
}

async fn point(replica: &Replica, callers: usize, slice: Duration) -> Result<Point> {
    let begun = clock::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(write(replica.clone(), begun + slice));
    }
    let mut micros: Vec<u32> = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        micros.extend(ended??);
    }
    let elapsed = (clock::now() - begun).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 writes")]
    let per_second = micros.len() as f64 / elapsed;
    let p50_micros = statistics::quantile(&mut micros, 500);
    Ok(Point { callers, per_second, p50_micros, p99_micros: statistics::quantile(&mut micros, 990) })
}

/// One caller: writes again when the last write is applied. The microseconds of each.
async fn write(replica: Replica, end: Instant) -> Result<Vec<u32>> {
    // As small as a command gets; the ledger knows no such session and says so, after all nodes agreed on it.
    let command = quorate_ledger::Command::CloseSession { session: SessionId::new(u64::MAX) };
    let mut micros = Vec::new();
    loop {
        let sent = clock::now();
        if sent >= end {
            return Ok(micros);
        }
        replica.propose(quorate_consensus::Command::Ledger(command.clone())).await?;
        micros.push(u32::try_from((clock::now() - sent).as_micros()).unwrap_or(u32::MAX));
    }
}
