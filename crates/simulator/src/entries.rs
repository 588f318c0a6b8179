//! Holds each entry of the log against the ledger before it: what an entry must leave as it is (I4), and what a death may
//! charge at most (I6).

use crate::campaign::Violation;
use quorate_domain::{BudgetId, LogTime, NodeId, WindowId};
use quorate_ledger::{Account, Command, Ledger, Outcome, Rejection, SessionState};
use std::collections::BTreeMap;

/// What an entry may do, worked out before it is applied.
pub(crate) enum Bounds {
    /// Whatever it likes, as far as the other promises go.
    Free,
    /// Nothing: it comes from a session that is over. So the ledger must look then.
    Nothing(Box<Ledger>),
    /// It ends a node's lives: so much may be charged for crashes in all.
    Charges(BTreeMap<(BudgetId, WindowId), u64>),
}

impl Bounds {
    pub(crate) fn of(ledger: &Ledger, at: LogTime, command: &Command) -> Self {
        match command {
            Command::Sync(sync) if is_over(ledger, sync.session) => {
                let mut untouched = ledger.clone();
                untouched.apply(at, Command::Tick);
                Self::Nothing(Box::new(untouched))
            }
            Command::OpenSession(open) => Self::Charges(charges(ledger, open.node)),
            Command::Sync(_)
            | Command::Tick
            | Command::PutBudget(_)
            | Command::RemoveBudget { .. }
            | Command::CloseSession { .. }
            | Command::ExpireSession { .. }
            | Command::Resolve(_)
            | Command::PutTimeZone(_)
            | Command::PutTemplate(_)
            | Command::MeetEndUser(_)
            | Command::TellMarks(_)
            | Command::GoOn { .. } => Self::Free,
        }
    }

    pub(crate) fn check(&self, ledger: &Ledger, outcome: &Outcome) -> Result<(), Violation> {
        let broken = |id: &'static str, what: String| Err(Violation { id: id.to_owned(), what });
        match self {
            Self::Free => {}
            Self::Nothing(untouched) => {
                if **untouched != *ledger {
                    return broken("I4", "a session that is over has changed something".to_owned());
                }
            }
            Self::Charges(most) => {
                let exceeds =
                    |spot: &(BudgetId, WindowId), charged| most.get(spot).is_some_and(|most| charged > *most);
                let charged = |account: &Account| account.crash_charged().get();
                if let Some((spot, _)) = accounts(ledger).find(|(spot, it)| exceeds(spot, charged(it))) {
                    return broken("I6", format!("more is charged for a crash at {spot:?} than was held"));
                }
            }
        }
        match outcome {
            Outcome::Rejected(rejection @ Rejection::Inconsistent { .. }) => {
                broken("I1", rejection.to_string())
            }
            Outcome::Rejected(_)
            | Outcome::Done
            | Outcome::BudgetStored { .. }
            | Outcome::SessionOpened { .. }
            | Outcome::Synced { .. }
            | Outcome::Fenced => Ok(()),
        }
    }
}

/// Whether a session has ended: nothing that it still says may change anything.
fn is_over(ledger: &Ledger, session: quorate_domain::SessionId) -> bool {
    ledger
        .session(session)
        .is_none_or(|life| life.state != SessionState::Live || ledger.latest_session(life.node) != session)
}

/// What was charged for crashes, and what the node's lives have outstanding: no death charges more.
fn charges(ledger: &Ledger, node: NodeId) -> BTreeMap<(BudgetId, WindowId), u64> {
    let is_own = |session| ledger.session(session).is_some_and(|life| life.node == node);
    let most = |account: &Account| {
        let own = account.holdings().filter(|(session, _)| is_own(*session));
        account.crash_charged().get() + own.map(|(_, held)| held.outstanding().get()).sum::<u64>()
    };
    accounts(ledger).map(|(spot, account)| (spot, most(account))).collect()
}

fn accounts(ledger: &Ledger) -> impl Iterator<Item = ((BudgetId, WindowId), &Account)> {
    ledger
        .budgets()
        .flat_map(|(id, budget)| budget.accounts().map(move |account| ((id, account.window().id), account)))
}
