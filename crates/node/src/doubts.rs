//! What the rules of budgets resolve by themselves: decided by the ledger, by log time; proposed by whoever leads.

use quorate_gateway::replica::Replica;
use quorate_ledger::{Outcome, Resolve};
use std::time::Duration;

/// So many at once: a node that died held something of hundreds of budgets, and the rest are due the next time.
const AT_ONCE: usize = 64;
/// For one proposal. What is lost is due again the next time.
const LIMIT: Duration = Duration::from_secs(1);

/// Proposes what is due. Once it is applied it is due no more, and that another leader proposes it too changes nothing.
pub(crate) async fn resolve_due(replica: &dyn Replica) {
    let due: Vec<_> = replica.ledger().read().due_resolutions().take(AT_ONCE).collect();
    for resolve in due {
        let command = quorate_ledger::Command::Resolve(resolve.clone());
        match replica.propose_ledger(command, LIMIT).await {
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
