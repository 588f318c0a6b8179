//! An honest node, as the protocol wants it: what it knows it was granted, spent, gave back, and wrote to its journal.

use quorate_domain::{Amount, BudgetId, PlaceId, Round, SessionId, WindowId};
use quorate_ledger::*;
use std::collections::BTreeMap;

pub(crate) const BUDGET: BudgetId = BudgetId::new(1);

/// What a node can get wrong. A test that finds none of these would find nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Its journal holds what was settled, and not what may be spent.
    JournalsTooLate,
    /// It goes on with the grants of its earlier life after the ledger has settled that.
    KeepsItsGrants,
    /// It reports what was spent since its last report, instead of since the session began.
    ReportsDifferences,
    /// It answers a round and keeps what it has no use for.
    KeepsWhatIsRecalled,
}

/// What a node knows of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    version: u64,
    pub(crate) granted: u64,
    pub(crate) used: u64,
    pub(crate) returned: u64,
    pub(crate) watermark: u64,
    pub(crate) overrun: u64,
    /// Kept by mistake.
    kept: u64,
    /// The last report told so much.
    reported: u64,
    /// Reservations under way.
    flights: Vec<u64>,
    closed: Option<Closed>,
    /// Nobody waits for it any more, whatever answers still come.
    is_over: bool,
}

/// Central mode, as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Closed {
    spell: Spell,
    designated: BTreeMap<PlaceId, u64>,
}

impl Own {
    pub(crate) fn in_flight(&self) -> u64 {
        self.flights.iter().sum()
    }

    pub(crate) fn gone(&self) -> u64 {
        self.used + self.in_flight()
    }

    fn designated(&self) -> u64 {
        self.closed.iter().flat_map(|closed| closed.designated.values()).sum()
    }

    fn free(&self) -> u64 {
        self.granted - self.returned - self.gone() - self.designated()
    }

    pub(crate) fn give_back(&mut self) {
        self.returned += self.free();
        self.watermark = self.watermark.min(self.gone() + self.designated());
    }

    /// Takes in what the ledger shows.
    fn follow(&mut self, view: &View, line: &[Request], mistake: Option<Mistake>) {
        if view.version < self.version {
            return;
        }
        self.version = view.version;
        self.granted = self.granted.max(self.kept + view.granted.get());
        let Some(spell) = view.central else {
            self.closed = None;
            return;
        };
        // What was granted by name in another spell of central mode became part of a grant in between.
        let of_this_spell = self.closed.take().filter(|closed| closed.spell.since == spell.since);
        let mut designated = of_this_spell.map(|closed| closed.designated).unwrap_or_default();
        let is_meant =
            |request: &&Request| !self.is_over && view.served.iter().any(|(id, _)| *id == request.id);
        let meant = line.iter().filter(is_meant);
        designated.extend(meant.map(|request| (request.id, request.need)));
        self.closed = Some(Closed { spell, designated });
        if mistake != Some(Mistake::KeepsWhatIsRecalled) {
            self.give_back();
        }
    }

    /// The journal holds a watermark above it before it is reserved.
    fn reserve(&mut self, amount: u64, headroom: u64) {
        self.flights.push(amount);
        let bound = (self.gone() + headroom).min(self.granted - self.returned);
        self.watermark = self.watermark.max(bound);
    }

    fn settle(&mut self, spent: u64) -> u64 {
        let Some(reserved) = self.flights.pop() else { return 0 };
        let spent = spent.min(reserved);
        self.used += spent;
        if self.closed.is_some() {
            self.give_back();
        }
        spent
    }

    fn report(&mut self, window: WindowId, mistake: Option<Mistake>) -> SpendingReport {
        let told = if mistake == Some(Mistake::ReportsDifferences) { self.reported } else { 0 };
        self.reported = self.used;
        let answer =
            |closed: &Closed| Heard { round: closed.spell.round, granted: Amount::new(self.granted) };
        SpendingReport {
            budget: BUDGET,
            window,
            used: Amount::new(self.used - told),
            returned: Amount::new(self.returned),
            overrun: Amount::new(self.overrun),
            heard: self.closed.as_ref().filter(|closed| closed.spell.is_asked).map(answer),
        }
    }
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: PlaceId,
    pub(crate) need: u64,
    pub(crate) is_last_call: bool,
    /// The first round that shows something about it.
    pub(crate) proves_from: Option<(WindowId, Round)>,
    /// The least that was unreserved since it came: the truth.
    pub(crate) least: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) session: SessionId,
    pub(crate) boot: u64,
    sequence: u64,
    last_id: u64,
    pub(crate) window: Option<WindowId>,
    pub(crate) accounts: BTreeMap<WindowId, Own>,
    pub(crate) line: Vec<Request>,
    /// What it spent without grants in all its lives, as its journal says.
    pub(crate) overspent: u64,
    /// It has no patience with silent holders.
    pub(crate) hurries: bool,
    pub(crate) mistake: Option<Mistake>,
}

impl Node {
    /// A new life: nothing of the earlier one is known.
    pub(crate) fn reborn(&self, session: SessionId) -> Self {
        let &Self { boot, overspent, hurries, mistake, .. } = self;
        let reborn = Self { session, boot, overspent, hurries, mistake, ..Self::default() };
        if mistake != Some(Mistake::KeepsItsGrants) {
            return reborn;
        }
        let left = |own: &Own| {
            let kept = own.granted - own.returned - own.used;
            Own { granted: kept, kept, ..Own::default() }
        };
        let accounts = self.accounts.iter().map(|(window, own)| (*window, left(own))).collect();
        Self { window: self.window, accounts, ..reborn }
    }

    pub(crate) fn own(&mut self) -> Option<&mut Own> {
        self.accounts.get_mut(&self.window?)
    }

    pub(crate) fn come(&mut self, need: u64, unreserved: u64) {
        self.last_id += 1;
        let (id, is_last_call) = (PlaceId::new(self.last_id), false);
        self.line.push(Request { id, need, is_last_call, proves_from: None, least: unreserved });
    }

    pub(crate) fn leave(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let id = self.line.remove(0).id;
        if let Some(own) = self.own()
            && let Some(closed) = &mut own.closed
            && closed.designated.remove(&id).is_some()
        {
            own.give_back();
        }
    }

    pub(crate) fn is_designated(&self, id: PlaceId) -> bool {
        let closed = self.window.and_then(|window| self.accounts.get(&window)?.closed.as_ref());
        closed.is_some_and(|closed| closed.designated.contains_key(&id))
    }

    /// Reserves for the first request that may: in central mode for one that was served by name.
    pub(crate) fn serve(&mut self) {
        let Some(window) = self.window else { return };
        let Some(own) = self.accounts.get_mut(&window) else { return };
        let free = own.free();
        let turn = match &own.closed {
            None => self.line.first().is_some_and(|request| request.need <= free).then_some(0),
            Some(closed) => self.line.iter().position(|request| closed.designated.contains_key(&request.id)),
        };
        let Some(turn) = turn else { return };
        let request = self.line.remove(turn);
        if let Some(closed) = &mut own.closed {
            closed.designated.remove(&request.id);
        }
        own.reserve(request.need, 0);
    }

    /// Reserves from the grant, as requests do that need not wait.
    pub(crate) fn reserve(&mut self, size: u64, headroom: u64) {
        if let Some(own) = self.own().filter(|own| own.closed.is_none()) {
            let size = size.min(own.free());
            if size > 0 {
                own.reserve(size, headroom);
            }
        }
    }

    /// Settles the latest reservation of any window. What was billed, and in which window.
    pub(crate) fn settle(&mut self, spent: u64) -> Option<(WindowId, u64)> {
        let (window, own) = self.accounts.iter_mut().find(|(_, own)| !own.flights.is_empty())?;
        Some((*window, own.settle(spent)))
    }

    pub(crate) fn follow(&mut self, view: &View) {
        // An answer that was late may be of an earlier window.
        self.window = self.window.max(Some(view.window.id));
        self.accounts.entry(view.window.id).or_default().follow(view, &self.line, self.mistake);
    }

    /// Only what it has an account of.
    pub(crate) fn look(&mut self, ledger: &Ledger) {
        let account = self.window.and_then(|window| ledger.budget(BUDGET)?.account(window));
        if let Some(account) = account {
            self.follow(&View::of(account, self.session));
        }
    }

    pub(crate) fn sync(&mut self, asks: Vec<Ask>) -> Sync {
        self.sequence += 1;
        let report = |(window, own): (&WindowId, &mut Own)| own.report(*window, self.mistake);
        let reports = self.accounts.iter_mut().map(report).collect();
        let overspent = || Overspent { budget: BUDGET, total: Amount::new(self.overspent) };
        Sync {
            session: self.session,
            sequence: self.sequence,
            generation: 0,
            reports,
            asks,
            overspent: (self.overspent > 0).then(overspent).into_iter().collect(),
        }
    }

    pub(crate) fn ask(&self, greed: u64) -> Ask {
        let own = self.window.and_then(|window| self.accounts.get(&window)).cloned().unwrap_or_default();
        let waiting = self.line.iter().filter(|request| !self.is_designated(request.id));
        let place = |request: &Request| Place {
            id: request.id,
            need: Amount::new(request.need),
            most: Amount::new(request.need),
            is_last_call: request.is_last_call,
        };
        let round = own.closed.as_ref().map(|closed| closed.spell.round);
        let is_urgent = self.line.iter().any(|request| request.is_last_call);
        let urgency = match round {
            Some(round) if is_urgent && self.hurries => Urgency::Overdue(round),
            Some(_) | None if is_urgent => Urgency::Proof,
            Some(_) | None => Urgency::CanWait,
        };
        let want = Amount::new(own.granted + greed);
        Ask { budget: BUDGET, window: self.window, places: waiting.map(place).collect(), want, urgency }
    }

    pub(crate) fn heard(&mut self, ask: &Ask, answer: &Answer) {
        match answer {
            Answer::Holds { view, proves_from, .. } => {
                self.follow(view);
                let from = (view.window.id, *proves_from);
                for request in &mut self.line {
                    let is_told = ask.places.iter().any(|place| place.id == request.id);
                    let is_known = request.proves_from.is_some_and(|(window, _)| window == from.0);
                    if is_told && !is_known {
                        request.proves_from = Some(from);
                    }
                }
            }
            Answer::WindowOver { .. } => self.end_window(),
            Answer::UnknownBudget { .. } => panic!("it exists"),
        }
    }

    fn end_window(&mut self) {
        if let Some(own) = self.own() {
            if let Some(closed) = &mut own.closed {
                closed.designated.clear();
            }
            own.is_over = true;
            own.give_back();
        }
        self.window = None;
    }

    pub(crate) fn marks(&self) -> Vec<Mark> {
        let (session, is_late) = (self.session, self.mistake == Some(Mistake::JournalsTooLate));
        let mark = |(window, own): (&WindowId, &Own)| Mark {
            session,
            budget: BUDGET,
            window: *window,
            spent_bound: Amount::new(if is_late { own.used } else { own.watermark }),
            settled: Amount::new(own.used),
            overrun: Amount::new(own.overrun),
        };
        self.accounts.iter().map(mark).collect()
    }
}
