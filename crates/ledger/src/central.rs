//! Central mode: a budget near exhaustion is handed out request by request, and a denial needs proof.
//!
//! What is unreserved at an instant is spread over the cluster: in the pool, in grants that nobody uses, in refunds on
//! their way. A *round* collects it. It begins with an entry of the log; every holder that applies the entry gives back
//! whatever it does not need for a request that was granted to it by name, and answers. Holders in central mode admit
//! nothing by themselves, so what was unreserved at the first answer has all arrived in the pool by the last one: it is
//! at most what was in the pool when the round began, and what arrived since from those who had not answered yet. That
//! sum is the [`Tally`].
//!
//! A holder that had not heard of central mode when the round began may have spent from its grant meanwhile, unseen:
//! such a round proves nothing about it, and the next one does. (Rule (a) of docs/quota-protocol.md.)

use crate::line::Place;
use crate::turn::Turns;
use quorate_domain::{Amount, PlaceId, Round, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state of a window that is handed out request by request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Central {
    /// The first round of this spell of central mode.
    since: Round,
    /// The round under way, or the latest.
    round: Round,
    /// In the pool when the round began, and returned to it since by those who had not answered yet.
    arrived: Amount,
    /// Those who have not answered the round, and what they held when it began.
    unanswered: BTreeMap<SessionId, Amount>,
    /// Those about whom the round proves nothing, and what they held when it began: they did not know of central mode
    /// then, or died since.
    unproven: BTreeMap<SessionId, Amount>,
    /// Who stood in line when it began.
    turns: Turns,
    /// Somebody wants another round after this one.
    is_called: bool,
    /// What the latest round that is complete has shown.
    tally: Option<Box<Tally>>,
    /// Those in line for whom the latest round has left too little, and how much that was at most.
    denied: BTreeMap<(SessionId, PlaceId), Amount>,
    /// Those who kept a round waiting in vain, and have said nothing since: nothing is granted to their requests, which
    /// nobody may wait for any more.
    silent: BTreeSet<SessionId>,
}

/// What a round has shown: at an instant after it began, no more than this was unreserved in the whole cluster, but for
/// what the doubtful hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The round.
    pub round: Round,
    /// No more than this was unreserved.
    pub at_most: Amount,
    /// Sessions about which the round proves nothing, and what they held when it began.
    pub doubtful: BTreeMap<SessionId, Amount>,
    /// Who stood in line when it began.
    pub turns: Turns,
}

/// What is known of an instant while a round was under way.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// No more than this was unreserved, but for what the doubtful hold.
    pub at_most: Amount,
    turns: &'a Turns,
    doubtful: [&'a BTreeMap<SessionId, Amount>; 2],
}

impl Shown<'_> {
    /// The most that was unreserved and not owed to those who stood in line before a request.
    #[must_use]
    pub fn left_for(&self, session: SessionId, id: PlaceId) -> Amount {
        self.turns.left_for(session, id, self.at_most)
    }

    /// Sessions about which nothing is shown, and what they held.
    pub fn doubtful(&self) -> impl Iterator<Item = (SessionId, Amount)> {
        let [first, second] = self.doubtful;
        let more = second.iter().filter(|(session, _)| !first.contains_key(session));
        first.iter().chain(more).map(|(session, held)| (*session, *held))
    }

    /// Whether nothing is shown about a session.
    #[must_use]
    pub fn is_doubtful(&self, session: SessionId) -> bool {
        self.doubtful.iter().any(|sessions| sessions.contains_key(&session))
    }
}

/// A session that holds something when a round begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) session: SessionId,
    /// The latest round it has answered.
    pub(crate) heard: Round,
    /// What it holds.
    pub(crate) outstanding: Amount,
}

impl Central {
    /// Begins central mode, with its first round.
    pub(crate) fn begin(round: Round, free: Amount, holders: &[Holder], turns: Turns) -> Self {
        let mut central = Self {
            since: round,
            round,
            arrived: Amount::ZERO,
            unanswered: BTreeMap::new(),
            unproven: BTreeMap::new(),
            turns: Turns::default(),
            is_called: false,
            tally: None,
            denied: BTreeMap::new(),
            silent: BTreeSet::new(),
        };
        central.begin_round(round, free, holders, turns);
        central
    }

    /// The first round of this spell of central mode.
    #[must_use]
    pub const fn since(&self) -> Round {
        self.since
    }

    /// The round under way, or the latest.
    #[must_use]
    pub const fn round(&self) -> Round {
        self.round
    }

    /// Who has not answered it.
    pub fn unanswered(&self) -> impl Iterator<Item = SessionId> {
        self.unanswered.keys().copied()
    }

    /// Whether the round under way waits for an answer of this session.
    #[must_use]
    pub fn asks(&self, session: SessionId) -> bool {
        self.unanswered.contains_key(&session)
    }

    /// Whether the round waits for answers.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        !self.is_complete()
    }

    /// Whether another round begins as soon as this one is complete.
    #[must_use]
    pub const fn is_called(&self) -> bool {
        self.is_called
    }

    /// What is known of instants after the beginning of round `from`: by the latest round that is complete, and by the
    /// one under way.
    pub fn shown_from(&self, from: Round) -> impl Iterator<Item = Shown<'_>> {
        let complete = self.tally.as_ref().filter(|tally| tally.round >= from).map(|tally| Shown {
            at_most: tally.at_most,
            turns: &tally.turns,
            doubtful: [&tally.doubtful, const { &BTreeMap::new() }],
        });
        let so_far = (self.is_under_way() && self.round >= from).then_some(Shown {
            at_most: self.arrived,
            turns: &self.turns,
            doubtful: [&self.unproven, &self.unanswered],
        });
        complete.into_iter().chain(so_far)
    }

    /// Whether the latest round that ended has shown that a request cannot be met, but for what silent sessions hold. It is told so,
    /// and nobody behind it waits until it has heard it.
    pub(crate) fn has_denied(&self, session: SessionId, place: &Place) -> bool {
        self.denied.get(&(session, place.id)).is_some_and(|left| place.need > *left)
    }

    /// The round has ended. If nobody was unaware of central mode, who gave no answer is all that is not known. Otherwise it
    /// judges nobody: whom an earlier one denied would never hear of it, now that this one's tally is told.
    fn deny(&mut self) {
        let can_judge = self.unproven.is_empty();
        self.denied = if can_judge { self.turns.denied(self.arrived).collect() } else { BTreeMap::new() };
    }

    /// Whether a session kept a round waiting in vain, and has said nothing since.
    #[must_use]
    pub fn is_silent(&self, session: SessionId) -> bool {
        self.silent.contains(&session)
    }

    /// A session says something. If it was silent, what it holds may be there for those who were denied without it.
    pub(crate) fn speaks(&mut self, session: SessionId) {
        if self.silent.remove(&session) {
            self.denied.clear();
        }
    }

    /// The pool grew by this much.
    pub(crate) fn grew(&mut self, amount: Amount) {
        self.arrived = self.arrived.saturating_add(amount);
    }

    /// A session that held so much has ended. Rounds that counted it as in doubt show nothing any more: whether it turned out to be
    /// spent or was taken to be, it may have been unreserved all the time, and no denial could name it now.
    pub(crate) fn turned_up(&mut self, session: SessionId, amount: Amount) {
        if amount.is_zero() {
            return;
        }
        self.denied.clear();
        let is_counted = self.unanswered.contains_key(&session) || self.unproven.contains_key(&session);
        if !is_counted {
            self.tally = None;
            self.grew(amount);
        }
    }

    /// This much came back to the pool from a session. Whoever has answered had nothing unreserved then, so that what
    /// comes back from it later was reserved at the first answer, or was in the pool.
    pub(crate) fn arrived(&mut self, session: SessionId, amount: Amount) {
        if self.unanswered.contains_key(&session) || self.unproven.contains_key(&session) {
            self.grew(amount);
        }
    }

    /// A session answers a round. `is_complete`: it knew of everything that was granted to it.
    pub(crate) fn answer(&mut self, session: SessionId, round: Round, is_complete: bool) {
        if is_complete && round == self.round {
            self.unanswered.remove(&session);
        }
    }

    /// A session is dead: no answer is to be expected of it. The round proves nothing about what it held, which may have
    /// been unreserved when it began; the next round begins without it.
    pub(crate) fn lose(&mut self, session: SessionId) {
        self.silent.remove(&session);
        if let Some(held) = self.unanswered.remove(&session) {
            self.unproven.insert(session, held);
        }
    }

    /// Somebody wants a round that begins after now; `overdue` is one that was waited for in vain.
    pub(crate) fn call(&mut self, overdue: Option<Round>) -> Call {
        if self.is_complete() {
            return Call::BeginNow;
        }
        if overdue == Some(self.round) {
            self.silent.extend(self.unanswered.keys());
            self.deny();
            return Call::BeginNow;
        }
        self.is_called = true;
        Call::AfterThis
    }

    /// Takes down what a complete round has shown. `true` if another one should begin now.
    pub(crate) fn conclude(&mut self) -> bool {
        if !self.is_complete() {
            return false;
        }
        if self.tally.as_ref().is_none_or(|tally| tally.round < self.round) {
            let doubtful = self.unproven.clone();
            let (turns, at_most) = (self.turns.clone(), self.arrived);
            self.deny();
            self.tally = Some(Box::new(Tally { round: self.round, at_most, doubtful, turns }));
        }
        std::mem::take(&mut self.is_called)
    }

    pub(crate) fn begin_round(&mut self, round: Round, free: Amount, holders: &[Holder], turns: Turns) {
        self.round = round;
        self.turns = turns;
        self.arrived = free;
        let held = |holder: &Holder| (holder.session, holder.outstanding);
        self.unanswered = holders.iter().map(held).collect();
        let is_unaware = |holder: &&Holder| holder.heard < self.since;
        self.unproven = holders.iter().filter(is_unaware).map(held).collect();
    }

    fn is_complete(&self) -> bool {
        self.unanswered.is_empty()
    }
}

/// When a round that was called for begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    BeginNow,
    AfterThis,
}
