//! What a client wants of a model, whichever operation it is: its model, its bound, its body for a target.

use crate::error::RequestError;
use bytes::Bytes;
use quorate_catalog::ModelSpec;
use quorate_dialect::Operation;
use quorate_dialect::openai::{ChatRequest, EmbeddingsRequest, MediaBounds, ModelBounds, Overhead, Rewrite};
use quorate_domain::{PicoUsdPerToken, Tokens};
use quorate_wallet::Cost;

/// A request to a model.
pub(super) enum Inference {
    Chat(ChatRequest),
    Embeddings(EmbeddingsRequest),
}

impl Inference {
    pub(super) fn parse(operation: Operation, body: &Bytes) -> Result<Self, RequestError> {
        match operation {
            Operation::Chat => Self::chat(ChatRequest::parse(body)?),
            Operation::Embeddings => Ok(Self::Embeddings(EmbeddingsRequest::parse(body)?)),
        }
    }

    /// A tier other than the ordinary one has prices of its own, and the bound would be wrong.
    fn chat(request: ChatRequest) -> Result<Self, RequestError> {
        match request.service_tier() {
            None | Some("default" | "auto" | "flex") => Ok(Self::Chat(request)),
            Some(tier) => Err(RequestError::ServiceTier(tier.to_owned())),
        }
    }

    pub(super) const fn operation(&self) -> Operation {
        match self {
            Self::Chat(_) => Operation::Chat,
            Self::Embeddings(_) => Operation::Embeddings,
        }
    }

    pub(super) fn model(&self) -> &str {
        match self {
            Self::Chat(request) => request.model(),
            Self::Embeddings(request) => request.model(),
        }
    }

    /// Whether the client asked for the chunk that tells the usage.
    pub(super) fn wants_usage_chunk(&self) -> bool {
        match self {
            Self::Chat(request) => request.wants_usage_chunk(),
            Self::Embeddings(_) => false,
        }
    }

    /// The most it can cost with a model: the prompt's bytes and overhead, and the output limit of each choice.
    pub(super) fn bound(&self, model: &ModelSpec) -> Result<Cost, RequestError> {
        let (prompt, output) = match self {
            Self::Chat(request) => {
                let limit = request.output_limit().map_or(model.output_tokens_max, |limit| limit.0);
                (request.prompt_bound(&bounds(model))?, request.output_bound(limit))
            }
            Self::Embeddings(request) => (request.prompt_bound(&bounds(model))?, Tokens::ZERO),
        };
        let money = PicoUsdPerToken::cost_of(&[
            (prompt, model.price.dearest_input()),
            (output, model.price.dearest_output()),
        ]);
        Ok(Cost { tokens: prompt.saturating_add(output), money })
    }

    /// The body for a target: the client's own bytes but for the model's name and, in a stream, the wish for usage.
    pub(super) fn body_for(&self, model: &ModelSpec) -> Bytes {
        let upstream_model = model.upstream_model.as_str();
        match self {
            Self::Chat(request) => request.rewrite(&Rewrite {
                model: Some(upstream_model),
                output_limit: None,
                include_usage: true,
            }),
            Self::Embeddings(request) => request.with_model(upstream_model),
        }
    }
}

fn bounds(model: &ModelSpec) -> ModelBounds {
    let overhead = Overhead {
        request: model.prompt_overhead.per_request,
        message: model.prompt_overhead.per_message,
        ..Overhead::default()
    };
    ModelBounds { overhead, media: MediaBounds::default() }
}
