//! The little about JSON that `serde_json` does not tell: how deep a text nests and where a value stands in it.

use serde_json::value::RawValue;
use std::ops::Range;

/// A text that a provider's parser may refuse, or worse, accept differently from ours, ends here.
const DEPTH_MAX: usize = 128;

/// Whether the text, which must be valid JSON, nests deeper than any request needs to.
pub(crate) fn nests_too_deep(text: &str) -> bool {
    // Most texts have fewer brackets than the limit; counting them costs a fraction of telling strings apart.
    memchr::memchr2_iter(b'[', b'{', text.as_bytes()).count() > DEPTH_MAX
        && depth_of(text.as_bytes()) > DEPTH_MAX
}

fn depth_of(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

/// The place of the quote that closes the string opened at `open`.
fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Where `part`, which must be borrowed from `whole`, stands in it.
pub(crate) fn span_of(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    debug_assert!(start + part.len() <= whole.len(), "the part was borrowed from the whole");
    start..start + part.len()
}

/// Whether a value is the literal `null`.
pub(crate) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_inside_strings_do_not_nest() {
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(200), "{".repeat(200));
        assert!(!nests_too_deep(&text));
        assert_eq!(depth_of(br#"[{"a":["\\"]},[]]"#), 3);
    }

    #[test]
    fn depth_is_refused_past_the_limit_and_not_at_it() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!nests_too_deep(&nested(DEPTH_MAX)));
        assert!(nests_too_deep(&nested(DEPTH_MAX + 1)));
    }

    #[test]
    fn many_shallow_brackets_are_fine() {
        assert!(!nests_too_deep(&format!("[{}[]]", "[],".repeat(1_000))));
    }
}
