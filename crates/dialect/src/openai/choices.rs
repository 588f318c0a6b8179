//! What one chunk says of its choices: which of them end, and whether any of them grows.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Whether an answer gets longer by a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// It says nothing: a chunk of roles, or of reasons to finish.
    None,
    /// It may bring a token or more.
    Possible,
}

/// The choices of a chunk. What one of them is not expected to look like hides no other.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choices<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

impl Choice<'_> {
    /// Its number; the first where none is said.
    fn number(&self) -> u64 {
        self.index.and_then(|index| index.get().parse().ok()).unwrap_or_default()
    }

    fn has_ended(&self) -> bool {
        self.finish_reason.is_some_and(|reason| reason.get().starts_with('"'))
    }

    fn is_bare(&self) -> bool {
        let Some(delta) = self.delta else { return true };
        serde_json::from_str::<BTreeMap<String, &RawValue>>(delta.get())
            .is_ok_and(|delta| delta.iter().all(|(name, value)| name == "role" || is_empty(value.get())))
    }
}

impl<'a> Choices<'a> {
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Those that give their reason to finish.
    pub(super) fn ended(&self) -> impl Iterator<Item = u64> {
        self.choices.iter().flatten().filter(|choice| choice.has_ended()).map(Choice::number)
    }

    /// Whether any of them grows.
    pub(super) fn growth(&self) -> Growth {
        if self.choices.iter().flatten().all(Choice::is_bare) { Growth::None } else { Growth::Possible }
    }
}

fn is_empty(value: &str) -> bool {
    matches!(value, "null" | "\"\"" | "[]" | "{}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_reasons_to_finish_bring_no_token_and_everything_else_may() {
        let growth = |delta: &str| {
            let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
            Choices::read(chunk.as_bytes()).unwrap().growth()
        };
        for delta in ["{}", r#"{"role":"assistant"}"#, r#"{"role":"a","content":"","refusal":null}"#] {
            assert_eq!(growth(delta), Growth::None, "{delta}");
        }
        for delta in
            [r#""a""#, r#"{"content":" "}"#, r#"{"role":"a","reasoning":"so"}"#, r#"{"tool_calls":[{}]}"#]
        {
            assert_eq!(growth(delta), Growth::Possible, "{delta}");
        }
        assert_eq!(Choices::read(br#"{"choices":[]}"#).unwrap().growth(), Growth::None);
        assert!(Choices::read(br#"{"choices":7}"#).is_none());
    }

    #[test]
    fn a_choice_has_ended_when_it_gives_its_reason() {
        let chunk = br#"{"choices":[{"index":0,"finish_reason":null},{"index":1,"finish_reason":"stop"},{"index":2}]}"#;
        assert_eq!(Choices::read(chunk).unwrap().ended().collect::<Vec<_>>(), [1]);
        let odd = br#"{"choices":[{"index":null,"delta":7,"finish_reason":"stop"},{"index":2,"finish_reason":"stop"}]}"#;
        assert_eq!(Choices::read(odd).unwrap().ended().collect::<Vec<_>>(), [0, 2]);
    }
}
