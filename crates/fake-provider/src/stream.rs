//! The answer as a stream of events, billed chunk by chunk as it is generated.

use crate::behaviour::OnDisconnect;
use crate::bill::{OpenEntry, Outcome};
use crate::chat::Generation;
use crate::reply::Body;
use crate::stats::Inside;
use crate::text;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use std::future::pending;
use std::io;
use std::time::Duration;

/// The body of a streamed answer.
pub(crate) fn body(generation: Generation, entry: OpenEntry, inside: Inside) -> Body {
    let id = format!("chatcmpl-{}", entry.request_id());
    let stream = Stream { generation, id, next: Next::Chunk(0), inside: Some(inside) };
    let frames = stream::unfold((stream, Some(entry)), |(mut stream, mut entry)| async move {
        let frame = stream.step(&mut entry).await?;
        Some((frame.map(Frame::data), (stream, entry)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A stream on its way.
struct Stream {
    generation: Generation,
    id: String,
    next: Next,
    /// `None` once the end is told: nobody who has heard it finds the request inside.
    inside: Option<Inside>,
}

/// What a stream says next.
#[derive(Clone, Copy)]
enum Next {
    /// The chunk of this number.
    Chunk(u64),
    Finish,
    Usage,
    Done,
    Nothing,
}

impl Stream {
    /// The next event; nothing after the end. The entry is closed with the last one.
    async fn step(&mut self, entry: &mut Option<OpenEntry>) -> Option<io::Result<Bytes>> {
        let event = match self.next {
            Next::Chunk(number) => {
                if self.breaks_at(number).await {
                    return Some(Err(self.cut(entry)));
                }
                self.chunk(number, entry).await
            }
            Next::Finish => {
                if self.breaks_at(self.chunks()).await {
                    return Some(Err(self.cut(entry)));
                }
                self.finish()
            }
            Next::Usage => {
                self.next = Next::Done;
                let usage = self.generation.usage().unwrap_or_default();
                self.event(&json!([]), &usage)
            }
            Next::Done => {
                self.next = Next::Nothing;
                entry.take()?.close(Outcome::Finished);
                self.inside = None;
                Bytes::from_static(b"data: [DONE]\n\n")
            }
            Next::Nothing => return None,
        };
        Some(Ok(event))
    }

    fn chunks(&self) -> u64 {
        self.generation.behaviour.chunks.max(1)
    }

    /// Whether the connection breaks before this chunk. Waits for ever where the stream stalls.
    async fn breaks_at(&self, chunk: u64) -> bool {
        if self.generation.behaviour.stall_after_chunks == Some(chunk) {
            pending::<()>().await;
        }
        let breaks = self.generation.behaviour.cut_after_chunks == Some(chunk);
        if breaks {
            // hyper throws away what it has not written yet when a body fails; waiting once makes it write.
            tokio::task::yield_now().await;
        }
        breaks
    }

    fn cut(&mut self, entry: &mut Option<OpenEntry>) -> io::Error {
        self.next = Next::Nothing;
        if let Some(entry) = entry.take() {
            entry.close(Outcome::Cut);
        }
        io::Error::other("cut as the behaviour says")
    }

    async fn chunk(&mut self, number: u64, entry: &mut Option<OpenEntry>) -> Bytes {
        if number > 0 && self.generation.behaviour.chunk_delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.generation.behaviour.chunk_delay_ms)).await;
        }
        let end = |number| self.generation.tokens * number / self.chunks();
        let (from, to) = (end(number), end(number + 1));
        if let Some(entry) = entry {
            entry.generate((to - from) * self.generation.choices);
            entry.owe_on_disconnect(self.owed_after(to));
        }
        let seed = self.generation.behaviour.seed;
        let delta = |choice| {
            let words = text::words(seed + choice, from, to - from);
            let delta = if number == 0 {
                json!({"role": "assistant", "content": words})
            } else {
                json!({"content": words})
            };
            json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": null})
        };
        let choices: Vec<Value> = (0..self.generation.choices).map(delta).collect();
        self.next = if number + 1 == self.chunks() { Next::Finish } else { Next::Chunk(number + 1) };
        self.event(&json!(choices), &Value::Null)
    }

    fn owed_after(&self, generated: u64) -> u64 {
        match self.generation.behaviour.on_disconnect {
            OnDisconnect::Stop => 0,
            OnDisconnect::Finish => (self.generation.tokens - generated) * self.generation.choices,
        }
    }

    fn finish(&mut self) -> Bytes {
        let says_usage = self.generation.include_usage && self.generation.usage().is_some();
        self.next = if says_usage { Next::Usage } else { Next::Done };
        let reason = self.generation.finish_reason();
        let end = |choice| json!({"index": choice, "delta": {}, "logprobs": null, "finish_reason": reason});
        let choices: Vec<Value> = (0..self.generation.choices).map(end).collect();
        self.event(&json!(choices), &Value::Null)
    }

    /// One event. As with OpenAI, `usage` is there, mostly null, only if the request asked for it.
    fn event(&self, choices: &Value, usage: &Value) -> Bytes {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": self.generation.model, "choices": choices,
        });
        if self.generation.include_usage {
            chunk["usage"] = usage.clone();
        }
        self.generation.tell_tier(&mut chunk);
        Bytes::from(format!("data: {chunk}\n\n"))
    }
}
