//! The one pass over a request body: which of its fields matter, where they stand, and what is in the conversation.
//!
//! Everything else is only checked to be JSON. Values are borrowed, so their place in the body is known.

use super::InvalidRequest;
use super::conversation::{EntryKind, List, Listed, Media};
use crate::json;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;

/// What the pass found. A field that is not there is `None`; one that is `null` is there.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) model: Option<&'a RawValue>,
    pub(super) stream: Option<&'a RawValue>,
    pub(super) stream_options: Option<&'a RawValue>,
    pub(super) max_tokens: Option<&'a RawValue>,
    pub(super) max_completion_tokens: Option<&'a RawValue>,
    pub(super) n: Option<&'a RawValue>,
    pub(super) modalities: Option<&'a RawValue>,
    pub(super) web_search_options: Option<&'a RawValue>,
    /// What some compatible providers call their web search and other paid extras.
    pub(super) plugins: Option<&'a RawValue>,
    pub(super) prediction: Option<&'a RawValue>,
    pub(super) service_tier: Option<&'a RawValue>,
    pub(super) input: Option<&'a RawValue>,
    pub(super) user: Option<&'a RawValue>,
    pub(super) safety_identifier: Option<&'a RawValue>,
    pub(super) messages: Option<Listed>,
    pub(super) tools: Option<Listed>,
    pub(super) functions: Option<Listed>,
    pub(super) media: Media,
    /// The field that was being read: the one at fault when the pass fails.
    current: Option<Known>,
    refusal: Option<InvalidRequest>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Known {
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Modalities,
    WebSearchOptions,
    Plugins,
    Prediction,
    ServiceTier,
    Input,
    User,
    SafetyIdentifier,
    Messages,
    Tools,
    Functions,
    #[serde(other)]
    Other,
}

impl Known {
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::N => "n",
            Self::Modalities => "modalities",
            Self::WebSearchOptions => "web_search_options",
            Self::Plugins => "plugins",
            Self::Prediction => "prediction",
            Self::ServiceTier => "service_tier",
            Self::Input => "input",
            Self::User => "user",
            Self::SafetyIdentifier => "safety_identifier",
            Self::Messages => "messages",
            Self::Tools => "tools",
            Self::Functions => "functions",
            Self::Other => "",
        }
    }
}

/// Reads the fields of a request body.
pub(super) fn read(text: &str) -> Result<Fields<'_>, InvalidRequest> {
    let mut fields = Fields::default();
    let mut json = serde_json::Deserializer::from_str(text);
    match (&mut fields).deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) if json::nests_too_deep(text) => Err(InvalidRequest::TooDeep),
        Ok(()) => Ok(fields),
        Err(error) => Err(fields.refused(&error)),
    }
}

impl<'a> Fields<'a> {
    fn refused(self, error: &serde_json::Error) -> InvalidRequest {
        match (self.refusal, error.classify(), self.current) {
            (Some(refusal), _, _) => refusal,
            (None, Category::Data, None) => InvalidRequest::NotAnObject,
            (None, Category::Data, Some(known)) => InvalidRequest::WrongType {
                field: known.name(),
                expected: "a list of objects of known shape",
            },
            (None, Category::Io | Category::Syntax | Category::Eof, _) => {
                InvalidRequest::NotJson { reason: error.to_string() }
            }
        }
    }

    fn slot(&mut self, known: Known) -> Option<&mut Option<&'a RawValue>> {
        match known {
            Known::Model => Some(&mut self.model),
            Known::Stream => Some(&mut self.stream),
            Known::StreamOptions => Some(&mut self.stream_options),
            Known::MaxTokens => Some(&mut self.max_tokens),
            Known::MaxCompletionTokens => Some(&mut self.max_completion_tokens),
            Known::N => Some(&mut self.n),
            Known::Modalities => Some(&mut self.modalities),
            Known::WebSearchOptions => Some(&mut self.web_search_options),
            Known::Plugins => Some(&mut self.plugins),
            Known::Prediction => Some(&mut self.prediction),
            Known::ServiceTier => Some(&mut self.service_tier),
            Known::Input => Some(&mut self.input),
            Known::User => Some(&mut self.user),
            Known::SafetyIdentifier => Some(&mut self.safety_identifier),
            Known::Messages | Known::Tools | Known::Functions | Known::Other => None,
        }
    }

    fn read_value<M: MapAccess<'a>>(&mut self, known: Known, map: &mut M) -> Result<(), M::Error> {
        match known {
            Known::Other => map.next_value::<IgnoredAny>().map(|_| ()),
            Known::Messages => {
                let list = map.next_value_seed(List::new(EntryKind::Message, &mut self.media))?;
                let taken = self.messages.replace(list).is_some();
                self.refuse_if(taken, known)
            }
            Known::Tools => {
                let list = map.next_value_seed(List::new(EntryKind::Tool, &mut self.media))?;
                let taken = self.tools.replace(list).is_some();
                self.refuse_if(taken, known)
            }
            Known::Functions => {
                let list = map.next_value_seed(List::new(EntryKind::Function, &mut self.media))?;
                let taken = self.functions.replace(list).is_some();
                self.refuse_if(taken, known)
            }
            Known::Model
            | Known::Stream
            | Known::StreamOptions
            | Known::MaxTokens
            | Known::MaxCompletionTokens
            | Known::N
            | Known::Modalities
            | Known::WebSearchOptions
            | Known::Plugins
            | Known::Prediction
            | Known::ServiceTier
            | Known::Input
            | Known::User
            | Known::SafetyIdentifier => {
                let value = map.next_value::<&'a RawValue>()?;
                let taken = self.slot(known).is_some_and(|slot| slot.replace(value).is_some());
                self.refuse_if(taken, known)
            }
        }
    }

    fn refuse_if<E: serde::de::Error>(&mut self, taken: bool, known: Known) -> Result<(), E> {
        if !taken {
            return Ok(());
        }
        self.refusal = Some(InvalidRequest::Duplicate { field: known.name() });
        Err(E::custom("duplicate field"))
    }
}

impl<'a> DeserializeSeed<'a> for &mut Fields<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(known) = map.next_key::<Known>()? {
            self.current = Some(known);
            self.read_value(known, &mut map)?;
        }
        Ok(())
    }
}
