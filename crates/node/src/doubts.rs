//! What the rules of budgets resolve by themselves: decided by the ledger, by log time; proposed by whoever leads.

use quorate_gateway::replica::{Replica, Unavailable};
use quorate_ledger::{Command, Outcome, Resolve};
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// So many at once: a node that died held something of hundreds of budgets, and the rest are due the next time.
const AT_ONCE: usize = 64;
/// For one proposal. What is lost is due again the next time.
const LIMIT: Duration = Duration::from_secs(1);

/// Proposes what is due, until `stop`. Once it is applied it is due no more, and that another leader proposes it too
/// changes nothing.
pub(crate) async fn resolve_due(replica: &dyn Replica, stop: &CancellationToken) {
    let due: Vec<_> = replica.ledger().read().due_resolutions().take(AT_ONCE).collect();
    propose_each(due, stop, |command| replica.propose_ledger(command, LIMIT)).await;
}

async fn propose_each<F>(due: Vec<Resolve>, stop: &CancellationToken, propose: impl Fn(Command) -> F)
where
    F: Future<Output = Result<Outcome, Unavailable>>,
{
    for resolve in due {
        let proposal = propose(Command::Resolve(resolve.clone()));
        // One that is under way is not waited for: what becomes of it, the ledger shows.
        let Some(outcome) = stop.run_until_cancelled(proposal).await else { return };
        match outcome {
            Ok(Outcome::Rejected(rejection)) => tracing::debug!(%rejection, "a rule came too late"),
            Ok(
                Outcome::Done
                | Outcome::BudgetStored { .. }
                | Outcome::SessionOpened { .. }
                | Outcome::Synced { .. }
                | Outcome::Fenced,
            ) => note(&resolve),
            Err(unavailable) => {
                tracing::debug!(%unavailable, "no rule could be carried out");
                return;
            }
        }
    }
}

fn note(resolve: &Resolve) {
    tracing::info!(
        budget = resolve.budget.get(),
        session = resolve.session.get(),
        spent = resolve.spent.get(),
        actor = resolve.actor,
        reason = resolve.reason,
        "doubt resolved by rule"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::{Amount, BudgetId, LogTime, SessionId, WindowId};
    use std::cell::Cell;
    use std::future::{pending, ready};

    fn due(number: u64) -> Vec<Resolve> {
        let of = |session| Resolve {
            session: SessionId::new(session),
            budget: BudgetId::new(1),
            window: WindowId::beginning(LogTime::default()),
            spent: Amount::ZERO,
            actor: "rule".to_owned(),
            reason: "its time is over".to_owned(),
        };
        (1..=number).map(of).collect()
    }

    #[tokio::test]
    async fn a_node_that_stops_proposes_no_more_rules() {
        let (stop, n_proposed) = (CancellationToken::new(), Cell::new(0));
        propose_each(due(64), &stop, |_| {
            n_proposed.set(n_proposed.get() + 1);
            if n_proposed.get() == 3 {
                stop.cancel();
            }
            ready(Ok(Outcome::Done))
        })
        .await;
        assert_eq!(n_proposed.get(), 3);
    }

    #[tokio::test]
    async fn a_node_that_stops_waits_for_no_proposal() {
        let stop = CancellationToken::new();
        let told = async { stop.cancel() };
        let both = async { tokio::join!(propose_each(due(1), &stop, |_| pending()), told) };
        assert!(tokio::time::timeout(Duration::from_secs(20), both).await.is_ok(), "waits for ever");
    }

    #[tokio::test]
    async fn after_one_that_nobody_takes_the_others_wait_for_the_next_beat() {
        let (stop, n_proposed) = (CancellationToken::new(), Cell::new(0));
        propose_each(due(64), &stop, |_| {
            n_proposed.set(n_proposed.get() + 1);
            ready(Err(Unavailable::NoQuorum))
        })
        .await;
        assert_eq!(n_proposed.get(), 1);
    }
}
