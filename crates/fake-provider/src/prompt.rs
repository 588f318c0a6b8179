//! How many tokens a prompt has, and what it asks of the provider itself.

use serde_json::Value;

/// A prompt may carry changes to the behaviour: `[[fake {"chunks": 3}]]`.
const DIRECTIVE: (&str, &str) = ("[[fake ", "]]");
/// Tokens are counted as one for this many bytes, so that they never exceed the bytes.
const BYTES_PER_TOKEN: u64 = 4;

/// All texts of a request in order: message contents in either form, tool declarations, inputs.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts.iter().flat_map(texts).collect(),
        Value::Object(fields) => {
            ["content", "text"].iter().filter_map(|name| fields.get(*name)).flat_map(texts).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The tokens of a text: deterministic, at least one if there is a byte, never more than bytes.
pub(crate) fn tokens(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN)
}

/// The changes that a prompt carries, if it carries any.
pub(crate) fn directive(texts: &[String]) -> Option<Value> {
    texts.iter().find_map(|text| {
        let (_, rest) = text.split_once(DIRECTIVE.0)?;
        let (changes, _) = rest.split_once(DIRECTIVE.1)?;
        serde_json::from_str(changes).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_forms_of_content_are_read() {
        let messages =
            json!([{"role": "user", "content": "abcd"}, {"content": [{"type": "text", "text": "efg"}]}]);
        assert_eq!(texts(&messages), ["abcd", "efg"]);
    }

    #[test]
    fn tokens_never_exceed_bytes() {
        assert_eq!([tokens(""), tokens("a"), tokens("abcd"), tokens("abcde")], [0, 1, 1, 2]);
    }

    #[test]
    fn a_prompt_can_change_the_behaviour() {
        let texts = ["hello".to_owned(), "a [[fake {\"chunks\": 3}]] b".to_owned()];
        assert_eq!(directive(&texts), Some(json!({"chunks": 3})));
        assert_eq!(directive(&texts[..1]), None);
    }
}
