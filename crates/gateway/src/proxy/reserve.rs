//! Reserving for an attempt, and what a client is told when there is no money for it.
//!
//! A request may stand in line for seconds. Who it is, what it may do and what it is charged to is what is so when it
//! leaves the line, and nobody is sent to a provider whose client has hung up meanwhile.

use super::Proxy;
use super::admit::Admitted;
use super::charge::Stake;
use super::reply::Caller;
use crate::error::{Denial, RequestError};
use crate::funds::Refusal;
use quorate_catalog::Model;
use quorate_domain::{BudgetId, Span};
use quorate_wallet::{Cost, Need, Reservation};

/// So often a request reserves anew because the budgets it is charged to have changed while it stood in line.
const PATHS_MAX: usize = 8;

/// Why nothing is reserved.
pub(super) enum Unreserved {
    /// The request is refused.
    Refused(RequestError),
    /// The client hung up in line.
    ClientGone,
}

impl Proxy {
    /// Reserves the most the attempt can cost. A request that no budget limits needs no bound.
    pub(super) async fn reserve(
        &self,
        admitted: &mut Admitted,
        model: &Model,
        caller: &mut Caller,
    ) -> Result<Stake, Unreserved> {
        let bound = match admitted.inference.bound(&model.spec) {
            Ok(bound) => bound,
            Err(_) if admitted.path.is_empty() => Cost::NOTHING,
            Err(unbounded) => return Err(Unreserved::Refused(unbounded)),
        };
        if let Ok(reservation) = self.parts.funds.try_reserve(&admitted.path, &bound) {
            return Ok(Stake { reservation, bound });
        }
        let waited_since = self.parts.clock.mono();
        let reserved = self.stand_in_line(admitted, &bound.into(), caller).await;
        self.parts.metrics.budget_wait(self.parts.clock.mono().since(waited_since));
        reserved.map(|reservation| Stake { reservation, bound })
    }

    /// Waits for the budgets of the request's path; for those of a new path, if it has another one when it is served.
    async fn stand_in_line(
        &self,
        admitted: &mut Admitted,
        need: &Need,
        caller: &mut Caller,
    ) -> Result<Reservation, Unreserved> {
        let since = self.parts.clock.mono();
        for _ in 0..PATHS_MAX {
            let waited = self.parts.clock.mono().since(since);
            let patience = self.parts.limits.budget_wait.saturating_sub(waited);
            let reservation = tokio::select! {
                biased;
                () = caller.gone() => return Err(Unreserved::ClientGone),
                reserved = self.parts.funds.reserve(&admitted.path, need, patience) => {
                    reserved.map_err(|refusal| self.no_money(&refusal))?
                }
            };
            match self.admit_again(admitted) {
                Ok(path) if path == admitted.path => return Ok(reservation),
                Ok(path) => admitted.path = path,
                Err(error) => {
                    self.parts.funds.cancel(reservation);
                    return Err(Unreserved::Refused(error));
                }
            }
            self.parts.funds.cancel(reservation);
        }
        Err(Unreserved::Refused(RequestError::QuotaUnavailable))
    }

    fn no_money(&self, refusal: &Refusal) -> Unreserved {
        self.parts.metrics.budget_refused(refusal);
        Unreserved::Refused(self.explain(refusal))
    }

    fn explain(&self, refusal: &Refusal) -> RequestError {
        match refusal {
            Refusal::Unavailable => RequestError::QuotaUnavailable,
            Refusal::Denied { budget, need, shortage, cause, doubtful } => {
                let ledger = self.parts.replica.ledger().read();
                // A budget that was removed meanwhile denies nothing any more: the next try will succeed.
                let Some(found) = ledger.budget(*budget) else { return RequestError::QuotaUnavailable };
                RequestError::Denied(Denial {
                    subject: found.spec().subject.clone(),
                    unit: found.spec().unit,
                    cause: *cause,
                    need: need.get(),
                    limit: shortage.limit.get(),
                    in_doubt: doubtful.get(),
                    resets_in: resets_in(&ledger, *budget),
                })
            }
        }
    }
}

fn resets_in(ledger: &quorate_ledger::Ledger, budget: BudgetId) -> Option<Span> {
    let window = ledger.budget(budget)?.current().window();
    window.end.map(|end| end.since(ledger.time()))
}
