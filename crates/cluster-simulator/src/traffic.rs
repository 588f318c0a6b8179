//! Clients, and the provider with its bill. A request does what `gateway::proxy` does with keys and money, in the same order,
//! but for HTTP: key and lease, path, reserve, key and lease again, send, settle.

use crate::coverage::Reached;
use crate::judge::{Spot, Wait};
use crate::node::Alive;
use crate::plan::RequestPlan;
use crate::world::World;
use quorate_catalog::{ApiKey, Claim, EndUser};
use quorate_domain::{Amount, Tags, Tokens};
use quorate_gateway::{Cause, Refusal};
use quorate_wallet::{Cost, Need, Reservation};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

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

/// What a request holds that was not sent yet. Dropped, it holds nothing any more.
struct Held {
    world: Arc<World>,
    spots: Vec<(Spot, u64)>,
}

impl Held {
    fn new(world: &Arc<World>, alive: &Alive, reservation: &Reservation) -> Self {
        let session = alive.funds.wallet().map(|wallet| wallet.session()).unwrap_or_default();
        let spot = |(budget, window, amount): (_, _, Amount)| ((budget, window, session), amount.get());
        let spots: Vec<_> = reservation.taken().map(spot).collect();
        world.judge.lock().reserved(&spots);
        world.sample();
        Self { world: world.clone(), spots }
    }

    /// From now on the provider counts it.
    fn sent(mut self) -> Vec<(Spot, u64)> {
        std::mem::take(&mut self.spots)
    }
}

impl Drop for Held {
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
        let budgets = path.iter().map(|charge| charge.budget).collect();
        let session = alive.funds.wallet().map(|wallet| wallet.session()).unwrap_or_default();
        let wait = Wait { session, need: request.least, budgets, least: BTreeMap::new() };
        self.judge.lock().waits.insert(number, wait);
        self.sample();
        let (need, came) = (Need { least: cost(request.least), ..cost(request.most).into() }, self.at());
        let reserved = alive.funds.reserve(&path, &need, Duration::from_millis(request.patience_ms)).await;
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(refusal) => {
                // Others that were served at this very moment have not said so yet.
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.sample();
                return self.refused(number, refusal);
            }
        };
        let held = Held::new(self, alive, &reservation);
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
        if !held.lasts(alive.clock.mono()) {
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
        let spots = held.sent();
        let bound = spots.iter().map(|(_, reserved)| *reserved).min().unwrap_or(request.most);
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
        self.sample();
        self.story.tell(|| format!("request {number} is sent by node {}: {bound}", place + 1));
        let (told, heard) = oneshot::channel();
        self.spawn(self.clone().work(request.clone(), spots, told));
        let Ok(actual) = heard.await else {
            // Its cost is not known: dropped, the reservation stays charged.
            return drop(reservation);
        };
        alive.life.gate().await;
        alive.funds.settle(reservation, &cost(actual)).await;
    }

    /// The provider works and bills, whatever becomes of whoever asked.
    async fn work(
        self: Arc<Self>,
        request: RequestPlan,
        spots: Vec<(Spot, u64)>,
        told: oneshot::Sender<u64>,
    ) {
        tokio::time::sleep(Duration::from_millis(request.takes_ms)).await;
        let bound = spots.iter().map(|(_, reserved)| *reserved).min().unwrap_or(request.most);
        let actual = request.actual.min(bound);
        self.judge.lock().billed(&spots, actual);
        if request.is_usage_lost {
            self.judge.lock().unheard(&spots, actual);
            return self.reach(Reached::UsageLost);
        }
        if told.send(actual).is_err() {
            // The node is gone, or has given up: what it charges is charged for the crash.
            self.judge.lock().unheard(&spots, actual);
        }
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
