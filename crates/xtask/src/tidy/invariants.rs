//! Every invariant that `docs/INVARIANTS.md` states must open the text of an assertion: `"I3"` or `"I3: …"`.
//!
//! A comment checks nothing and does not count. An invariant of a later issue says *planned* on its line; it needs no
//! check yet.

use super::source::Source;

/// The invariants that nothing checks.
pub(super) fn findings(document: &str, sources: &[Source]) -> Vec<String> {
    stated(document)
        .into_iter()
        .filter(|id| !sources.iter().any(|source| asserts(source, id)))
        .map(|id| format!("docs/INVARIANTS.md: {id} opens the text of no assertion, as \"{id}: …\" would"))
        .collect()
}

/// The ids at the start of headings, list items and table rows.
fn stated(document: &str) -> Vec<&str> {
    let mut ids: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with(['#', '-', '*', '|']) && !line.contains("*planned*"))
        .filter_map(|line| line.trim_start_matches(['#', '-', '*', '|', '`', ' ']).split(is_end).next())
        .filter(|word| is_id(word))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn is_end(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

/// A capital letter and a number, as `G1` or `I12`.
fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or_default();
    matches!(digits.len(), 1 | 2) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text of a file is the id or opens with it. The texts of this tool are about ids, and assert nothing.
fn asserts(source: &Source, id: &str) -> bool {
    source.krate() != Some("xtask")
        && source
            .texts()
            .any(|text| text.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_open_headings_items_and_rows_unless_they_are_planned() {
        let document =
            "# Invariants\n## G1 never over\n- **I3** sums\n| `I12` | x |\n- I7 paths *planned*\nI9 prose\n";
        assert_eq!(stated(document), ["G1", "I12", "I3"]);
    }

    #[test]
    fn an_invariant_must_be_named_where_it_is_asserted() {
        let rust = |text: &str| findings("- I1 sums", &[Source::new("crates/a/src/b.rs", text.to_owned())]);
        assert!(rust("assert!(a == b, \"I1: granted\");").is_empty());
        assert!(rust("ledger.validate().expect(\"I1\");").is_empty());
        for comment in
            ["// untouched (I1).", "/// I1: sums.", "/* \"I1: sums\" */", "see(\"I11: x\", \"of I1: x\");"]
        {
            assert_eq!(rust(comment).len(), 1, "{comment}");
        }
    }

    #[test]
    fn a_page_of_python_is_a_comment() {
        let python = |text: &str| findings("- I1 sums", &[Source::new("tests/test_a.py", text.to_owned())]);
        assert!(python("assert a == b, f\"I1: {a}\"").is_empty());
        assert_eq!(python("def f():\n    \"\"\"I1: sums.\"\"\"\n").len(), 1);
    }
}
