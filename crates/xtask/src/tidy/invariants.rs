//! Every invariant that `docs/INVARIANTS.md` states must be checked somewhere, by name: `(I3)` or `I3:`.
//!
//! An invariant of a later issue says *planned* on its line; it needs no check yet.

use super::source::Source;

/// The invariants that nothing checks.
pub(super) fn findings(document: &str, sources: &[Source]) -> Vec<String> {
    stated(document)
        .into_iter()
        .filter(|id| !sources.iter().any(|source| names(&source.text, id)))
        .map(|id| format!("docs/INVARIANTS.md: {id} appears in no code and no test as `({id})` or `{id}:`"))
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

/// Whether a text names an invariant as a check does.
fn names(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let starts = text[..at].chars().next_back().is_none_or(is_end);
        starts && text[at + id.len()..].starts_with([')', ':', ','])
    })
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
    fn an_invariant_must_be_named_where_it_is_checked() {
        let source = |text: &str| Source::new("crates/a/src/b.rs", text.to_owned());
        assert_eq!(findings("- I1 sums", &[source("// see I1 and I11:")]).len(), 1);
        assert!(findings("- I1 sums", &[source("\"I1: granted\"")]).is_empty());
        assert!(findings("- I1 sums", &[source("// untouched (I1).")]).is_empty());
    }
}
