//! What happens in a run, drawn from its seed: the cluster, its traffic, and what goes wrong.

use crate::chance::Chance;
use crate::network::Latency;
use crate::trip::Moment;
use quorate_domain::Refill;
use quorate_ledger::Reserve;
use quorate_simulator::Listed;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The number it was made from.
    pub seed: u64,
    pub(crate) nodes: usize,
    pub(crate) latency: Latency,
    /// The longest a sync takes, in microseconds.
    pub(crate) sync_us: u64,
    /// A snapshot is taken after so many entries, and so many are kept before it.
    pub(crate) snapshots: (u64, u64),
    /// By how many parts in a million each node's clock runs fast.
    pub(crate) ppm: Vec<i64>,
    /// So long before a full minute by the day the run begins.
    pub(crate) before_minute_ms: u64,
    /// For how long traffic and faults go on.
    pub(crate) runs_ms: u64,
    /// When keys are revoked.
    pub(crate) revoke_ms: u64,
    /// Limits of the shared budget (for ever), of the shared budget (by the minute), and of each key.
    pub(crate) limits: [u64; 3],
    /// Of one key: how many requests run at the same time, and how fast it may spend.
    pub(crate) permits: u64,
    pub(crate) bucket: (Refill, u64, Reserve),
    /// Keys whose requests go on without a quorum, whatever they cost.
    pub(crate) open_keys: Vec<usize>,
    pub(crate) requests: Vec<RequestPlan>,
    pub(crate) limit_changes: Vec<(u64, u64)>,
    pub(crate) faults: Vec<Fault>,
}

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RequestPlan {
    pub(crate) at_ms: u64,
    pub(crate) node: usize,
    pub(crate) key: usize,
    pub(crate) most: u64,
    pub(crate) least: u64,
    /// What it is expected to use, where a budget goes by that.
    pub(crate) expected: u64,
    pub(crate) actual: u64,
    pub(crate) takes_ms: u64,
    pub(crate) patience_ms: u64,
    pub(crate) provider: Provider,
}

/// What its provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Provider {
    /// Works and says what it cost.
    Tells,
    /// Does not say what it cost.
    LosesUsage,
    /// Breaks off in the middle of its answer, and bills when it is done nevertheless.
    BreaksOff,
    /// Answers that it has failed, and bills nothing.
    Fails,
    /// Bills so much more than was reserved.
    Overbills(u64),
    /// Says nothing for longer than anybody waits, and bills then.
    Hangs,
    /// Never says anything, and bills nothing.
    IsGone,
}

impl Provider {
    fn draw(chance: &Chance) -> Self {
        match chance.within(0..1_000) {
            0..20 => Self::LosesUsage,
            20..40 => Self::Overbills(chance.within(1..100)),
            40..50 => Self::Hangs,
            50..60 => Self::IsGone,
            60..80 => Self::BreaksOff,
            80..100 => Self::Fails,
            _ => Self::Tells,
        }
    }
}

impl RequestPlan {
    /// One that asks for little and is quickly over.
    pub(crate) const fn small() -> Self {
        Self {
            at_ms: 0,
            node: 0,
            key: 0,
            most: 100,
            least: 100,
            expected: 100,
            actual: 60,
            takes_ms: 10,
            patience_ms: 2_000,
            provider: Provider::Tells,
        }
    }
}

/// Something that goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) at_ms: u64,
    pub(crate) for_ms: u64,
    pub(crate) what: What,
}

/// Whom it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    Node(usize),
    /// Whoever leads at that moment.
    Leader,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The process dies.
    Kill(Who),
    /// The machine is gone.
    Vanish(Who),
    /// Neither heard nor hearing.
    CutOff(Who),
    /// What is sent to it is lost.
    Deafen(Who),
    /// What it sends is lost.
    Mute(Who),
    /// From one to the other nothing gets through.
    OneWay(usize, usize),
    /// Two nodes do not see each other.
    Pair(usize, usize),
    /// The nodes up to there do not see those behind.
    Split(usize),
    /// The same, but one sees both sides.
    Bridge(usize),
    /// The machine stands still.
    Pause(Who),
    /// Its time of day jumps by so many milliseconds.
    Jump(Who, i64),
    /// The connections between two nodes break.
    Reset(usize, usize),
    /// All its connections break again and again.
    Shake(usize),
    /// Its process dies, and an old copy of its journal is put in place of the journal.
    RollBack(Who),
    /// Syncs take up to so many microseconds.
    SlowDisk(Who, u64),
    /// The process dies at the next such moment.
    Trip(Who, Moment),
    /// Two camps that do not see each other both need the vote of whoever leads, who dies again and again while it votes.
    Contest,
    /// Leadership is handed over.
    Transfer,
    /// The process is told to stop, and started again.
    Drain(Who),
    /// Somebody takes a node for dead that is not, and ends its session.
    Expire(Who),
    /// Another node joins.
    Join,
    /// A node is removed for good.
    Remove(usize),
}

fn bucket(chance: &Chance) -> (Refill, u64, Reserve) {
    let (refill, capacity) = match chance.place(3) {
        0 => (Refill::Second, chance.within(100..600)),
        1 => (Refill::Minute, chance.within(300..3_000)),
        _ => (Refill::Minute, chance.within(3_000..30_000)),
    };
    (refill, capacity, if chance.per_mille(500) { Reserve::Estimate } else { Reserve::Bound })
}

/// A time of day jumps by some minutes, or by hours, forward or back.
const MINUTES_MS: u64 = 120_000;
const HOURS_MS: u64 = 10_000_000;

fn jump(chance: &Chance, most_ms: u64) -> i64 {
    let far = i64::try_from(chance.within(0..most_ms)).unwrap_or(0);
    if chance.per_mille(500) { far } else { -far }
}

impl Listed for Plan {
    fn lengths(&self) -> Vec<usize> {
        vec![self.faults.len(), self.requests.len(), self.limit_changes.len()]
    }

    fn drop_part(&mut self, list: usize, part: Range<usize>) {
        match list {
            0 => drop(self.faults.drain(part)),
            1 => drop(self.requests.drain(part)),
            _ => drop(self.limit_changes.drain(part)),
        }
    }
}

/// Keys that send requests. The last of them is revoked on the way.
pub(crate) const KEYS: usize = 4;

impl Plan {
    /// The run of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, 1);
        let nodes = [3, 3, 3, 4, 5][chance.place(5)];
        let runs_ms = chance.within(8_000..16_000);
        let snapshots = match chance.place(4) {
            0 => (5_000, 1_000),
            1 => (200, 50),
            2 => (60, 10),
            _ => (25, 0),
        };
        let late = [0, 5, 20][chance.place(3)];
        let mut plan = Self {
            seed,
            nodes,
            latency: Latency { usual_us: [400, 2_000, 10_000][chance.place(3)], late, late_us: 250_000 },
            sync_us: [300, 2_000, 10_000, 80_000][chance.place(4)],
            snapshots,
            ppm: (0..=nodes).map(|_| i64::try_from(chance.within(0..1_900)).unwrap_or(0) - 950).collect(),
            before_minute_ms: chance.within(6_000..20_000),
            runs_ms,
            revoke_ms: runs_ms * 6 / 10,
            limits: [0; 3],
            permits: chance.within(1..5),
            bucket: bucket(&chance),
            open_keys: [1, 2].into_iter().filter(|_| chance.per_mille(400)).collect(),
            requests: Vec::new(),
            limit_changes: Vec::new(),
            faults: Vec::new(),
        };
        plan.draw_requests(&chance);
        plan.draw_faults(&chance);
        if chance.per_mille(350) {
            plan.draw_usurpation(&chance);
        }
        plan.faults.sort_by_key(|fault| fault.at_ms);
        plan
    }

    /// What there is to say about it, but for its requests.
    #[must_use]
    pub fn summary(&self) -> Self {
        Self { requests: Vec::new(), ..self.clone() }
    }

    fn draw_requests(&mut self, chance: &Chance) {
        let count = chance.within(60..260);
        // As good as can be, or far too low for most.
        let expected_of = [1, 4][chance.place(2)];
        for _ in 0..count {
            let most = chance.within(10..200);
            let takes_ms = if chance.per_mille(60) { 3_000 } else { chance.within(1..400) };
            self.requests.push(RequestPlan {
                at_ms: chance.within(0..self.runs_ms),
                node: chance.place(self.nodes),
                key: chance.place(KEYS),
                most,
                least: if chance.per_mille(300) { chance.within(5..most + 1) } else { most },
                expected: chance.within(1..most.div_ceil(expected_of) + 1),
                actual: chance.within(1..most + 1),
                takes_ms,
                patience_ms: chance.within(50..2_500),
                provider: Provider::draw(chance),
            });
        }
        self.requests.sort_by_key(|request| request.at_ms);
        let demand: u64 = self.requests.iter().map(|request| request.actual).sum();
        // Between plenty, and so little that most are turned away.
        let part = |least, most| (demand * chance.within(least..most) / 1_000).max(50);
        self.limits = [part(200, 1_300), part(200, 1_300), part(80, 600)];
        if chance.per_mille(100) {
            // Larger than the whole budget.
            let request = &mut self.requests[chance.place(usize::try_from(count).unwrap_or(1))];
            request.most = self.limits[1] + 1;
            request.least = request.most;
        }
        for _ in 0..chance.within(0..3) {
            self.limit_changes.push((chance.within(0..self.runs_ms), part(200, 1_300)));
        }
        self.limit_changes.sort_unstable();
    }

    fn draw_faults(&mut self, chance: &Chance) {
        let count = chance.within(1..9);
        for _ in 0..count {
            let at_ms = chance.within(200..self.runs_ms);
            let for_ms =
                if chance.per_mille(200) { chance.within(3_000..8_000) } else { chance.within(100..3_000) };
            self.faults.push(Fault { at_ms, for_ms, what: self.draw_fault(chance) });
        }
        if chance.per_mille(150) {
            self.faults.push(Fault { at_ms: chance.within(200..self.runs_ms), for_ms: 0, what: What::Join });
        }
        if self.nodes > 3 && chance.per_mille(250) {
            let what = What::Remove(chance.place(self.nodes));
            self.faults.push(Fault { at_ms: chance.within(200..self.runs_ms), for_ms: 0, what });
        }
    }

    /// A leader is out of reach until long after another has taken its place, and keys are revoked meanwhile.
    fn draw_usurpation(&mut self, chance: &Chance) {
        let (at_ms, for_ms) = (chance.within(500..self.runs_ms - 3_000), chance.within(3_000..7_000));
        let leader = Who::Leader;
        let what = [What::CutOff(leader), What::CutOff(leader), What::Mute(leader), What::Deafen(leader)];
        self.faults.push(Fault { at_ms, for_ms, what: what[chance.place(4)] });
        self.revoke_ms = at_ms + chance.within(800..for_ms - 500);
    }

    fn draw_fault(&self, chance: &Chance) -> What {
        let node = chance.place(self.nodes);
        let other = (node + 1 + chance.place(self.nodes - 1)) % self.nodes;
        let who = if chance.per_mille(400) { Who::Leader } else { Who::Node(node) };
        let moments =
            [Moment::AnsweredUnsynced, Moment::SpentUnsynced, Moment::LogUntold, Moment::JournalUntold];
        match chance.place(32) {
            0..=3 => What::Kill(who),
            4 | 5 => What::Vanish(who),
            6 | 7 => What::CutOff(who),
            8 => What::Deafen(who),
            9 => What::Mute(who),
            10 => What::OneWay(node, other),
            11 => What::Pair(node, other),
            12 => What::Split(1 + chance.place(self.nodes - 1)),
            13 => What::Bridge(node),
            14 => What::Pause(who),
            15 => What::Jump(who, jump(chance, MINUTES_MS)),
            30 | 31 => What::Jump(who, jump(chance, HOURS_MS)),
            16 => What::Reset(node, other),
            17 => What::SlowDisk(who, chance.within(20_000..900_000)),
            18 => What::Transfer,
            19 => What::Expire(who),
            20..=23 => What::Trip(who, moments[chance.place(4)]),
            24 | 25 => What::Contest,
            26 => What::Shake(node),
            27 | 28 => What::RollBack(who),
            _ => What::Drain(who),
        }
    }
}
