//! The most a request can cost, known before it is sent: what makes a budget exact.
//!
//! A byte-level tokenizer never makes more tokens than there are bytes, so the length of the body bounds the prompt;
//! what providers add around messages and tools is the overhead. Output is bounded by the limit the provider is told.

use super::{ChatRequest, EmbeddingsRequest};
use quorate_domain::Tokens;

/// Tokens that a provider adds to a prompt without showing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhead {
    /// Once for a request.
    pub request: Tokens,
    /// For each message.
    pub message: Tokens,
    /// For each tool.
    pub tool: Tokens,
}

impl Default for Overhead {
    /// More than any chat template known to us adds; the JSON around a message is itself some thirty bytes.
    fn default() -> Self {
        Self { request: Tokens::new(32), message: Tokens::new(8), tool: Tokens::new(32) }
    }
}

/// The most tokens one part of its kind can cost with a model; `None` where nobody said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaBounds {
    /// An image.
    pub image: Option<Tokens>,
    /// An audio clip.
    pub audio: Option<Tokens>,
    /// A file.
    pub file: Option<Tokens>,
}

/// What is known of a model's costs before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelBounds {
    /// What the provider adds to a prompt.
    pub overhead: Overhead,
    /// What parts other than text can cost.
    pub media: MediaBounds,
}

/// Why no bound can be given for a request, so that it cannot run under a hard budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// It holds images.
    #[error("the request holds images, and the model has no token bound for an image")]
    Image,
    /// It holds audio.
    #[error("the request holds audio, and the model has no token bound for audio")]
    Audio,
    /// It holds files.
    #[error("the request holds files, and the model has no token bound for a file")]
    File,
    /// It holds a part or a tool of a kind that is not known.
    #[error("the request holds a message part or a tool of a kind whose cost is not known")]
    UnknownPart,
    /// It asks the provider for something beyond the model, as a web search, at the provider's price.
    #[error("the request asks for a web search or a plugin, whose cost is not bounded")]
    PaidExtras,
    /// It asks for an answer other than text.
    #[error("the request asks for an answer other than text, whose cost is not bounded")]
    AudioOutput,
}

impl ChatRequest {
    /// The most tokens the provider can bill for the prompt.
    ///
    /// # Errors
    /// When the request holds something whose cost nobody bounded.
    pub fn prompt_bound(&self, model: &ModelBounds) -> Result<Tokens, Unbounded> {
        self.refuse_the_unknown()?;
        let text = (self.body.len() as u64).saturating_sub(self.media.bytes);
        Ok(Tokens::new(text)
            .saturating_add(self.overhead(&model.overhead))
            .saturating_add(of_media(self.media.images, model.media.image, Unbounded::Image)?)
            .saturating_add(of_media(self.media.audios, model.media.audio, Unbounded::Audio)?)
            .saturating_add(of_media(self.media.files, model.media.file, Unbounded::File)?))
    }

    /// The most tokens of the prompt that may be billed as sound: audio, and files, which may hold some. Part of the bound
    /// of the prompt; what has no bound counts as nothing.
    #[must_use]
    pub fn sound_bound(&self, model: &ModelBounds) -> Tokens {
        let of = |count: u32, each: Option<Tokens>| each.unwrap_or_default().saturating_mul(count.into());
        of(self.media.audios, model.media.audio).saturating_add(of(self.media.files, model.media.file))
    }

    /// What the provider adds to the texts of the prompt.
    pub(super) fn overhead(&self, each: &Overhead) -> Tokens {
        each.request
            .saturating_add(each.message.saturating_mul(self.n_messages.into()))
            .saturating_add(each.tool.saturating_mul(self.n_tools.into()))
    }

    /// The most tokens the provider can bill for the output, when each choice is limited to `limit`.
    ///
    /// A prediction that turns out wrong is billed as output, so its length counts.
    #[must_use]
    pub fn output_bound(&self, limit: Tokens) -> Tokens {
        limit.saturating_mul(self.n_choices()).saturating_add(Tokens::new(self.prediction_bytes))
    }

    fn refuse_the_unknown(&self) -> Result<(), Unbounded> {
        if self.media.unknown > 0 {
            return Err(Unbounded::UnknownPart);
        }
        if self.paid_extras {
            return Err(Unbounded::PaidExtras);
        }
        if self.audio_output {
            return Err(Unbounded::AudioOutput);
        }
        Ok(())
    }
}

impl EmbeddingsRequest {
    /// The most tokens the provider can bill. There is no output.
    ///
    /// Tokenizers that mark the beginning and the end of each input add two tokens to it; the quotes and the comma
    /// around it are three bytes.
    ///
    /// # Errors
    /// When an input is neither text nor tokens.
    pub fn prompt_bound(&self, model: &ModelBounds) -> Result<Tokens, Unbounded> {
        if self.holds_objects {
            return Err(Unbounded::UnknownPart);
        }
        Ok(Tokens::new(self.body().len() as u64).saturating_add(model.overhead.request))
    }
}

fn of_media(count: u32, each: Option<Tokens>, unbounded: Unbounded) -> Result<Tokens, Unbounded> {
    match (count, each) {
        (0, _) => Ok(Tokens::ZERO),
        (_, Some(each)) => Ok(each.saturating_mul(count.into())),
        (_, None) => Err(unbounded),
    }
}
