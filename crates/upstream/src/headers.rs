//! Which headers cross the gateway, in both directions.

use http::header::{self, HeaderMap, HeaderName};
use std::time::Duration;

/// What a client may tell a provider. Everything else a client sends is about its own connection or its own account.
const FORWARDED: [&str; 3] = ["openai-beta", "traceparent", "tracestate"];

/// Headers of one connection (RFC 9110 §7.6.1), and those the gateway writes itself.
const OF_THE_CONNECTION: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// What would tell a client about our account, our session or the provider's own site.
const OF_OUR_ACCOUNT: [&str; 8] = [
    "keep-alive",
    "set-cookie",
    "server",
    "alt-svc",
    "strict-transport-security",
    "openai-organization",
    "openai-project",
    "retry-after-ms",
];

/// The headers of a client's request that a provider is to see.
#[must_use]
pub fn forwardable(client: &HeaderMap) -> HeaderMap {
    let mut forwarded = HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = client.get(name) {
            forwarded.insert(HeaderName::from_static(name), value.clone());
        }
    }
    forwarded
}

/// The headers of a provider's answer that a client is to see.
pub(crate) fn passed_back(answer: HeaderMap) -> HeaderMap {
    let named = answer.get(header::CONNECTION).cloned();
    let named = named.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_passed = |name: &HeaderName| {
        !OF_THE_CONNECTION.contains(name)
            && !OF_OUR_ACCOUNT.contains(&name.as_str())
            && !name.as_str().starts_with("x-ratelimit-")
            && !named.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(name.as_str()))
    };
    let mut passed = HeaderMap::with_capacity(answer.keys_len());
    let mut current = None;
    // A header with several values names itself with the first alone.
    for (name, value) in answer {
        if let Some(name) = name {
            current = is_passed(&name).then_some(name);
        }
        if let Some(name) = &current {
            passed.append(name.clone(), value);
        }
    }
    passed
}

/// How long the provider asks us to stay away. A date is not understood: it would need the provider's clock.
pub(crate) fn retry_after(answer: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| answer.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1_000.0).or_else(|| number("retry-after"));
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_static(name), value.parse().expect("test values are legal"));
        }
        headers
    }

    #[test]
    fn a_provider_never_sees_what_authenticates_the_client() {
        let client = headers(&[
            ("authorization", "Bearer sk-client"),
            ("cookie", "a=b"),
            ("openai-organization", "org-client"),
            ("openai-beta", "assistants=v2"),
            ("host", "gateway"),
        ]);
        assert_eq!(forwardable(&client), headers(&[("openai-beta", "assistants=v2")]));
    }

    #[test]
    fn a_client_never_sees_our_account_or_our_connection() {
        let answer = headers(&[
            ("content-type", "text/event-stream"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("openai-organization", "org-ours"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ]);
        let kept = headers(&[("content-type", "text/event-stream"), ("x-twice", "1"), ("x-twice", "2")]);
        assert_eq!(passed_back(answer), kept);
    }

    #[test]
    fn a_wish_to_be_left_alone_is_read_in_both_forms() {
        let after = |list| retry_after(&headers(list));
        assert_eq!(after(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(
            after(&[("retry-after", "9"), ("retry-after-ms", "150")]),
            Some(Duration::from_millis(150))
        );
        assert_eq!(after(&[("retry-after", "-1")]), None);
        assert_eq!(after(&[("retry-after", "1e400")]), None);
        assert_eq!(after(&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]), None);
    }
}
