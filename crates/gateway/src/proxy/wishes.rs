//! What a client asks of the gateway itself, in headers that no provider sees.

use super::Limits;
use crate::error::RequestError;
use http::{HeaderMap, HeaderName};
use quorate_domain::Tokens;
use std::time::Duration;

const X_MIN_TOKENS: HeaderName = HeaderName::from_static("x-quorate-min-tokens");
const X_MAX_WAIT_MS: HeaderName = HeaderName::from_static("x-quorate-max-wait-ms");

/// How a request wants to be served near the end of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    /// An answer that may have fewer tokens is not worth sending. One that has to be cut is cut to no less.
    pub(super) output_tokens_min: Tokens,
    /// How long it waits for budget that others hold.
    pub(super) budget_wait: Duration,
    /// How long it waits for the end of a request with its `Idempotency-Key`.
    pub(super) join_wait: Duration,
}

impl Wishes {
    /// What the headers say, and the operator's limits where they say nothing.
    ///
    /// # Errors
    /// A header that is no number.
    pub(super) fn read(headers: &HeaderMap, limits: &Limits) -> Result<Self, RequestError> {
        let min_tokens = number(headers, &X_MIN_TOKENS)?;
        let max_wait = number(headers, &X_MAX_WAIT_MS)?.map(Duration::from_millis);
        let patience = |limit: Duration| max_wait.map_or(limit, |said| said.min(limit));
        Ok(Self {
            output_tokens_min: min_tokens.map_or(limits.output_tokens_min, Tokens::new),
            budget_wait: patience(limits.budget_wait),
            join_wait: patience(limits.idempotency.wait),
        })
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, RequestError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| RequestError::InvalidHeader { name: name.clone(), takes: "a whole number" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::IdempotencyLimits;
    use http::HeaderValue;
    use quorate_domain::Span;

    const LIMITS: Limits = Limits {
        body_bytes_max: 1,
        budget_wait: Duration::from_secs(2),
        output_tokens_min: Tokens::new(256),
        idempotency: IdempotencyLimits {
            kept: Span::from_millis(1),
            wait: Duration::from_secs(60),
            response_bytes_max: 1,
            bytes_max: 1,
            records_max: 1,
        },
    };

    fn read(name: &HeaderName, value: &'static str) -> Result<Wishes, RequestError> {
        let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
        Wishes::read(&headers, &LIMITS)
    }

    #[test]
    fn a_client_may_wait_less_than_the_operator_allows_and_never_longer() {
        for (said, waits_ms) in [("0", 0), ("150", 150), ("60000", 2_000)] {
            let wishes = read(&X_MAX_WAIT_MS, said).unwrap();
            assert_eq!(wishes.budget_wait, Duration::from_millis(waits_ms));
            assert_eq!(wishes.join_wait, Duration::from_millis(said.parse().unwrap()));
            assert_eq!(wishes.output_tokens_min, LIMITS.output_tokens_min);
        }
    }

    #[test]
    fn a_client_says_how_short_an_answer_it_can_use() {
        for (said, tokens) in [("1", 1), (" 4096 ", 4_096)] {
            assert_eq!(read(&X_MIN_TOKENS, said).unwrap().output_tokens_min, Tokens::new(tokens));
        }
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        for said in ["", "-1", "1.5", "many"] {
            let refused = RequestError::InvalidHeader { name: X_MAX_WAIT_MS, takes: "a whole number" };
            assert_eq!(read(&X_MAX_WAIT_MS, said), Err(refused));
        }
    }
}
