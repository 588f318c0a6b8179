//! Budgets that nobody wrote: made for each end user from an organisation's templates, and forgotten.

use super::{Ledger, is_live};
use crate::template::{END_USERS_MAX_DEFAULT, Origin};
use crate::{BudgetSpec, MeetEndUser, Outcome, Rejection, Template};
use quorate_domain::{BudgetId, EndUserId, Name, Revision, Span, Subject};

/// Whoever was met finds his budget for at least so long, though he has not spent of it yet.
const KEPT_FOR: Span = Span::from_millis(60_000);

impl Ledger {
    /// What a template has made; `None` if the budget is none.
    #[must_use]
    pub fn template(&self, id: BudgetId) -> Option<&Template> {
        self.templates.get(&id)
    }

    /// Whether budgets limit end users of an organisation, so that it matters who they are.
    #[must_use]
    pub fn limits_end_users(&self, organisation: &Name) -> bool {
        let default = Subject::EndUserDefault(organisation.clone());
        if self.by_subject.contains_key(&default) {
            return true;
        }
        let next =
            self.by_subject.range(Subject::EndUser(organisation.clone(), EndUserId::first())..default).next();
        next.is_some_and(|(subject, _)| matches!(subject, Subject::EndUser(of, _) if of == organisation))
    }

    /// Templates by which an end user has no budget yet, neither made nor written.
    pub fn unmet<'a>(
        &'a self,
        organisation: &Name,
        end_user: &EndUserId,
    ) -> impl Iterator<Item = BudgetId> + 'a {
        let templates = self.budgets_of(&Subject::EndUserDefault(organisation.clone()));
        let known = match templates {
            [] => &[],
            _ => self.budgets_of(&Subject::EndUser(organisation.clone(), end_user.clone())),
        };
        let is_alike = |one: &BudgetId, other: &BudgetId| {
            let spec = |id| self.budgets.get(id).map(|budget| (budget.spec().unit, &budget.spec().kind));
            spec(one) == spec(other)
        };
        templates.iter().filter(move |template| !known.iter().any(|it| is_alike(it, template))).copied()
    }

    /// Makes what an end user has not yet. What can be forgotten is forgotten first, also if he is refused.
    pub(super) fn meet(&mut self, meet: MeetEndUser) -> Result<Outcome, Rejection> {
        let MeetEndUser { organisation, end_user } = meet;
        let unmet: Vec<BudgetId> = self.unmet(&organisation, &end_user).collect();
        unmet.iter().for_each(|template| self.forget_some(*template));
        let is_full = |id: &&BudgetId| self.template(**id).is_some_and(Template::is_full);
        if let Some(full) = unmet.iter().find(is_full) {
            let most = self.template(*full).map_or(0, Template::end_users_max);
            return Err(Rejection::TooManyEndUsers { budget: *full, most });
        }
        let subject = Subject::EndUser(organisation, end_user);
        unmet.into_iter().for_each(|template| self.make(template, &subject));
        Ok(Outcome::Done)
    }

    fn make(&mut self, template: BudgetId, subject: &Subject) {
        let Some(written) = self.budgets.get(&template) else { return };
        let spec = BudgetSpec { subject: subject.clone(), ..written.spec().clone() };
        let made = self.create_budget(spec.key(), spec);
        let origin = Origin { template, since: self.time };
        self.budgets.get_mut(&made).into_iter().for_each(|budget| budget.set_origin(Some(origin)));
        self.templates.entry(template).and_modify(|it| it.made_one(made));
    }

    /// Forgets made budgets that would be the same if they were made anew, of those whose turn it is.
    fn forget_some(&mut self, template: BudgetId) {
        let next = self.templates.get_mut(&template).map(Template::next_to_look_at).unwrap_or_default();
        let idle: Vec<_> = next.into_iter().filter(|made| self.is_as_new(*made)).collect();
        idle.iter().for_each(|made| self.drop_budget(*made));
        if !idle.is_empty() {
            self.forget_the_empty();
        }
    }

    fn is_as_new(&self, made: BudgetId) -> bool {
        self.budgets.get(&made).is_some_and(|budget| {
            let is_old = budget.origin().is_some_and(|origin| self.time >= origin.since.plus(KEPT_FOR));
            is_old && budget.is_as_new_at(self.time, &|session| is_live(&self.sessions, session))
        })
    }

    /// A budget was written: what was made from it follows, and what was made and is written now stands for itself.
    pub(super) fn written(&mut self, id: BudgetId, spec: &BudgetSpec, revision: Revision) {
        let made = self.templates.get(&id).map(|template| template.made().clone()).unwrap_or_default();
        made.into_iter().for_each(|made| self.write(made, spec, revision));
        self.stands_for_itself(id);
    }

    /// What was made from a template is there without it no more; it is one no longer if it was one.
    pub(super) fn unmake(&mut self, id: BudgetId) {
        let template = self.templates.remove(&id);
        let made = template.map(|template| template.made().clone()).unwrap_or_default();
        made.into_iter().for_each(|made| self.drop_budget(made));
    }

    /// A budget belongs to its template no more.
    pub(super) fn stands_for_itself(&mut self, id: BudgetId) {
        let Some(budget) = self.budgets.get_mut(&id) else { return };
        if let Some(origin) = budget.origin() {
            budget.set_origin(None);
            self.templates.entry(origin.template).and_modify(|template| template.lost_one(id));
        }
    }

    /// A budget of all end users is a template, for as many as it says, or as it said before.
    pub(super) fn bound_template(&mut self, id: BudgetId, end_users_max: Option<u32>) {
        let is_default = |it: &crate::Budget| matches!(it.spec().subject, Subject::EndUserDefault(_));
        if !self.budgets.get(&id).is_some_and(is_default) {
            return;
        }
        let template = self.templates.entry(id).or_insert(Template::new(END_USERS_MAX_DEFAULT));
        end_users_max.into_iter().for_each(|most| template.bound(most));
    }
}
