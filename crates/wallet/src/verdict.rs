//! Who in line is turned away, and with what proof (G2). Nobody is because of bad luck: a denial says that at an instant
//! while the request waited, less was unreserved in the whole cluster than it needs.

use crate::line::Ticket;
use crate::{Cause, Refusal, Wallet};
use quorate_domain::{Amount, BudgetId, MonoTime, PlaceId};
use quorate_ledger::{Ledger, Prospect, Standing};
use std::time::Duration;

/// How long after its last call a request waits for proof, before it is told that the ledger is out of reach.
const PROOF_LIMIT: Duration = Duration::from_millis(500);
/// How long after the last call of a request holders may keep a round waiting, before what they hold counts as in doubt.
const DOUBT_AFTER: Duration = Duration::from_millis(250);

/// What is to be done about a request in line.
enum Verdict {
    Wait,
    /// It looks hopeless, but this replica may be behind.
    AskWhetherBehind,
    TurnAway(Refusal),
}

impl Wallet {
    /// Who is to be turned away. `as_of`: the replica shows everything that was agreed on before this instant.
    #[must_use]
    pub fn turn_away(
        &self,
        ledger: &Ledger,
        as_of: Option<MonoTime>,
        now: MonoTime,
    ) -> Vec<(PlaceId, Refusal)> {
        let line = self.line.lock();
        let verdict = |turn: (&Ticket, Amount)| match self.verdict(turn, ledger, as_of, now) {
            Verdict::TurnAway(refusal) => Some((turn.0.id, refusal)),
            Verdict::Wait | Verdict::AskWhetherBehind => None,
        };
        line.in_turn(has_hope(ledger, now)).filter_map(verdict).collect()
    }

    /// Whether somebody looks hopeless, so that it is worth asking whether this replica is behind.
    #[must_use]
    pub fn needs_barrier(&self, ledger: &Ledger, now: MonoTime) -> bool {
        let line = self.line.lock();
        let is_hopeless = |turn: (&Ticket, Amount)| {
            matches!(self.verdict(turn, ledger, None, now), Verdict::AskWhetherBehind)
        };
        line.in_turn(has_hope(ledger, now)).any(is_hopeless)
    }

    /// When the next request in line must be served or refused.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.line.lock().tickets.iter().map(|ticket| ticket.deadline).min()
    }

    fn standing(&self, ticket: &Ticket) -> Option<Standing> {
        let (window, proves_from) = ticket.proves_from?;
        Some(Standing { window, proves_from, session: self.session(), id: ticket.id })
    }

    fn verdict(
        &self,
        (ticket, ahead): (&Ticket, Amount),
        ledger: &Ledger,
        as_of: Option<MonoTime>,
        now: MonoTime,
    ) -> Verdict {
        let Some(charge) = ticket.waits_at() else { return Verdict::Wait };
        let (budget, need) = (charge.budget, ticket.least());
        if let Some(account) = self.account(budget).filter(|account| account.is_designated(ticket.id)) {
            // Its grant may lapse before it is served, and nobody be there who would renew it.
            return if account.has_ended_at(now) { out_of_time(ticket, now) } else { Verdict::Wait };
        }
        let prospect = ledger.prospect(budget, need, ticket.patience(ahead, now), self.standing(ticket));
        let Some((prospect, shortage)) = prospect else { return out_of_time(ticket, now) };
        let known_from = known_from(ticket, prospect, ledger, budget);
        let is_known = as_of.is_some_and(|as_of| known_from.is_some_and(|from| from <= as_of));
        let denied =
            |cause, doubtful| Verdict::TurnAway(Refusal::Denied { budget, need, shortage, cause, doubtful });
        match prospect {
            Prospect::TooBig if is_known => denied(Cause::TooBig, Amount::ZERO),
            Prospect::Spent if is_known => denied(Cause::Spent, Amount::ZERO),
            Prospect::InDoubt if is_known => denied(Cause::InDoubt, shortage.in_doubt),
            Prospect::TooBig | Prospect::Spent | Prospect::InDoubt
                if known_from.is_some() && !is_out_of_time(ticket, now) =>
            {
                Verdict::AskWhetherBehind
            }
            Prospect::Held { doubtful, lost } if is_time_to_deny(ticket, doubtful, now) => {
                denied(Cause::Held, doubtful.saturating_add(lost))
            }
            Prospect::TooBig
            | Prospect::Spent
            | Prospect::InDoubt
            | Prospect::Held { .. }
            | Prospect::Open => out_of_time(ticket, now),
        }
    }
}

/// Whether a ticket may still be served behind so much, as far as this replica shows.
pub(crate) fn has_hope(ledger: &Ledger, now: MonoTime) -> impl Fn(&Ticket, Amount) -> bool {
    move |ticket, ahead| ticket.may_hope_for(ticket.least(), ahead, ledger, now)
}

/// From when on a replica that was not behind shows an instant after the request came; `None` while that is not known. A bucket
/// leaks by log time, which stands still while nothing is agreed on: there, from when an entry came after the request.
fn known_from(ticket: &Ticket, prospect: Prospect, ledger: &Ledger, budget: BudgetId) -> Option<MonoTime> {
    let fills_again = ledger.budget(budget).is_some_and(|budget| budget.spec().kind.refill().is_some());
    let goes_by_time = fills_again && prospect != Prospect::TooBig;
    if goes_by_time { ticket.heard_at } else { Some(ticket.since) }
}

/// Whoever may still answer is given a moment.
fn is_time_to_deny(ticket: &Ticket, doubtful: Amount, now: MonoTime) -> bool {
    let called = ticket.last_called();
    now >= called && (doubtful.is_zero() || now.since(called) >= DOUBT_AFTER)
}

fn is_out_of_time(ticket: &Ticket, now: MonoTime) -> bool {
    let called = ticket.last_called();
    now >= called && now.since(called) >= PROOF_LIMIT
}

fn out_of_time(ticket: &Ticket, now: MonoTime) -> Verdict {
    if is_out_of_time(ticket, now) { Verdict::TurnAway(Refusal::Unavailable) } else { Verdict::Wait }
}
