//! Events that the gateway writes itself, where a stream ends otherwise than the provider meant it to.

use crate::ErrorBody;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::iter::repeat_n;

/// The event that ends every stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// What the chunks of one stream have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkHead {
    /// The answer's id.
    #[serde(default)]
    pub id: String,
    /// When it began, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// The model that gives it.
    #[serde(default)]
    pub model: String,
}

#[derive(Serialize)]
struct Chunk<'a> {
    #[serde(flatten)]
    head: &'a ChunkHead,
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorBody>,
    choices: Vec<Choice>,
}

#[derive(Serialize)]
struct Choice {
    index: u64,
    delta: Delta,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'static str>,
}

/// The end of a stream that failed: a chunk with the error at its top, which SDKs raise, and `[DONE]`.
#[must_use]
pub fn error_event(head: &ChunkHead, error: &ErrorBody) -> Bytes {
    let choice = Choice { index: 0, delta: Delta { content: Some("") }, finish_reason: "error" };
    write(&Chunk { head, object: "chat.completion.chunk", error: Some(error), choices: vec![choice] })
}

/// The end of a stream whose output limit is reached, though the provider would have gone on.
#[must_use]
pub fn length_event(head: &ChunkHead, n_choices: u64) -> Bytes {
    let choices = repeat_n((), usize::try_from(n_choices).unwrap_or(1)).zip(0..);
    let choices =
        choices.map(|((), index)| Choice { index, delta: Delta { content: None }, finish_reason: "length" });
    write(&Chunk { head, object: "chat.completion.chunk", error: None, choices: choices.collect() })
}

fn write(chunk: &Chunk<'_>) -> Bytes {
    let mut event = b"data: ".to_vec();
    serde_json::to_writer(&mut event, chunk).expect("texts and numbers always serialise");
    event.extend_from_slice(b"\n\n");
    event.extend_from_slice(DONE);
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use expect_test::expect;

    #[test]
    fn endings_of_our_own_are_chunks_like_the_others() {
        let head = ChunkHead { id: "chatcmpl-1".into(), created: 1_700_000_000, model: "m".into() };
        let error =
            ErrorBody::new(ErrorKind::ServerError, "the provider went away").coded("provider_cut_stream");
        let text = |event: Bytes| String::from_utf8(event.to_vec()).unwrap();
        expect![[r#"
            data: {"id":"chatcmpl-1","created":1700000000,"model":"m","object":"chat.completion.chunk","error":{"message":"the provider went away","type":"server_error","param":null,"code":"provider_cut_stream"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}

            data: [DONE]

        "#]]
        .assert_eq(&text(error_event(&head, &error)));
        expect![[r#"
            data: {"id":"chatcmpl-1","created":1700000000,"model":"m","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"length"},{"index":1,"delta":{},"finish_reason":"length"}]}

            data: [DONE]

        "#]]
        .assert_eq(&text(length_event(&head, 2)));
    }
}
