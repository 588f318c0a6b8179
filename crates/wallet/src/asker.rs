//! What a session asks the ledger for because somebody waits: room, and proof for those whose patience is over.

use crate::Wallet;
use crate::account::{Account, GRANT_REQUESTS_MIN};
use crate::forward::Looked;
use crate::line::{Line, Ticket};
use crate::verdict::has_hope;
use quorate_domain::{Amount, BudgetId, MonoTime, Round, WindowId};
use quorate_ledger::{Ask, Budget, Ledger, PLACES_MAX, Place, Urgency};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a round is waited for before another one begins without those who do not answer.
const RECALL_LIMIT: Duration = Duration::from_millis(100);
/// How often a bucket is asked only to learn the time: what leaks is counted, and what is hopeless known, only when an entry of
/// the log tells it. However many wait, it is so many entries a second.
const LEAK_EVERY: Duration = Duration::from_millis(100);
/// So many requests and budgets are told of in a message, and no more: it has to fit into an entry of the log.
const WORDS_MAX: usize = 4_000;

/// What was said last, and what is known of rounds under way.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub(crate) sequence: u64,
    pub(crate) last_report: MonoTime,
    pub(crate) search: Search,
    /// The places that the ledger knows, where it knows any; `None` where nobody knows what it has heard.
    pub(crate) told: BTreeMap<BudgetId, Option<Vec<Place>>>,
    /// When buckets were asked for somebody who waits.
    asked_buckets: BTreeMap<BudgetId, MonoTime>,
    pub(crate) looked: Looked,
    /// Rounds that a last call waits for, and since when.
    rounds: BTreeMap<BudgetId, (Round, MonoTime)>,
}

impl Talk {
    /// Nobody knows what the ledger has heard of who waits for a budget, or it means nothing any more: say it again.
    pub(crate) fn is_unsure_of(&mut self, budget: BudgetId) {
        self.told.insert(budget, None);
    }

    /// Another window of the budget is open.
    pub(crate) fn turned(&mut self, budget: BudgetId) {
        self.rounds.remove(&budget);
        if let Some(told) = self.told.get_mut(&budget) {
            *told = None;
        }
    }
}

/// How far grants were searched for that no answer told of.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// When the last one was.
    pub(crate) last: MonoTime,
    /// Where it ended, if it did not come to the end.
    pub(crate) after: Option<(BudgetId, WindowId)>,
    /// How often everything was searched.
    pub(crate) rounds: usize,
}

/// All that is looked at to decide what to ask for.
pub(crate) struct Asker<'a> {
    pub(crate) wallet: &'a Wallet,
    pub(crate) ledger: &'a Ledger,
    pub(crate) line: &'a Line,
    pub(crate) now: MonoTime,
}

impl Asker<'_> {
    pub(crate) fn asks(&self, talk: &mut Talk) -> Vec<Ask> {
        let waited_at = self.line.budgets();
        talk.rounds.retain(|budget, _| waited_at.contains(budget));
        talk.asked_buckets
            .retain(|budget, asked| waited_at.contains(budget) || self.now.since(*asked) < LEAK_EVERY);
        let told: BTreeSet<BudgetId> = talk.told.keys().copied().collect();
        let asks = waited_at.union(&told).filter_map(|budget| self.ask_for_line(talk, *budget));
        // Who does not fit into this message is asked for in the next.
        let mut room = WORDS_MAX;
        asks.take_while(|ask| {
            let fits = room > 0;
            room = room.saturating_sub(1 + ask.places.len());
            fits
        })
        .collect()
    }

    fn ask_for_line(&self, talk: &mut Talk, budget: BudgetId) -> Option<Ask> {
        if self.wallet.beginning(budget).is_some() {
            // What is lacking then is seen when the journal knows.
            return None;
        }
        let account = self.wallet.account(budget);
        let bucket = self.bucket(budget);
        let last_asked = talk.asked_buckets.get(&budget).copied();
        let places = self.places(account.as_deref(), budget);
        let urgency = self.urgency(talk, budget, &places);
        let is_told = match talk.told.get(&budget) {
            Some(told) => told.as_ref() == Some(&places),
            None => places.is_empty(),
        };
        // Nobody in line is told by the ledger that its window is over.
        let has_ended = account.as_ref().is_some_and(|account| account.has_ended_at(self.now));
        let is_over = has_ended && self.line.at(budget).next().is_some();
        let asks_for_time = bucket.is_some_and(|bucket| {
            self.has_leaked(bucket, &places, last_asked) || self.is_time_to_know(budget, last_asked)
        });
        if is_told && !is_over && !asks_for_time && urgency == Urgency::CanWait {
            return None;
        }
        if bucket.is_some() {
            talk.asked_buckets.insert(budget, self.now);
        }
        let waiting = self.line.sum_at(budget);
        let want = match &account {
            Some(account) if account.is_closed() => Amount::ZERO,
            Some(account) => account.welcome(waiting, self.now),
            None => waiting.saturating_mul(GRANT_REQUESTS_MIN),
        };
        Some(Ask { budget, window: account.map(|account| account.window().id), places, want, urgency })
    }

    fn bucket(&self, budget: BudgetId) -> Option<&Budget> {
        self.ledger.budget(budget).filter(|budget| budget.spec().kind.refill().is_some())
    }

    /// Whether what the first of those who wait lacks has leaked by now, if nothing else happened.
    fn has_leaked(&self, bucket: &Budget, places: &[Place], last_asked: Option<MonoTime>) -> bool {
        let now = self.ledger.time();
        let lacks = places.first().map(|place| place.need.saturating_sub(bucket.free_at(now)));
        let span = lacks.and_then(|lacks| bucket.leaks_in(lacks, now)).map(Duration::from);
        span.is_some_and(|span| self.is_past(span.max(LEAK_EVERY), last_asked))
    }

    /// Whether somebody looks hopeless of whom nobody knows whether that is so.
    fn is_time_to_know(&self, budget: BudgetId, last_asked: Option<MonoTime>) -> bool {
        let is_unsure =
            |(ticket, ahead): (&Ticket, Amount)| ticket.heard_at.is_none() && !self.has_hope(ticket, ahead);
        self.is_past(LEAK_EVERY, last_asked) && self.in_turn_at(budget).any(is_unsure)
    }

    fn in_turn_at(&self, budget: BudgetId) -> impl Iterator<Item = (&Ticket, Amount)> {
        self.line.in_turn_at(budget, has_hope(self.ledger, self.now))
    }

    fn is_past(&self, span: Duration, since: Option<MonoTime>) -> bool {
        since.is_none_or(|since| self.now.since(since) >= span)
    }

    /// Those of the line who need more than the account has, as far as there is hope for them.
    fn places(&self, account: Option<&Account>, budget: BudgetId) -> Vec<Place> {
        let is_designated = |ticket: &Ticket| account.is_some_and(|account| account.is_designated(ticket.id));
        let place = |(ticket, ahead): (&Ticket, Amount)| Place {
            id: ticket.id,
            need: self.need(ticket, ahead),
            most: ticket.most(),
            is_last_call: ticket.is_last_call(self.now),
        };
        let mut places: Vec<Place> = self
            .uncovered(account, budget)
            .filter(|(ticket, ahead)| self.has_hope(ticket, *ahead) && !is_designated(ticket))
            .map(place)
            .collect();
        places.sort_by_key(|place| !place.is_last_call);
        places.truncate(PLACES_MAX);
        places
    }

    /// Those of the line for whom the grant at hand is not enough. The others wait for the journal alone.
    fn uncovered(
        &self,
        account: Option<&Account>,
        budget: BudgetId,
    ) -> impl Iterator<Item = (&Ticket, Amount)> {
        let spends_by_itself = |account: &&Account| !account.is_closed() && !account.has_ended_at(self.now);
        let mut free = account.filter(spends_by_itself).map(Account::free);
        self.in_turn_at(budget).skip_while(move |(ticket, _)| {
            free = free.and_then(|free| free.checked_sub(ticket.most()));
            free.is_some()
        })
    }

    /// All that a request takes, as long as there is hope for it; then what it cannot do without.
    fn need(&self, ticket: &Ticket, ahead: Amount) -> Amount {
        let has_hope_for_most = || ticket.may_hope_for(ticket.most(), ahead, self.ledger, self.now);
        let is_content = ticket.is_last_call(self.now) || !has_hope_for_most();
        if is_content { ticket.least() } else { ticket.most() }
    }

    /// Whoever has no hope is not asked for: whether this replica is behind is found out without a word to the log.
    fn has_hope(&self, ticket: &Ticket, ahead: Amount) -> bool {
        has_hope(self.ledger, self.now)(ticket, ahead)
    }

    /// Whether somebody who is asked for, and whose patience is over, needs a round that is not on its way.
    fn urgency(&self, talk: &mut Talk, budget: BudgetId, places: &[Place]) -> Urgency {
        let mut last_calls = places.iter().filter(|place| place.is_last_call).peekable();
        if last_calls.peek().is_none() {
            talk.rounds.remove(&budget);
            return Urgency::CanWait;
        }
        let shown = self.ledger.budget(budget).map(Budget::current);
        let Some((account, round)) = shown.and_then(|account| Some((account, account.round()?))) else {
            return Urgency::Proof;
        };
        if !account.is_round_under_way() {
            return Urgency::Proof;
        }
        if self.is_overdue(talk, budget, round) {
            return Urgency::Overdue(round);
        }
        let shows = |place: &Place| {
            let proves_from = self.line.get(place.id).and_then(|ticket| ticket.proves_from);
            proves_from.is_some_and(|(_, from)| from <= round)
        };
        // Whom this round says nothing about, the next one does.
        if account.is_round_called() || last_calls.any(shows) { Urgency::CanWait } else { Urgency::Proof }
    }

    /// Whether somebody has waited in vain for what this round shows, or for the next one to begin.
    fn is_overdue(&self, talk: &mut Talk, budget: BudgetId, round: Round) -> bool {
        match talk.rounds.get(&budget) {
            Some((known, since)) if *known == round => self.now.since(*since) >= RECALL_LIMIT,
            Some(_) | None => {
                talk.rounds.insert(budget, (round, self.now));
                false
            }
        }
    }
}
