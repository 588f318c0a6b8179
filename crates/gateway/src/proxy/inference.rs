//! What a client wants of a model, whichever operation it is: its model, its bound, its body for a target.

use super::estimates::{Asked, Expected};
use super::stream::Extent;
use crate::error::RequestError;
use bytes::Bytes;
use quorate_catalog::{MediaTokensMax, ModelSpec, OutputLimitParameter};
use quorate_dialect::Operation;
use quorate_dialect::openai::{
    ChatRequest, EmbeddingsRequest, MediaBounds, ModelBounds, OutputLimitField, Overhead, Rewrite,
};
use quorate_domain::{PicoUsdPerToken, Tokens, Unit};
use quorate_tokenizer::Encoding;
use quorate_wallet::{Cost, Need, Reservation};

/// A request to a model. Cloning it copies none of its body.
#[derive(Clone)]
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

    /// Whom it is for in the end, if the body says so.
    pub(super) fn end_user(&self) -> Option<&str> {
        match self {
            Self::Chat(request) => request.end_user(),
            Self::Embeddings(request) => request.end_user(),
        }
    }

    /// Whether the client wants the answer as it comes.
    pub(super) const fn is_stream(&self) -> bool {
        match self {
            Self::Chat(request) => request.stream(),
            Self::Embeddings(_) => false,
        }
    }

    /// Whether the client asked for the chunk that tells the usage.
    pub(super) fn wants_usage_chunk(&self) -> bool {
        match self {
            Self::Chat(request) => request.wants_usage_chunk(),
            Self::Embeddings(_) => false,
        }
    }

    /// The body as it came.
    pub(super) const fn body(&self) -> &Bytes {
        match self {
            Self::Chat(request) => request.body(),
            Self::Embeddings(request) => request.body(),
        }
    }

    /// The most tokens that its prompt can have, by its bytes and overhead.
    pub(super) fn prompt_by_bytes(&self, model: &ModelSpec) -> Result<Tokens, RequestError> {
        Ok(match self {
            Self::Chat(request) => request.prompt_bound(&bounds(model))?,
            Self::Embeddings(request) => request.prompt_bound(&bounds(model))?,
        })
    }

    /// The same by its text, which takes its time.
    pub(super) fn prompt_counted(
        &self,
        model: &ModelSpec,
        encoding: Encoding,
    ) -> Result<Tokens, RequestError> {
        let count = |text: &str| encoding.count(text);
        Ok(match self {
            Self::Chat(request) => request.prompt_counted(&bounds(model), &count)?,
            Self::Embeddings(request) => request.prompt_counted(&bounds(model), &count)?,
        })
    }

    /// The most it can cost with a model, what it costs cut to the shortest answer that is worth sending, and what it is expected
    /// to use.
    pub(super) fn need(
        &self,
        model: &ModelSpec,
        prompt: Tokens,
        output_tokens_min: Tokens,
        expected: &Expected,
    ) -> Need {
        let limit = self.output_limit(model);
        let most = self.bound(model, prompt, limit);
        let expected = self.bound(model, prompt.min(expected.prompt), limit.min(expected.choice)).tokens;
        Need {
            most,
            least: self.bound(model, prompt, limit.min(output_tokens_min.max(Tokens::new(1)))),
            // Whoever says that everything costs nothing is not let past a budget that is empty.
            expected: expected.max(Tokens::new(1)).min(most.tokens),
        }
    }

    /// What its usage is measured by; `None` if its prompt has no bound.
    pub(super) fn asked(&self, model: &ModelSpec, cut_to: Option<Tokens>) -> Option<Asked> {
        let prompt = self.prompt_by_bytes(model).ok()?;
        Some(Asked { prompt, extent: self.extent(model, cut_to) })
    }

    /// The longest answer, up to the client's own limit, whose bound the reservation covers; `None` if that limit itself
    /// is covered, or nothing of it is charged. The bound rises with the limit, and the shortest answer that is worth sending is covered.
    pub(super) fn cut_to(
        &self,
        model: &ModelSpec,
        prompt: &Result<Tokens, RequestError>,
        reservation: &Reservation,
    ) -> Result<Option<(Tokens, Cost)>, RequestError> {
        if reservation.least(Unit::Tokens).is_none() && reservation.least(Unit::NanoUsd).is_none() {
            return Ok(None);
        }
        let bound = |limit| prompt.clone().map(|prompt| self.bound(model, prompt, limit));
        let covers = |bound: &Cost, unit: Unit| {
            reservation.least(unit).is_none_or(|least| bound.to_reserve(unit) <= least)
        };
        let is_covered = |bound: &Cost| covers(bound, Unit::Tokens) && covers(bound, Unit::NanoUsd);
        let whole = self.output_limit(model);
        if is_covered(&bound(whole)?) {
            return Ok(None);
        }
        let (mut covered, mut beyond) = (0, whole.get());
        while beyond - covered > 1 {
            let middle = covered + (beyond - covered) / 2;
            *(if is_covered(&bound(Tokens::new(middle))?) { &mut covered } else { &mut beyond }) = middle;
        }
        let limit = Tokens::new(covered);
        Ok(Some((limit, bound(limit)?)))
    }

    /// How much of an answer a model is asked for.
    pub(super) fn extent(&self, model: &ModelSpec, cut_to: Option<Tokens>) -> Extent {
        let n_choices = match self {
            Self::Chat(request) => request.n_choices(),
            Self::Embeddings(_) => 0,
        };
        Extent { limit: cut_to.unwrap_or_else(|| self.output_limit(model)), n_choices }
    }

    /// No answer is longer than a model's context, whatever limit it is asked for.
    fn output_limit(&self, model: &ModelSpec) -> Tokens {
        match self {
            Self::Chat(request) => request
                .output_limit()
                .map_or(model.output_tokens_max, |limit| limit.0)
                .min(model.context_tokens),
            Self::Embeddings(_) => Tokens::ZERO,
        }
    }

    /// What it costs at most with a model and this limit: so many tokens of the prompt, and the limit of each choice.
    fn bound(&self, model: &ModelSpec, prompt: Tokens, limit: Tokens) -> Cost {
        let (output, sound) = match self {
            Self::Chat(request) => {
                (request.output_bound(limit), request.sound_bound(&bounds(model)).min(prompt))
            }
            Self::Embeddings(_) => (Tokens::ZERO, Tokens::ZERO),
        };
        let money = PicoUsdPerToken::cost_of(&[
            (prompt.saturating_sub(sound), model.price.dearest_input()),
            (sound, model.price.dearest_sound()),
            (output, model.price.dearest_output()),
        ]);
        Cost { tokens: prompt.saturating_add(output), money }
    }

    /// The body for a target: the client's own bytes but for the model's name, the limit of an answer that is cut, and, in
    /// a stream, the wish for usage.
    pub(super) fn body_for(&self, model: &ModelSpec, cut_to: Option<Tokens>) -> Bytes {
        let upstream_model = model.upstream_model.as_str();
        match self {
            Self::Chat(request) => request.rewrite(&Rewrite {
                model: Some(upstream_model),
                output_limit: cut_to.map(|limit| (limit_field(model), limit)),
                include_usage: true,
            }),
            Self::Embeddings(request) => request.with_model(upstream_model),
        }
    }
}

const fn limit_field(model: &ModelSpec) -> OutputLimitField {
    match model.output_limit_parameter {
        OutputLimitParameter::MaxTokens => OutputLimitField::MaxTokens,
        OutputLimitParameter::MaxCompletionTokens => OutputLimitField::MaxCompletionTokens,
    }
}

fn bounds(model: &ModelSpec) -> ModelBounds {
    let overhead = Overhead {
        request: model.prompt_overhead.per_request,
        message: model.prompt_overhead.per_message,
        ..Overhead::default()
    };
    let MediaTokensMax { image, audio, file } = model.media_tokens_max;
    ModelBounds { overhead, media: MediaBounds { image, audio, file } }
}
