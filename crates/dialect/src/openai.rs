//! OpenAI's dialect: chat completions and embeddings, as requests to bound and answers to settle.

mod answer;
mod bound;
mod chat;
mod choices;
mod conversation;
mod counted;
mod embeddings;
mod end_user;
mod ending;
mod fields;
mod invalid;
mod rewrite;
mod sse;
mod stream;
mod usage;
mod value;

pub use answer::{Answer, ProviderError, read_answer};
pub use bound::{MediaBounds, ModelBounds, Overhead, Unbounded};
pub use chat::{ChatRequest, OutputLimit};
pub use counted::Count;
pub use embeddings::EmbeddingsRequest;
pub use ending::{ChunkHead, DONE, error_event, length_event};
pub use invalid::InvalidRequest;
pub use rewrite::{OutputLimitField, Rewrite};
pub use stream::{Passed, Seen, StreamEnd, StreamError, StreamReader, UsageChunk};
pub use usage::{ReportedUsage, ServedTier, Usage};
