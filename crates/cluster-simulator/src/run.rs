//! One run: a cluster is founded and grown, traffic and harm go on for a while, everything is healed, and the judge closes the books.

use crate::life::Death;
use crate::operators::{
    Book, all_owner, apply, is_there, key_text, new_key, new_key_that, organisation, pepper, permits, put,
    spec,
};
use crate::plan::{Fault, KEYS, Plan, RequestPlan, What};
use crate::reached::Reached;
use crate::traffic::Ending;
use crate::world::{World, node_id};
use quorate_catalog::{
    Change, Command as CatalogCommand, Expected as CatalogExpected, Founding, KeySpec, OrganisationSpec,
    Outcome as CatalogOutcome, Owner, WithoutQuorum,
};
use quorate_consensus::host::seed_this_thread;
use quorate_domain::{BudgetId, KeyId, LogTime, NodeId, Period, Span, Subject, Unit};
use quorate_ledger::{Budget, BudgetSpec, Central, Expected, Kind, Ledger, Outcome, Reserve};
use quorate_membership::{By, Change as MemberChange, Order};
use quorate_simulator::{Coverage, Violation};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longer than anything takes when nothing is wrong: then somebody waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);
const WRITE_LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// A request that fits is admitted in this time once all is well.
const ADMITTED_WITHIN: Duration = Duration::from_secs(5);
/// The number of a key whose requests spend no budget.
const KNOCKER: u64 = 60;
/// Log time that moves so far at once, or stays so far behind, follows a clock that jumped.
const FAR: Span = Span::from_millis(1_800_000);
/// The longest a run takes, in simulated time.
const RUN_MAX: Duration = Duration::from_secs(300);

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first broken promise, if any.
    pub violation: Option<Violation>,
    /// What was reached.
    pub coverage: Coverage<Reached>,
    /// A digest of everything that happened.
    pub digest: u64,
    /// Requests that were sent to a provider.
    pub admitted: u64,
    /// Requests that were turned away.
    pub denied: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Milliseconds of simulated time.
    pub simulated_ms: u64,
    /// What happened, if it was to be told.
    pub story: Vec<String>,
}

/// Runs a plan. Once a process: what threads draw is not reset.
///
/// # Panics
/// When the runtime cannot be built.
#[must_use]
pub fn run(plan: &Plan, tells: bool) -> Report {
    seed_this_thread(plan.seed ^ 0x5eed);
    let runtime = runtime(plan.seed);
    let (seed, plan) = (plan.seed, plan.clone());
    let report = runtime.block_on(async {
        let world = Arc::new(World::new(plan, tells));
        if tokio::time::timeout(RUN_MAX, world.clone().all()).await.is_err() {
            world.broken("live", "the run does not end".to_owned());
        }
        let history = world.furthest().and_then(|alive| alive.replica.state().history());
        let entries = history.map_or(0, |history| history.applied);
        let lost: u64 = world.seats.iter().map(|seat| seat.platter.lost.load(Ordering::Relaxed)).sum();
        let mut judge = world.judge.lock();
        judge.coverage.reach_times(Reached::UnsyncedLost, lost);
        Report {
            seed,
            violation: judge.violation.clone(),
            coverage: judge.coverage.clone(),
            digest: world.story.digest(),
            admitted: judge.admitted,
            denied: judge.denied,
            entries,
            simulated_ms: crate::clock::millis(world.at()),
            story: world.story.lines(),
        }
    });
    // Nothing waits for what is left: it has no disk and no network, or nothing to do.
    runtime.shutdown_background();
    report
}

#[cfg(tokio_unstable)]
fn runtime(seed: u64) -> tokio::runtime::Runtime {
    let lots = tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let built = builder.enable_time().start_paused(true).rng_seed(lots).build();
    built.expect("a runtime without I/O needs nothing of the system")
}

/// Without that flag runs are not repeatable, because tokio draws lots of its own.
#[cfg(not(tokio_unstable))]
fn runtime(_seed: u64) -> tokio::runtime::Runtime {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    built.expect("a runtime without I/O needs nothing of the system")
}

/// Whether the same seed gives the same run: only if the runtime's lots can be seeded.
pub const IS_REPEATABLE: bool = cfg!(tokio_unstable);

/// What the run began with.
struct Begun {
    shared: BudgetId,
    /// The keys that will be revoked: one that requests come with, and one that spends nothing.
    revoked: [KeyId; 2],
    texts: Arc<[String]>,
}

impl World {
    async fn all(self: Arc<Self>) {
        let Some(begun) = self.found().await else {
            return self.broken("live", "the cluster was not founded".to_owned());
        };
        self.story.tell(|| "the cluster stands".to_owned());
        let until = self.at() + Duration::from_millis(self.plan.runs_ms);
        self.spawn(self.clone().send_requests(begun.texts.clone()));
        self.spawn(self.clone().do_harm());
        let shared = Subject::Organisation(organisation());
        self.spawn(self.clone().change_limits(begun.shared, shared));
        let book = self.aside(self.clone().keep_book(until));
        let revoke_at = self.at() + Duration::from_millis(self.plan.revoke_ms);
        let keys = self.aside(self.clone().keep_keys((begun.revoked, revoke_at)));
        self.spawn(self.clone().knock((key_text(KNOCKER).expose().to_owned(), revoke_at)));
        while self.at() < until {
            self.look_around();
            if self.is_broken() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.heal().await;
        let (Ok(book), Ok(keys)) = (book.await, keys.await) else {
            return self.broken("live", "an operator was never answered".to_owned());
        };
        self.end_well(book, &keys).await;
    }

    /// Does something aside, and brings back what came of it.
    fn aside<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, result) = oneshot::channel();
        self.spawn(async move { drop(sender.send(task.await)) });
        result
    }

    /// Whether a node is in the table, as one that runs knows.
    fn is_member(&self, place: usize) -> bool {
        let known = |alive: &Arc<crate::node::Alive>| {
            alive.replica.state().membership.read().get(node_id(place)).is_some()
        };
        self.all_alive().iter().any(known)
    }

    /// Gives every member a seat at once, an even number too: what matters here begins after that.
    async fn seat_all(&self) {
        while let Some(alive) = self.some_alive() {
            let (expected, voters) = {
                let table = alive.replica.state().membership.read();
                (table.revision(), table.iter().map(|(id, _)| id).collect())
            };
            let by = By { actor: "simulator".to_owned(), reason: None };
            let order = Order { expected, by, change: MemberChange::Seat { voters } };
            let command = quorate_membership::Command::Change(order);
            let seated = alive.bridged.propose_membership(command, WRITE_LIMIT).await;
            if let Ok(quorate_membership::Outcome::Done) = seated {
                return;
            }
        }
    }

    async fn found(self: &Arc<Self>) -> Option<Begun> {
        for place in 0..self.plan.nodes {
            self.boot(place);
            if !self.wait_for(|| self.is_member(place)).await {
                return None;
            }
            self.seat_all().await;
            let votes = || {
                let all = self.all_alive();
                let sees = |alive: &Arc<crate::node::Alive>| {
                    let status = alive.replica.status();
                    status.leader.is_some()
                        && status.peers.iter().filter(|peer| peer.votes).count() == place + 1
                };
                all.len() == place + 1 && all.iter().all(sees)
            };
            if !self.wait_for(votes).await {
                return None;
            }
        }
        let alive = self.alive(0)?;
        let admin = key_text(0);
        let texts: Vec<_> = (1..=KEYS as u64).map(key_text).collect();
        let found = CatalogCommand::Found(Founding::new(alive.replica.cluster(), pepper(), &admin));
        let spec_of = OrganisationSpec { name: organisation(), description: None };
        let mut changes = vec![Change::PutOrganisation { expected: CatalogExpected::Absent, spec: spec_of }];
        changes.extend(texts.iter().enumerate().map(|(number, text)| {
            let is_open = self.plan.open_keys.contains(&number);
            let without_quorum = if is_open { WithoutQuorum::Open } else { WithoutQuorum::Closed };
            new_key_that(text, KeySpec { owner: all_owner(), without_quorum, ..KeySpec::default() })
        }));
        changes.push(new_key(&key_text(KNOCKER), Owner::default()));
        for command in [found, apply(changes)] {
            let outcome = alive.bridged.propose_catalog(command, WRITE_LIMIT).await.ok()?;
            if let CatalogOutcome::Rejected(rejection) = outcome {
                self.broken("start", rejection.to_string());
                return None;
            }
        }
        let [for_ever, by_the_minute, of_each] = self.plan.limits;
        let all = Subject::Organisation(organisation());
        let shared = self.put_budget(spec(all.clone(), Kind::Lifetime, for_ever)).await?;
        self.put_budget(spec(all, Kind::Fixed(Period::Minute), by_the_minute)).await?;
        for text in &texts[..2] {
            self.put_budget(spec(Subject::Key(text.id()), Kind::Lifetime, of_each)).await?;
        }
        let third = Subject::Key(texts[2].id());
        self.put_budget(permits(third.clone(), self.plan.permits)).await?;
        let (refill, capacity, reserve) = self.plan.bucket;
        self.put_budget(BudgetSpec { reserve, ..spec(third, Kind::Bucket(refill), capacity) }).await?;
        let open = || self.all_alive().iter().all(|alive| alive.funds.is_open());
        if !self.wait_for(open).await {
            return None;
        }
        let revoked = [texts[KEYS - 1].id(), key_text(KNOCKER).id()];
        let texts = texts.iter().map(|text| text.expose().to_owned()).collect();
        Some(Begun { shared, revoked, texts })
    }

    async fn put_budget(&self, spec: BudgetSpec) -> Option<BudgetId> {
        let alive = self.some_alive()?;
        let (unit, reserve, limit) = (spec.unit, spec.reserve, spec.limit.get());
        let command = put(spec, Expected::Absent);
        let outcome = alive.bridged.propose_ledger(command, WRITE_LIMIT).await.ok()?;
        if !is_there(&outcome) {
            self.broken("start", format!("a budget was refused: {outcome:?}"));
        }
        let Outcome::BudgetStored { budget, .. } = outcome else { return None };
        let mut judge = self.judge.lock();
        judge.allowed.insert(budget, limit);
        if unit == Unit::Permits {
            judge.permits.insert(budget);
        }
        if reserve == Reserve::Estimate {
            judge.by_estimate.insert(budget);
        }
        Some(budget)
    }

    fn look_around(&self) {
        self.look();
        let Some(furthest) = self.furthest() else { return };
        let ledger = furthest.replica.state().ledger.read();
        self.look_at_log_time(&ledger);
        let mut windows = self.windows.lock();
        for (id, budget) in ledger.budgets() {
            let account = budget.current();
            if budget.next().is_some_and(|next| !next.outstanding().is_zero()) {
                self.reach(Reached::GrantedAhead);
            }
            let is_now = (account.window().id, account.line_length());
            let was = windows.insert(id, is_now);
            if was.is_some_and(|(window, waiting)| window != is_now.0 && waiting > 0) {
                self.reach(Reached::RolledWithLine);
            }
            if is_in_debt(budget) && account.line_length() > 0 {
                self.reach(Reached::WaitedForDebt);
            }
            if let Some(central) = account.central() {
                self.look_at_round(&ledger, central);
            }
        }
    }

    fn look_at_log_time(&self, ledger: &Ledger) {
        let now = ledger.time();
        let before = std::mem::replace(&mut *self.log_time.lock(), now);
        // The first look says nothing.
        if before != LogTime::default() && now.since(before) > FAR {
            self.reach(Reached::LogTimeLeapt);
        }
        let leader = self.leader().and_then(|place| self.alive(place));
        if leader.is_some_and(|leader| now.since(leader.clock.wall()) > FAR) {
            self.reach(Reached::LogTimeStood);
            let mut buckets = ledger.budgets().filter(|(_, budget)| budget.spec().kind.refill().is_some());
            if buckets.any(|(_, bucket)| bucket.current().line_length() > 0) {
                self.reach(Reached::WaitedInStandingTime);
            }
        }
    }

    fn look_at_round(&self, ledger: &Ledger, central: &Central) {
        self.reach(Reached::CentralMode);
        if self.hub.is_cut() {
            self.reach(Reached::CentralModeWhileCut);
        }
        if !central.is_under_way() {
            return;
        }
        if central.round() != central.since() {
            self.reach(Reached::LaterRound);
        }
        let sees_few = |node: NodeId| {
            let place = usize::try_from(node.get() - 1).unwrap_or(usize::MAX);
            self.hub.reaches(place, self.plan.nodes) + 1 < self.plan.nodes
        };
        let mut asked = central.unanswered().filter_map(|session| ledger.session(session));
        if asked.any(|session| sees_few(session.node)) {
            self.reach(Reached::RecallUnanswered);
        }
    }

    async fn wait_for(&self, state: impl Fn() -> bool) -> bool {
        let reached = async {
            while !state() && !self.is_broken() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.is_ok()
    }

    /// Everything is well again: ways are open, machines run, and all that belong to the cluster are up.
    async fn heal(self: &Arc<Self>) {
        self.story.tell(|| "everything is healed".to_owned());
        self.is_healed.store(true, Ordering::Relaxed);
        for (place, seat) in self.seats.iter().enumerate() {
            seat.platter.slowness_us.store(self.plan.sync_us, Ordering::Relaxed);
            seat.platter.wire.disarm();
            if seat.now.lock().is_out {
                self.end(place, Death::Killed);
            }
        }
        self.hub.heal_all();
        for (place, seat) in self.seats.iter().enumerate() {
            if !seat.now.lock().is_out {
                self.boot(place);
            }
        }
    }

    fn members(&self) -> usize {
        self.seats.iter().filter(|seat| !seat.now.lock().is_out).count()
    }

    fn is_well(&self) -> bool {
        let all = self.all_alive();
        let drains = self.seats.iter().any(|seat| seat.now.lock().drains);
        let serves = |alive: &Arc<crate::node::Alive>| {
            let is_fresh = alive.replica.lease().0.is_fresh(alive.clock.mono());
            alive.replica.status().leader.is_some() && alive.funds.is_open() && is_fresh
        };
        !drains && all.len() == self.members() && all.iter().all(serves)
    }

    async fn end_well(self: &Arc<Self>, mut book: Book, keys: &[KeyId]) {
        // What was begun before goes on for a while: late deaths come back, drains end.
        if !self.wait_for(|| self.is_well()).await {
            return self.broken("live", format!("not all serve again: {}", self.describe()));
        }
        self.read_book(&mut book).await;
        self.check_keys(keys);
        self.probe().await;
        let idle = || self.all_alive().iter().all(|alive| alive.busy.load(Ordering::Relaxed) == 0);
        if !self.wait_for(idle).await {
            return self.broken("L2", "a request is never served nor turned away".to_owned());
        }
        // Providers may still work for nodes that are gone.
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.close().await;
    }

    fn check_keys(&self, keys: &[KeyId]) {
        for alive in self.all_alive() {
            let catalog = alive.replica.state().catalog.read();
            for key in keys {
                if !catalog.keys().contains_key(key) {
                    self.broken("linearizable", format!("key {key} was acknowledged and is lost"));
                }
            }
        }
    }

    /// A request that fits is admitted on every node; at once, but where somebody has ended the node's session: the node hears of
    /// that when it speaks the next time, and whoever made it speak is told to try again.
    async fn probe(self: &Arc<Self>) {
        let (Some(alive), text) = (self.some_alive(), key_text(50)) else { return };
        let created =
            alive.bridged.propose_catalog(apply(vec![new_key(&text, Owner::default())]), WRITE_LIMIT).await;
        let subject = Subject::Key(text.id());
        if created.is_err() || self.put_budget(spec(subject, Kind::Lifetime, 10_000)).await.is_none() {
            return self.broken("live", "nothing can be written after all is healed".to_owned());
        }
        let request = RequestPlan::small();
        for (number, alive) in self.all_alive().into_iter().enumerate() {
            if alive.bridged.read_barrier(WRITE_LIMIT).await.is_err() {
                self.broken("live", "no read is confirmed after all is healed".to_owned());
            }
            let served = async {
                while self.serve(&alive, (1_000 + number, &request), text.expose()).await != Ending::Served {
                    tokio::time::sleep(LOOK).await;
                }
            };
            if tokio::time::timeout(ADMITTED_WITHIN, served).await.is_err() {
                self.broken("live", format!("node {} does not serve what fits", alive.life.node + 1));
            }
        }
    }

    /// All sessions are closed, and the books compared.
    async fn close(self: &Arc<Self>) {
        let all = self.all_alive();
        all.iter().for_each(|alive| alive.stop_money.cancel());
        let closed = || all.iter().all(|alive| alive.money_stopped.is_cancelled());
        if !self.wait_for(closed).await {
            return self.broken("live", "a session is never closed".to_owned());
        }
        let same = || {
            let histories: Vec<_> = all
                .iter()
                .map(|alive| alive.replica.state().history().map(|history| history.applied))
                .collect();
            histories.windows(2).all(|pair| pair[0] == pair[1])
        };
        if !self.wait_for(same).await {
            return self.broken("live", "not all apply the same".to_owned());
        }
        for alive in &all {
            let hash = alive.replica.state().hash();
            self.judge.lock().hash(alive.life.node, hash.applied, hash.sha256);
        }
        let Some(furthest) = self.furthest() else { return };
        let ledger = furthest.replica.state().ledger.read();
        if ledger.budgets().any(|(_, budget)| budget.accounts().any(|of| !of.overspend().is_zero())) {
            self.reach(Reached::OverspendTold);
        }
        if let Err(broken) = ledger.validate() {
            self.broken(broken.id, broken.what);
        }
        // A node whose removal nobody confirmed is a member, and does not come back either.
        let members = all.iter().map(|alive| alive.replica.node()).collect();
        // What a node that was taken for dead had not reported yet is in doubt with all it held.
        let is_loss =
            |fault: &Fault| matches!(fault.what, What::Expire(_) | What::RollBack(_) | What::Remove(_));
        let loses_nothing = !self.plan.faults.iter().any(is_loss);
        let all: Vec<_> = (0..self.seats.len()).map(node_id).collect();
        self.judge.lock().close(&ledger, (&all, &members), loses_nothing);
    }

    fn describe(&self) -> String {
        let all = self.all_alive().into_iter().map(|alive| {
            let status = alive.replica.status();
            let is_fresh = alive.replica.lease().0.is_fresh(alive.clock.mono());
            format!(
                "{}: {:?} of {:?} term {} applied {} funds {} fresh {is_fresh}",
                alive.life.node + 1,
                status.role,
                status.leader,
                status.term,
                status.applied,
                alive.funds.is_open()
            )
        });
        all.collect::<Vec<_>>().join("; ")
    }
}

/// Whether more was used of a bucket that goes by estimates than it holds and has leaked.
fn is_in_debt(budget: &Budget) -> bool {
    let used = budget.current().used().saturating_add(budget.current().overrun());
    budget.spec().reserve == Reserve::Estimate && used > budget.limit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cluster_lives_through_its_run_and_keeps_all_promises() {
        let report = run(&Plan::of(1), false);
        assert_eq!(report.violation, None);
        assert!(report.admitted > 0);
    }
}
