//! Budgets as people type them: `5M/day`, `$12.50/month`, `200000`.

use serde_json::{Value, json};

/// A limit and the stretch of time it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    unit: &'static str,
    window: String,
    limit: Limit,
}

/// How much: dollars as text, tokens as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Usd(String),
    Tokens(u64),
}

const WINDOWS: [&str; 6] = ["lifetime", "minute", "hour", "day", "week", "month"];

impl Wish {
    /// Reads `[$]AMOUNT[/WINDOW]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (amount, window) = text.split_once('/').unwrap_or((text, "lifetime"));
        if !WINDOWS.contains(&window) {
            return Err(format!("{window:?} is not one of {}", WINDOWS.join(", ")));
        }
        let limit = Limit::parse(amount)?;
        let unit = match limit {
            Limit::Usd(_) => "usd",
            Limit::Tokens(_) => "tokens",
        };
        Ok(Self { unit, window: window.to_owned(), limit })
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "unit": self.unit, "window": self.window, "limit": self.limit.json() })
    }
}

impl Limit {
    /// Reads `$12.50`, or tokens such as `200000`, `500k`, `5M`, `2G`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(dollars) = text.strip_prefix('$') {
            let parsed: Result<quorate_domain::NanoUsd, _> = dollars.parse();
            return parsed.map(|money| Self::Usd(money.to_string())).map_err(|error| error.to_string());
        }
        let (number, times) = match text.strip_suffix(['k', 'M', 'G']) {
            Some(number) => (
                number,
                if text.ends_with('k') {
                    1_000
                } else if text.ends_with('M') {
                    1_000_000
                } else {
                    1_000_000_000
                },
            ),
            None => (text, 1_u64),
        };
        let wrong =
            || format!("{text:?} is neither tokens, such as 200000 or 5M, nor dollars, such as $12.50");
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(times))
            .map(Self::Tokens)
            .ok_or_else(wrong)
    }

    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Usd(text) => json!(text),
            Self::Tokens(number) => json!(number),
        }
    }
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
    fn what_is_no_budget_is_refused() {
        for text in ["", "M", "5M/fortnight", "5 M", "$", "$1e3", "1.5M", "-5", "99999999999999G", "/day"] {
            assert!(Wish::parse(text).is_err(), "{text}");
        }
    }
}
