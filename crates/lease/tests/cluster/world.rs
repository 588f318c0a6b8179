//! The miniature: five nodes, one log, one key. Time is real time in microseconds, of which no node knows.

use quorate_domain::{MonoTime, NodeId, Span};
use quorate_lease::{Asked, Confirmed, Lease, Renewals, RevocationBound, Standing, Withdrawal};
use std::collections::BTreeSet;
use std::sync::Arc;

const NODES: usize = 5;
const STEP_US: u64 = 2_000;
const END_US: u64 = 9_000_000;
/// The entry that revokes the key.
const REVOCATION: u64 = 10;
const BOUND: RevocationBound = RevocationBound::DEFAULT;
/// What the promise allows in real time: T(1+2ρ).
const ALLOWED_US: u64 = 2_004_000;

/// What the cluster does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// The lease counts from the answer instead of the question.
    CountsFromAnswer,
    /// A leader answers without asking a majority whether it still is one.
    NoRound,
    /// A node calls itself fresh before it has applied what the answer names.
    DoesNotApply,
    /// Who revokes waits as long as a lease lasts by its own clock, though others may run slow.
    WaitsTooShort,
    /// Who revokes waits for a majority only.
    WaitsForSome,
}

impl Mistake {
    pub(crate) const EVERY: [Self; 5] =
        [Self::CountsFromAnswer, Self::NoRound, Self::DoesNotApply, Self::WaitsTooShort, Self::WaitsForSome];
}

/// What the judge saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) after_commit: u64,
    pub(crate) after_bound: u64,
    pub(crate) after_return: u64,
    pub(crate) acknowledged: u64,
    pub(crate) waited_out: u64,
    pub(crate) latest_us: u64,
    pub(crate) seed: Option<u64>,
}

impl Findings {
    pub(crate) fn add(&mut self, other: Self) {
        self.after_commit += other.after_commit;
        self.after_bound += other.after_bound;
        self.after_return += other.after_return;
        self.acknowledged += other.acknowledged;
        self.waited_out += other.waited_out;
        self.latest_us = self.latest_us.max(other.latest_us);
        self.seed = self.seed.or(other.seed);
    }
}

struct Node {
    renewals: Renewals,
    lease: Arc<Lease>,
    /// Parts in a million that its clock runs fast or slow.
    drift_ppm: i64,
    offset_us: u64,
    paused_until: u64,
    /// Until when neither messages nor entries reach it.
    cut_off_until: u64,
    next_beat: u64,
    applied: u64,
    /// Since when it believes to lead; a deposed leader goes on believing for a while.
    believes_until: u64,
}

#[derive(Clone, Copy)]
enum Message {
    Ask { from: usize, asked: Asked },
    Answer { to: usize, asked: Asked, confirmed: Confirmed },
    Applied { from: usize },
}

struct Posted {
    at: u64,
    to: usize,
    message: Message,
}

pub(crate) struct World {
    random: u64,
    mistake: Mistake,
    now: u64,
    nodes: Vec<Node>,
    leader: usize,
    committed: u64,
    committed_at: Option<u64>,
    revoker: usize,
    withdrawal: Option<Withdrawal>,
    returned_at: Option<u64>,
    post: Vec<Posted>,
    findings: Findings,
}

impl World {
    pub(crate) fn run(seed: u64, mistake: Mistake) -> Findings {
        let mut world = Self::new(seed, mistake);
        let revoked_at = 3_000_000 + world.below(2_000_000);
        while world.now < END_US {
            world.now += STEP_US;
            world.disturb();
            if world.committed_at.is_none() && world.now >= revoked_at {
                world.revoke();
            }
            world.deliver();
            for place in 0..NODES {
                world.live(place);
            }
        }
        if world.findings.after_bound + world.findings.after_return > 0 {
            world.findings.seed = Some(seed);
        }
        world.findings
    }

    fn new(seed: u64, mistake: Mistake) -> Self {
        let mut world = Self {
            random: seed,
            mistake,
            now: 0,
            nodes: Vec::new(),
            leader: 0,
            committed: REVOCATION - 1,
            committed_at: None,
            revoker: 0,
            withdrawal: None,
            returned_at: None,
            post: Vec::new(),
            findings: Findings::default(),
        };
        for _ in 0..NODES {
            let lease = Arc::new(Lease::default());
            let node = Node {
                renewals: Renewals::new(BOUND, Arc::clone(&lease)),
                lease,
                drift_ppm: [-1_000, 0, 1_000][world.choice(3)],
                offset_us: world.below(1 << 40),
                paused_until: 0,
                cut_off_until: 0,
                next_beat: 0,
                applied: 0,
                believes_until: 0,
            };
            world.nodes.push(node);
        }
        world.nodes[0].believes_until = END_US;
        world
    }

    /// SplitMix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn choice(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or_default()
    }

    /// What the node's own clock shows: up to a thousandth fast or slow.
    fn clock(&self, place: usize) -> MonoTime {
        let node = &self.nodes[place];
        let drifted = i64::try_from(self.now).unwrap_or(i64::MAX) * node.drift_ppm / 1_000_000;
        MonoTime::from_micros((self.now + node.offset_us).saturating_add_signed(drifted))
    }

    fn is_awake(&self, place: usize) -> bool {
        self.nodes[place].paused_until <= self.now
    }

    fn is_reached(&self, place: usize) -> bool {
        self.is_awake(place) && self.nodes[place].cut_off_until <= self.now
    }

    /// Pauses, cuts and elections, each about once in two seconds.
    fn disturb(&mut self) {
        if self.below(1_000) == 0 {
            let (place, length) = (self.choice(NODES), self.below(4_000_000));
            self.nodes[place].paused_until = self.now + length;
        }
        if self.below(1_000) == 0 {
            let (place, length) = (self.choice(NODES), self.below(4_000_000));
            self.nodes[place].cut_off_until = self.now + length;
        }
        if self.below(1_500) == 0 {
            let (old, patience) = (self.leader, self.below(5_000_000));
            self.nodes[old].believes_until = self.now + patience;
            self.leader = self.choice(NODES);
            self.nodes[self.leader].believes_until = END_US;
        }
    }

    fn revoke(&mut self) {
        let place = self.choice(NODES);
        if !self.is_reached(place) {
            return;
        }
        self.renew_at_the_last_moment();
        (self.committed, self.committed_at, self.revoker) = (REVOCATION, Some(self.now), place);
        let (bound, members) = match self.mistake {
            Mistake::WaitsForSome => (BOUND, 0..NODES / 2),
            Mistake::WaitsTooShort => {
                (RevocationBound::new(Span::from_millis(1_990)).unwrap_or(BOUND), 0..NODES)
            }
            Mistake::None | Mistake::CountsFromAnswer | Mistake::NoRound | Mistake::DoesNotApply => {
                (BOUND, 0..NODES)
            }
        };
        let members: BTreeSet<NodeId> = members.map(id).collect();
        self.withdrawal = Some(Withdrawal::new(members, bound, self.clock(place)));
    }

    /// Often somebody's lease was renewed just before the commit, and then it hears nothing any more.
    fn renew_at_the_last_moment(&mut self) {
        let place = self.choice(NODES);
        if self.below(2) == 0 || !self.is_reached(place) || !self.is_reached(self.leader) {
            return;
        }
        let confirmed = Confirmed { index: self.committed, bound: BOUND.span() };
        let asked = self.nodes[place].renewals.ask(self.clock(place));
        self.nodes[place].renewals.answered(asked, confirmed);
        self.nodes[place].cut_off_until = self.now + 3_000_000;
    }

    /// Most messages take a moment, some take seconds, some are lost.
    fn send(&mut self, from: usize, to: usize, message: Message) {
        let delay = match self.below(20) {
            0 => return,
            1 | 2 => self.below(3_000_000),
            _ => self.below(40_000),
        };
        if self.nodes[from].cut_off_until <= self.now {
            self.post.push(Posted { at: self.now + delay, to, message });
        }
    }

    fn deliver(&mut self) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.post).into_iter().partition(|posted| posted.at <= self.now);
        self.post = later;
        for posted in due {
            if self.nodes[posted.to].cut_off_until > self.now {
                continue;
            }
            if !self.is_awake(posted.to) {
                // It waits in a socket until the process runs again.
                self.post.push(posted);
                continue;
            }
            self.take(posted.to, posted.message);
        }
    }

    fn take(&mut self, place: usize, message: Message) {
        match message {
            Message::Ask { from, asked } => self.asked(place, from, asked),
            Message::Answer { to, asked, confirmed } => {
                let asked = match self.mistake {
                    Mistake::CountsFromAnswer => self.nodes[to].renewals.ask(self.clock(to)),
                    Mistake::None
                    | Mistake::NoRound
                    | Mistake::DoesNotApply
                    | Mistake::WaitsTooShort
                    | Mistake::WaitsForSome => asked,
                };
                self.nodes[to].renewals.answered(asked, confirmed);
                if self.mistake == Mistake::DoesNotApply {
                    self.nodes[to].renewals.applied(u64::MAX);
                }
            }
            Message::Applied { from } => {
                if let Some(withdrawal) = &mut self.withdrawal {
                    withdrawal.acknowledged(id(from));
                }
            }
        }
    }

    /// Who believes to lead answers, once a majority has confirmed it: which it does for nobody but the leader.
    fn asked(&mut self, place: usize, from: usize, asked: Asked) {
        let believes = self.nodes[place].believes_until > self.now;
        let is_leader = self.leader == place;
        if !believes || !(is_leader || self.mistake == Mistake::NoRound) {
            return;
        }
        // A deposed leader knows of nothing that was committed without it.
        let index = if is_leader { self.committed } else { self.committed.min(REVOCATION - 1) };
        let confirmed = Confirmed { index, bound: BOUND.span() };
        self.send(place, from, Message::Answer { to: from, asked, confirmed });
    }

    fn live(&mut self, place: usize) {
        if !self.is_awake(place) {
            return;
        }
        self.admit(place);
        self.apply(place);
        if self.now >= self.nodes[place].next_beat {
            self.nodes[place].next_beat = self.now + BOUND.beat().millis() * 1_000;
            let asked = self.nodes[place].renewals.ask(self.clock(place));
            let leader = if self.below(3) == 0 { self.choice(NODES) } else { self.leader };
            self.send(place, leader, Message::Ask { from: place, asked });
        }
        self.wait_for_everybody(place);
    }

    /// The key is admitted by whoever is fresh and has not applied its revocation. The judge is here.
    fn admit(&mut self, place: usize) {
        let node = &self.nodes[place];
        let (true, Some(committed_at)) = (node.applied < REVOCATION, self.committed_at) else { return };
        if !node.lease.is_fresh(self.clock(place)) {
            return;
        }
        let after = self.now - committed_at;
        self.findings.after_commit += 1;
        self.findings.latest_us = self.findings.latest_us.max(after);
        self.findings.after_bound += u64::from(after > ALLOWED_US);
        self.findings.after_return += u64::from(self.returned_at.is_some_and(|at| self.now > at));
    }

    fn apply(&mut self, place: usize) {
        let lags = self.below(20) != 0;
        if lags || !self.is_reached(place) || self.nodes[place].applied == self.committed {
            return;
        }
        let committed = self.committed;
        let node = &mut self.nodes[place];
        node.applied = committed;
        node.renewals.applied(committed);
    }

    /// Each node that has applied the revocation says so, again and again; the revoker counts.
    fn wait_for_everybody(&mut self, place: usize) {
        if self.committed_at.is_none() || self.returned_at.is_some() {
            return;
        }
        if self.nodes[place].applied >= REVOCATION && self.below(10) == 0 {
            self.send(place, self.revoker, Message::Applied { from: place });
        }
        if place != self.revoker {
            return;
        }
        let now = self.clock(place);
        match self.withdrawal.as_ref().map(|withdrawal| withdrawal.standing(now)) {
            None | Some(Standing::Open(_)) => return,
            Some(Standing::Acknowledged) => self.findings.acknowledged += 1,
            Some(Standing::WaitedOut(_)) => self.findings.waited_out += 1,
        }
        self.returned_at = Some(self.now);
    }
}

fn id(place: usize) -> NodeId {
    NodeId::new(place as u64 + 1)
}
