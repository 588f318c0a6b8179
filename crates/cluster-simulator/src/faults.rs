//! What goes wrong, carried out.

use crate::clock::millis;
use crate::life::Death;
use crate::node::JOURNAL;
use crate::plan::{Fault, What, Who};
use crate::reached::Reached;
use crate::trip::Moment;
use crate::world::{World, node_id};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

type Ways = BTreeSet<(usize, usize)>;

fn between(one: &[usize], other: &[usize]) -> Ways {
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other)));
    pairs.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

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
            What::Split(at) => {
                self.part(between(&self.places(0..at), &self.places(at..usize::MAX)), span).await;
            }
            What::Bridge(who) => self.part(self.camps(who), span).await,
            What::Pause(who) => self.pause(who, span).await,
            What::Jump(who, by_ms) => self.jump(who, by_ms),
            What::Reset(one, other) => {
                self.hub.reset(one, other);
                self.reach(Reached::ConnectionBroke);
            }
            What::Shake(place) => self.shake(place, span).await,
            What::RollBack(who) => self.roll_back(who, span).await,
            What::SlowDisk(who, up_to_us) => self.slow_down(who, up_to_us, span).await,
            What::Trip(who, moment) => self.trip((who, moment), span).await,
            What::Contest => self.contest(span).await,
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
        self.fall((place, death), span).await;
    }

    /// It dies, and comes back after a while.
    async fn fall(self: &Arc<Self>, (place, death): (usize, Death), span: Duration) {
        self.end(place, death);
        tokio::time::sleep(span).await;
        if !self.seats[place].now.lock().is_out {
            self.boot(place);
        }
    }

    async fn trip(self: &Arc<Self>, (who, moment): (Who, Moment), span: Duration) {
        let Some(place) = self.place_of(who) else { return };
        // A moment within a sync comes only where syncs take their time.
        let slowness = &self.seats[place].platter.slowness_us;
        slowness.store(self.chance.within(10_000..200_000).max(self.plan.sync_us), Ordering::Relaxed);
        let is_tripped = self.is_tripped((place, moment), span).await;
        slowness.store(self.plan.sync_us, Ordering::Relaxed);
        if is_tripped {
            self.reach(match moment {
                Moment::AnsweredUnsynced => Reached::DiedAnswering,
                Moment::SpentUnsynced => Reached::DiedSpending,
                Moment::LogUntold | Moment::JournalUntold => Reached::DiedUntold,
            });
            let death = if self.chance.per_mille(800) { Death::Killed } else { Death::Vanished };
            let away = self.chance.micros(5_000..1_500_000);
            self.fall((place, death), away).await;
        }
    }

    /// Waits for the moment, and until what was said then is there.
    async fn is_tripped(&self, (place, moment): (usize, Moment), span: Duration) -> bool {
        let wire = self.seats[place].platter.wire.clone();
        if self.is_healed() {
            return false;
        }
        wire.arm(moment);
        let is_sprung = tokio::time::timeout(span, wire.sprung()).await.is_ok();
        wire.disarm();
        if is_sprung {
            tokio::time::sleep(self.chance.micros(50..self.plan.latency.usual_us * 3)).await;
        }
        is_sprung && !self.is_healed()
    }

    /// A vote that is forgotten lets both camps win: the order of votes is by term and node.
    async fn contest(self: &Arc<Self>, span: Duration) {
        let Some(voter) = self.leader() else { return };
        let (until, slowness) = (self.at() + span, self.seats[voter].platter.clone());
        let mut ways = self.camps(voter);
        self.hub.cut(&ways);
        // Longer than any of them waits for a leader.
        self.fall((voter, Death::Killed), self.chance.micros(650_000..1_000_000)).await;
        for _ in 0..=self.chance.place(4) {
            slowness.slowness_us.store(self.chance.within(30_000..250_000), Ordering::Relaxed);
            let left = until.saturating_sub(self.at());
            if !self.is_tripped((voter, Moment::AnsweredUnsynced), left).await {
                break;
            }
            self.reach(Reached::VoterDied);
            slowness.slowness_us.store(self.plan.sync_us, Ordering::Relaxed);
            self.end(voter, Death::Killed);
            tokio::time::sleep(self.chance.micros(500..30_000)).await;
            if let Some(elected) = self.leader() {
                let way = Ways::from([(elected, voter), (voter, elected)]);
                self.hub.cut(&way);
                ways.extend(way);
            }
            self.boot(voter);
        }
        slowness.slowness_us.store(self.plan.sync_us, Ordering::Relaxed);
        tokio::time::sleep(until.saturating_sub(self.at())).await;
        self.hub.heal(&ways);
    }

    async fn part(&self, ways: Ways, span: Duration) {
        self.hub.cut(&ways);
        tokio::time::sleep(span).await;
        self.hub.heal(&ways);
    }

    async fn shake(&self, place: usize, span: Duration) {
        let until = self.at() + span;
        while self.at() < until && !self.is_healed() {
            tokio::time::sleep(self.chance.micros(20_000..400_000)).await;
            (0..self.seats.len()).for_each(|other| self.hub.reset(place, other));
        }
    }

    /// Only if the cluster has heard of the later journal: of a disk that is a little old, and of which nobody knows, nothing is promised.
    async fn roll_back(self: &Arc<Self>, who: Who, span: Duration) {
        let Some(place) = self.place_of(who) else { return };
        let Some(copied) = self.alive(place).map(|alive| alive.journal.generation()) else { return };
        let platter = &self.seats[place].platter;
        let copy = platter.copy(JOURNAL);
        tokio::time::sleep(span).await;
        let heard =
            self.furthest().map(|other| other.replica.state().ledger.read().journal_of(node_id(place)));
        if !self.is_healed() && heard.is_some_and(|heard| heard > copied) {
            self.end(place, Death::Killed);
            self.judge.lock().lost.insert(node_id(place));
            platter.put_back(JOURNAL, copy);
            self.story.tell(|| format!("the journal of node {} is as it was at write {copied}", place + 1));
            self.boot(place);
        }
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

    fn places(&self, of: Range<usize>) -> Vec<usize> {
        (0..self.seats.len()).filter(|place| of.contains(place)).collect()
    }

    /// The ways between two camps that only one node sees both of.
    fn camps(&self, bridge: usize) -> Ways {
        let others: Vec<_> =
            self.places(0..usize::MAX).into_iter().filter(|place| *place != bridge).collect();
        let (one, other) = others.split_at(self.plan.nodes / 2);
        between(one, other)
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
        self.reach(Reached::DiskSlow);
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
        if self.leader() == Some(place) {
            self.reach(Reached::LeaderRemoved);
        }
        let Some(other) = self.all_alive().into_iter().find(|alive| alive.life.node != place) else { return };
        // Whether it comes about or not: it is not started again, and nobody waits for it at the end.
        self.seats[place].now.lock().is_out = true;
        self.judge.lock().lost.insert(node_id(place));
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
