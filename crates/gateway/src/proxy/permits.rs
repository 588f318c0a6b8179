//! The permits a request holds: taken before its first attempt, given back at its end, kept in between.

use crate::funds::Funds;
use quorate_domain::BudgetId;
use quorate_wallet::{Charge, Reservation};
use std::borrow::Cow;
use std::sync::Arc;

/// What a request holds of budgets of permits. Shared by the request and its attempt under way: whichever ends last gives
/// them back.
#[derive(Clone, Default)]
pub(super) struct Permits(Vec<Arc<Held>>);

/// Permits that were taken at the same time.
struct Held {
    funds: Funds,
    /// `None` once they were given back.
    reservation: Option<Reservation>,
}

impl Permits {
    /// Takes the permits out of what an attempt has reserved.
    pub(super) fn take_from(&mut self, reservation: &mut Reservation, funds: &Funds) {
        let permits = reservation.split_permits();
        if !permits.is_empty() {
            self.0.push(Arc::new(Held { funds: funds.clone(), reservation: Some(permits) }));
        }
    }

    /// The part of a path that is yet to be reserved.
    pub(super) fn still_to_reserve<'a>(&self, path: &'a [Charge]) -> Cow<'a, [Charge]> {
        if self.0.is_empty() {
            return Cow::Borrowed(path);
        }
        Cow::Owned(path.iter().filter(|charge| !self.holds(charge.budget)).copied().collect())
    }

    fn holds(&self, budget: BudgetId) -> bool {
        let taken = self.0.iter().filter_map(|held| held.reservation.as_ref()).flat_map(Reservation::taken);
        taken.into_iter().any(|(of, ..)| of == budget)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(permits) = self.reservation.take() {
            self.funds.cancel(permits);
        }
    }
}
