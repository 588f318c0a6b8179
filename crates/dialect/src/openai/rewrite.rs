//! The few values of a request that the gateway changes, spliced into the client's own bytes.

use super::ChatRequest;
use super::chat::{StatedLimit, UsageOption};
use super::value::Text;
use bytes::Bytes;
use quorate_domain::Tokens;
use std::io::Write;
use std::ops::Range;

/// What to change in a chat request. The default changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'a> {
    /// The provider's name for the model.
    pub model: Option<&'a str>,
    /// The output limit the provider must obey. It replaces the client's own limits, or is added under the given field.
    pub output_limit: Option<(OutputLimitField, Tokens)>,
    /// Make a streaming answer end with its usage. Does nothing for an answer that is not streamed.
    pub include_usage: bool,
}

/// The field that limits the output. OpenAI's newer models refuse the old one; many compatible providers know no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputLimitField {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

/// A piece of JSON to put into a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Insert<'a> {
    Text(&'a str),
    Number(u64),
    /// A field with its comma, for the front of an object that has others.
    LimitField(OutputLimitField, u64),
    Literal(&'static str),
}

/// Room for what is inserted besides a model name, so that the body is copied once.
const INSERTS_BYTES: usize = 128;

impl ChatRequest {
    /// The body with these changes; the very same bytes where nothing changes.
    #[must_use]
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Bytes {
        let mut edits = Vec::with_capacity(4);
        edits.extend(rewrite.model.and_then(|model| self.model.edit_to(model, &self.body)));
        self.edit_output_limit(rewrite.output_limit, &mut edits);
        if rewrite.include_usage && self.stream() {
            edits.extend(self.usage_edit());
        }
        edited(&self.body, edits)
    }

    fn edit_output_limit(&self, limit: Option<(OutputLimitField, Tokens)>, edits: &mut Vec<Edit<'_>>) {
        let Some((field, limit)) = limit else { return };
        let n_edits = edits.len();
        for stated in &self.stated_limits {
            if let StatedLimit::Number(span) = stated {
                edits.push((span.clone(), Insert::Number(limit.get())));
            }
        }
        if edits.len() == n_edits {
            edits.push(self.added_limit(field, limit.get()));
        }
    }

    /// A client that set no limit gets it in the field the provider knows; a `null` there is filled in.
    fn added_limit(&self, field: OutputLimitField, limit: u64) -> Edit<'static> {
        let [old, new] = &self.stated_limits;
        let stated = match field {
            OutputLimitField::MaxTokens => old,
            OutputLimitField::MaxCompletionTokens => new,
        };
        match stated {
            StatedLimit::Null(span) => (span.clone(), Insert::Number(limit)),
            StatedLimit::Absent | StatedLimit::Number(_) => {
                (self.inside..self.inside, Insert::LimitField(field, limit))
            }
        }
    }

    fn usage_edit(&self) -> Option<Edit<'static>> {
        match &self.usage_option {
            UsageOption::Yes => None,
            UsageOption::No(span) => Some((span.clone(), Insert::Literal("true"))),
            UsageOption::Null(span) => Some((span.clone(), Insert::Literal(r#"{"include_usage":true}"#))),
            UsageOption::Unsaid { inside, empty: true } => {
                Some((*inside..*inside, Insert::Literal(r#""include_usage":true"#)))
            }
            UsageOption::Unsaid { inside, empty: false } => {
                Some((*inside..*inside, Insert::Literal(r#""include_usage":true,"#)))
            }
            UsageOption::Absent => Some((
                self.inside..self.inside,
                Insert::Literal(r#""stream_options":{"include_usage":true},"#),
            )),
        }
    }
}

/// The place to replace, and what with.
pub(super) type Edit<'a> = (Range<usize>, Insert<'a>);

impl Text {
    /// What makes it say something else; nothing, if it says that already.
    pub(super) fn edit_to<'a>(&self, new: &'a str, body: &[u8]) -> Option<Edit<'a>> {
        (new != self.read(body)).then(|| (self.span.clone(), Insert::Text(new)))
    }
}

/// The body with each place replaced; the very same bytes where there is none. Places do not overlap.
pub(super) fn edited(body: &Bytes, mut edits: Vec<Edit<'_>>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut spliced = Vec::with_capacity(body.len() + INSERTS_BYTES);
    let mut at = 0;
    for (span, insert) in edits {
        spliced.extend_from_slice(&body[at..span.start]);
        insert.write(&mut spliced);
        at = span.end;
    }
    spliced.extend_from_slice(&body[at..]);
    spliced.into()
}

impl Insert<'_> {
    fn write(self, into: &mut Vec<u8>) {
        match self {
            Self::Text(text) => serde_json::to_writer(into, text).map_err(Into::into),
            Self::Number(number) => write!(into, "{number}"),
            Self::LimitField(OutputLimitField::MaxTokens, limit) => write!(into, r#""max_tokens":{limit},"#),
            Self::LimitField(OutputLimitField::MaxCompletionTokens, limit) => {
                write!(into, r#""max_completion_tokens":{limit},"#)
            }
            Self::Literal(literal) => into.write_all(literal.as_bytes()),
        }
        .expect("writing to memory does not fail");
    }
}
