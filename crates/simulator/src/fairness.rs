//! Watches the line of every budget: nobody is served past who came before, but for a last call, but for nodes that are silent, and but for who cannot be met (L3).

use crate::campaign::Violation;
use quorate_domain::{BudgetId, PlaceId, SessionId, WindowId};
use quorate_ledger::{Account, Command, Ledger, Place};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of each window's line after the latest entry.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<(BudgetId, WindowId), Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Who stands in line, in the order of their coming.
    waiting: Vec<(SessionId, Place)>,
    served: BTreeSet<(SessionId, PlaceId)>,
    /// Those who kept a round waiting in vain.
    silent: BTreeSet<SessionId>,
    /// Somebody who cannot be met was passed over by the latest entry.
    unmet_passed: bool,
}

/// Of a request in line: whether it is true that it cannot be met.
pub(crate) type Unmet<'a> = dyn Fn(BudgetId, SessionId, &Place) -> bool + 'a;

/// Who was passed over rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Nobody,
    WhoCannotBeMet,
}

impl Lines {
    /// Compares the lines before an entry with those after it. `cannot_be_met` knows of whom it is true, and has been since it
    /// came, that too little was unreserved for it.
    pub(crate) fn follow(
        &mut self,
        ledger: &Ledger,
        command: &Command,
        cannot_be_met: &Unmet<'_>,
    ) -> Result<Passed, Violation> {
        let mut result = Passed::Nobody;
        for (id, budget) in ledger.budgets() {
            let account = budget.current();
            let seen = self.0.entry((id, account.window().id)).or_default();
            let passed = seen.passed_over(account, id, command, cannot_be_met);
            if seen.unmet_passed {
                result = Passed::WhoCannotBeMet;
            }
            seen.update(account);
            if let Some((session, place)) = passed {
                let what = format!("budget {id}: {place:?} of session {session} was passed over");
                return Err(Violation { id: "L3".to_owned(), what });
            }
        }
        Ok(result)
    }
}

impl Seen {
    /// Somebody who came before one who was served by this entry, and waits still.
    fn passed_over(
        &mut self,
        account: &Account,
        id: BudgetId,
        command: &Command,
        cannot_be_met: &Unmet<'_>,
    ) -> Option<(SessionId, Place)> {
        self.unmet_passed = false;
        if !account.is_central() {
            return None;
        }
        let waiting: BTreeMap<_, _> =
            account.line().map(|(session, place)| ((session, place.id), place)).collect();
        let new = |served: &(SessionId, PlaceId)| !self.served.contains(served);
        let mut unmet = false;
        let passed = served(account).into_iter().filter(new).find_map(|served| {
            let known = self.waiting.iter().position(|(session, place)| (*session, place.id) == served);
            let is_last_call =
                known.is_some_and(|at| self.waiting[at].1.is_last_call) || calls_last(command, id, served);
            let earlier = &self.waiting[..known.unwrap_or(self.waiting.len())];
            // Who became a last call in this very entry may have done so after the other was served.
            let is_silent = |session| account.central().is_some_and(|central| central.is_silent(session));
            let mut still = earlier.iter().filter(|(session, place)| {
                let stays = waiting.contains_key(&(*session, place.id));
                let is_before = place.is_last_call || !is_last_call;
                let was_silent = self.silent.contains(session) || is_silent(*session);
                let is_unmet = place.is_last_call && cannot_be_met(id, *session, place);
                unmet |= stays && is_before && is_unmet;
                stays && is_before && !was_silent && !is_unmet
            });
            still.next().copied()
        });
        self.unmet_passed = unmet;
        passed
    }

    fn update(&mut self, account: &Account) {
        let now: BTreeMap<_, _> =
            account.line().map(|(session, place)| ((session, place.id), place)).collect();
        self.waiting.retain_mut(|(session, place)| {
            now.get(&(*session, place.id)).map(|known| *place = *known).is_some()
        });
        let known: BTreeSet<_> = self.waiting.iter().map(|(session, place)| (*session, place.id)).collect();
        self.waiting.extend(account.line().filter(|(session, place)| !known.contains(&(*session, place.id))));
        self.served = served(account);
        let sessions = self.waiting.iter().map(|(session, _)| *session);
        let is_silent =
            |session: &SessionId| account.central().is_some_and(|central| central.is_silent(*session));
        self.silent = sessions.filter(is_silent).collect();
    }
}

fn served(account: &Account) -> BTreeSet<(SessionId, PlaceId)> {
    account.holdings().flat_map(|(session, held)| held.served.keys().map(move |id| (session, *id))).collect()
}

/// Whether the entry says that this request's patience is over.
fn calls_last(command: &Command, budget: BudgetId, (session, id): (SessionId, PlaceId)) -> bool {
    let Command::Sync(sync) = command else {
        return false;
    };
    let asks = sync.asks.iter().filter(|ask| sync.session == session && ask.budget == budget);
    asks.flat_map(|ask| &ask.places).any(|place| place.id == id && place.is_last_call)
}
