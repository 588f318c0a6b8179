//! Money and prices as integers: every replica and every node computes the same bill.

use crate::Amount;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const NANOS_PER_USD: u64 = 1_000_000_000;
const PICOS_PER_NANO: u128 = 1_000;
/// "$1 per million tokens" is 10^6 pico-USD per token.
const PICOS_PER_TOKEN_FOR_ONE_USD_PER_MILLION: u64 = 1_000_000;
const NANO_DIGITS: usize = 9;

/// A count of provider tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(u64);

impl Tokens {
    /// No tokens.
    pub const ZERO: Self = Self(0);

    /// This many tokens.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The count.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, held at the largest count.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, held at zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The count times `times`, held at the largest count.
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// The count as an amount of a token budget.
    #[must_use]
    pub const fn amount(self) -> Amount {
        Amount::new(self.0)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Money in billionths of a US dollar. 2^64 of them are about 18 billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(u64);

impl NanoUsd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// This many billionths of a dollar.
    #[must_use]
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The number of billionths.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, held at the largest number.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The money as an amount of a dollar budget.
    #[must_use]
    pub const fn amount(self) -> Amount {
        Amount::new(self.0)
    }
}

/// Prints dollars, exactly: `1.25`, `0.000000001`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, NANOS_PER_USD, NANO_DIGITS)
    }
}

impl FromStr for NanoUsd {
    type Err = ParseMoneyError;

    /// Reads dollars with up to nine decimals, with or without a leading `$`.
    fn from_str(text: &str) -> Result<Self, ParseMoneyError> {
        parse_decimal(text.trim_start_matches('$'), NANOS_PER_USD, NANO_DIGITS).map(Self)
    }
}

/// A price in millionths of a millionth of a dollar for one token: "$3 per million" is 3,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PicoUsdPerToken(u64);

impl PicoUsdPerToken {
    /// Free of charge.
    pub const FREE: Self = Self(0);

    /// This many pico-USD for a token.
    #[must_use]
    pub const fn new(picos: u64) -> Self {
        Self(picos)
    }

    /// The number of pico-USD for a token.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads a price as providers publish it: dollars per million tokens, up to six decimals.
    ///
    /// # Errors
    /// When the text is no such number.
    pub fn parse_usd_per_million(text: &str) -> Result<Self, ParseMoneyError> {
        parse_decimal(text.trim_start_matches('$'), PICOS_PER_TOKEN_FOR_ONE_USD_PER_MILLION, 6).map(Self)
    }

    /// The price as providers publish it: dollars per million tokens.
    #[must_use]
    pub fn usd_per_million(self) -> String {
        struct PerMillion(u64);
        impl fmt::Display for PerMillion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_decimal(f, self.0, PICOS_PER_TOKEN_FOR_ONE_USD_PER_MILLION, 6)
            }
        }
        PerMillion(self.0).to_string()
    }

    /// What `parts` cost together, rounded up **once**: a request is over-charged by less than one nano-USD
    /// and never under-charged (invariant I8). Held at the largest amount of money.
    #[must_use]
    pub fn cost_of(parts: &[(Tokens, Self)]) -> NanoUsd {
        let picos = parts
            .iter()
            .map(|(tokens, price)| u128::from(tokens.0) * u128::from(price.0))
            .fold(0, u128::saturating_add);
        NanoUsd(u64::try_from(picos.div_ceil(PICOS_PER_NANO)).unwrap_or(u64::MAX))
    }
}

/// Why a text is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseMoneyError {
    /// Not a plain decimal number.
    #[error("{0:?} is not a decimal number such as 12.50")]
    NotANumber(String),
    /// More decimals than the smallest unit holds.
    #[error("{0:?} has more than {1} decimals")]
    TooFine(String, usize),
    /// More than fits in 64 bits.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

fn parse_decimal(text: &str, one: u64, decimals_max: usize) -> Result<u64, ParseMoneyError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) || text.ends_with('.') {
        return Err(ParseMoneyError::NotANumber(text.to_owned()));
    }
    if fraction.len() > decimals_max {
        return Err(ParseMoneyError::TooFine(text.to_owned(), decimals_max));
    }
    let too_large = || ParseMoneyError::TooLarge(text.to_owned());
    let padded = format!("{fraction:0<decimals_max$}");
    let small: u64 = if padded.is_empty() { 0 } else { padded.parse().map_err(|_| too_large())? };
    let large: u64 = whole.parse().map_err(|_| too_large())?;
    large.checked_mul(one).and_then(|units| units.checked_add(small)).ok_or_else(too_large)
}

fn write_decimal(f: &mut fmt::Formatter<'_>, units: u64, one: u64, decimals: usize) -> fmt::Result {
    let fraction = format!("{:0decimals$}", units % one);
    match fraction.trim_end_matches('0') {
        "" => f.pad(&(units / one).to_string()),
        fraction => f.pad(&format!("{}.{fraction}", units / one)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_printed_exactly() {
        for text in ["0", "1", "1.25", "0.000000001", "18446744073.709551615"] {
            assert_eq!(text.parse::<NanoUsd>().unwrap().to_string(), text);
        }
        assert_eq!("$2.50".parse(), Ok(NanoUsd::new(2_500_000_000)));
    }

    #[test]
    fn what_is_no_money_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0.0000000001", "18446744073.709551616", "1,5", "１"]
        {
            assert!(text.parse::<NanoUsd>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_is_rounded_up_once_and_not_per_part() {
        let third = PicoUsdPerToken::new(333);
        let cost = |counts: &[u64]| {
            let parts: Vec<_> = counts.iter().map(|count| (Tokens::new(*count), third)).collect();
            PicoUsdPerToken::cost_of(&parts)
        };
        for (counts, nanos) in [(&[][..], 0), (&[1], 1), (&[1, 2], 1), (&[2, 2], 2), (&[1_000, 1], 334)] {
            assert_eq!(cost(counts), NanoUsd::new(nanos), "I8: {counts:?} tokens");
        }
    }

    #[test]
    fn a_cost_past_all_money_is_held_at_the_top() {
        let dear = PicoUsdPerToken::new(u64::MAX);
        assert_eq!(PicoUsdPerToken::cost_of(&[(Tokens::new(u64::MAX), dear)]), NanoUsd::new(u64::MAX));
    }

    #[test]
    fn prices_are_read_as_providers_publish_them() {
        let price = PicoUsdPerToken::parse_usd_per_million("0.15").unwrap();
        assert_eq!(price, PicoUsdPerToken::new(150_000));
        assert_eq!(price.usd_per_million(), "0.15");
        assert_eq!(PicoUsdPerToken::cost_of(&[(Tokens::new(1_000_000), price)]), "0.15".parse().unwrap());
    }
}
