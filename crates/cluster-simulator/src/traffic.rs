//! Clients, and the provider with its bill. A request does what `gateway::proxy` does with keys and money, in the same order,
//! but for HTTP: key and lease, path, reserve, key and lease again, send, settle.

use crate::judge::{Spot, Wait};
use crate::node::Alive;
use crate::overspend::Foreseen;
use crate::plan::{Provider, RequestPlan};
use crate::reached::Reached;
use crate::world::World;
use quorate_catalog::{ApiKey, Claim, EndUser, WithoutQuorum};
use quorate_domain::{Amount, BudgetId, LogTime, NodeId, Tags, Tokens, Unit};
use quorate_gateway::{Cause, Refusal};
use quorate_simulator::Reserved;
use quorate_wallet::{Charge, Cost, Need, Reservation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// A node waits no longer for a provider.
const GIVES_UP_AFTER: Duration = Duration::from_secs(4);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Served,
    Denied,
    Unavailable,
    /// The key opens nothing, or the node is not fresh.
    Refused,
}

/// Counts a request as under way as long as it is.
struct Busy<'a>(&'a Alive);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a node hears of a request that it has sent, if it hears anything.
enum Heard {
    /// What it cost.
    Usage(u64),
    /// It has failed, and cost nothing.
    Failure,
}

/// What a request holds that was not sent yet. Dropped, it holds nothing any more.
struct Held {
    foreseen: Foreseen,
    spots: InFlight,
    permits: InFlight,
    bound: u64,
    reserved_then: BTreeMap<BudgetId, Reserved>,
}

/// What a request holds whose provider works.
struct Sent {
    node: NodeId,
    spots: Vec<(Spot, u64)>,
    foreseen: Foreseen,
    /// What its answer is cut to.
    bound: u64,
    reserved_then: BTreeMap<BudgetId, Reserved>,
}

/// What counts as reserved until it is dropped or billed.
struct InFlight {
    world: Arc<World>,
    spots: Vec<(Spot, u64)>,
}

impl InFlight {
    fn take(mut self) -> Vec<(Spot, u64)> {
        std::mem::take(&mut self.spots)
    }
}

impl Held {
    fn new(
        world: &Arc<World>,
        alive: &Alive,
        (path, reservation, most): (&[Charge], &mut Reservation, u64),
        foreseen: Foreseen,
    ) -> Self {
        // What is taken by estimate cuts no answer.
        let least = reservation.least(Unit::Tokens).map_or(most, Amount::get);
        let bound = least.min(most);
        if bound < most {
            alive.funds.shrink(reservation, &cost(bound));
        }
        let session = alive.funds.wallet().map(|wallet| wallet.session()).unwrap_or_default();
        let spot = |(budget, window, amount): (_, _, Amount)| ((budget, window, session), amount.get());
        let all: Vec<_> = reservation.taken().map(spot).collect();
        world.judge.lock().reserved(&all);
        let now = world.check_begun(&all);
        world.follow_rates();
        let reserved_then = {
            let rates = &world.judge.lock().rates;
            all.iter().map(|((of, ..), _)| (*of, rates.reserved(*of, now))).collect()
        };
        world.sample();
        let is_permit = |((budget, _, _), _): &(Spot, u64)| {
            path.iter().any(|charge| charge.budget == *budget && charge.unit == Unit::Permits)
        };
        let (permits, spots) = all.into_iter().partition(is_permit);
        let in_flight = |spots| InFlight { world: world.clone(), spots };
        Self { foreseen, spots: in_flight(spots), permits: in_flight(permits), bound, reserved_then }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.world.judge.lock().released(&self.spots);
    }
}

fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), ..Cost::default() }
}

impl World {
    /// Sends all requests of the plan, each at its time.
    pub(crate) async fn send_requests(self: Arc<Self>, texts: Arc<[String]>) {
        let begun = self.at();
        for (number, request) in self.plan.requests.clone().into_iter().enumerate() {
            let due = begun + Duration::from_millis(request.at_ms);
            tokio::time::sleep(due.saturating_sub(self.at())).await;
            let Some(alive) = self.alive(request.node) else { continue };
            if self.seats[request.node].now.lock().drains {
                continue;
            }
            let (world, text) = (self.clone(), texts[request.key].clone());
            alive.life.clone().spawn(async move {
                alive.life.gate().await;
                world.serve(&alive, (number, &request), &text).await;
            });
        }
    }

    /// Serves a request at a node.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        alive: &Arc<Alive>,
        (number, request): (usize, &RequestPlan),
        text: &str,
    ) -> Ending {
        alive.busy.fetch_add(1, Ordering::Relaxed);
        let _busy = Busy(alive);
        let Some(key) = self.let_in(alive, text) else { return Ending::Refused };
        let subjects = alive.replica.state().catalog.read().subjects_of(&key, &claim());
        // Only end users nobody has seen have yet to be met, and no request says that it is for one.
        let Ok(path) = alive.funds.path_of(&subjects) else { return Ending::Refused };
        let need_of = |charge: &Charge| (charge.budget, cost(request.least).to_reserve(charge.unit).get());
        let budgets = path.iter().map(need_of).collect();
        let session = alive.funds.wallet().map(|wallet| wallet.session()).unwrap_or_default();
        let patience = Duration::from_millis(request.patience_ms);
        let wait = Wait {
            session,
            may_call_at: self.at() + patience.mul_f64(0.999),
            budgets,
            least: BTreeMap::new(),
        };
        self.judge.lock().waits.insert(number, wait);
        self.sample();
        let (least, expected) = (cost(request.least), Tokens::new(request.expected));
        let (need, came) = (Need { most: cost(request.most), least, expected }, self.at());
        let reserved = self.reserve(alive, (&key, &path), (&need, patience)).await;
        let (mut reservation, foreseen) = match reserved {
            Ok(reserved) => reserved,
            Err(refusal) => {
                // Others that were served at this very moment have not said so yet.
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.sample();
                return self.refused(number, refusal);
            }
        };
        let held = Held::new(self, alive, (&path, &mut reservation, request.most), foreseen);
        self.judge.lock().waits.remove(&number);
        let state = if self.at() > came { Reached::AdmittedInLine } else { Reached::AdmittedLocally };
        self.reach(state);
        alive.life.gate().await;
        if self.let_in(alive, text).is_none() {
            alive.funds.cancel(reservation);
            return Ending::Refused;
        }
        self.judge.lock().let_through(key.id, self.at(), revocation_limit());
        self.send(alive, (number, request), (reservation, held)).await;
        Ending::Served
    }

    /// The key, if it opens anything and the node may go by what it knows.
    fn let_in(&self, alive: &Alive, text: &str) -> Option<Arc<ApiKey>> {
        let held = alive.replica.lease().0.hold();
        let state = alive.replica.state();
        let now = state.ledger.read().time();
        let key = state.catalog.read().authenticate(text, now);
        let Ok(key) = key else {
            self.reach(Reached::RevokedKeyRefused);
            return None;
        };
        if key.spec.without_quorum == WithoutQuorum::Closed && !held.lasts(alive.clock.mono()) {
            self.reach(Reached::NotFresh);
            return None;
        }
        Some(key)
    }

    fn refused(&self, number: usize, refusal: Refusal) -> Ending {
        let mut judge = self.judge.lock();
        let Refusal::Denied { budget, need, shortage, cause, doubtful } = refusal else {
            judge.waits.remove(&number);
            judge.reach(Reached::Unavailable);
            return Ending::Unavailable;
        };
        self.story.tell(|| format!("request {number} is denied {need} of budget {budget}: {cause:?}"));
        judge.denied += 1;
        judge.reach(match cause {
            Cause::TooBig => Reached::DeniedTooBig,
            Cause::Spent => Reached::DeniedSpent,
            Cause::InDoubt => Reached::DeniedInDoubt,
            Cause::Held => Reached::DeniedHeld,
        });
        if judge.rates.has(budget) {
            judge.reach(Reached::DeniedOfBucket);
        }
        if judge.permits.contains(&budget) {
            judge.reach(Reached::DeniedPermit);
        }
        if !doubtful.is_zero() {
            judge.reach(Reached::DeniedDoubtful);
        }
        let unknown = doubtful.max(shortage.in_doubt).get();
        judge.denied(number, budget, (need.get(), unknown));
        judge.waits.remove(&number);
        Ending::Denied
    }

    async fn send(
        self: &Arc<Self>,
        alive: &Arc<Alive>,
        (number, request): (usize, &RequestPlan),
        (reservation, held): (Reservation, Held),
    ) {
        let Held { foreseen, spots, permits, bound, reserved_then } = held;
        let spots = spots.take();
        let over = spots.clone();
        let place = alive.life.node;
        {
            let mut judge = self.judge.lock();
            judge.admitted += 1;
            if bound < request.most {
                judge.reach(Reached::CutShort);
            }
        }
        if 2 * (self.hub.reaches(place, self.plan.nodes) + 1) <= self.plan.nodes {
            self.reach(Reached::MinoritySpent);
        }
        if self.is_fenced(&over) {
            self.reach(Reached::SpentWhenFenced);
        }
        self.sample();
        self.seats[place].platter.wire.spent();
        self.story.tell(|| format!("request {number} is sent by node {}: {bound}", place + 1));
        let (told, heard) = oneshot::channel();
        let sent = Sent { node: alive.replica.node(), spots, foreseen, bound, reserved_then };
        self.spawn(self.clone().work(request.clone(), sent, told));
        let heard = tokio::time::timeout(GIVES_UP_AFTER, heard).await;
        alive.life.gate().await;
        // No provider works for a node that is gone, has heard the answer, or waits no longer (I11).
        drop(permits);
        match heard {
            Ok(Ok(Heard::Usage(actual))) => {
                alive.funds.settle(reservation, &cost(actual)).await;
                // Now the client would be told, and no crash may lose it.
                self.judge.lock().told_overrun(&over, actual);
            }
            Ok(Ok(Heard::Failure)) => alive.funds.cancel(reservation),
            Ok(Err(_)) | Err(_) => alive.funds.charge_in_full(reservation).await,
        }
    }

    /// The provider works and bills, whatever becomes of whoever asked.
    async fn work(self: Arc<Self>, request: RequestPlan, sent: Sent, told: oneshot::Sender<Heard>) {
        let Sent { node, spots, foreseen, bound, reserved_then } = sent;
        let takes = Duration::from_millis(request.takes_ms);
        let actual = request.actual.min(bound);
        let bill = |actual| {
            self.note_late(&spots);
            self.judge.lock().billed(&spots, (node, &reserved_then, actual));
            foreseen.bill(actual);
        };
        // A node that hears nothing, has given up or is gone charges all of it.
        let is_unheard = |actual| self.judge.lock().unheard(&spots, (&reserved_then, bound, actual));
        let tell = |heard, actual| told.send(heard).unwrap_or_else(|_nobody_listens| is_unheard(actual));
        match request.provider {
            Provider::Tells => {
                tokio::time::sleep(takes).await;
                bill(actual);
                tell(Heard::Usage(actual), actual);
            }
            Provider::Overbills(more) => {
                tokio::time::sleep(takes).await;
                bill(bound + more);
                tell(Heard::Usage(bound + more), bound + more);
            }
            Provider::LosesUsage => {
                tokio::time::sleep(takes).await;
                bill(actual);
                is_unheard(actual);
                drop(tell);
                self.reach(Reached::UsageLost);
            }
            Provider::BreaksOff => {
                tokio::time::sleep(takes / 2).await;
                drop(tell);
                tokio::time::sleep(takes / 2).await;
                bill(actual);
                is_unheard(actual);
                self.reach(Reached::AnswerBroke);
            }
            Provider::Fails => {
                tokio::time::sleep(takes).await;
                self.judge.lock().released(&spots);
                tell(Heard::Failure, 0);
                self.reach(Reached::ProviderFailed);
            }
            Provider::Hangs => {
                tokio::time::sleep(takes + GIVES_UP_AFTER * 2).await;
                bill(actual);
                tell(Heard::Usage(actual), actual);
                self.reach(Reached::ProviderHung);
            }
            Provider::IsGone => {
                tokio::time::sleep(GIVES_UP_AFTER * 2).await;
                self.judge.lock().released(&spots);
                is_unheard(0);
                self.reach(Reached::ProviderGone);
            }
        }
    }
}

impl World {
    /// Whether the session that spends is over.
    fn is_fenced(&self, spots: &[(Spot, u64)]) -> bool {
        let Some(furthest) = self.furthest() else { return false };
        let ledger = furthest.replica.state().ledger.read();
        spots.iter().any(|((_, _, session), _)| !ledger.is_live(*session))
    }

    /// Whether a window is over whose bill comes only now.
    fn note_late(&self, spots: &[(Spot, u64)]) {
        let Some(furthest) = self.furthest() else { return };
        let ledger = furthest.replica.state().ledger.read();
        let is_over = |((budget, window, _), _): &(Spot, u64)| {
            ledger.budget(*budget).is_some_and(|found| found.current().window().id > *window)
        };
        if spots.iter().any(is_over) {
            self.reach(Reached::BilledLate);
        }
    }

    /// Nothing is reserved of a window that has not begun (I15). Says what log time it is.
    fn check_begun(&self, spots: &[(Spot, u64)]) -> LogTime {
        let Some(furthest) = self.furthest() else { return LogTime::default() };
        let now = furthest.replica.state().ledger.read().time();
        if let Some(((budget, window, _), _)) = spots.iter().find(|((_, window, _), _)| window.start() > now)
        {
            self.broken("I15", format!("window {window} of budget {budget} is spent at {now}"));
        }
        now
    }
}

/// For how long after its commit a revocation may not be known (G3).
fn revocation_limit() -> Duration {
    Duration::from(quorate_lease::RevocationBound::DEFAULT.span()).mul_f64(1.002)
}

/// What requests say of whose budgets they spend: nothing.
fn claim() -> Claim {
    let route = "gpt".parse().expect("letters are a name");
    Claim { route, tags: Tags::default(), end_user: EndUser::Unsaid }
}
