//! Reserving for an attempt, and what a client is told when there is no money for it.
//!
//! A request may stand in line for seconds. Who it is, what it may do and what it is charged to is what is so when it
//! leaves the line, and nobody is sent to a provider whose client has hung up meanwhile.

use super::Proxy;
use super::admit::{Admitted, Path};
use super::charge::Stake;
use super::reply::Caller;
use crate::error::{Denial, RequestError};
use crate::funds::Refusal;
use quorate_catalog::Model;
use quorate_domain::{BudgetId, Span, Tokens, Unit};
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
    /// Reserves the most the attempt can cost, and the permits that the request does not hold yet. A request that no
    /// budget charges needs no bound.
    pub(super) async fn reserve(
        &self,
        admitted: &mut Admitted,
        model: &Model,
        caller: &mut Caller,
    ) -> Result<Stake, Unreserved> {
        let need = match admitted.inference.need(&model.spec, admitted.wishes.output_tokens_min) {
            Ok(need) => need,
            Err(_) if admitted.path.iter().all(|charge| charge.unit == Unit::Permits) => Cost::NOTHING.into(),
            Err(unbounded) => return Err(Unreserved::Refused(unbounded)),
        };
        let path = admitted.permits.still_to_reserve(&admitted.path);
        if let Ok(reservation) = self.parts.funds.try_reserve(&path, &need.most) {
            return Ok(self.stake(admitted, reservation, need.most, None));
        }
        let waited_since = self.parts.clock.mono();
        let reserved = self.stand_in_line(admitted, &need, caller).await;
        self.parts.metrics.budget_wait(self.parts.clock.mono().since(waited_since));
        self.cut(admitted, model, reserved?, need.most)
    }

    fn stake(
        &self,
        admitted: &mut Admitted,
        mut reservation: Reservation,
        bound: Cost,
        cut_to: Option<Tokens>,
    ) -> Stake {
        admitted.permits.take_from(&mut reservation, &self.parts.funds);
        Stake { reservation, bound, cut_to, permits: admitted.permits.clone() }
    }

    /// What was reserved may be too little for the whole answer: then the answer is cut to what it covers.
    fn cut(
        &self,
        admitted: &mut Admitted,
        model: &Model,
        mut reservation: Reservation,
        whole: Cost,
    ) -> Result<Stake, Unreserved> {
        match admitted.inference.cut_to(&model.spec, &reservation) {
            Ok(None) => Ok(self.stake(admitted, reservation, whole, None)),
            Ok(Some((limit, bound))) => {
                self.parts.funds.shrink(&mut reservation, &bound);
                self.parts.metrics.answer_cut();
                Ok(self.stake(admitted, reservation, bound, Some(limit)))
            }
            Err(unbounded) => {
                self.parts.funds.cancel(reservation);
                Err(Unreserved::Refused(unbounded))
            }
        }
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
            let patience = admitted.wishes.budget_wait.saturating_sub(waited);
            let path = admitted.permits.still_to_reserve(&admitted.path);
            let reservation = tokio::select! {
                biased;
                () = caller.gone() => return Err(Unreserved::ClientGone),
                () = self.closing.cancelled() => {
                    return Err(Unreserved::Refused(RequestError::NotReady));
                }
                reserved = self.parts.funds.reserve(&path, need, patience) => {
                    reserved.map_err(|refusal| self.no_money(&refusal))?
                }
            };
            match self.admit_again(admitted) {
                Ok(Path::Same) => return Ok(reservation),
                Ok(Path::Other) => {}
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
                    is_bucket: found.spec().kind.refill().is_some(),
                    resets_in: shortage.refills_in.or_else(|| resets_in(&ledger, *budget)),
                })
            }
        }
    }
}

fn resets_in(ledger: &quorate_ledger::Ledger, budget: BudgetId) -> Option<Span> {
    let window = ledger.budget(budget)?.current().window();
    window.end.map(|end| end.since(ledger.time()))
}
