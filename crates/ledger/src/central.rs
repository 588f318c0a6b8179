//! Central mode: a budget near exhaustion is handed out request by request, and a denial needs proof.
//!
//! What is unreserved at an instant is spread over the cluster: in the pool, in grants that nobody uses, in refunds on
//! their way. A *round* collects it. It begins with an entry of the log; every holder that applies the entry gives back
//! whatever it does not need for a request that was granted to it by name, and answers. Holders in central mode admit
//! nothing by themselves, so what was unreserved at the first answer has all arrived in the pool by the last one: it is
//! at most what was in the pool when the round began, and what arrived since. That sum is the [`Tally`].
//!
//! A holder that had not heard of central mode when the round began may have spent from its grant meanwhile, unseen:
//! such a round proves nothing about it, and the next one does. (Rule (a) of docs/quota-protocol.md.)

use quorate_domain::{Amount, Round, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state of a window that is handed out request by request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Central {
    /// The first round of this spell of central mode.
    since: Round,
    /// The round under way, or the latest.
    round: Round,
    /// In the pool when the round began, and returned to it since.
    arrived: Amount,
    /// Those who have not answered the round, and what they held when it began.
    unanswered: BTreeMap<SessionId, Amount>,
    /// Those about whom the round proves nothing, and what they held when it began: they did not know of central mode
    /// then, or died since.
    unproven: BTreeMap<SessionId, Amount>,
    /// Somebody wants another round after this one.
    is_called: bool,
    /// What the latest round that is complete has shown.
    tally: Option<Tally>,
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
    pub(crate) fn begin(round: Round, free: Amount, holders: &[Holder]) -> Self {
        let mut central = Self {
            since: round,
            round,
            arrived: Amount::ZERO,
            unanswered: BTreeMap::new(),
            unproven: BTreeMap::new(),
            is_called: false,
            tally: None,
            silent: BTreeSet::new(),
        };
        central.begin_round(round, free, holders);
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

    /// What is known of an instant after the beginning of round `from`; the round with the fewest doubts counts.
    #[must_use]
    pub fn tally_from(&self, from: Round) -> Option<Tally> {
        let complete = self.tally.clone().filter(|tally| tally.round >= from);
        if complete.as_ref().is_some_and(|tally| tally.doubtful.is_empty()) || self.round < from {
            return complete;
        }
        let so_far = Tally {
            round: self.round,
            at_most: self.arrived,
            doubtful: self
                .unproven
                .iter()
                .chain(&self.unanswered)
                .map(|(session, held)| (*session, *held))
                .collect(),
        };
        let doubts = |tally: &Tally| tally.doubtful.len();
        Some(complete.filter(|tally| doubts(tally) <= doubts(&so_far)).unwrap_or(so_far))
    }

    /// Whether a session kept a round waiting in vain, and has said nothing since.
    #[must_use]
    pub fn is_silent(&self, session: SessionId) -> bool {
        self.silent.contains(&session)
    }

    /// A session says something.
    pub(crate) fn speaks(&mut self, session: SessionId) {
        self.silent.remove(&session);
    }

    /// This much came back to the pool.
    pub(crate) fn arrived(&mut self, amount: Amount) {
        self.arrived = self.arrived.saturating_add(amount);
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
            self.tally = Some(Tally { round: self.round, at_most: self.arrived, doubtful });
        }
        std::mem::take(&mut self.is_called)
    }

    pub(crate) fn begin_round(&mut self, round: Round, free: Amount, holders: &[Holder]) {
        self.round = round;
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
