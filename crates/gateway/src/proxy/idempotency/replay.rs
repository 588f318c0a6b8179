//! An answer that is given again.

use crate::error::discourage_retry;
use crate::proxy::attempt::X_MAX_TOKENS;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use quorate_idempotency::Answer;

/// Tells a client that nothing was executed for this answer.
const X_IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-quorate-idempotent-replay");

/// The answer as its first caller got it. Of a stream all of it at once.
pub(super) fn replay(answer: Answer) -> Response {
    let mut headers = HeaderMap::new();
    let content_type = answer.content_type.and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if let Some(cut_to) = answer.cut_to {
        headers.insert(X_MAX_TOKENS, cut_to.into());
    }
    headers.insert(X_IDEMPOTENT_REPLAY, HeaderValue::from_static("true"));
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if !status.is_success() {
        // It was charged, or it would not have been kept.
        discourage_retry(&mut headers);
    }
    crate::proxy::reply::with_headers(status, headers, answer.body.into())
}

/// What of an answer is told again, but for its body.
pub(super) fn head_of(status: StatusCode, headers: &HeaderMap) -> Answer {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Answer {
        status: status.as_u16(),
        content_type: text(CONTENT_TYPE).map(str::to_owned),
        cut_to: text(X_MAX_TOKENS).and_then(|tokens| tokens.parse().ok()),
        body: bytes::Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_again_as_it_was_and_says_that_it_is() {
        let headers = [(CONTENT_TYPE, "text/event-stream"), (X_MAX_TOKENS, "17")];
        let headers =
            headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        let head = head_of(StatusCode::OK, &headers);
        let response = replay(Answer { body: "data: 1".into(), ..head });
        let told = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(told(CONTENT_TYPE), Some("text/event-stream"));
        assert_eq!(told(X_MAX_TOKENS), Some("17"));
        assert_eq!(told(X_IDEMPOTENT_REPLAY), Some("true"));
        assert_eq!(told(HeaderName::from_static("x-should-retry")), None);
        let failure = replay(head_of(StatusCode::GATEWAY_TIMEOUT, &HeaderMap::new()));
        assert_eq!(failure.headers().get("x-should-retry").unwrap(), "false");
    }
}
