//! What each file is held against.

use super::source::{Source, words};

/// Above this a file is read by nobody; the tests at its end do not count.
const FILE_LINES_MAX: usize = 600;
/// Above this a function is split by its reader in vain.
const FUNCTION_LINES_MAX: usize = 70;
/// Where every replica and every node must compute the same number.
const NO_FLOATS: &[&str] = &["domain", "ledger", "wallet"];

/// Everything wrong with one file.
pub(super) fn findings(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(opening(source));
    found.extend(unfinished(source));
    if source.is_rust() {
        found.extend(size(source));
        found.extend(floats(source));
    }
    found
}

/// The first lines say what a file is.
fn opening(source: &Source) -> Option<String> {
    let opens = if source.is_rust() { "//!" } else { "\"\"\"" };
    let missing = !source.text.is_empty() && !source.text.starts_with(opens);
    missing.then(|| format!("{}:1: does not open with {opens}: say what the file is", source.path))
}

/// Marks of work that was not finished.
fn unfinished(source: &Source) -> Vec<String> {
    // Put together here, so that this file does not find itself.
    let notes = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];
    let calls = ["todo!", "dbg!", "unimplemented!"];
    let in_text = notes.iter().flat_map(|note| words(&source.text, note).map(move |at| (at, *note)));
    let in_code = calls.iter().flat_map(|call| source.code.match_indices(call));
    let in_code = in_code.filter(|_| source.is_rust());
    in_text
        .chain(in_code)
        .map(|(at, word)| {
            format!("{}:{}: {word}: finish it or write an issue", source.path, source.line_of(at))
        })
        .collect()
}

fn size(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.is_test() {
        return found;
    }
    let lines = source.lines_before_tests();
    if lines > FILE_LINES_MAX {
        found.push(format!("{}: {lines} lines before tests; {FILE_LINES_MAX} is the limit", source.path));
    }
    for function in source.functions().into_iter().filter(|function| function.length > FUNCTION_LINES_MAX) {
        found.push(format!(
            "{}:{}: {} has {} lines of code; {FUNCTION_LINES_MAX} is the limit",
            source.path, function.line, function.name, function.length
        ));
    }
    found
}

fn floats(source: &Source) -> Vec<String> {
    if !source.krate().is_some_and(|krate| NO_FLOATS.contains(&krate)) {
        return Vec::new();
    }
    ["f32", "f64"]
        .into_iter()
        .flat_map(|float| words(&source.code, float))
        .map(|at| format!("{}:{}: a float where replicas must agree", source.path, source.line_of(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        findings(&Source::new(path, text.to_owned()))
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(found("crates/a/src/b.rs", "//! B.\nfn f() {}\n"), Vec::<String>::new());
        assert_eq!(found("crates/a/src/b.rs", "fn f() {}\n").len(), 1);
        assert_eq!(found("tests/test_a.py", "\"\"\"A.\"\"\"\n"), Vec::<String>::new());
        assert_eq!(found("tests/test_a.py", "import os\n").len(), 1);
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_in_comments_but_not_in_texts() {
        let (note, macro_name, debug) = (concat!("FIX", "ME"), concat!("to", "do!"), concat!("db", "g!"));
        let text = format!("//! A.\n// {note} later\nfn f() {{ {debug}(1); g(\"{macro_name}\") }}\n");
        let found = found("crates/a/src/b.rs", &text);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/a/src/b.rs:2:") && found[1].starts_with("crates/a/src/b.rs:3:"));
    }

    #[test]
    fn long_files_and_functions_are_found_unless_they_are_tests() {
        let text = format!("//! A.\nfn f() {{\n{}}}\n", "    g();\n".repeat(600));
        assert_eq!(found("crates/a/src/b.rs", &text).len(), 2);
        assert_eq!(found("crates/a/src/b/tests.rs", &text).len(), 0);
    }

    #[test]
    fn money_is_never_a_float() {
        let text = "//! A.\nfn cost() -> f64 { 0.1 }\n";
        assert_eq!(found("crates/domain/src/money.rs", text).len(), 1);
        assert_eq!(found("crates/gateway/src/money.rs", text).len(), 0);
    }
}
