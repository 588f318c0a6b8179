//! Models: what a provider serves, what it costs, and how large a request can be.

use crate::{Object, ObjectId, Prices, Rejection, Text};
use quorate_domain::{Name, Tokens};
use serde::{Deserialize, Serialize};

/// A model as the catalogue keeps it. Its revision is the version of its prices.
pub type Model = Object<ModelSpec>;

/// A model as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its identity, such as `openai/gpt-4o`. Clients use the names of routes instead.
    pub name: Name,
    /// Who serves it.
    pub provider: Name,
    /// What the provider calls it.
    pub upstream_model: Text,
    /// What its tokens cost, in US dollars per million.
    pub price: Prices,
    /// The most tokens that prompt and answer may have together.
    pub context_tokens: Tokens,
    /// The most tokens that an answer may have; none for a model that gives no text, as for embeddings.
    #[serde(default)]
    pub output_tokens_max: Tokens,
    /// What the provider adds to a prompt.
    #[serde(default)]
    pub prompt_overhead: PromptOverhead,
    /// How it cuts texts into tokens, if that is known: near the end of a budget prompts are then counted.
    #[serde(default)]
    pub tokenizer: Option<Tokenizer>,
    /// The parameter in which it takes the limit of an answer, for clients that state none.
    #[serde(default)]
    pub output_limit_parameter: OutputLimitParameter,
    /// What parts of a prompt that are no text can cost.
    #[serde(default)]
    pub media_tokens_max: MediaTokensMax,
}

/// The most tokens that one part of a prompt can cost which is no text; where nothing is said, such a prompt is refused on a hard
/// budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaTokensMax {
    /// An image, in the highest resolution. Charged as text, as providers do.
    pub image: Option<Tokens>,
    /// An audio clip, of the greatest length that the model takes. Sound has a price of its own, which must be said too.
    pub audio: Option<Tokens>,
    /// A file, with all of its pages and whatever sound is in it.
    pub file: Option<Tokens>,
}

/// The parameter that limits an answer. OpenAI's newer models refuse the old one; many compatible servers know no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimitParameter {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// An encoding of texts as tokens, under the name that `OpenAI` gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// Of GPT-4o and what came after it.
    O200kBase,
    /// Of GPT-4, GPT-3.5 and the embedding models of their time.
    Cl100kBase,
}

/// Tokens that a provider bills beyond the text of a prompt. Part of the bound of a request: too much is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptOverhead {
    /// Once for every request.
    pub per_request: Tokens,
    /// Once for every message.
    pub per_message: Tokens,
}

/// Three for the request and three or four for a message are what `OpenAI` documents; doubled.
impl Default for PromptOverhead {
    fn default() -> Self {
        Self { per_request: Tokens::new(8), per_message: Tokens::new(8) }
    }
}

impl ModelSpec {
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        if self.context_tokens == Tokens::ZERO || self.output_tokens_max > self.context_tokens {
            return Err(Rejection::ContextTooSmall { model: self.name.clone() });
        }
        // As text it would be charged a small part of what it costs.
        if self.media_tokens_max.audio.is_some() && self.price.audio_input.is_none() {
            return Err(Rejection::NoPriceOfSound { model: self.name.clone() });
        }
        Ok(())
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        std::iter::once(ObjectId::Provider(self.provider.clone()))
    }
}
