//! Provider wire formats, as bytes in and events out. Pure.
//!
//! A request is looked at, never rebuilt: what a client sent reaches the provider byte for byte, but for the few
//! values the gateway has to change. An answer is read for what it cost and passed on as it came. Start with
//! [`openai::ChatRequest`], then [`openai::StreamReader`].

mod error_body;
mod json;
pub mod openai;

pub use error_body::{ErrorBody, ErrorKind};

/// The wire format a provider speaks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI's, and that of everything compatible with it.
    #[default]
    OpenAi,
}

/// What a client asks a provider to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Continue a conversation.
    Chat,
    /// Turn text into vectors.
    Embeddings,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 2] = [Self::Chat, Self::Embeddings];
}

impl Dialect {
    /// Where the provider takes this operation, below its base URL.
    #[must_use]
    pub const fn path(self, operation: Operation) -> &'static str {
        match (self, operation) {
            (Self::OpenAi, Operation::Chat) => "chat/completions",
            (Self::OpenAi, Operation::Embeddings) => "embeddings",
        }
    }
}
