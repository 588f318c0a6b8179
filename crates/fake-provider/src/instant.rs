//! Answers rendered beforehand, for benchmarks: no parsing, no faults, totals instead of a bill.

use crate::bill::Totals;
use crate::reply::{self, Reply};
use crate::text;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use memchr::memmem;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

const PROMPT_TOKENS: u64 = 75;
const COMPLETION_TOKENS: u64 = 30;
/// As many as the published benchmarks of other gateways stream.
const CHUNKS: u64 = 30;

/// The answers, and how often each was given.
#[derive(Debug)]
pub(crate) struct Instant {
    whole: Bytes,
    events: Vec<Bytes>,
    requests: AtomicU64,
}

impl Instant {
    /// Renders the answers.
    pub(crate) fn new(seed: u64) -> Self {
        Self { whole: whole_answer(seed), events: events(seed), requests: AtomicU64::new(0) }
    }

    /// Answers a chat request by its bytes: a stream if it asks for one.
    pub(crate) fn answer(&self, request: &[u8]) -> Reply {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !wants_stream(request) {
            return reply::reply(StatusCode::OK, "application/json", reply::whole(self.whole.clone()));
        }
        // One write for each event, as a provider's are: hyper joins what is ready at the same time.
        let frames = stream::iter(self.events.clone()).then(|event| async {
            tokio::task::yield_now().await;
            Ok(Frame::data(event))
        });
        reply::reply(StatusCode::OK, "text/event-stream", StreamBody::new(frames).boxed_unsync())
    }

    /// What all answers add up to.
    pub(crate) fn totals(&self) -> Totals {
        let requests = self.requests.load(Ordering::Relaxed);
        Totals {
            requests,
            prompt_tokens: requests * PROMPT_TOKENS,
            completion_tokens: requests * COMPLETION_TOKENS,
        }
    }
}

fn wants_stream(request: &[u8]) -> bool {
    memmem::find(request, b"\"stream\":true").is_some()
        || memmem::find(request, b"\"stream\": true").is_some()
}

fn usage() -> serde_json::Value {
    let total = PROMPT_TOKENS + COMPLETION_TOKENS;
    json!({"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS, "total_tokens": total})
}

fn whole_answer(seed: u64) -> Bytes {
    let message = json!({"role": "assistant", "content": text::words(seed, 0, COMPLETION_TOKENS)});
    let answer = json!({
        "id": "chatcmpl-instant", "object": "chat.completion", "created": 0, "model": "instant",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": usage(),
    });
    Bytes::from(answer.to_string())
}

fn events(seed: u64) -> Vec<Bytes> {
    let event = |choices: serde_json::Value, usage: serde_json::Value| {
        let chunk = json!({
            "id": "chatcmpl-instant", "object": "chat.completion.chunk", "created": 0, "model": "instant",
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let words = |position| json!({"content": text::words(seed, position, COMPLETION_TOKENS / CHUNKS)});
    let delta = |position| json!([{"index": 0, "delta": words(position), "finish_reason": null}]);
    let mut events: Vec<Bytes> = (0..CHUNKS).map(|position| event(delta(position), json!(null))).collect();
    events.push(event(json!([]), usage()));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_thirty_chunks_its_usage_and_an_end() {
        assert_eq!(events(1).len(), 32);
        assert!(wants_stream(b"{\"stream\": true}") && !wants_stream(b"{\"stream\":false}"));
    }
}
