//! Watches the line of every budget: nobody is served past who came before, but for a last call, but for nodes that are silent, and but for who cannot be met (L3).

use crate::oracle::Violation;
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
    /// Those who may be passed over.
    passed: BTreeSet<(SessionId, PlaceId)>,
}

impl Lines {
    /// Compares the lines before an entry with those after it.
    pub(crate) fn follow(&mut self, ledger: &Ledger, command: &Command) -> Result<(), Violation> {
        for (id, budget) in ledger.budgets() {
            let account = budget.current();
            let seen = self.0.entry((id, account.window().id)).or_default();
            let passed = seen.passed_over(account, id, command);
            seen.update(account);
            if let Some((session, place)) = passed {
                let what = format!("budget {id}: {place:?} of session {session} was passed over");
                return Err(Violation { id: "L3", what });
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Somebody who came before one who was served by this entry, and waits still.
    fn passed_over(&self, account: &Account, id: BudgetId, command: &Command) -> Option<(SessionId, Place)> {
        if !account.is_central() {
            return None;
        }
        let waiting: BTreeMap<_, _> =
            account.line().map(|(session, place)| ((session, place.id), place)).collect();
        let new = |served: &(SessionId, PlaceId)| !self.served.contains(served);
        served(account).into_iter().filter(new).find_map(|served| {
            let known = self.waiting.iter().position(|(session, place)| (*session, place.id) == served);
            let is_last_call =
                known.is_some_and(|at| self.waiting[at].1.is_last_call) || calls_last(command, id, served);
            let earlier = &self.waiting[..known.unwrap_or(self.waiting.len())];
            // Who became a last call in this very entry may have done so after the other was served.
            let mut still = earlier.iter().filter(|(session, place)| {
                let now = waiting.get(&(*session, place.id));
                let was_passed = self.passed.contains(&(*session, place.id));
                now.is_some_and(|place| !was_passed && !account.is_passed_over(*session, place))
            });
            still.find(|(_, place)| place.is_last_call || !is_last_call).copied()
        })
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
        let passed = account.line().filter(|(session, place)| account.is_passed_over(*session, place));
        self.passed = passed.map(|(session, place)| (session, place.id)).collect();
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
