//! The end of a window that many keys share, all of them in use: how long admissions take before, over and after it, and what
//! it takes in entries of the log. A minute stands for midnight.
//!
//! Funds and treasurers are the gateway's own, one for each node, with real journals on one disk; they share one ledger in memory that
//! answers after a millisecond. Requests come at an even rate, key after key, from a thread that does nothing else.

use crate::clock::{self, SystemClock};
use crate::local::{Local, Written};
use crate::machine;
use crate::statistics::quantile;
use anyhow::{Context, Result};
use futures_util::FutureExt as _;
use parking_lot::{Mutex, RwLock};
use prometheus_client::registry::Registry;
use quorate_catalog::{
    Actor, ApiKeyText, Apply, Catalog, Change, Claim, EndUser, Founding, KeySpec, NewKey, Outcome, Pepper,
    Role,
};
use quorate_consensus::{Journal, JournalMetrics};
use quorate_domain::{
    Amount, Clock, ClusterId, KeyId, LogTime, Name, NanoUsd, NodeId, Period, Secret, Subject, Tags, Tokens,
    Unit,
};
use quorate_gateway::Funds;
use quorate_gateway::replica::Replica as _;
use quorate_ledger::{AutoResolve, BudgetSpec, Command, Expected, Kind, Ledger, PutBudget, Reserve};
use quorate_node::BridgedJournal;
use quorate_wallet::{Charge, Cost};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PEPPER: [u8; 32] = [42; 32];
const PATIENCE: Duration = Duration::from_secs(10);
/// What the clock says when it begins: in the first minute all keys come into use.
const BEGINNING: LogTime = LogTime::from_millis(5_000);
/// Each key is used once so often on each node.
const USED_EVERY: Duration = Duration::from_secs(30);
/// The edges that are looked at.
const EDGES: Range<i64> = 1..3;
/// Seconds around an edge.
const PHASES: [(&str, Range<i64>); 6] = [
    ("20 to 15 s before", -20..-15),
    ("15 to 5 s before", -15..-5),
    ("5 s before", -5..0),
    ("the first second", 0..1),
    ("1 to 5 s after", 1..5),
    ("5 to 20 s after", 5..20),
];

/// What was found in one second.
#[derive(Debug, Default)]
struct Second {
    nanos: Vec<u32>,
    waited: Vec<u32>,
    written: Written,
}

type Seconds = Arc<Mutex<BTreeMap<i64, Second>>>;

/// Measures and prints a table.
pub(crate) fn measure(keys: u64, nodes: u64, runtime: &Runtime) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(SystemClock::start_at(BEGINNING));
    let (local, texts) = state(keys, clock.clone())?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut seats = Vec::new();
    for node in 1..=nodes {
        let seat = local.seat(NodeId::new(node));
        let journal = Arc::new(journal(&folder.path().join(node.to_string()), &clock)?);
        let (funds, treasurer) = Funds::new(Arc::new(seat), journal, clock.clone());
        tasks.spawn_on(treasurer.run(stop.clone(), Duration::ZERO), runtime.handle());
        seats.push(funds);
    }
    runtime.spawn(keep_time(local.clone(), clock.clone(), stop.clone()));
    while !seats.iter().all(Funds::is_open) {
        std::thread::yield_now();
    }
    let load =
        Load { local, seats, texts, clock, handle: runtime.handle().clone(), seconds: Seconds::default() };
    load.run(keys)?;
    println!("{}", report(keys, nodes, &load.seconds));
    stop.cancel();
    runtime.block_on(async { tasks.join_next().await }).context("there is no treasurer")???;
    Ok(())
}

/// What the node's ticker does.
async fn keep_time(local: Local, clock: Arc<SystemClock>, stop: CancellationToken) {
    let until_next = || Duration::from_millis((60_000 - clock.wall().millis() % 60_000).min(1_000));
    while tokio::time::timeout(until_next(), stop.cancelled()).await.is_err() {
        drop(local.propose_ledger(Command::Tick, PATIENCE).await);
    }
}

/// Who sends the requests.
struct Load {
    local: Local,
    seats: Vec<Funds>,
    texts: Vec<Secret<String>>,
    clock: Arc<SystemClock>,
    handle: Handle,
    seconds: Seconds,
}

impl Load {
    fn run(&self, keys: u64) -> Result<()> {
        let pairs = self.texts.len() * self.seats.len();
        let claim = Claim { route: Name::parse("chat")?, tags: Tags::default(), end_user: EndUser::Unsaid };
        let (start, end) = (clock::now(), EDGES.end * 60_000 - 60_000 + 20_000);
        let gap = USED_EVERY.div_f64(keys as f64 * self.seats.len() as f64);
        let mut written = Written::default();
        for number in 0_usize.. {
            let due = start + gap.mul_f64(number as f64);
            let ahead = due.saturating_duration_since(clock::now());
            if ahead > Duration::from_micros(100) {
                std::thread::sleep(ahead);
            }
            let millis = i64::try_from(self.clock.wall().millis())?;
            if millis >= end {
                return Ok(());
            }
            let (key, seat) = (number % pairs / self.seats.len(), number % self.seats.len());
            self.admit(key, seat, &claim, millis / 1_000)?;
            let now = self.local.written();
            if now.entries > written.entries {
                let mut seconds = self.seconds.lock();
                let counted = &mut seconds.entry(millis / 1_000).or_default().written;
                counted.entries += now.entries - written.entries;
                counted.items += now.items - written.items;
                written = now;
            }
        }
        Ok(())
    }

    /// What the request path does between the head of a request and the provider, but for parsing the body. Who has to wait does so
    /// elsewhere.
    fn admit(&self, key: usize, seat: usize, claim: &Claim, second: i64) -> Result<()> {
        let begun = clock::now();
        let funds = &self.seats[seat];
        let now = self.local.ledger().read().time();
        let found = self.local.catalog().read().authenticate(self.texts[key].expose(), now)?;
        let subjects = self.local.catalog().read().subjects_of(&found, claim);
        let path = funds.path_of(&subjects).map_err(|unmet| anyhow::anyhow!("{unmet:?}"))?;
        if let Ok(reservation) = funds.try_reserve(&path, &cost(1_000).into()) {
            let took = u32::try_from(begun.elapsed().as_nanos())?;
            funds.settle(reservation, &cost(100)).now_or_never().context("a settlement waited")?;
            self.seconds.lock().entry(second).or_default().nanos.push(took);
        } else {
            self.handle.spawn(wait(funds.clone(), path, begun, second, Arc::clone(&self.seconds)));
        }
        Ok(())
    }
}

async fn wait(funds: Funds, path: Vec<Charge>, begun: Instant, second: i64, seconds: Seconds) {
    let reservation = funds.reserve(&path, &cost(1_000).into(), PATIENCE).await.expect("no budget is spent");
    let took = u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX);
    funds.settle(reservation, &cost(100)).await;
    seconds.lock().entry(second).or_default().waited.push(took);
}

fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::ZERO }
}

fn report(keys: u64, nodes: u64, seconds: &Seconds) -> String {
    let mut lines = vec![
        format!("{keys} keys in use on {nodes} nodes. Machine: {}.\n", machine::describe()),
        "| edge | when | admissions | p50 µs | p99 µs | p999 µs | longest µs | of them waited | entries/s | items/s |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let seconds = seconds.lock();
    for edge in EDGES {
        for (name, phase) in PHASES {
            let span = phase.end - phase.start;
            let of_phase = || seconds.range(edge * 60 + phase.start..edge * 60 + phase.end).map(|(_, it)| it);
            let mut nanos: Vec<u32> =
                of_phase().flat_map(|it| it.nanos.iter().chain(&it.waited)).copied().collect();
            let waited: usize = of_phase().map(|it| it.waited.len()).sum();
            let entries: usize = of_phase().map(|it| it.written.entries).sum();
            let items: usize = of_phase().map(|it| it.written.items).sum();
            let at = |nanos: &mut Vec<u32>, permille| f64::from(quantile(nanos, permille)) / 1_000.0;
            let [p50, p99, p999, longest] = [500, 990, 999, 1_000].map(|permille| at(&mut nanos, permille));
            let count = nanos.len();
            let per_second = |count: usize| count as f64 / span as f64;
            let (entries, items) = (per_second(entries), per_second(items));
            lines.push(format!(
                "| {edge} | {name} | {count} | {p50:.1} | {p99:.1} | {p999:.1} | {longest:.0} | {waited} | {entries:.0} | {items:.0} |"
            ));
        }
    }
    lines.join("\n")
}

/// Keys, and a budget for each.
fn state(keys: u64, clock: Arc<dyn Clock>) -> Result<(Local, Vec<Secret<String>>)> {
    let mut catalog = Catalog::default();
    let founder = ApiKeyText::mint(KeyId::new(1), &[1; 32]);
    let founding = Founding::new(ClusterId::new(1), Secret::new(PEPPER), &founder);
    apply(&mut catalog, quorate_catalog::Command::Found(founding))?;
    let pepper = Pepper::new(Secret::new(PEPPER));
    let mut ledger = Ledger::default();
    let mut texts = Vec::new();
    for key in (2..2 + keys).map(KeyId::new) {
        let text = ApiKeyText::mint(key, &[7; 32]);
        let spec = KeySpec::default();
        let digest = pepper.digest(text.expose());
        let changes = vec![Change::CreateKey(NewKey { id: key, role: Role::Client, spec, digest })];
        let actor = Actor::Node(NodeId::new(1));
        apply(&mut catalog, quorate_catalog::Command::Apply(Apply { actor, reason: None, changes }))?;
        ledger.apply(BEGINNING, Command::PutBudget(budget_of(key)));
        texts.push(Secret::new(text.expose().to_owned()));
    }
    Ok((Local::by_clock(RwLock::new(catalog), RwLock::new(ledger), clock), texts))
}

fn budget_of(key: KeyId) -> PutBudget {
    let spec = BudgetSpec {
        subject: Subject::Key(key),
        unit: Unit::Tokens,
        kind: Kind::Fixed(Period::Minute),
        limit: Amount::new(10_000_000),
        auto_resolve: AutoResolve::Never,
        reserve: Reserve::Bound,
    };
    PutBudget { spec, expected: Expected::Absent }
}

fn apply(catalog: &mut Catalog, command: quorate_catalog::Command) -> Result<()> {
    match catalog.apply(BEGINNING, command) {
        Outcome::Applied { .. } => Ok(()),
        Outcome::Rejected(rejection) => Err(rejection.into()),
    }
}

/// The journal of a node, on a disk.
fn journal(folder: &Path, clock: &Arc<SystemClock>) -> Result<BridgedJournal> {
    std::fs::create_dir_all(folder)?;
    let metrics = JournalMetrics::register(&mut Registry::default(), clock.clone());
    Ok(BridgedJournal(Journal::open(folder, metrics)?))
}
