//! One source file, its code without comments and texts, and its functions.

mod mask;

use std::ops::Range;

/// A file as the rules see it.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is, from the root of the clone.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
    /// The same with comments and the contents of string literals blanked out; lines stay where they are.
    pub(super) code: String,
}

/// Where a function is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The line of its `fn`, from 1.
    pub(super) line: usize,
    /// Its lines of code, signature and braces included.
    pub(super) length: usize,
}

impl Source {
    /// Takes in a file.
    pub(super) fn new(path: &str, text: String) -> Self {
        let code = if path.ends_with(".rs") { mask::mask(&text) } else { text.clone() };
        Self { path: path.to_owned(), text, code }
    }

    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it holds nothing but tests.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.ends_with(".py")
    }

    /// The crate folder's name, for a file of a crate.
    pub(super) fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// The contents of its string literals.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let literals =
            if self.is_rust() { mask::literals(&self.text) } else { mask::python_literals(&self.text) };
        literals.into_iter().map(|literal| literal.trim_matches(['"', '\'']))
    }

    /// How many lines come before the tests at the end.
    pub(super) fn lines_before_tests(&self) -> usize {
        let lines: Vec<&str> = self.code.lines().collect();
        let starts = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ");
        lines.windows(2).position(starts).unwrap_or(lines.len())
    }

    /// The functions before the tests at the end.
    pub(super) fn functions(&self) -> Vec<Function> {
        let end: usize = self.code.split_inclusive('\n').take(self.lines_before_tests()).map(str::len).sum();
        let code = &self.code[..end];
        words(code, "fn").filter_map(|at| function_at(code, at)).collect()
    }

    /// The byte range of the block of the first `header`, braces included.
    pub(super) fn block(&self, header: &str) -> Option<Range<usize>> {
        let start = self.code.find(header)?;
        let open = start + self.code[start..].find('{')?;
        Some(open..open + closing_brace(&self.code[open..])?)
    }

    /// The line of a byte position, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }
}

/// Where a word stands in code, as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !code[..at].ends_with(part_of_a_word) && !code[at + word.len()..].starts_with(part_of_a_word)
    })
}

/// The function whose `fn` is at this position; nothing for a type such as `fn(u8)` or a method without a body.
fn function_at(code: &str, at: usize) -> Option<Function> {
    let after = code[at + 2..].trim_start();
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None;
    }
    let open = at + body_start(&code[at..])?;
    let end = open + closing_brace(&code[open..])?;
    let length = code[at..end].lines().filter(|line| !line.trim().is_empty()).count();
    Some(Function { name, line: code[..at].matches('\n').count() + 1, length })
}

/// Where the body opens: the first brace outside brackets, unless the signature ends with a semicolon.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The position after the brace that closes the one at the start.
fn closing_brace(code: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("crates/wallet/src/lib.rs", text.to_owned())
    }

    #[test]
    fn a_function_is_as_long_as_its_lines_of_code() {
        let source = source(
            "trait T { fn declared(&self); }\n\
             fn first(f: fn(u8), a: [u8; 2]) -> u8\n{\n  // why\n\n  1\n}\n\
             fn second() {}\n#[cfg(test)]\nmod tests { fn third() {} }\n",
        );
        let found: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.length)).collect();
        assert_eq!(found, [("first".to_owned(), 2, 4), ("second".to_owned(), 8, 1)]);
        assert_eq!(source.lines_before_tests(), 8);
    }

    #[test]
    fn a_brace_in_a_text_closes_nothing() {
        let functions = source("fn f() {\n  g(\"}\", '}');\n}\n").functions();
        assert_eq!(functions, [Function { name: "f".to_owned(), line: 1, length: 3 }]);
    }

    #[test]
    fn a_word_inside_a_word_is_not_found() {
        assert_eq!(words("if 64 < f64::MAX { my_f64 }", "f64").collect::<Vec<_>>(), [8]);
    }
}
