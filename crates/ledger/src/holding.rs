//! What one session was granted in one window, and what became of it.

use quorate_domain::{Amount, PlaceId, Round};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one session was granted in one window, and what became of it. The amounts only rise (I4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Handed to the session.
    pub granted: Amount,
    /// Reported as spent.
    pub used: Amount,
    /// Given back to the pool.
    pub returned: Amount,
    /// Billed beyond what was reserved.
    pub overrun: Amount,
    /// The latest round that the session has answered: it knows that the window is handed out request by request.
    pub heard: Round,
    /// Requests that were granted what they needed, and how much that was, until the session stops mentioning them.
    pub served: BTreeMap<PlaceId, Amount>,
}

impl Holding {
    /// Granted, and neither reported as spent nor given back. Counted as spent until it is.
    #[must_use]
    pub fn outstanding(&self) -> Amount {
        self.kept().saturating_sub(self.used)
    }

    /// Granted and not given back: what the holding takes out of the pool.
    pub(crate) fn kept(&self) -> Amount {
        self.granted.saturating_sub(self.returned)
    }

    pub(crate) fn is_consistent(&self) -> bool {
        self.used.checked_add(self.returned).is_some_and(|gone| gone <= self.granted)
    }

    /// Whether the session never had anything to do with the window.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
