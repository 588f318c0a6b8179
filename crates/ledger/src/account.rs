//! The account of one window of one budget: who was granted how much, and what became of it.
//!
//! Invariants, for the limit L in force (docs/INVARIANTS.md):
//! - I1: `Σ(granted − returned) + closed + overrun + free = L`, and `free ≥ 0` unless the limit was cut or a
//!   provider overran; each holding keeps `used + returned ≤ granted`.
//! - I4: granted, used and returned of a holding never decrease.

use crate::{Mark, Shortage, SpendingReport};
use quorate_domain::{Amount, SessionId, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Part of the pool that one grant may take beyond its need: half, shared among the holders. Grants so shrink
/// geometrically towards exhaustion (guided self-scheduling) instead of leaving everything with the first to ask.
const SHARE_OF_POOL: u64 = 2;
/// A pool whose fair share covers fewer requests than this is handed out request by request.
const CENTRAL_BELOW_REQUESTS: u64 = 2;
/// And goes back to grants when the fair share covers this many, so that the mode does not flap.
const GRANT_FROM_REQUESTS: u64 = 4;

/// How a budget is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In slices that nodes spend by themselves.
    #[default]
    Grant,
    /// Request by request: holders return at once what they do not need this instant.
    Central {
        /// The need that was too large for the pool to be handed out in slices.
        need: Amount,
    },
}

/// What one session was granted in one window, and what became of it. All three only rise (I4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Handed to the session.
    pub granted: Amount,
    /// Reported as spent.
    pub used: Amount,
    /// Given back to the pool.
    pub returned: Amount,
    /// Billed beyond what was reserved.
    pub overrun: Amount,
}

impl Holding {
    /// Granted, and neither reported as spent nor given back. Counted as spent until it is.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.kept().saturating_sub(self.used)
    }

    /// Granted and not given back: what the holding takes out of the pool.
    fn kept(&self) -> Amount {
        self.granted.saturating_sub(self.returned)
    }

    fn is_consistent(&self) -> bool {
        self.used.checked_add(self.returned).is_some_and(|gone| gone <= self.granted)
    }
}

/// The account of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    window: Window,
    mode: Mode,
    holdings: BTreeMap<SessionId, Holding>,
    /// `Σ(granted − returned)` over the holdings plus `closed_used`: all that is not in the pool for good or for now.
    committed: Amount,
    /// Spent by sessions that are closed.
    closed_used: Amount,
    /// Part of `closed_used` that was charged because a node died, without proof that it was spent.
    crash_charged: Amount,
    /// Billed beyond what was reserved, by all sessions.
    overrun: Amount,
}

/// What the whole cluster looks like to a grant: who else might want a share.
pub(crate) struct Crowd<'a> {
    /// The asking session.
    pub(crate) asking: SessionId,
    /// Whether a session may still spend.
    pub(crate) is_live: &'a dyn Fn(SessionId) -> bool,
}

/// What is known of a dead session's spending in one window. Nothing is: it never spent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proof {
    /// No more than this was spent.
    pub(crate) spent_bound: Amount,
    /// At least this was.
    pub(crate) settled: Amount,
    /// At least this was billed beyond what was reserved.
    pub(crate) overrun: Amount,
}

impl From<&Mark> for Proof {
    fn from(mark: &Mark) -> Self {
        Self { spent_bound: mark.spent_bound, settled: mark.settled, overrun: mark.overrun }
    }
}

impl Account {
    pub(crate) const fn new(window: Window) -> Self {
        Self {
            window,
            mode: Mode::Grant,
            holdings: BTreeMap::new(),
            committed: Amount::ZERO,
            closed_used: Amount::ZERO,
            crash_charged: Amount::ZERO,
            overrun: Amount::ZERO,
        }
    }

    /// The stretch of log time it is for.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// How it is handed out now.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What each session holds.
    pub fn holdings(&self) -> impl Iterator<Item = (SessionId, &Holding)> {
        self.holdings.iter().map(|(session, holding)| (*session, holding))
    }

    /// What one session holds; nothing if it never asked.
    #[must_use]
    pub fn holding(&self, session: SessionId) -> Holding {
        self.holdings.get(&session).copied().unwrap_or_default()
    }

    /// All that was reported as spent or charged for the dead, overrun apart.
    #[must_use]
    pub fn used(&self) -> Amount {
        self.holdings.values().fold(self.closed_used, |sum, holding| sum.saturating_add(holding.used))
    }

    /// Part of [`Account::used`] that was charged for nodes that died, without proof that it was spent.
    #[must_use]
    pub const fn crash_charged(&self) -> Amount {
        self.crash_charged
    }

    /// Billed beyond what was reserved.
    #[must_use]
    pub const fn overrun(&self) -> Amount {
        self.overrun
    }

    /// Granted and neither reported as spent nor given back, by all sessions.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.holdings.values().fold(Amount::ZERO, |sum, holding| sum.saturating_add(holding.outstanding()))
    }

    /// What may still be granted under this limit.
    #[must_use]
    pub const fn free(&self, limit: Amount) -> Amount {
        limit.saturating_sub(self.committed).saturating_sub(self.overrun)
    }

    /// By how much grants and overruns exceed this limit: more than zero only after a cut or an overrun.
    #[must_use]
    pub const fn excess(&self, limit: Amount) -> Amount {
        self.committed.saturating_add(self.overrun).saturating_sub(limit)
    }

    /// Hands out request by request from now on if more is granted than this limit allows, so that holders return at
    /// once what they have not spent. `true` if that is so.
    pub(crate) fn recall_excess(&mut self, limit: Amount) -> bool {
        let is_over = !self.excess(limit).is_zero();
        if is_over {
            self.mode = Mode::Central { need: Amount::new(1) };
        }
        is_over
    }

    /// Whether nothing is outstanding, so that nothing about it can change any more once its window is over.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.outstanding().is_zero()
    }

    /// Takes a report: the larger of what was known and what is said, so that old copies change nothing.
    /// `false` if it contradicts the grants; nothing is changed then.
    pub(crate) fn record(&mut self, session: SessionId, report: &SpendingReport) -> bool {
        let known = self.holding(session);
        let merged = Holding {
            granted: known.granted,
            used: known.used.max(report.used),
            returned: known.returned.max(report.returned),
            overrun: known.overrun.max(report.overrun),
        };
        if !merged.is_consistent() {
            return false;
        }
        self.overrun = self.overrun.saturating_add(merged.overrun.saturating_sub(known.overrun));
        self.replace(session, known, merged);
        true
    }

    /// Grants the need in full, and what is welcome beyond it as far as it is fair; or tells what is short.
    pub(crate) fn grant(
        &mut self,
        need: Amount,
        want: Amount,
        limit: Amount,
        crowd: &Crowd<'_>,
    ) -> Option<Shortage> {
        let known = self.holding(crowd.asking);
        let missing = need.saturating_sub(known.granted);
        let free = self.free(limit);
        let fair = free.split(SHARE_OF_POOL * self.sharers(crowd));
        self.mode = self.mode_for(missing, fair);
        if missing > free {
            return Some(self.shortage(limit, crowd));
        }
        let welcome = match self.mode {
            Mode::Grant => want.saturating_sub(known.granted).min(fair),
            Mode::Central { .. } => Amount::ZERO,
        };
        let granted = known.granted.saturating_add(missing.max(welcome));
        self.replace(crowd.asking, known, Holding { granted, ..known });
        None
    }

    /// Ends a session's holding with the proof its journal gives: above the bound nothing was spent.
    /// Held between what was reported and what was granted, so that nothing returned is counted twice (I4).
    pub(crate) fn close(&mut self, session: SessionId, proof: &Proof) {
        let known = self.holding(session);
        let within = |spent: Amount| spent.min(known.kept()).max(known.used);
        let used = within(proof.spent_bound);
        let charged_without_proof = used.saturating_sub(within(proof.settled));
        self.crash_charged = self.crash_charged.saturating_add(charged_without_proof);
        let overrun = known.overrun.max(proof.overrun);
        self.overrun = self.overrun.saturating_add(overrun.saturating_sub(known.overrun));
        let returned = known.granted.saturating_sub(used);
        self.replace(session, known, Holding { granted: known.granted, used, returned, overrun });
        self.fold(session);
    }

    /// Adds a session's spending to the closed sum and forgets the session. Only when it has nothing outstanding.
    pub(crate) fn fold(&mut self, session: SessionId) {
        if self.holding(session).outstanding().is_zero()
            && let Some(holding) = self.holdings.remove(&session)
        {
            self.closed_used = self.closed_used.saturating_add(holding.used);
        }
    }

    fn replace(&mut self, session: SessionId, old: Holding, new: Holding) {
        self.committed = self.committed.saturating_sub(old.kept()).saturating_add(new.kept());
        if new != Holding::default() {
            self.holdings.insert(session, new);
        }
    }

    fn mode_for(&self, missing: Amount, fair: Amount) -> Mode {
        if fair < missing.saturating_mul(CENTRAL_BELOW_REQUESTS) {
            return Mode::Central { need: missing };
        }
        match self.mode {
            Mode::Central { need } if fair < need.saturating_mul(GRANT_FROM_REQUESTS) => self.mode,
            Mode::Central { .. } | Mode::Grant => Mode::Grant,
        }
    }

    fn sharers(&self, crowd: &Crowd<'_>) -> u64 {
        let others =
            self.holdings.keys().filter(|session| **session != crowd.asking && (crowd.is_live)(**session));
        others.count() as u64 + 1
    }

    fn shortage(&self, limit: Amount, crowd: &Crowd<'_>) -> Shortage {
        let mut shortage = Shortage {
            limit,
            free: self.free(limit),
            held: Amount::ZERO,
            own: self.holding(crowd.asking).outstanding(),
            in_doubt: Amount::ZERO,
        };
        for (session, holding) in self.holdings().filter(|(session, _)| *session != crowd.asking) {
            let sum = if (crowd.is_live)(session) { &mut shortage.held } else { &mut shortage.in_doubt };
            *sum = sum.saturating_add(holding.outstanding());
        }
        shortage
    }

    /// The sum of what is kept, counted anew, and whether every holding is in order (I1).
    pub(crate) fn is_balanced(&self) -> bool {
        let kept =
            self.holdings.values().fold(self.closed_used, |sum, holding| sum.saturating_add(holding.kept()));
        kept == self.committed && self.holdings.values().all(Holding::is_consistent)
    }
}
