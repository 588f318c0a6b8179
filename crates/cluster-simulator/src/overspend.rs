//! Keys that may overspend: on a node that reaches no majority their requests go on, in the same steps as in `gateway::proxy`.

use crate::node::Alive;
use crate::reached::Reached;
use crate::world::World;
use quorate_catalog::{ApiKey, WithoutQuorum};
use quorate_domain::{BudgetId, MonoTime, NodeId, Span, Unit};
use quorate_gateway::{Funds, Refusal};
use quorate_wallet::{Charge, Need, Reservation};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether nobody can be asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a request may overspend, until its provider bills it. Dropped before, it may be told or not: a node that dies has it in
/// its journal, whether the request was sent or not.
pub(crate) struct Foreseen {
    world: Arc<World>,
    node: NodeId,
    amounts: Vec<(BudgetId, u64)>,
}

impl Foreseen {
    fn new(world: &Arc<World>, alive: &Alive, amounts: Vec<(BudgetId, u64)>) -> Self {
        let node = alive.replica.node();
        let mut judge = world.judge.lock();
        amounts.iter().for_each(|(budget, amount)| judge.overspending.foreseen(node, *budget, *amount));
        drop(judge);
        Self { world: world.clone(), node, amounts }
    }

    /// What grants cover after all is not overspent.
    fn without_granted(mut self, reservation: &Reservation) -> Self {
        let is_granted =
            |(budget, _): &mut (BudgetId, u64)| reservation.taken().any(|(of, ..)| of == *budget);
        let mut judge = self.world.judge.lock();
        for (budget, amount) in self.amounts.extract_if(.., is_granted) {
            judge.overspending.never_sent(self.node, budget, amount);
        }
        drop(judge);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.amounts.is_empty()
    }

    /// The provider bills so much.
    pub(crate) fn bill(mut self, actual: u64) {
        let mut judge = self.world.judge.lock();
        for (budget, foreseen) in std::mem::take(&mut self.amounts) {
            judge.overspending.billed(self.node, budget, (foreseen, actual));
        }
    }
}

impl Drop for Foreseen {
    fn drop(&mut self) {
        let mut judge = self.world.judge.lock();
        for (budget, amount) in &self.amounts {
            judge.overspending.never_sent(self.node, *budget, *amount);
            judge.overspending.may_be_told_unsent(self.node, *budget, *amount);
        }
    }
}

impl World {
    /// Reserves for a request: waits in line, and overspends if its key may and nobody can be asked.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        alive: &Alive,
        (key, path): (&ApiKey, &[Charge]),
        (need, mut patience): (&Need, Duration),
    ) -> Result<(Reservation, Foreseen), Refusal> {
        let granted = |reservation| (reservation, Foreseen::new(self, alive, Vec::new()));
        if key.spec.without_quorum != WithoutQuorum::Open {
            return alive.funds.reserve(path, need, patience).await.map(granted);
        }
        if let Ok(reservation) = alive.funds.try_reserve(path, need) {
            return Ok(granted(reservation));
        }
        let mut known_until = None;
        loop {
            let reserved = tokio::select! {
                biased;
                reserved = alive.funds.reserve(path, need, patience) => reserved,
                () = quorum_is_lost(alive) => return self.overspend(alive, path, need).await,
            };
            let now = alive.clock.mono();
            match reserved {
                Err(Refusal::Unavailable)
                    if alive.funds.is_open() && now < *known_until.get_or_insert_with(|| known(alive)) =>
                {
                    patience = Duration::ZERO;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                reserved => return reserved.map(granted),
            }
        }
    }

    async fn overspend(
        self: &Arc<Self>,
        alive: &Alive,
        path: &[Charge],
        need: &Need,
    ) -> Result<(Reservation, Foreseen), Refusal> {
        let amounts = path.iter().filter(|charge| charge.unit != Unit::Permits);
        let amounts = amounts.map(|charge| (charge.budget, need.most.to_reserve(charge.unit).get()));
        // It is in the journal before it is reserved here.
        let foreseen = Foreseen::new(self, alive, amounts.collect());
        let reservation = alive.funds.overspend(path, need).await?;
        let foreseen = foreseen.without_granted(&reservation);
        if !foreseen.is_empty() {
            self.reach(Reached::Overspent);
        }
        Ok((reservation, foreseen))
    }
}

/// Resolves when the node has heard from no majority for as long as a lease lasts, and has asked the ledger in vain since.
async fn quorum_is_lost(alive: &Alive) {
    while alive.replica.lease().0.is_fresh(alive.clock.mono()) || !alive.funds.is_out_of_reach() {
        let left = alive.replica.lease().0.left(alive.clock.mono());
        tokio::time::sleep(left.max(LOOK_EVERY)).await;
    }
}

/// When it has come out whether the ledger can be asked.
fn known(alive: &Alive) -> MonoTime {
    let now = alive.clock.mono();
    now.plus(Span::of(alive.replica.lease().0.left(now) + Funds::KNOWN_AFTER))
}
