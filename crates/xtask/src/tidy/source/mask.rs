//! Tells code from comments and literals, so that a rule looks at one of them alone. A scanner, not a parser.

/// What a piece of a Rust file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Literal,
}

/// The same text with every character of a comment or literal replaced by a space. Newlines and the length in bytes
/// stay, so that positions mean the same in both.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for (piece, taken) in pieces(text) {
        match piece {
            Piece::Code => masked.push_str(taken),
            Piece::Comment | Piece::Literal => {
                masked.extend(taken.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            }
        }
    }
    masked
}

/// The literals of a Rust file, each with its quotes.
pub(super) fn literals(text: &str) -> Vec<&str> {
    pieces(text).filter(|(piece, _)| *piece == Piece::Literal).map(|(_, taken)| taken).collect()
}

/// The literals of a Python file, each with its quotes. What is in three quotes is a comment, as far as rules go.
pub(super) fn python_literals(text: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let quote = ["\"\"\"", "'''"].into_iter().find(|quote| rest.starts_with(quote));
        let length = match (quote, first) {
            (Some(quote), _) => rest[3..].find(quote).map_or(rest.len(), |at| at + 6),
            (None, '#') => rest.find('\n').unwrap_or(rest.len()),
            (None, '"' | '\'') => quoted(rest, first),
            (None, _) => first.len_utf8(),
        };
        if quote.is_none() && matches!(first, '"' | '\'') {
            found.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    found
}

/// The file in order, code character by character.
fn pieces(text: &str) -> impl Iterator<Item = (Piece, &str)> {
    let (mut rest, mut before) = (text, None);
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let in_comment = comment(rest).map(|length| (Piece::Comment, length));
        let hidden = in_comment.or_else(|| literal(rest, before).map(|length| (Piece::Literal, length)));
        let (piece, length) = hidden.unwrap_or((Piece::Code, first.len_utf8()));
        let (taken, left) = rest.split_at(length);
        before = if piece == Piece::Code { Some(first) } else { Some(' ') };
        rest = left;
        Some((piece, taken))
    })
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
    use super::{literals, mask, python_literals};

    #[test]
    fn comments_and_texts_are_blank_and_lines_stay() {
        assert_eq!(mask("a // b\nc /* d /* e */\n */ f"), "a     \nc             \n    f");
        assert_eq!(mask(r#"x("a\"b", '"', '\'', 'y)"#), "x(      ,    ,     , 'y)");
        assert_eq!(mask(r##"let r = r#"a"b"#; br"c" for"##), "let r =         ;       for");
    }

    #[test]
    fn literals_are_found_and_comments_are_not() {
        assert_eq!(
            literals("// \"a\"\nf(\"b \\\"c\\\"\", r\"d\") /* \"e\" */"),
            ["\"b \\\"c\\\"\"", "r\"d\""]
        );
        let python = "\"\"\"It's a page.\"\"\"\nassert x, f\"a's {b}\"  # 'no' \"text\"\ny = 'c'\n";
        assert_eq!(python_literals(python), ["\"a's {b}\"", "'c'"]);
    }

    #[test]
    fn the_length_in_bytes_stays() {
        let text = "f(\"größe\", 'ß') // €\n";
        assert_eq!(mask(text).len(), text.len());
    }
}
