//! A request, as the one who watches everything sees it.

use crate::oracle::Spot;
use crate::rates::Reserved;
use quorate_domain::{BudgetId, MonoTime, PlaceId, Unit};
use quorate_wallet::Reservation;
use std::collections::BTreeMap;

/// Where a request is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not come yet.
    #[default]
    ToCome,
    /// It stands in line.
    Waits,
    /// The provider works on it.
    Runs,
    /// It was billed.
    Billed,
    /// It was turned away: 429.
    Denied,
    /// It was told that the ledger is out of reach, or its node was gone.
    Failed,
    /// Its client hung up while it waited.
    Left,
}

/// A request.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) state: State,
    /// Its place in its node's line.
    pub(crate) id: PlaceId,
    /// Until when it may wait, by its node's clock.
    pub(crate) deadline: MonoTime,
    /// The life of the node it came to.
    pub(crate) life: u64,
    /// What it took, as long as its node lives.
    pub(crate) reservation: Option<Reservation>,
    /// Its answer was cut to so much.
    pub(crate) cut_to: Option<u64>,
    /// Where it took how much.
    pub(crate) spots: Vec<(Spot, u64)>,
    /// It goes on without a majority, and without what grants do not cover.
    pub(crate) goes_on_regardless: bool,
    /// What it may spend without a grant.
    pub(crate) overdrawn: Vec<(BudgetId, Unit, u64)>,
    /// When it took it there.
    pub(crate) reserved: BTreeMap<BudgetId, Reserved>,
    /// Since when it waits for its end user's budget to be made.
    pub(crate) met_since: Option<u64>,
    /// The least that was unreserved of each budget of its path since it came.
    least: BTreeMap<usize, i128>,
}

impl Request {
    pub(crate) fn saw(&mut self, budget: usize, unreserved: i128) {
        let least = self.least.entry(budget).or_insert(unreserved);
        *least = (*least).min(unreserved);
    }

    pub(crate) fn least(&self, budget: usize) -> Option<i128> {
        self.least.get(&budget).copied()
    }

    /// Whether it went through a state: whoever is billed has run.
    pub(crate) fn was(&self, state: State) -> bool {
        self.state == state || (state == State::Runs && self.state == State::Billed)
    }
}
