//! The end of doubt, by somebody's word or by a budget's rule.

use super::Ledger;
use crate::account::Proof;
use crate::{Doubt, Outcome, Rejection, Resolution, Resolve, Session, SessionState};
use quorate_domain::{Amount, BudgetId, LogTime, SessionId, Unit, WindowId};

/// Who resolves by a budget's rule.
const RULE: &str = "rule";

impl Ledger {
    /// All doubt there is. What dead sessions held of windows that are over is none: it counts for nothing any more.
    pub fn doubts(&self) -> impl Iterator<Item = Doubt> {
        let dead = self.sessions.iter().filter(|(_, life)| life.state != SessionState::Live);
        dead.flat_map(|(session, life)| {
            let doubt =
                |(budget, window): &(BudgetId, WindowId)| self.doubt_of(*session, life, *budget, *window);
            life.holds.iter().filter_map(doubt)
        })
    }

    /// What the rules of budgets say is to be resolved now. Each is due until it is applied, and then no more; that two
    /// leaders say it changes nothing.
    pub fn due_resolutions(&self) -> impl Iterator<Item = Resolve> {
        self.doubts().filter_map(|doubt| self.by_rule(&doubt))
    }

    fn by_rule(&self, doubt: &Doubt) -> Option<Resolve> {
        let spec = self.budget(doubt.budget)?.spec();
        let rule = spec.rule();
        // In a bucket also what a frozen session holds: it can spend it no longer either.
        let may_end = doubt.state == SessionState::InDoubt || spec.kind.refill().is_some();
        let is_ruled = spec.unit != Unit::Permits && may_end;
        let spent = rule.spent(doubt, self.time).filter(|_| is_ruled)?;
        let Doubt { session, budget, window, .. } = *doubt;
        Some(Resolve { session, budget, window, spent, actor: RULE.to_owned(), reason: rule.reason() })
    }

    fn doubt_of(
        &self,
        session: SessionId,
        life: &Session,
        budget: BudgetId,
        window: WindowId,
    ) -> Option<Doubt> {
        let account = self.budget(budget)?.account(window)?;
        let held = account.holding(session).filter(|held| !held.outstanding().is_zero())?;
        let is_in_doubt = life.state != SessionState::Live && !account.window().has_ended_at(self.time);
        let (node, state, since) = (life.node, life.state, life.since);
        is_in_doubt.then(|| {
            let (least, most) = (held.used, held.kept());
            Doubt { budget, window, session, node, state, since, least, most }
        })
    }

    pub(super) fn resolve(&mut self, resolve: &Resolve) -> Result<Outcome, Rejection> {
        let Resolve { session, budget, window, spent, .. } = *resolve;
        let found = self.budget(budget).ok_or(Rejection::UnknownBudget(budget))?;
        if found.resolutions().any(|done| (done.session, done.window, done.spent) == (session, window, spent))
        {
            return Ok(Outcome::Done);
        }
        let life = self.sessions.get(&session).ok_or(Rejection::UnknownSession(session))?;
        if life.state == SessionState::Live {
            return Err(Rejection::SessionAlive(session));
        }
        let doubt = self.doubt_of(session, life, budget, window).ok_or(Rejection::NothingHeld(session))?;
        if let Some(refill) = found.spec().kind.refill()
            && let left_ms @ 1.. = doubt.since.plus(refill.span()).since(self.time).millis()
        {
            return Err(Rejection::MaySpendYet { session, left_ms });
        }
        if spent < doubt.least || spent > doubt.most {
            let (least, most) = (doubt.least, doubt.most);
            return Err(Rejection::SpentOutOfRange { session, least, most });
        }
        let is_permits = found.spec().unit == Unit::Permits;
        let taken = if is_permits { Amount::ZERO } else { spent };
        if !is_permits {
            self.ends_unproven(&doubt);
        }
        self.close_holding(
            session,
            budget,
            window,
            &Proof { spent_bound: taken, settled: taken, overrun: Amount::ZERO },
        );
        self.release(session, budget, window);
        self.forget_if_empty(session);
        self.note(resolve, &doubt, taken, self.time);
        Ok(Outcome::Done)
    }

    fn note(&mut self, resolve: &Resolve, doubt: &Doubt, taken: Amount, at: LogTime) {
        let Some(budget) = self.budgets.get_mut(&resolve.budget) else { return };
        budget.note(Resolution {
            at,
            session: doubt.session,
            node: doubt.node,
            window: doubt.window,
            spent: resolve.spent,
            released: doubt.most.saturating_sub(taken),
            actor: resolve.actor.clone(),
            reason: resolve.reason.clone(),
        });
    }

    /// A dead session whose every unit of a window is accounted for leaves no doubt there.
    pub(super) fn release_what_is_sure(&mut self, session: SessionId) {
        let Some(life) = self.sessions.get(&session) else { return };
        let is_sure = |(budget, window): &&(BudgetId, WindowId)| {
            let account = self.budget(*budget).and_then(|budget| budget.account(*window));
            let held = account.and_then(|account| account.holding(session));
            held.is_none_or(|held| held.outstanding().is_zero())
        };
        let sure: Vec<_> = life.holds.iter().filter(is_sure).copied().collect();
        for (budget, window) in sure {
            self.with_account(budget, window, |account, _| account.fold(session));
            self.release(session, budget, window);
        }
    }

    /// Dead sessions are kept for their doubt, which may have died with a window.
    pub(super) fn forget_the_empty(&mut self) {
        self.sessions.retain(|_, life| life.state == SessionState::Live || !life.holds.is_empty());
    }
}
