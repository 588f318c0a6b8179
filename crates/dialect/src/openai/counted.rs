//! The most tokens a prompt can have when its texts are counted instead of measured: a bound that is closer than that by bytes,
//! and costs a second look at the body.
//!
//! Only what is known to be text, by itself, is counted: the content of a message, an input. What is known to stay outside of the
//! prompt costs nothing. All else costs its bytes: how providers write tools, names and schemas into a prompt is not documented,
//! nor how they join the parts of a message.

use super::bound::{ModelBounds, Unbounded};
use super::{ChatRequest, EmbeddingsRequest};
use quorate_domain::Tokens;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Counts the tokens of a text, never more than it has bytes.
pub type Count<'c> = &'c dyn Fn(&str) -> Tokens;

/// Fields of a request that no provider shows to its model.
const OUTSIDE_THE_PROMPT: &[&str] = &[
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "model",
    "n",
    "presence_penalty",
    "prompt_cache_key",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
];
/// Roles that are one token each, which is part of the overhead of a message.
const ROLES: &[&str] =
    &[r#""system""#, r#""developer""#, r#""user""#, r#""assistant""#, r#""tool""#, r#""function""#];
/// Around a field in JSON: the quotes of its name, colon and comma.
const AROUND_A_FIELD: u64 = 4;
/// What tokenizers that mark the beginning and the end of each input add to it.
const MARKS_OF_AN_INPUT: u64 = 2;

impl ChatRequest {
    /// The most tokens the provider can bill for the prompt, its texts counted; never more than by bytes. With images, audio or
    /// files it is the bound by bytes.
    ///
    /// # Errors
    /// When the request holds something whose cost nobody bounded.
    pub fn prompt_counted(&self, model: &ModelBounds, count: Count<'_>) -> Result<Tokens, Unbounded> {
        let by_bytes = self.prompt_bound(model)?;
        let around = self.overhead(&model.overhead);
        let counted = |text| counted_fields(text, |name, value| chat_field(name, value, count));
        let is_text = self.media.bytes == 0 && self.media.audios == 0;
        let counted = is_text.then(|| std::str::from_utf8(&self.body).ok().and_then(counted)).flatten();
        Ok(counted.map_or(by_bytes, |tokens| Tokens::new(tokens).saturating_add(around)))
    }
}

impl EmbeddingsRequest {
    /// The most tokens the provider can bill, the inputs that are texts counted; never more than by bytes.
    ///
    /// # Errors
    /// When an input is neither text nor tokens.
    pub fn prompt_counted(&self, model: &ModelBounds, count: Count<'_>) -> Result<Tokens, Unbounded> {
        let by_bytes = self.prompt_bound(model)?;
        let counted = |text| counted_fields(text, |name, value| input_field(name, value, count));
        let counted = std::str::from_utf8(self.body()).ok().and_then(counted);
        Ok(counted.map_or(by_bytes, |tokens| Tokens::new(tokens).saturating_add(model.overhead.request)))
    }
}

fn chat_field(name: &str, value: &RawValue, count: Count<'_>) -> u64 {
    match name {
        "messages" => entries(value).map_or_else(
            || bytes(name, value),
            |messages| messages.iter().map(|message| counted_message(message, count)).sum(),
        ),
        name if OUTSIDE_THE_PROMPT.contains(&name) => 0,
        name => bytes(name, value),
    }
}

fn counted_message(message: &RawValue, count: Count<'_>) -> u64 {
    let field = |name: &str, value: &RawValue| match name {
        "role" if ROLES.contains(&value.get()) => 0,
        "content" => counted_content(value, count).unwrap_or_else(|| bytes(name, value)),
        name => bytes(name, value),
    };
    counted_fields(message.get(), field).unwrap_or(message.get().len() as u64)
}

/// The tokens of a content that is one text: as such, or as the only part. Of several parts nobody knows where one ends.
fn counted_content(content: &RawValue, count: Count<'_>) -> Option<u64> {
    if content.get() == "null" {
        return Some(0);
    }
    if let Some(tokens) = counted_text(content, count) {
        return Some(tokens);
    }
    match entries(content)?.as_slice() {
        [part] => counted_text(part, count).or_else(|| counted_part(part, count)),
        [] => Some(0),
        [_, _, ..] => None,
    }
}

fn counted_part(part: &RawValue, count: Count<'_>) -> Option<u64> {
    counted_fields(part.get(), |name, value| match name {
        "type" if value.get() == r#""text""# => 0,
        "text" => counted_text(value, count).unwrap_or_else(|| bytes(name, value)),
        name => bytes(name, value),
    })
}

fn input_field(name: &str, value: &RawValue, count: Count<'_>) -> u64 {
    let counted = |input: &RawValue| match counted_text(input, count) {
        Some(tokens) => tokens + MARKS_OF_AN_INPUT,
        // Tokens, or a list of them, with what divides it from the next.
        None => input.get().len() as u64 + 1,
    };
    match name {
        "input" => entries(value)
            .map_or_else(|| counted(value), |inputs| inputs.iter().map(|input| counted(input)).sum()),
        name if OUTSIDE_THE_PROMPT.contains(&name) => 0,
        name => bytes(name, value),
    }
}

/// `None` if it is no text, or one with half a character, which each reader takes for something else.
fn counted_text(value: &RawValue, count: Count<'_>) -> Option<u64> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    Some(count(&text).get())
}

fn bytes(name: &str, value: &RawValue) -> u64 {
    name.len() as u64 + value.get().len() as u64 + AROUND_A_FIELD
}

fn entries(list: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(list.get()).ok()
}

/// The tokens of an object, field by field; a field that is there twice counts twice. `None` if it is no object.
fn counted_fields(object: &str, of_field: impl FnMut(&str, &RawValue) -> u64) -> Option<u64> {
    serde_json::Deserializer::from_str(object).deserialize_map(EachField(of_field)).ok()
}

struct EachField<F>(F);

impl<'a, F: FnMut(&str, &RawValue) -> u64> Visitor<'a> for EachField<F> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<u64, M::Error> {
        let mut tokens = 0_u64;
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<&RawValue>()?;
            tokens = tokens.saturating_add((self.0)(&name, value));
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests;
