//! Keys that may overspend: on a node that reaches no majority their requests go on, in the same steps as in `gateway::proxy`.

use crate::node::Alive;
use crate::reached::Reached;
use crate::world::World;
use quorate_catalog::{ApiKey, WithoutQuorum};
use quorate_domain::{BudgetId, NodeId, Unit};
use quorate_gateway::Refusal;
use quorate_wallet::{Charge, Need, Reservation};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether nobody can be asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The ledger has not answered after so long.
const QUESTION: Duration = Duration::from_millis(2_500);

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
            judge.overspending.may_be_told(self.node, *budget, *amount);
        }
    }
}

impl World {
    /// Reserves for a request: waits in line, and overspends if its key may and nobody can be asked.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        alive: &Alive,
        (key, path): (&ApiKey, &[Charge]),
        (need, patience): (&Need, Duration),
    ) -> Result<(Reservation, Foreseen), Refusal> {
        let granted = |reservation| (reservation, Foreseen::new(self, alive, Vec::new()));
        if key.spec.without_quorum != WithoutQuorum::Open {
            return alive.funds.reserve(path, need, patience).await.map(granted);
        }
        if let Ok(reservation) = alive.funds.try_reserve(path, need) {
            return Ok(granted(reservation));
        }
        let reserved = tokio::select! {
            biased;
            () = quorum_is_lost(alive) => None,
            reserved = alive.funds.reserve(path, need, patience) => Some(reserved),
        };
        match reserved {
            Some(Err(Refusal::Unavailable)) if waits_for_its_licence(alive).await => {}
            Some(reserved) => return reserved.map(granted),
            None => {}
        }
        self.overspend(alive, path, need).await
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

/// The ledger is out of reach, and may be back in a moment. Whether it turns out that it is not.
async fn waits_for_its_licence(alive: &Alive) -> bool {
    let left = alive.replica.lease().0.left(alive.clock.mono());
    tokio::time::timeout(left + QUESTION, quorum_is_lost(alive)).await.is_ok()
}
