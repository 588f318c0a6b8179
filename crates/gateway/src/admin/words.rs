//! The words for units, windows and weekdays: said once, for reading what people write and for writing what they read.

use quorate_domain::{Amount, NanoUsd, Period, Refill, Span, Unit, Weekday};
use quorate_ledger::{AutoResolve, Kind, Reserve};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

const UNITS: [Unit; 4] = [Unit::Tokens, Unit::NanoUsd, Unit::Requests, Unit::Permits];
/// None is the window that never ends.
const WINDOWS: [Option<Period>; 6] = [
    None,
    Some(Period::Minute),
    Some(Period::Hour),
    Some(Period::Day),
    Some(Period::Week),
    Some(Period::Month),
];
const REFILLS: [Refill; 4] = [Refill::Second, Refill::Minute, Refill::Hour, Refill::Day];
const RESERVES: [Reserve; 2] = [Reserve::Bound, Reserve::Estimate];
const WEEKDAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// What becomes of doubt, as people write it and read it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Rule {
    Never,
    AsSpent { after_ms: Span },
    AsReportedMayOverspend { after_ms: Span },
}

impl From<Rule> for AutoResolve {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Never => Self::Never,
            Rule::AsSpent { after_ms: after } => Self::AsSpent { after },
            Rule::AsReportedMayOverspend { after_ms: after } => Self::AsReportedMayOverspend { after },
        }
    }
}

impl From<AutoResolve> for Rule {
    fn from(rule: AutoResolve) -> Self {
        match rule {
            AutoResolve::Never => Self::Never,
            AutoResolve::AsSpent { after: after_ms } => Self::AsSpent { after_ms },
            AutoResolve::AsReportedMayOverspend { after: after_ms } => {
                Self::AsReportedMayOverspend { after_ms }
            }
        }
    }
}

/// An amount in a sentence, without its unit.
pub(super) fn amount(unit: Unit, amount: Amount) -> String {
    match unit {
        Unit::NanoUsd => format!("${}", NanoUsd::new(amount.get())),
        Unit::Tokens | Unit::Requests | Unit::Permits => amount.to_string(),
    }
}

pub(super) const fn of_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Tokens => "tokens",
        Unit::NanoUsd => "usd",
        Unit::Requests => "requests",
        Unit::Permits => "permits",
    }
}

/// The word of its window; a bucket has none.
pub(super) const fn of_window(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Lifetime => Some("lifetime"),
        Kind::Fixed(period) => Some(of_period(*period)),
        Kind::Local(calendar) => Some(of_period(calendar.period())),
        Kind::Bucket(_) => None,
    }
}

/// The word of its refill, if it is a bucket.
pub(super) fn of_bucket(kind: &Kind) -> Option<&'static str> {
    kind.refill().map(of_refill)
}

const fn of_refill(refill: Refill) -> &'static str {
    match refill {
        Refill::Second => "second",
        Refill::Minute => "minute",
        Refill::Hour => "hour",
        Refill::Day => "day",
    }
}

pub(super) const fn of_reserve(reserve: Reserve) -> &'static str {
    match reserve {
        Reserve::Bound => "bound",
        Reserve::Estimate => "estimate",
    }
}

pub(super) const fn of_period(period: Period) -> &'static str {
    match period {
        Period::Minute => "minute",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
    }
}

pub(super) const fn of_weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    }
}

/// Reads the word of a unit; for `#[serde(deserialize_with)]`.
pub(super) fn unit<'de, D: Deserializer<'de>>(input: D) -> Result<Unit, D::Error> {
    one_of(UNITS, of_unit, input)
}

/// Reads the word of a window; for `#[serde(deserialize_with)]`.
pub(super) fn window<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Period>, D::Error> {
    one_of(WINDOWS, |window| window.map_or("lifetime", of_period), input)
}

/// Reads the word of a refill; for `#[serde(deserialize_with)]`.
pub(super) fn refill<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Refill>, D::Error> {
    one_of(REFILLS, of_refill, input).map(Some)
}

/// Reads the word of what is reserved; for `#[serde(deserialize_with)]`.
pub(super) fn reserve<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Reserve>, D::Error> {
    one_of(RESERVES, of_reserve, input).map(Some)
}

/// Reads the word of a weekday; for `#[serde(deserialize_with)]`.
pub(super) fn weekday<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Weekday>, D::Error> {
    one_of(WEEKDAYS, of_weekday, input).map(Some)
}

fn one_of<'de, D: Deserializer<'de>, T: Copy, const N: usize>(
    all: [T; N],
    word: fn(T) -> &'static str,
    input: D,
) -> Result<T, D::Error> {
    let text = String::deserialize(input)?;
    all.into_iter()
        .find(|one| word(*one) == text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is none of {}", all.map(word).join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_written_is_read_as_the_same() {
        assert_eq!(UNITS.map(|one| unit(Value::from(of_unit(one))).unwrap()), UNITS);
        assert_eq!(WEEKDAYS.map(|one| weekday(Value::from(of_weekday(one))).unwrap()), WEEKDAYS.map(Some));
        assert_eq!(window(json!("lifetime")).unwrap(), None);
        REFILLS.iter().for_each(|one| assert_eq!(refill(json!(of_refill(*one))).unwrap(), Some(*one)));
        RESERVES.iter().for_each(|one| assert_eq!(reserve(json!(of_reserve(*one))).unwrap(), Some(*one)));
        let periods = WINDOWS.into_iter().flatten();
        periods.for_each(|one| assert_eq!(window(Value::from(of_period(one))).unwrap(), Some(one)));
    }

    #[test]
    fn another_word_is_told_which_there_are() {
        let error = unit(json!("euro")).unwrap_err().to_string();
        assert_eq!(error, r#""euro" is none of tokens, usd, requests, permits"#);
    }
}
