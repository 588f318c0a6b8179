//! What a request costs, in every unit a budget may count.

use crate::Charge;
use quorate_domain::{Amount, NanoUsd, Tokens, Unit};
use quorate_ledger::Reserve;

/// The cost of one attempt at a provider: an upper bound before, the real thing after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Prompt and completion together.
    pub tokens: Tokens,
    /// At the prices in force when it was reserved.
    pub money: NanoUsd,
}

/// What a request asks for: the most it can cost, the least that is of use to it, and what it is expected to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The upper bound of its cost. Reserved if there is so much.
    pub most: Cost,
    /// Its cost with the shortest answer that is worth sending. Enough when there is no hope for more.
    pub least: Cost,
    /// The tokens that it is expected to use. Of budgets that go by estimates it takes as many, and no fewer.
    pub expected: Tokens,
}

/// All of it, or nothing.
impl From<Cost> for Need {
    fn from(cost: Cost) -> Self {
        Self { most: cost, least: cost, expected: cost.tokens }
    }
}

impl Need {
    /// What it takes of a budget, if there is so much.
    #[must_use]
    pub fn most_of(&self, charge: Charge) -> Amount {
        match charge.reserve {
            Reserve::Bound => self.most.to_reserve(charge.unit),
            Reserve::Estimate => self.expected.amount().min(self.most.to_reserve(charge.unit)),
        }
    }

    /// What it cannot do without there.
    #[must_use]
    pub fn least_of(&self, charge: Charge) -> Amount {
        match charge.reserve {
            Reserve::Bound => self.least.to_reserve(charge.unit).min(self.most_of(charge)),
            Reserve::Estimate => self.most_of(charge),
        }
    }
}

impl Cost {
    /// Nothing was spent: the attempt never reached a provider, or the provider refused it.
    pub const NOTHING: Self = Self { tokens: Tokens::ZERO, money: NanoUsd::ZERO };

    /// What to take from a budget of this unit before the attempt.
    #[must_use]
    pub const fn to_reserve(&self, unit: Unit) -> Amount {
        match unit {
            Unit::Tokens => self.tokens.amount(),
            Unit::NanoUsd => self.money.amount(),
            Unit::Requests | Unit::Permits => Amount::new(1),
        }
    }

    /// What a budget of this unit is charged in the end. A permit comes back whole; a request that cost nothing
    /// does not count.
    #[must_use]
    pub fn to_charge(&self, unit: Unit) -> Amount {
        match unit {
            Unit::Tokens => self.tokens.amount(),
            Unit::NanoUsd => self.money.amount(),
            Unit::Requests => Amount::new(u64::from(*self != Self::NOTHING)),
            Unit::Permits => Amount::ZERO,
        }
    }
}
