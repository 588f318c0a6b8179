//! `/v1/chat/completions`: what is asked for, what is generated, and the answer in one piece.

use crate::behaviour::{Behaviour, UsageReport};
use crate::bill::{OpenEntry, Outcome};
use crate::prompt;
use crate::reply::{self, Body, Reply};
use crate::stats::Inside;
use crate::stream;
use crate::text;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;

/// The part of a chat request that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    messages: Value,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    stream_options: StreamOptions,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl ChatRequest {
    /// The texts of the messages.
    pub(crate) fn texts(&self) -> Vec<String> {
        prompt::texts(&self.messages)
    }

    /// Tokens of messages and tool declarations.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        let messages: u64 = self.texts().iter().map(|text| prompt::tokens(text)).sum();
        let tools = if self.tools.is_null() { 0 } else { prompt::tokens(&self.tools.to_string()) };
        messages + tools
    }

    /// What will be generated for this request.
    pub(crate) fn generation(&self, behaviour: Behaviour) -> Generation {
        let limit = self.max_completion_tokens.or(self.max_tokens).filter(|_| !behaviour.ignores_max_tokens);
        let wanted = behaviour.completion_tokens;
        Generation {
            model: self.model.clone(),
            prompt_tokens: self.prompt_tokens(),
            tokens: limit.map_or(wanted, |limit| limit.min(wanted)),
            clipped: limit.is_some_and(|limit| limit < wanted),
            choices: self.n.unwrap_or(1).max(1),
            include_usage: self.stream_options.include_usage,
            behaviour,
        }
    }
}

/// An answer before it is written.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) model: String,
    pub(crate) prompt_tokens: u64,
    /// Tokens of each choice.
    pub(crate) tokens: u64,
    /// Whether the request's limit ended it.
    pub(crate) clipped: bool,
    pub(crate) choices: u64,
    /// Whether a stream ends with a chunk that says its usage.
    pub(crate) include_usage: bool,
    pub(crate) behaviour: Behaviour,
}

impl Generation {
    /// What is billed besides the prompt.
    pub(crate) const fn completion_tokens(&self) -> u64 {
        self.tokens * self.choices
    }

    /// Why it ended, in OpenAI's words.
    pub(crate) const fn finish_reason(&self) -> &'static str {
        if self.clipped { "length" } else { "stop" }
    }

    /// What the answer claims; nothing if it is told to keep silent.
    pub(crate) fn usage(&self) -> Option<Value> {
        let (prompt, completion, details) = match self.behaviour.usage {
            UsageReport::Right => (self.prompt_tokens, self.completion_tokens(), None),
            UsageReport::Missing => return None,
            UsageReport::Lie {
                prompt_tokens,
                completion_tokens,
                audio_prompt_tokens: sound,
                cache_write_tokens: written,
            } => {
                let details = json!({"audio_tokens": sound, "cache_write_tokens": written});
                (prompt_tokens, completion_tokens, (sound.max(written) > 0).then_some(details))
            }
        };
        let total = prompt.saturating_add(completion);
        let mut usage =
            json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total});
        if let Some(details) = details {
            usage["prompt_tokens_details"] = details;
        }
        Some(usage)
    }

    /// Writes into an answer or a chunk which tier served it.
    pub(crate) fn tell_tier(&self, answer: &mut Value) {
        if let Some(tier) = &self.behaviour.service_tier {
            answer["service_tier"] = json!(tier);
        }
    }
}

/// Writes the answer, whole or as a stream.
pub(crate) fn answer(
    request: &ChatRequest,
    generation: Generation,
    entry: OpenEntry,
    inside: Inside,
) -> Reply {
    let request_id = entry.request_id().to_owned();
    let reply = if request.stream {
        let body = stream::body(generation, entry, inside);
        reply::with_header(
            reply::reply(StatusCode::OK, "text/event-stream", body),
            "cache-control",
            "no-cache",
        )
    } else {
        reply::reply(StatusCode::OK, "application/json", whole(&generation, entry))
    };
    reply::with_header(reply, "x-request-id", &request_id)
}

fn whole(generation: &Generation, mut entry: OpenEntry) -> Body {
    entry.generate(generation.completion_tokens());
    let answer = Bytes::from(completion(generation, entry.request_id()).to_string());
    if generation.behaviour.cut_after_chunks.is_some() {
        entry.close(Outcome::Cut);
        return cut_in_the_middle(&answer);
    }
    entry.close(Outcome::Finished);
    reply::whole(answer)
}

fn completion(generation: &Generation, id: &str) -> Value {
    let choice = |index| {
        let content = text::words(generation.behaviour.seed + index, 0, generation.tokens);
        json!({
            "index": index, "message": {"role": "assistant", "content": content, "refusal": null},
            "logprobs": null, "finish_reason": generation.finish_reason(),
        })
    };
    let mut answer = json!({
        "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": 1_700_000_000,
        "model": generation.model, "choices": (0..generation.choices).map(choice).collect::<Vec<_>>(),
    });
    if let Some(usage) = generation.usage() {
        answer["usage"] = usage;
    }
    generation.tell_tier(&mut answer);
    answer
}

/// The first half, then a broken connection.
fn cut_in_the_middle(answer: &Bytes) -> Body {
    let half = answer.slice(..answer.len() / 2);
    let broken = async {
        // hyper throws away what it has not written yet when a body fails; waiting once makes it write.
        tokio::task::yield_now().await;
        Err(io::Error::other("cut as the behaviour says"))
    };
    let frames =
        futures_util::stream::iter([Ok(Frame::data(half))]).chain(futures_util::stream::once(broken));
    StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &str) -> ChatRequest {
        let text = format!("{{\"model\": \"m\", \"messages\": [{{\"content\": \"12345678\"}}]{fields}}}");
        serde_json::from_str(&text).expect("a chat request")
    }

    #[test]
    fn the_limit_of_the_request_is_kept_unless_told_otherwise() {
        let limited = request(", \"max_tokens\": 3, \"n\": 2").generation(Behaviour::default());
        assert_eq!((limited.completion_tokens(), limited.finish_reason()), (6, "length"));
        let careless = Behaviour { ignores_max_tokens: true, ..Behaviour::default() };
        let unlimited = request(", \"max_tokens\": 3").generation(careless);
        assert_eq!((unlimited.completion_tokens(), unlimited.finish_reason()), (20, "stop"));
    }

    #[test]
    fn a_lie_is_in_the_answer_and_the_truth_stays_countable() {
        let lie = UsageReport::Lie {
            prompt_tokens: 0,
            completion_tokens: 1,
            audio_prompt_tokens: 0,
            cache_write_tokens: 0,
        };
        let generation = request("").generation(Behaviour { usage: lie, ..Behaviour::default() });
        assert_eq!(generation.usage().expect("a claim")["total_tokens"], 1);
        assert_eq!((generation.prompt_tokens, generation.completion_tokens()), (2, 20));
    }
}
