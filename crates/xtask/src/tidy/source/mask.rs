//! Blanks out comments and the contents of literals, so that rules look at code alone. A scanner, not a parser.

/// The same text with every character of a comment or literal replaced by a space. Newlines and the length in bytes
/// stay, so that positions mean the same in both.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = comment(rest).or_else(|| literal(rest, masked.chars().next_back()));
        let length = hidden.unwrap_or(first.len_utf8());
        let (taken, left) = rest.split_at(length);
        if hidden.is_some() {
            masked.extend(taken.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            masked.push(first);
        }
        rest = left;
    }
    masked
}

/// The length of the comment that starts here.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(rest.len())
}

/// The length of the text or character literal that starts here. `before` is the character before it.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if in_a_word {
        return None;
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - body.len();
    Some(body.find(&close).map_or(rest.len(), |at| opening + at + close.len()))
}

/// The length of what is between two quotes, minding backslashes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of a character literal; nothing for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut inner = rest[1..].chars();
    let first = inner.next()?;
    if first == '\\' {
        return Some(quoted(rest, '\''));
    }
    (inner.next()? == '\'').then(|| 2 + first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn comments_and_texts_are_blank_and_lines_stay() {
        assert_eq!(mask("a // b\nc /* d /* e */\n */ f"), "a     \nc             \n    f");
        assert_eq!(mask(r#"x("a\"b", '"', '\'', 'y)"#), "x(      ,    ,     , 'y)");
        assert_eq!(mask(r##"let r = r#"a"b"#; br"c" for"##), "let r =         ;       for");
    }

    #[test]
    fn the_length_in_bytes_stays() {
        let text = "f(\"größe\", 'ß') // €\n";
        assert_eq!(mask(text).len(), text.len());
    }
}
