//! Reserving for an attempt, and what a client is told when there is no money for it.
//!
//! A request may stand in line for seconds. Who it is, what it may do and what it is charged to is what is so when it
//! leaves the line, and nobody is sent to a provider whose client has hung up meanwhile.
//!
//! A key that may goes on where there is no majority to ask: what no grant covers is overspent then, and told afterwards.

use super::Proxy;
use super::admit::{Admitted, Path};
use super::charge::Stake;
use super::counting::Until;
use super::estimates::Expected;
use super::reply::Caller;
use crate::error::{Denial, RequestError};
use crate::funds::{Funds, Refusal};
use quorate_catalog::{Model, WithoutQuorum};
use quorate_domain::{BudgetId, MonoTime, Span, Tokens, Unit};
use quorate_ledger::Reserve;
use quorate_wallet::{Charge, Cost, Need, Reservation};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether nobody can be asked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
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
    /// Reserves the most the attempt can cost, of budgets that go by estimates what it is expected to, and the permits that the
    /// request does not hold yet. Where no grant at hand covers its bytes, its tokens are counted before it waits in line, with
    /// the same patience.
    pub(super) async fn reserve(
        &self,
        admitted: &mut Admitted,
        model: &Arc<Model>,
        caller: &mut Caller,
    ) -> Result<Stake, Unreserved> {
        let prompt = admitted.inference.prompt_by_bytes(&model.spec);
        let expected = self.expected(admitted, model, &prompt);
        let need = need_of(admitted, model, &prompt, &expected)?;
        let path = admitted.permits.still_to_reserve(&admitted.path);
        if let Ok(reservation) = self.parts.funds.try_reserve(&path, &need) {
            return Ok(self.stake(admitted, model, reservation, (need.most, None)));
        }
        if self.may_overspend(admitted) {
            return self.overspend(admitted, model, (&prompt, &expected)).await;
        }
        let waited_since = self.parts.clock.mono();
        let prompt = self.count(admitted, model, caller).await?.map_or(prompt, Ok);
        let need = need_of(admitted, model, &prompt, &expected)?;
        let reserved = self.stand_in_line(admitted, (&need, waited_since), caller).await;
        self.parts.metrics.budget_wait(self.parts.clock.mono().since(waited_since));
        match reserved? {
            Some(reservation) => self.cut(admitted, (model, &prompt), reservation, need.most),
            None => self.overspend(admitted, model, (&prompt, &expected)).await,
        }
    }

    /// Resolves when nobody can be asked.
    async fn quorum_is_lost(&self) {
        while !self.is_quorum_lost() {
            let left = self.parts.replica.lease().left(self.parts.clock.mono());
            tokio::time::sleep(left.max(LOOK_EVERY)).await;
        }
    }

    /// Whether this node has not heard from a majority for as long as the revocation bound, and has asked the ledger in vain since.
    /// The first alone is so of a process that stood still, too, and of a node that hears nothing and is heard.
    fn is_quorum_lost(&self) -> bool {
        !self.parts.replica.lease().is_fresh(self.parts.clock.mono()) && self.parts.funds.is_out_of_reach()
    }

    /// Whether a request may spend what nobody granted: its key says so, and nobody can be asked.
    fn may_overspend(&self, admitted: &Admitted) -> bool {
        is_open(admitted) && self.is_quorum_lost()
    }

    /// Until when it comes out whether the ledger, which is out of reach now, can be asked: the lease ends, or it answers.
    fn known_until(&self) -> MonoTime {
        let now = self.parts.clock.mono();
        now.plus(Span::of(self.parts.replica.lease().left(now) + Funds::KNOWN_AFTER))
    }

    /// Lets a request go on whatever it costs, by the key and the budgets of now.
    async fn overspend(
        &self,
        admitted: &mut Admitted,
        model: &Model,
        (prompt, expected): (&Result<Tokens, RequestError>, &Expected),
    ) -> Result<Stake, Unreserved> {
        self.admit_again(admitted).await.map_err(Unreserved::Refused)?;
        // A budget that is new needs a bound that none before did.
        let need = need_of(admitted, model, prompt, expected)?;
        let path = admitted.permits.still_to_reserve(&admitted.path);
        let reserved = self.parts.funds.overspend(&path, &need).await;
        let reservation = reserved.map_err(|refusal| self.no_money(&refusal))?;
        if reservation.overspends() {
            self.parts.metrics.overspends();
        }
        Ok(self.stake(admitted, model, reservation, (need.most, None)))
    }

    /// What it is expected to use, if a budget goes by that.
    fn expected(
        &self,
        admitted: &Admitted,
        model: &Model,
        prompt: &Result<Tokens, RequestError>,
    ) -> Expected {
        let goes_by_estimates = admitted.path.iter().any(|charge| charge.reserve == Reserve::Estimate);
        match prompt {
            Ok(prompt) if goes_by_estimates => self.estimates.expected(model, *prompt),
            Ok(_) | Err(_) => Expected::BOUND,
        }
    }

    /// The tokens of the prompt, if they can be counted and a budget is charged by them.
    async fn count(
        &self,
        admitted: &Admitted,
        model: &Arc<Model>,
        caller: &mut Caller,
    ) -> Result<Option<Tokens>, Unreserved> {
        if !admitted.path.iter().any(|charge| matches!(charge.unit, Unit::Tokens | Unit::NanoUsd)) {
            return Ok(None);
        }
        // Who is not counted because the line is cleared is told so there.
        let until = Until { patience: admitted.wishes.budget_wait, closing: &self.closing() };
        tokio::select! {
            biased;
            () = caller.gone() => Err(Unreserved::ClientGone),
            counted = self.counting.count(&admitted.inference, model, &until, &self.parts.metrics) => {
                Ok(counted)
            }
        }
    }

    fn stake(
        &self,
        admitted: &mut Admitted,
        model: &Model,
        mut reservation: Reservation,
        (bound, cut_to): (Cost, Option<Tokens>),
    ) -> Stake {
        admitted.permits.take_from(&mut reservation, &self.parts.funds);
        reservation.estimated().inspect(|tokens| self.parts.metrics.estimated(*tokens));
        let asked = admitted.inference.asked(&model.spec, cut_to);
        Stake { reservation, bound, cut_to, asked, permits: admitted.permits.clone() }
    }

    /// What was reserved may be too little for the whole answer: then the answer is cut to what it covers.
    fn cut(
        &self,
        admitted: &mut Admitted,
        (model, prompt): (&Model, &Result<Tokens, RequestError>),
        mut reservation: Reservation,
        whole: Cost,
    ) -> Result<Stake, Unreserved> {
        match admitted.inference.cut_to(&model.spec, prompt, &reservation) {
            Ok(None) => Ok(self.stake(admitted, model, reservation, (whole, None))),
            Ok(Some((limit, bound))) => {
                self.parts.funds.shrink(&mut reservation, &bound);
                self.parts.metrics.answer_cut();
                Ok(self.stake(admitted, model, reservation, (bound, Some(limit))))
            }
            Err(unbounded) => {
                self.parts.funds.cancel(reservation);
                Err(Unreserved::Refused(unbounded))
            }
        }
    }

    /// Waits for the budgets of the request's path; for those of a new path, if it has another one when it is served. Its patience
    /// runs from `since`. A key that may overspend waits no longer than until it is sure that nobody can be asked (`None`); while that
    /// may still come out it is not turned away because the ledger is out of reach, but stands in line again.
    async fn stand_in_line(
        &self,
        admitted: &mut Admitted,
        (need, since): (&Need, MonoTime),
        caller: &mut Caller,
    ) -> Result<Option<Reservation>, Unreserved> {
        let (mut paths, mut known_until, closing) = (0, None, self.closing());
        while paths < PATHS_MAX {
            let waited = self.parts.clock.mono().since(since);
            let patience = admitted.wishes.budget_wait.saturating_sub(waited);
            let path = admitted.permits.still_to_reserve(&admitted.path);
            let reserved = tokio::select! {
                biased;
                () = caller.gone() => return Err(Unreserved::ClientGone),
                () = closing.cancelled() => {
                    return Err(Unreserved::Refused(RequestError::NotReady));
                }
                reserved = self.parts.funds.reserve(&path, need, patience) => reserved,
                () = self.quorum_is_lost(), if is_open(admitted) => return Ok(None),
            };
            let reservation = match reserved {
                Ok(reservation) => reservation,
                Err(Refusal::Unavailable)
                    if is_open(admitted)
                        && self.parts.funds.is_open()
                        && self.parts.clock.mono()
                            < *known_until.get_or_insert_with(|| self.known_until()) =>
                {
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Err(refusal) => return Err(self.no_money(&refusal)),
            };
            paths += 1;
            let is_whole = holds_of_each(&reservation, &path);
            match self.admit_again(admitted).await {
                Ok(Path::Same) if is_whole => return Ok(Some(reservation)),
                Ok(Path::Same | Path::Other) => {}
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

/// Whether its key goes on without a quorum whatever it costs.
fn is_open(admitted: &Admitted) -> bool {
    admitted.key.spec.without_quorum == WithoutQuorum::Open
}

/// Whether none of these budgets let it pass without taking anything: the wallet may know that one is gone, and another be there
/// in its place.
fn holds_of_each(reservation: &Reservation, path: &[Charge]) -> bool {
    path.iter().all(|charge| reservation.taken().any(|(budget, _, _)| budget == charge.budget))
}

/// What a request needs with a prompt of so many tokens. One that no budget charges needs no bound.
fn need_of(
    admitted: &Admitted,
    model: &Model,
    prompt: &Result<Tokens, RequestError>,
    expected: &Expected,
) -> Result<Need, Unreserved> {
    match prompt {
        Ok(prompt) => {
            let output_tokens_min = admitted.wishes.output_tokens_min;
            Ok(admitted.inference.need(&model.spec, *prompt, output_tokens_min, expected))
        }
        Err(_) if admitted.path.iter().all(|charge| charge.unit == Unit::Permits) => Ok(Cost::NOTHING.into()),
        Err(unbounded) => Err(Unreserved::Refused(unbounded.clone())),
    }
}

fn resets_in(ledger: &quorate_ledger::Ledger, budget: BudgetId) -> Option<Span> {
    let window = ledger.budget(budget)?.current().window();
    window.end.map(|end| end.since(ledger.time()))
}
