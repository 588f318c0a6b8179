//! The account of one window of one budget: who was granted how much, and what became of it.
//!
//! Invariants, for the limit L in force (docs/INVARIANTS.md):
//! - I1: `Σ(granted − returned) + closed + overrun + overspend + free = L`, and `free ≥ 0` unless the limit was cut, a
//!   provider overran or a node overspent; each holding keeps `used + returned ≤ granted`.
//! - I4: granted, used and returned of a holding never decrease.

use crate::central::{Call, Central, Holder};
use crate::line::{Line, Place, Waiting};
use crate::turn::Turns;
use crate::{Ask, Holding, Mark, Shown, SpendingReport, Urgency};
use quorate_domain::{Amount, Round, SessionId, Window};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Part of the pool that one grant may take beyond its need: half, shared among the holders. Grants so shrink
/// geometrically towards exhaustion (guided self-scheduling) instead of leaving everything with the first to ask.
const SHARE_OF_POOL: u64 = 2;
/// A pool whose fair share covers fewer requests than this is handed out request by request.
const CENTRAL_BELOW_REQUESTS: u64 = 2;
/// And goes back to grants when the fair share covers this many, so that the mode does not flap.
const GRANT_FROM_REQUESTS: u64 = 4;

/// How a window is handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// In slices that nodes spend by themselves.
    #[default]
    Grant,
    /// Request by request: holders return at once what was not granted to a request of theirs by name.
    Central(Central),
}

/// The account of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    window: Window,
    mode: Mode,
    /// Requests that wait. Empty in grant mode.
    line: Line,
    /// The number of the latest round, of all spells of central mode.
    last_round: Round,
    /// How often it was changed: tells a newer view from an older one.
    version: u64,
    holdings: BTreeMap<SessionId, Holding>,
    /// `Σ(granted − returned)` over the holdings plus `closed_used`: all that is not in the pool for good or for now.
    committed: Amount,
    /// Spent by sessions that are closed.
    closed_used: Amount,
    /// Part of `closed_used` that was charged because a node died, without proof that it was spent.
    crash_charged: Amount,
    /// Billed beyond what was reserved, by all sessions.
    overrun: Amount,
    /// Spent without a grant, by nodes without a quorum for keys that may, as far as it was told while the window was open.
    overspend: Amount,
}

/// What an account cannot know of itself: the limit in force, and who may still spend.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) limit: Amount,
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
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            mode: Mode::Grant,
            line: Line::default(),
            last_round: Round::default(),
            version: 0,
            holdings: BTreeMap::new(),
            committed: Amount::ZERO,
            closed_used: Amount::ZERO,
            crash_charged: Amount::ZERO,
            overrun: Amount::ZERO,
            overspend: Amount::ZERO,
        }
    }

    /// The stretch of log time it is for.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// How it is handed out now.
    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// How often it was changed.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What each session holds.
    pub fn holdings(&self) -> impl Iterator<Item = (SessionId, &Holding)> {
        self.holdings.iter().map(|(session, holding)| (*session, holding))
    }

    /// What one session holds; `None` if it never asked.
    #[must_use]
    pub fn holding(&self, session: SessionId) -> Option<&Holding> {
        self.holdings.get(&session)
    }

    /// How many requests wait in line.
    #[must_use]
    pub fn line_length(&self) -> usize {
        self.line.len()
    }

    /// Who stands in line: the session, and its request.
    pub fn line(&self) -> impl Iterator<Item = (SessionId, Place)> {
        self.line.all().map(|waiting| (waiting.session, waiting.place))
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

    /// Spent without a grant by nodes that reached no majority, for keys that may.
    #[must_use]
    pub const fn overspend(&self) -> Amount {
        self.overspend
    }

    /// All that was spent and never granted.
    #[must_use]
    pub const fn beyond_grants(&self) -> Amount {
        self.overrun.saturating_add(self.overspend)
    }

    /// Granted and neither reported as spent nor given back, by all sessions.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.holdings.values().fold(Amount::ZERO, |sum, holding| sum.saturating_add(holding.outstanding()))
    }

    /// What may still be granted under this limit.
    #[must_use]
    pub const fn free(&self, limit: Amount) -> Amount {
        limit.saturating_sub(self.committed).saturating_sub(self.beyond_grants())
    }

    /// By how much grants and what was spent beyond them exceed this limit: more than zero only after a cut, an overrun or an
    /// overspend.
    #[must_use]
    pub const fn excess(&self, limit: Amount) -> Amount {
        self.committed.saturating_add(self.beyond_grants()).saturating_sub(limit)
    }

    /// Whether no session that lives has anything outstanding, so that nobody will say anything about it any more once its
    /// window is over.
    pub(crate) fn is_settled(&self, is_live: &dyn Fn(SessionId) -> bool) -> bool {
        self.holdings.iter().all(|(session, holding)| holding.outstanding().is_zero() || !is_live(*session))
    }

    /// The first round that begins after now: what it shows holds for every request that waits already.
    #[must_use]
    pub const fn next_round(&self) -> Round {
        Round::new(self.last_round.get() + 1)
    }

    /// What is known of instants after the beginning of round `from`.
    pub fn shown_from(&self, from: Round) -> impl Iterator<Item = Shown<'_>> {
        self.central().into_iter().flat_map(move |central| central.shown_from(from))
    }

    /// Central mode, if it is in it.
    #[must_use]
    pub const fn central(&self) -> Option<&Central> {
        match &self.mode {
            Mode::Grant => None,
            Mode::Central(central) => Some(central),
        }
    }

    /// The round under way or the latest, in central mode.
    #[must_use]
    pub const fn round(&self) -> Option<Round> {
        match &self.mode {
            Mode::Grant => None,
            Mode::Central(central) => Some(central.round()),
        }
    }

    /// Whether a round waits for answers.
    #[must_use]
    pub fn is_round_under_way(&self) -> bool {
        match &self.mode {
            Mode::Grant => false,
            Mode::Central(central) => central.is_under_way(),
        }
    }

    /// Whether another round begins as soon as the one under way is complete.
    #[must_use]
    pub fn is_round_called(&self) -> bool {
        self.central().is_some_and(Central::is_called)
    }

    /// Whether the round under way waits for this session's answer.
    #[must_use]
    pub fn asks(&self, session: SessionId) -> bool {
        match &self.mode {
            Mode::Grant => false,
            Mode::Central(central) => central.asks(session),
        }
    }

    /// Whether it is handed out request by request.
    #[must_use]
    pub const fn is_central(&self) -> bool {
        matches!(self.mode, Mode::Central(_))
    }

    // What happens to it. Each ends with `settle_down`.

    /// The limit was changed from `old`. More granted than it allows is called back at once.
    pub(crate) fn limit_changed(&mut self, old: Amount, terms: &Terms<'_>) {
        // What goes into a debt is not there for anybody.
        let grown = self.free(terms.limit).saturating_sub(self.free(old));
        if let Mode::Central(central) = &mut self.mode {
            central.grew(grown);
        } else if !self.excess(terms.limit).is_zero() {
            self.begin_central(terms);
        }
        self.settle_down(terms);
    }

    /// So much more was spent without a grant. If less is left than is granted, it is called back at once.
    pub(crate) fn overspent(&mut self, by: Amount, terms: &Terms<'_>) {
        self.overspend = self.overspend.saturating_add(by);
        if !self.is_central() && !self.excess(terms.limit).is_zero() {
            self.begin_central(terms);
        }
        self.settle_down(terms);
    }

    /// Takes a report: the larger of what was known and what is said, so that old copies change nothing.
    /// `false` if it contradicts the grants; nothing is changed then.
    pub(crate) fn record(&mut self, session: SessionId, report: &SpendingReport, terms: &Terms<'_>) -> bool {
        let known = self.holdings.get(&session).cloned().unwrap_or_default();
        let merged = Holding {
            used: known.used.max(report.used),
            returned: known.returned.max(report.returned),
            overrun: known.overrun.max(report.overrun),
            heard: known.heard.max(report.heard.map(|heard| heard.round).unwrap_or_default()),
            ..known.clone()
        };
        if !merged.is_consistent() {
            return false;
        }
        self.speaks(session);
        let granted = merged.granted;
        self.replace(session, &known, merged);
        // What it returns with its answer belongs to the round; what it returns later was reserved when it answered.
        if let (Some(heard), Mode::Central(central)) = (report.heard, &mut self.mode) {
            central.answer(session, heard.round, heard.granted == granted);
        }
        self.settle_down(terms);
        true
    }

    /// Grants what the session's requests need, or puts them in line; and what is welcome beyond it, as far as it is
    /// fair.
    pub(crate) fn ask(&mut self, session: SessionId, ask: &Ask, terms: &Terms<'_>) {
        self.speaks(session);
        self.forget_served(session, ask);
        let new = self.unserved(session, ask);
        self.choose_mode(session, &new, terms);
        match &self.mode {
            Mode::Grant => self.grant(session, &new, ask.want, terms),
            // Who was served in grant mode, and waits still, waits like everybody.
            Mode::Central(_) => self.line.update(session, &self.unserved(session, ask)),
        }
        self.settle_down(terms);
        self.call_round(ask.urgency, terms);
        self.settle_down(terms);
    }

    /// The window is over: nothing more is granted in it, so nobody waits for it either.
    pub(crate) fn end(&mut self) {
        self.line = Line::default();
        self.version += 1;
    }

    fn speaks(&mut self, session: SessionId) {
        if let Mode::Central(central) = &mut self.mode {
            central.speaks(session);
        }
    }

    /// A session that died has overrun so much, as is known now.
    pub(crate) fn overran(&mut self, session: SessionId, overrun: Amount, terms: &Terms<'_>) {
        let Some(known) = self.holdings.get(&session).cloned() else { return };
        let overrun = known.overrun.max(overrun);
        self.replace(session, &known, Holding { overrun, ..known.clone() });
        self.settle_down(terms);
    }

    /// The same of one that holds nothing any more: its doubt has ended.
    pub(crate) fn had_overrun(&mut self, more: Amount, terms: &Terms<'_>) {
        self.overrun = self.overrun.saturating_add(more);
        self.settle_down(terms);
    }

    /// A session is dead. What it holds is in doubt, and its requests are gone.
    pub(crate) fn lose(&mut self, session: SessionId, terms: &Terms<'_>) {
        self.line.lose(session);
        if let Mode::Central(central) = &mut self.mode {
            central.lose(session);
        }
        self.settle_down(terms);
    }

    /// Ends a session's holding with the proof its journal gives: above the bound nothing was spent.
    /// Held between what was reported and what was granted, so that nothing returned is counted twice (I4).
    pub(crate) fn close(&mut self, session: SessionId, proof: &Proof, terms: &Terms<'_>) {
        let known = self.holdings.get(&session).cloned().unwrap_or_default();
        let within = |spent: Amount| spent.min(known.kept()).max(known.used);
        let used = within(proof.spent_bound);
        let charged_without_proof = used.saturating_sub(within(proof.settled));
        self.crash_charged = self.crash_charged.saturating_add(charged_without_proof);
        let overrun = known.overrun.max(proof.overrun);
        let returned = known.granted.saturating_sub(used);
        let closed = Holding { used, returned, overrun, ..known.clone() };
        self.replace(session, &known, closed);
        if let Mode::Central(central) = &mut self.mode {
            central.turned_up(session, known.outstanding());
        }
        self.fold(session);
        self.lose(session, terms);
    }

    /// Of a session's requests only these are there still: nothing more is granted to the others, and no round counts them.
    pub(crate) fn keeps_in_line(&mut self, session: SessionId, places: &[Place]) {
        self.line.keep(session, places);
    }

    /// A session's requests are gone: nothing more is granted to them.
    pub(crate) fn leaves_line(&mut self, session: SessionId) {
        self.line.lose(session);
    }

    /// Adds a session's spending to the closed sum and forgets the session. Only when it has nothing outstanding.
    pub(crate) fn fold(&mut self, session: SessionId) {
        let is_over = self.holdings.get(&session).is_some_and(|holding| holding.outstanding().is_zero());
        if is_over && let Some(holding) = self.holdings.remove(&session) {
            self.closed_used = self.closed_used.saturating_add(holding.used);
        }
    }

    /// The sum of what is kept, counted anew, and whether every holding is in order (I1).
    pub(crate) fn is_balanced(&self) -> bool {
        let kept =
            self.holdings.values().fold(self.closed_used, |sum, holding| sum.saturating_add(holding.kept()));
        kept == self.committed && self.holdings.values().all(Holding::is_consistent)
    }

    // Grants.

    fn grant(&mut self, session: SessionId, new: &[Place], want: Amount, terms: &Terms<'_>) {
        let known = self.holdings.get(&session).cloned().unwrap_or_default();
        let need = sum_of(new);
        let fair = self.fair_share(session, terms);
        // The want is a target for everything granted so far, so that a repeated ask grants nothing twice.
        let left = self.free(terms.limit).saturating_sub(need);
        let welcome = want.saturating_sub(known.granted).saturating_sub(need).min(fair).min(left);
        let mut holding =
            Holding { granted: known.granted.saturating_add(need).saturating_add(welcome), ..known.clone() };
        holding.served.extend(new.iter().map(|place| (place.id, place.most)));
        self.replace(session, &known, holding);
    }

    /// Grants to the first in line what they need, as long as the pool has it.
    fn serve_line(&mut self, terms: &Terms<'_>) {
        let Some(since) = self.central().map(Central::since) else { return };
        while let Some(served) = self.first_in_line()
            && let Some(amount) = served.place.takes_of(self.free(terms.limit))
        {
            self.line.served(&served);
            let known = self.holdings.get(&served.session).cloned().unwrap_or_default();
            let mut holding = Holding { granted: known.granted.saturating_add(amount), ..known.clone() };
            holding.served.insert(served.place.id, amount);
            if known.outstanding().is_zero() {
                // It had nothing to spend by itself; with this grant it learns of central mode.
                holding.heard = holding.heard.max(since);
            }
            self.replace(served.session, &known, holding);
        }
    }

    /// Whose turn it is: nobody may be waiting any more for what would be granted to a silent session, and who cannot be met
    /// holds up nobody.
    fn first_in_line(&self) -> Option<Waiting> {
        self.line.all().find(|waiting| !self.is_passed_over(waiting.session, &waiting.place)).copied()
    }

    fn nobody_speaks_in_line(&self) -> bool {
        let is_silent = |session| self.central().is_some_and(|central| central.is_silent(session));
        self.line.all().all(|waiting| is_silent(waiting.session))
    }

    /// Whether those behind a request in line are served before it.
    fn is_passed_over(&self, session: SessionId, place: &Place) -> bool {
        self.central().is_some_and(|central| central.is_silent(session) || central.has_denied(session, place))
    }

    fn unserved(&self, session: SessionId, ask: &Ask) -> Vec<Place> {
        let holding = self.holdings.get(&session);
        let is_served =
            |place: &&Place| holding.is_some_and(|holding| holding.served.contains_key(&place.id));
        ask.places.iter().filter(|place| !is_served(place)).copied().collect()
    }

    /// What a session does not mention any more it knows of, or has no use for.
    fn forget_served(&mut self, session: SessionId, ask: &Ask) {
        if let Some(holding) = self.holdings.get_mut(&session) {
            holding.served.retain(|served, _| ask.places.iter().any(|place| place.id == *served));
        }
    }

    fn fair_share(&self, session: SessionId, terms: &Terms<'_>) -> Amount {
        let is_other = |other: &&SessionId| **other != session && (terms.is_live)(**other);
        let sharers = self.holdings.keys().filter(is_other).count() as u64 + 1;
        self.free(terms.limit).split(SHARE_OF_POOL * sharers)
    }

    // Modes and rounds.

    fn choose_mode(&mut self, session: SessionId, new: &[Place], terms: &Terms<'_>) {
        let (fair, free) = (self.fair_share(session, terms), self.free(terms.limit));
        let largest = new.iter().map(|place| place.most).max().unwrap_or_default();
        match &self.mode {
            Mode::Grant if fair < largest.saturating_mul(CENTRAL_BELOW_REQUESTS) || sum_of(new) > free => {
                self.begin_central(terms);
            }
            Mode::Central(_)
                if self.nobody_speaks_in_line()
                    && sum_of(new) <= free
                    && !largest.is_zero()
                    && fair >= largest.saturating_mul(GRANT_FROM_REQUESTS) =>
            {
                self.mode = Mode::Grant;
                self.line = Line::default();
                self.forget_all_served();
            }
            Mode::Grant | Mode::Central(_) => {}
        }
    }

    /// The mode changes. What was granted to requests by name in one mode means nothing in the other: there it is part
    /// of a grant that anybody may have spent from.
    fn forget_all_served(&mut self) {
        self.holdings.values_mut().for_each(|holding| holding.served.clear());
    }

    fn begin_central(&mut self, terms: &Terms<'_>) {
        self.forget_all_served();
        self.last_round = self.next_round();
        let (free, holders) = (self.free(terms.limit), self.holders(terms));
        // The line begins with central mode.
        self.mode = Mode::Central(Central::begin(self.last_round, free, &holders, Turns::default()));
    }

    fn call_round(&mut self, urgency: Urgency, terms: &Terms<'_>) {
        let Mode::Central(central) = &mut self.mode else { return };
        let call = match urgency {
            Urgency::CanWait => return,
            Urgency::Proof => central.call(None),
            Urgency::Overdue(round) => central.call(Some(round)),
        };
        if call == Call::BeginNow {
            self.begin_round(terms);
        }
    }

    fn begin_round(&mut self, terms: &Terms<'_>) {
        self.last_round = self.next_round();
        let (round, free, holders) = (self.last_round, self.free(terms.limit), self.holders(terms));
        if let Mode::Central(central) = &mut self.mode {
            let turns = Turns::of(&self.line, |session| central.is_silent(session));
            central.begin_round(round, free, &holders, turns);
        }
    }

    /// Sessions that may have something unreserved: whoever has reported and returned everything has not.
    fn holders(&self, terms: &Terms<'_>) -> Vec<Holder> {
        let holding = |(session, holding): (&SessionId, &Holding)| Holder {
            session: *session,
            heard: holding.heard,
            outstanding: holding.outstanding(),
        };
        let may_have = |(session, holding): &(&SessionId, &Holding)| {
            (terms.is_live)(**session) && !holding.outstanding().is_zero()
        };
        self.holdings.iter().filter(may_have).map(holding).collect()
    }

    /// Whatever happened: serves the line, and concludes rounds until one waits for answers.
    fn settle_down(&mut self, terms: &Terms<'_>) {
        self.version += 1;
        self.serve_line(terms);
        while let Mode::Central(central) = &mut self.mode
            && central.conclude()
        {
            self.begin_round(terms);
        }
    }

    fn replace(&mut self, session: SessionId, old: &Holding, new: Holding) {
        self.committed = self.committed.saturating_sub(old.kept()).saturating_add(new.kept());
        self.overrun = self.overrun.saturating_add(new.overrun.saturating_sub(old.overrun));
        if let Mode::Central(central) = &mut self.mode {
            central.arrived(session, new.returned.saturating_sub(old.returned));
        }
        if !new.is_empty() {
            self.holdings.insert(session, new);
        }
    }
}

fn sum_of(places: &[Place]) -> Amount {
    places.iter().fold(Amount::ZERO, |sum, place| sum.saturating_add(place.most))
}
