//! What a request costs, in every unit a budget may count.

use quorate_domain::{Amount, NanoUsd, Tokens, Unit};

/// The cost of one attempt at a provider: an upper bound before, the real thing after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Prompt and completion together.
    pub tokens: Tokens,
    /// At the prices in force when it was reserved.
    pub money: NanoUsd,
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
