//! What goes wrong, carried out.

use crate::clock::millis;
use crate::coverage::Reached;
use crate::life::Death;
use crate::plan::{Fault, What, Who};
use crate::world::{World, node_id};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

type Ways = BTreeSet<(usize, usize)>;

impl World {
    /// Lets everything of the plan go wrong, each at its time.
    pub(crate) async fn do_harm(self: Arc<Self>) {
        let begun = self.at();
        for fault in self.plan.faults.clone() {
            let due = begun + Duration::from_millis(fault.at_ms);
            tokio::time::sleep(due.saturating_sub(self.at())).await;
            self.story.tell(|| format!("{:?} for {} ms", fault.what, fault.for_ms));
            self.spawn(self.clone().harm(fault));
        }
    }

    async fn harm(self: Arc<Self>, fault: Fault) {
        let span = Duration::from_millis(fault.for_ms);
        match fault.what {
            What::Kill(who) => self.die(who, Death::Killed, span).await,
            What::Vanish(who) => self.die(who, Death::Vanished, span).await,
            What::CutOff(who) => self.part(self.around(who, true, true), span).await,
            What::Deafen(who) => self.part(self.around(who, true, false), span).await,
            What::Mute(who) => self.part(self.around(who, false, true), span).await,
            What::OneWay(from, to) => self.part(Ways::from([(from, to)]), span).await,
            What::Pair(one, other) => self.part(Ways::from([(one, other), (other, one)]), span).await,
            What::Split(at) => self.part(self.between(at, None), span).await,
            What::Bridge(who) => self.part(self.between(self.plan.nodes / 2, Some(who)), span).await,
            What::Pause(who) => self.pause(who, span).await,
            What::Jump(who, by_ms) => self.jump(who, by_ms),
            What::Reset(one, other) => {
                self.hub.reset(one, other);
                self.reach(Reached::ConnectionBroke);
            }
            What::SlowDisk(who, up_to_us) => self.slow_down(who, up_to_us, span).await,
            What::Transfer => self.transfer().await,
            What::Drain(who) => {
                if let Some(place) = self.place_of(who) {
                    self.drain(place, span).await;
                }
            }
            What::Expire(who) => {
                if let Some(place) = self.place_of(who) {
                    self.expire(place).await;
                }
            }
            What::Join => self.join().await,
            What::Remove(place) => self.remove(place).await,
        }
    }

    async fn die(self: &Arc<Self>, who: Who, death: Death, span: Duration) {
        let Some(place) = self.place_of(who) else { return };
        if self.leader() == Some(place) {
            self.reach(Reached::LeaderCrashed);
        }
        if death == Death::Vanished {
            self.reach(Reached::Vanished);
        }
        self.end(place, death);
        tokio::time::sleep(span).await;
        if !self.seats[place].now.lock().is_out {
            self.boot(place);
        }
    }

    async fn part(&self, ways: Ways, span: Duration) {
        self.hub.cut(&ways);
        tokio::time::sleep(span).await;
        self.hub.heal(&ways);
    }

    /// What is sent to a node, and what it sends.
    fn around(&self, who: Who, to: bool, from: bool) -> Ways {
        let Some(place) = self.place_of(who) else { return Ways::new() };
        let others = || (0..self.seats.len()).filter(|other| *other != place);
        let mut ways = Ways::new();
        ways.extend(others().filter(|_| to).map(|other| (other, place)));
        ways.extend(others().filter(|_| from).map(|other| (place, other)));
        ways
    }

    fn between(&self, at: usize, bridge: Option<usize>) -> Ways {
        let all = || (0..self.seats.len()).filter(|place| Some(*place) != bridge);
        let pairs = all().flat_map(|one| all().map(move |other| (one, other)));
        pairs.filter(|(one, other)| (*one < at) != (*other < at)).collect()
    }

    async fn pause(&self, who: Who, span: Duration) {
        let Some(place) = self.place_of(who) else { return };
        self.reach(Reached::Paused);
        self.hub.freeze(place);
        tokio::time::sleep(span).await;
        self.hub.thaw(place);
    }

    fn jump(&self, who: Who, by_ms: i64) {
        let Some(place) = self.place_of(who) else { return };
        if by_ms < 0 {
            self.reach(Reached::ClockJumpedBack);
        }
        self.seats[place].clock.jump(by_ms);
    }

    async fn slow_down(&self, who: Who, up_to_us: u64, span: Duration) {
        let Some(place) = self.place_of(who) else { return };
        let slowness = &self.seats[place].platter.slowness_us;
        slowness.store(up_to_us, Ordering::Relaxed);
        tokio::time::sleep(span).await;
        slowness.store(self.plan.sync_us, Ordering::Relaxed);
    }

    async fn transfer(&self) {
        let Some(alive) = self.leader().and_then(|place| self.alive(place)) else { return };
        if alive.replica.transfer_leadership(None).await.is_ok() {
            self.reach(Reached::LeaderTransferred);
        }
    }

    async fn join(self: &Arc<Self>) {
        let place = self.plan.nodes;
        self.seats[place].now.lock().is_out = false;
        self.boot(place);
        while self.alive(place).is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.reach(Reached::Joined);
    }

    /// As an operator does who takes a node for dead.
    async fn expire(&self, place: usize) {
        let Some(other) = self.some_alive() else { return };
        let session = other.replica.state().ledger.read().latest_session(node_id(place));
        let expire = quorate_ledger::Command::ExpireSession { session };
        let expired = other.bridged.propose_ledger(expire, Duration::from_secs(3)).await;
        self.story.tell(|| format!("session {session} of node {} is ended: {expired:?}", place + 1));
    }

    async fn remove(&self, place: usize) {
        let Some(other) = (0..place).find_map(|other| self.alive(other)) else { return };
        // Whether it comes about or not: it is not started again, and nobody waits for it at the end.
        self.seats[place].now.lock().is_out = true;
        let removed = other.replica.remove(node_id(place)).await;
        self.story.tell(|| format!("node {} removed after {} ms: {removed:?}", place + 1, millis(self.at())));
        if removed.is_ok() {
            self.reach(Reached::Removed);
        }
        if self.chance.per_mille(600) {
            self.expire(place).await;
        }
    }
}
