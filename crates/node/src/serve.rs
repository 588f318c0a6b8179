//! A node's life: bind → become a member → build → serve → drain.

use crate::bridge::{BridgedJournal, BridgedReplica};
use crate::entrance::{Entrance, Member};
use crate::founding::Foundation;
use crate::leaving::{Leaving, Left};
use crate::stop::StopSignal;
use crate::tasks::{Ended, OnEnd, Tasks};
use crate::waiting_room::WaitingRoom;
use crate::watchdog::{Watchdog, Watched};
use crate::{Settings, SystemClock, environment, log, reserve, ticker};
use anyhow::{Context, Result, anyhow};
use prometheus_client::registry::Registry;
use quorate_consensus::{Journal, JournalMetrics};
use quorate_domain::Clock;
use quorate_gateway::admin::Admin;
use quorate_gateway::{Funds, Limits, Metrics, Operations, Proxy, server, time_zones};
use quorate_upstream::{Credentials, PoolSettings, Upstream};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// For load balancers to see that the node is unready before it stops accepting, when it was not drained before it is told to stop. One
/// probe a second is usual.
const UNREADY_BEFORE_CLOSING: Duration = Duration::from_millis(1_500);
/// Returning grants takes a few entries of the log; without a quorum it takes for ever, and the journal must do.
const RETURN_LIMIT: Duration = Duration::from_secs(5);
/// Handing leadership over and closing files.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Admin requests are short.
const ADMIN_LIMIT: Duration = Duration::from_secs(1);

/// Runs a node until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// When it cannot start, or when something without which it must not go on has failed, such as its disk.
pub async fn serve(settings: Settings) -> Result<()> {
    let filter = log::start(&settings.log_level)?;
    let mut stop = StopSignal::listen()?;
    make_private(&settings.data_dir)?;
    reserve::keep(&settings.data_dir, settings.reserve_bytes)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let client_listener = server::bind(settings.client_listen).await?;
    let admin_listener = server::bind(settings.admin_listen).await?;
    let mut registry = Registry::with_prefix("quorate");
    let consensus_metrics = quorate_consensus::Metrics::register(&mut registry, Arc::clone(&clock));
    let journal_metrics = JournalMetrics::register(&mut registry, Arc::clone(&clock));
    let metrics = Arc::new(Metrics::new(&mut registry));

    let (door, room) = WaitingRoom::new();
    let admin = Arc::new(Admin::new(Arc::clone(&clock), Arc::new(door), Arc::new(filter)));
    let operations = Arc::new(Operations::new(registry, Arc::clone(&clock)));
    let mut operators = Tasks::new(CancellationToken::new());
    let router = operations.router(&admin);
    spawn_server(&mut operators, "admin server", admin_listener, router, ADMIN_LIMIT);

    let entrance = Entrance { settings: &settings, clock: &clock, metrics: consensus_metrics };
    let member = tokio::select! {
        member = entrance.become_member(room) => member?,
        () = stop.told() => None,
    };
    let Some(member) = member else { return Ok(()) };
    let journal =
        Journal::open(&settings.data_dir.join("journal"), journal_metrics).context("open the journal")?;
    let node = Node { settings, clock, metrics, admin, operations, operators };
    node.live(member, journal, client_listener, stop).await
}

/// The data directory holds the pepper and stored provider values: nobody else may read it.
fn make_private(data_dir: &Path) -> Result<()> {
    let failed = || format!("create the data directory {}", data_dir.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).with_context(failed)?;
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700)).with_context(failed)
}

fn spawn_server(
    tasks: &mut Tasks,
    name: &'static str,
    listener: TcpListener,
    router: quorate_gateway::Router,
    grace: Duration,
) {
    let stop = tasks.stop();
    tasks.spawn(name, OnEnd::StopNode, async move {
        let cut_off = server::serve(listener, router, stop, grace).await;
        if cut_off > 0 {
            tracing::warn!(cut_off, "connections were cut off at the end of the drain");
        }
        Ok(())
    });
}

/// Why a node ends.
enum Why {
    /// It was told to.
    Told,
    /// It cannot go on without what has ended.
    Failed(Ended),
    /// The same, and nothing can be agreed on any more.
    RaftFailed(Ended),
}

impl Why {
    /// How long grants may take to go back. Without Raft nobody takes them; the journal settles them at the next start.
    const fn return_limit(&self) -> Duration {
        match self {
            Self::Told | Self::Failed(_) => RETURN_LIMIT.saturating_mul(2),
            Self::RaftFailed(_) => Duration::ZERO,
        }
    }
}

/// What works on a node that serves, in the order in which it ends.
struct Parts {
    edge: Tasks,
    money: Tasks,
    /// The treasurer alone: it ends with a drain, while the process goes on.
    treasury: Tasks,
    raft: Tasks,
}

/// Opens a session with the ledger, and keeps money flowing.
fn treasury_of(funds: &Funds) -> Tasks {
    let mut treasury = Tasks::new(CancellationToken::new());
    let (treasurer, end) = (funds.treasurer(), treasury.stop());
    treasury.spawn("treasurer", OnEnd::StopNode, async move { Ok(treasurer.run(end, RETURN_LIMIT).await?) });
    treasury
}

/// A node with everything but its membership.
struct Node {
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    admin: Arc<Admin>,
    operations: Arc<Operations>,
    operators: Tasks,
}

impl Node {
    async fn live(
        mut self,
        member: Member,
        journal: Journal,
        client_listener: TcpListener,
        mut stop: StopSignal,
    ) -> Result<()> {
        let mut raft = Tasks::new(CancellationToken::new());
        let (end, runner) = (raft.stop(), member.runner);
        raft.spawn("raft", OnEnd::StopNode, async move { Ok(runner.run(end).await?) });
        let _watchdog = self.watch(&member.replica, &journal)?;
        let cluster = member.replica.cluster();
        log::name(member.replica.node());
        let replica: Arc<dyn quorate_gateway::replica::Replica> = Arc::new(BridgedReplica(member.replica));
        self.admin.attach(Arc::clone(&replica));
        self.operations.attach_replica(Arc::clone(&replica));

        let mut money = Tasks::new(CancellationToken::new());
        if let Some(founder) = member.founder {
            let foundation = Foundation {
                replica: Arc::clone(&replica),
                cluster,
                clock: Arc::clone(&self.clock),
                data_dir: self.settings.data_dir.clone(),
                beginning: self.settings.beginning.clone(),
            };
            if member.is_new {
                // Whoever sees this node ready must find in it what its file says.
                tokio::select! {
                    laid = foundation.lay(founder) => laid?,
                    // The next start lays the rest.
                    ended = raft.first_fatal() => return Err(failure(ended)),
                    () = stop.told() => return Ok(()),
                }
            } else {
                money.spawn("foundation", OnEnd::Ignore, foundation.keep_laid(founder));
            }
        } else if !self.settings.beginning.is_empty() {
            tracing::warn!(
                "the objects, keys and budgets of this node's file are not used: it did not found the cluster"
            );
        }
        let funds = self.fund(&replica, journal, &mut money);
        let proxy = self.proxy(Arc::clone(&replica), funds.clone());
        self.operations.attach(&proxy);
        self.admin.attach_work(Arc::clone(&proxy));
        let mut edge = Tasks::new(CancellationToken::new());
        spawn_server(&mut edge, "client server", client_listener, proxy.router(), self.settings.drain);
        tracing::info!(client = %self.settings.client_listen, admin = %self.settings.admin_listen, "serving");

        let leaving = Leaving { replica, proxy: Arc::clone(&proxy), unready: self.settings.unready };
        let mut parts = Parts { edge, money, treasury: treasury_of(&funds), raft };
        let why = self.work_until_the_end(&leaving, &funds, &mut parts, &mut stop).await;
        self.drain(&proxy, parts, why).await
    }

    /// Serves, drains when somebody asks for it and serves again when that is taken back, until something ends the node.
    async fn work_until_the_end(
        &mut self,
        leaving: &Leaving,
        funds: &Funds,
        parts: &mut Parts,
        stop: &mut StopSignal,
    ) -> Why {
        loop {
            tokio::select! {
                why = self.end(parts, stop) => return why,
                () = leaving.asked() => {}
            }
            let left = tokio::select! {
                why = self.end(parts, stop) => return why,
                left = leaving.become_idle() => left,
            };
            if left == Left::Idle {
                leaving.tell_returning().await;
                let treasury = std::mem::take(&mut parts.treasury);
                report(treasury.drain(RETURN_LIMIT.saturating_mul(2)).await);
                tokio::select! {
                    why = self.end(parts, stop) => return why,
                    () = leaving.rest() => {}
                }
                parts.treasury = treasury_of(funds);
            }
            leaving.return_to_work();
        }
    }

    /// Waits for what ends the node.
    async fn end(&mut self, parts: &mut Parts, stop: &mut StopSignal) -> Why {
        tokio::select! {
            () = stop.told() => Why::Told,
            ended = parts.edge.first_fatal() => Why::Failed(ended),
            ended = parts.money.first_fatal() => Why::Failed(ended),
            ended = parts.treasury.first_fatal() => Why::Failed(ended),
            ended = parts.raft.first_fatal() => Why::RaftFailed(ended),
            ended = self.operators.first_fatal() => Why::Failed(ended),
        }
    }

    /// Watches over the disk for as long as the node lives.
    fn watch(&self, replica: &quorate_consensus::Replica, journal: &Journal) -> Result<Watchdog> {
        let log = Watched { what: "log", underway: replica.underway() };
        let marks = Watched { what: "journal", underway: journal.underway() };
        let told = replica.clone();
        let dog = Watchdog::start(Arc::clone(&self.clock), vec![log, marks], move || told.note_stall());
        dog.context("watch over the disk")
    }

    /// Makes this node's funds, and sets the tasks to work that keep the cluster's time going.
    fn fund(
        &self,
        replica: &Arc<dyn quorate_gateway::replica::Replica>,
        journal: Journal,
        money: &mut Tasks,
    ) -> Funds {
        let journal = Arc::new(BridgedJournal(journal));
        let (funds, _treasurer) = Funds::new(Arc::clone(replica), journal, Arc::clone(&self.clock));
        self.admin.attach_funds(funds.clone());
        let (end, renewal) =
            (money.stop(), time_zones::refresh(Arc::clone(replica), Arc::clone(&self.clock)));
        money.spawn("time zones", OnEnd::Ignore, async move {
            end.run_until_cancelled(renewal).await;
            Ok(())
        });
        let beat = ticker::keep_time(Arc::clone(replica), Arc::clone(&self.clock), money.stop());
        money.spawn("ticker", OnEnd::Ignore, async {
            beat.await;
            Ok(())
        });
        funds
    }

    fn proxy(&self, replica: Arc<dyn quorate_gateway::replica::Replica>, funds: Funds) -> Arc<Proxy> {
        let credentials = Credentials::new(|name| environment(name).ok());
        Proxy::new(quorate_gateway::Parts {
            replica,
            funds,
            upstream: Upstream::new(PoolSettings::default(), credentials, Arc::clone(&self.clock)),
            clock: Arc::clone(&self.clock),
            limits: Limits {
                body_bytes_max: self.settings.body_bytes_max,
                budget_wait: self.settings.budget_wait,
                output_tokens_min: self.settings.output_tokens_min,
                idempotency: self.settings.idempotency,
            },
            metrics: Arc::clone(&self.metrics),
        })
    }

    /// The order is the point: unready → clear the line → stop accepting → finish requests → settle and return grants → hand
    /// leadership over → close. Something that failed skips what it made pointless.
    async fn drain(self, proxy: &Proxy, parts: Parts, why: Why) -> Result<()> {
        let Parts { edge, money, treasury, raft } = parts;
        tracing::info!("draining");
        // Whoever was drained before is unready for long enough already.
        if let (Why::Told, false) = (&why, proxy.is_draining()) {
            proxy.begin_drain();
            tokio::time::sleep(UNREADY_BEFORE_CLOSING.min(self.settings.unready)).await;
        }
        proxy.begin_drain();
        proxy.clear_the_line();
        let closed_at = self.clock.mono();
        report(edge.drain(self.settings.drain).await);
        // Requests whose clients are gone have no connection that ends with them, but the same deadline.
        let left = self.settings.drain.saturating_sub(self.clock.mono().since(closed_at));
        let unfinished = proxy.finish(left).await;
        if unfinished > 0 {
            tracing::warn!(unfinished, "requests did not end in time; what they reserved stays charged");
        }
        report(treasury.drain(why.return_limit()).await);
        report(money.drain(ADMIN_LIMIT).await);
        report(raft.drain(CLOSE_LIMIT).await);
        report(self.operators.drain(ADMIN_LIMIT * 2).await);
        match why {
            Why::Told => {
                tracing::info!("stopped");
                Ok(())
            }
            Why::Failed(ended) | Why::RaftFailed(ended) => Err(failure(ended)),
        }
    }
}

fn report((failed, aborted): (Vec<Ended>, usize)) {
    for ended in failed {
        let error = ended.error.map(|error| format!("{error:#}"));
        tracing::error!(task = ended.name, error, "a task failed");
    }
    if aborted > 0 {
        tracing::warn!(aborted, "tasks did not end in time");
    }
}

fn failure(ended: Ended) -> anyhow::Error {
    let name = ended.name;
    match ended.error {
        Some(error) => error.context(format!("{name} failed, and the node cannot go on without it")),
        None => anyhow!("{name} ended, and the node cannot go on without it"),
    }
}
