//! A chat completion request, read without being taken apart.

use super::conversation::{Listed, Media};
use super::end_user;
use super::fields::{self, Fields};
use super::invalid::InvalidRequest;
use super::value::{Text, optional_bool, optional_count, optional_text, required_text, said, text_of};
use crate::json;
use bytes::Bytes;
use quorate_domain::Tokens;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::ops::Range;

/// More choices than any provider gives; a larger number is a mistake or an attack on the bound.
const CHOICES_MAX: u64 = 128;

/// A chat completion request: its body as it came, and the few things in it that decide route and cost.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub(super) body: Bytes,
    /// Just after the brace that opens the body: where fields can be added.
    pub(super) inside: usize,
    pub(super) model: Text,
    pub(super) usage_option: UsageOption,
    /// Where `max_tokens` and `max_completion_tokens` stand.
    pub(super) stated_limits: [StatedLimit; 2],
    stream: bool,
    output_limit: Option<OutputLimit>,
    n_choices: u64,
    service_tier: Option<Text>,
    end_user: Option<Text>,
    pub(super) n_messages: u32,
    pub(super) n_tools: u32,
    pub(super) media: Media,
    pub(super) prediction_bytes: u64,
    pub(super) paid_extras: bool,
    pub(super) audio_output: bool,
}

/// How much output the client asked for at most, for each choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit(pub Tokens);

/// What the body says in a field that limits the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatedLimit {
    /// The field is not there.
    Absent,
    /// The field is there and says nothing.
    Null(Range<usize>),
    /// The field holds a number.
    Number(Range<usize>),
}

impl StatedLimit {
    fn of(value: Option<&RawValue>, body: &str) -> Self {
        match value.map(|value| (json::is_null(value), json::span_of(value.get(), body))) {
            None => Self::Absent,
            Some((true, span)) => Self::Null(span),
            Some((false, span)) => Self::Number(span),
        }
    }
}

/// What the request says about `stream_options.include_usage`, and where it could be made to say yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UsageOption {
    /// There is no `stream_options`.
    Absent,
    /// `stream_options` is `null`: the whole value may be replaced.
    Null(Range<usize>),
    /// `stream_options` is an object without the field; fields can be added at `inside`.
    Unsaid { inside: usize, empty: bool },
    /// `include_usage` is false or null: its value may be replaced.
    No(Range<usize>),
    /// The client wants the usage chunk.
    Yes,
}

impl ChatRequest {
    /// Reads a request body. The body is kept, not copied.
    ///
    /// # Errors
    /// When the body is no JSON object, or a field that decides route or cost is missing, doubled or ill-typed.
    pub fn parse(body: &Bytes) -> Result<Self, InvalidRequest> {
        let text = text_of(body)?;
        let fields = fields::read(text)?;
        let n_messages = n_messages(fields.messages)?;
        Ok(Self {
            inside: text.len() - text.trim_ascii_start().len() + 1,
            model: required_text(fields.model, "model", text)?,
            usage_option: usage_option(fields.stream_options, text)?,
            stated_limits: [fields.max_tokens, fields.max_completion_tokens]
                .map(|value| StatedLimit::of(value, text)),
            stream: optional_bool(fields.stream, "stream")?,
            output_limit: output_limit(&fields)?,
            n_choices: n_choices(fields.n)?,
            service_tier: optional_text(fields.service_tier, "service_tier", text)?,
            end_user: end_user::read(&fields, text)?,
            n_messages,
            n_tools: [fields.tools, fields.functions]
                .map(|list| list.map_or(0, Listed::count))
                .into_iter()
                .fold(0, u32::saturating_add),
            media: fields.media,
            prediction_bytes: said(fields.prediction).map_or(0, |value| value.get().len() as u64),
            paid_extras: said(fields.web_search_options).or(said(fields.plugins)).is_some(),
            audio_output: asks_for_audio(fields.modalities)?,
            body: body.clone(),
        })
    }

    /// The body as it came.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The model the client named.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.read(&self.body)
    }

    /// Whether the client wants events as they come.
    #[must_use]
    pub const fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the client wants to see the chunk that carries the usage.
    #[must_use]
    pub fn wants_usage_chunk(&self) -> bool {
        self.usage_option == UsageOption::Yes
    }

    /// The output limit the client set; the larger, if it set both.
    #[must_use]
    pub const fn output_limit(&self) -> Option<OutputLimit> {
        self.output_limit
    }

    /// How many answers the client wants.
    #[must_use]
    pub const fn n_choices(&self) -> u64 {
        self.n_choices
    }

    /// Whom it is for in the end, if it says so.
    #[must_use]
    pub fn end_user(&self) -> Option<&str> {
        self.end_user.as_ref().map(|text| text.read(&self.body))
    }

    /// The service tier the client asks for, which providers price differently.
    #[must_use]
    pub fn service_tier(&self) -> Option<&str> {
        self.service_tier.as_ref().map(|tier| tier.read(&self.body))
    }
}

fn output_limit(fields: &Fields<'_>) -> Result<Option<OutputLimit>, InvalidRequest> {
    let old = optional_count(fields.max_tokens, "max_tokens")?;
    let new = optional_count(fields.max_completion_tokens, "max_completion_tokens")?;
    // Providers differ in which of the two they obey: the bound must hold for either.
    Ok(old.max(new).map(|limit| OutputLimit(Tokens::new(limit))))
}

/// How many messages there are. `null` in their place is the same as not there, as with every field.
fn n_messages(list: Option<Listed>) -> Result<u32, InvalidRequest> {
    match list {
        Some(Listed::Entries(count)) => Ok(count),
        Some(Listed::Null) | None => Err(InvalidRequest::Missing { field: "messages" }),
    }
}

fn n_choices(value: Option<&RawValue>) -> Result<u64, InvalidRequest> {
    let n = optional_count(value, "n")?.unwrap_or(1);
    if n > CHOICES_MAX {
        return Err(InvalidRequest::WrongType { field: "n", expected: "at most 128" });
    }
    Ok(n)
}

fn asks_for_audio(value: Option<&RawValue>) -> Result<bool, InvalidRequest> {
    let Some(value) = said(value) else { return Ok(false) };
    let modalities: Vec<String> = serde_json::from_str(value.get())
        .map_err(|_| InvalidRequest::WrongType { field: "modalities", expected: "a list of strings" })?;
    Ok(modalities.iter().any(|modality| modality != "text"))
}

fn usage_option(value: Option<&RawValue>, body: &str) -> Result<UsageOption, InvalidRequest> {
    #[derive(Deserialize)]
    struct StreamOptions<'a> {
        #[serde(borrow, default, deserialize_with = "even_null")]
        include_usage: Option<&'a RawValue>,
    }
    const FIELD: &str = "stream_options";
    let Some(value) = value else { return Ok(UsageOption::Absent) };
    let span = json::span_of(value.get(), body);
    if json::is_null(value) {
        return Ok(UsageOption::Null(span));
    }
    if !value.get().starts_with('{') {
        return Err(InvalidRequest::WrongType { field: FIELD, expected: "an object" });
    }
    let options: StreamOptions<'_> =
        serde_json::from_str(value.get()).map_err(|_| InvalidRequest::Duplicate { field: FIELD })?;
    match options.include_usage {
        None => {
            let empty = value.get()[1..].trim_ascii_start().starts_with('}');
            Ok(UsageOption::Unsaid { inside: span.start + 1, empty })
        }
        Some(said) if optional_bool(Some(said), FIELD)? => Ok(UsageOption::Yes),
        Some(said) => Ok(UsageOption::No(json::span_of(said.get(), body))),
    }
}

/// Keeps a `null` as a value with a place, where serde would take it for nothing.
fn even_null<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
