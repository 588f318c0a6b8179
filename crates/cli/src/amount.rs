//! Budgets as people type them: `5M/day`, `$12.50/month`, `100 requests/day`, `200000`, `10 permits`, `60 rpm`, `100k tpm`.

use crate::error::CliError;
use serde_json::{Value, json};

/// A limit and the stretch of time it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// As far as it was said; a budget without one is for ever.
    window: Option<String>,
    /// In what time it fills again, if it is a bucket.
    bucket: Option<&'static str>,
    limit: Limit,
}

/// How much: dollars as text, what is counted as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Usd(String),
    Tokens(u64),
    Requests(u64),
    /// Requests that run at the same time.
    Permits(u64),
    /// A number that does not say of what: of tokens, or of what the budget is in.
    Number(u64),
}

pub(crate) const WINDOWS: [&str; 6] = ["lifetime", "minute", "hour", "day", "week", "month"];
/// What requests reserve of a budget.
pub(crate) const RESERVES: [&str; 2] = ["bound", "estimate"];
/// Rates as everybody calls them: what is counted, and in what time the bucket fills again.
const RATES: [(&str, &str, &str); 8] = [
    ("rps", "requests", "second"),
    ("tps", "tokens", "second"),
    ("rpm", "requests", "minute"),
    ("rph", "requests", "hour"),
    ("rpd", "requests", "day"),
    ("tpm", "tokens", "minute"),
    ("tph", "tokens", "hour"),
    ("tpd", "tokens", "day"),
];

impl Wish {
    /// Reads `[$]AMOUNT[ tokens| requests| permits][/WINDOW]`, or `AMOUNT rpm` and the like.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rate = RATES
            .iter()
            .find_map(|(rate, unit, bucket)| Some((text.strip_suffix(rate)?.trim_end(), *unit, *bucket)));
        if let Some((number, unit, bucket)) = rate {
            let limit = Limit::parse(&format!("{number} {unit}"))?;
            return Ok(Self { window: None, bucket: Some(bucket), limit });
        }
        let (amount, window) =
            text.split_once('/').map_or((text, None), |(amount, window)| (amount, Some(window)));
        if let Some(other) = window.filter(|window| !WINDOWS.contains(window)) {
            return Err(format!("{other:?} is not one of {}", WINDOWS.join(", ")));
        }
        Self { window: window.map(str::to_owned), bucket: None, limit: Limit::parse(amount)? }.checked()
    }

    /// The same, over a window that was said elsewhere.
    pub(crate) fn over(self, window: Option<String>) -> Result<Self, String> {
        match (&self.window, window) {
            (Some(one), Some(other)) if *one != other => {
                Err(format!("the limit says /{one}, and --window {other}"))
            }
            (_, Some(window)) => Self { window: Some(window), ..self }.checked(),
            (_, None) => Ok(self),
        }
    }

    fn checked(self) -> Result<Self, String> {
        match (&self.limit, self.window.as_deref()) {
            (_, Some(window)) if self.bucket.is_some() => {
                Err(format!("a rate is for no {window}: it fills again little by little"))
            }
            (Limit::Permits(_), Some(window)) if window != "lifetime" => {
                Err(format!("permits are for no {window}: each comes back when its request ends"))
            }
            (_, _) => Ok(self),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let unit = self.limit.unit().unwrap_or("tokens");
        if let Some(bucket) = self.bucket {
            return json!({ "unit": unit, "bucket": bucket, "limit": self.limit.json() });
        }
        let window = self.window.as_deref().unwrap_or("lifetime");
        json!({ "unit": unit, "window": window, "limit": self.limit.json() })
    }
}

impl Limit {
    /// Reads `$12.50`, `100 requests`, `10 permits`, or tokens such as `200000`, `500k`, `5M`, `2G`, with or without the word.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(dollars) = text.strip_prefix('$') {
            let parsed: Result<quorate_domain::NanoUsd, _> = dollars.parse();
            return parsed.map(|money| Self::Usd(money.to_string())).map_err(|error| error.to_string());
        }
        let parsed = match text.split_once(' ') {
            Some((number, "requests")) => count(number).map(Self::Requests),
            Some((number, "permits")) => count(number).map(Self::Permits),
            Some((number, "tokens")) => count(number).map(Self::Tokens),
            Some(_) => None,
            None => count(text).map(Self::Number),
        };
        parsed.ok_or_else(|| {
            format!(
                "{text:?} is neither tokens, such as 200000 or 5M, nor dollars, such as $12.50, nor \"100 requests\", nor \
                 \"10 permits\", nor a rate such as \"60 rpm\""
            )
        })
    }

    /// The unit, as the admin API calls it; `None` if it was not said.
    pub(crate) const fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Usd(_) => Some("usd"),
            Self::Tokens(_) => Some("tokens"),
            Self::Requests(_) => Some("requests"),
            Self::Permits(_) => Some("permits"),
            Self::Number(_) => None,
        }
    }

    /// Whether a budget, as the admin API shows it, counts in what this says.
    pub(crate) fn fits(&self, id: u64, budget: &Value) -> Result<(), CliError> {
        let unit = budget["unit"].as_str().unwrap_or_default();
        match (self.unit(), unit) {
            (None, "usd") => Err(CliError::Usage(format!("budget {id} is in dollars: write $AMOUNT"))),
            (Some(said), unit) if said != unit => {
                Err(CliError::Usage(format!("budget {id} is in {unit}, which {said} are not")))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Usd(text) => json!(text),
            Self::Tokens(number) | Self::Requests(number) | Self::Permits(number) | Self::Number(number) => {
                json!(number)
            }
        }
    }
}

fn count(text: &str) -> Option<u64> {
    const TIMES: [(char, u64); 3] = [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
    let (number, times) = TIMES
        .into_iter()
        .find_map(|(suffix, times)| Some((text.strip_suffix(suffix)?, times)))
        .unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        Wish::parse(text).map_or_else(|error| error, |wish| wish.json().to_string())
    }

    #[test]
    fn a_budget_is_an_amount_and_perhaps_a_window() {
        assert_eq!(json("5M/day"), r#"{"limit":5000000,"unit":"tokens","window":"day"}"#);
        assert_eq!(json("$12.50"), r#"{"limit":"12.5","unit":"usd","window":"lifetime"}"#);
        assert_eq!(json("200000/month"), r#"{"limit":200000,"unit":"tokens","window":"month"}"#);
    }

    #[test]
    fn a_rate_is_a_bucket() {
        assert_eq!(json("60 rpm"), r#"{"bucket":"minute","limit":60,"unit":"requests"}"#);
        assert_eq!(json("5rps"), r#"{"bucket":"second","limit":5,"unit":"requests"}"#);
        assert_eq!(json("100ktpm"), r#"{"bucket":"minute","limit":100000,"unit":"tokens"}"#);
        assert_eq!(json("2M tpd"), r#"{"bucket":"day","limit":2000000,"unit":"tokens"}"#);
        assert!(Wish::parse("rpm").is_err());
        let over = Wish::parse("60 rpm").unwrap().over(Some("day".to_owned()));
        assert_eq!(over, Err("a rate is for no day: it fills again little by little".to_owned()));
    }

    #[test]
    fn the_window_may_be_said_elsewhere_but_not_another_one() {
        let over = |text: &str, window: &str| {
            Wish::parse(text).unwrap().over(Some(window.to_owned())).map(|wish| wish.json()["window"].clone())
        };
        assert_eq!(over("5M", "day"), Ok(json!("day")));
        assert_eq!(over("5M/day", "day"), Ok(json!("day")));
        assert_eq!(over("5M/day", "week"), Err("the limit says /day, and --window week".to_owned()));
        assert_eq!(Wish::parse("5M/day").unwrap().over(None), Wish::parse("5M/day"));
    }

    #[test]
    fn the_unit_may_be_said() {
        assert_eq!(json("100 requests/day"), r#"{"limit":100,"unit":"requests","window":"day"}"#);
        assert_eq!(json("2k requests"), r#"{"limit":2000,"unit":"requests","window":"lifetime"}"#);
        assert_eq!(json("10 permits"), r#"{"limit":10,"unit":"permits","window":"lifetime"}"#);
        assert_eq!(json("5M tokens"), r#"{"limit":5000000,"unit":"tokens","window":"lifetime"}"#);
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        for text in ["", "M", "5M/fortnight", "5 M", "$", "$1e3", "1.5M", "-5", "99999999999999G", "/day"] {
            assert!(Wish::parse(text).is_err(), "{text}");
        }
        for text in [
            "5 usd",
            "$5 requests",
            "requests",
            " requests",
            "5  requests",
            "5 requests /day",
            "5 permits/day",
        ] {
            assert!(Wish::parse(text).is_err(), "{text}");
        }
    }
}
