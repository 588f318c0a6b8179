//! Every error code that a client can see is explained in `docs/errors`, every page there has its code, and every code
//! is expected of a real answer in a test.
//!
//! A code has a page of its own name, or a heading of its name on a page that explains several.

use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Where codes are declared, and before what: the arms of a block, or the statuses of a table.
const DECLARED: &[(&str, Form)] = &[
    ("crates/gateway/src/error.rs", Form::Arms { of: "impl ErrorCode" }),
    ("crates/dialect/src/openai/invalid.rs", Form::Arms { of: "fn code(" }),
    ("crates/gateway/src/admin/error.rs", Form::AfterStatus),
];

/// Where answers are real: tests of whole nodes, and those of the admin API's router.
const ANSWERED: &[&str] = &["tests/", "crates/gateway/src/admin/tests"];

/// How a file declares its codes.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// `… => "code"` in the block that follows this.
    Arms {
        /// What the block belongs to.
        of: &'static str,
    },
    /// `StatusCode::…, "code"`.
    AfterStatus,
}

/// The pages of `docs/errors`: name and text.
pub(super) type Pages = BTreeMap<String, String>;

/// Codes that no page explains, pages that explain no code, and codes that no test expects.
pub(super) fn findings(sources: &[Source], pages: &Pages) -> Vec<String> {
    let declared = declared(sources);
    let codes: BTreeSet<&str> = declared.iter().map(|(_, code)| code.as_str()).collect();
    let explained: BTreeSet<&str> = pages.iter().flat_map(|(name, text)| explains(name, text)).collect();
    let without_page = declared.iter().filter(|(_, code)| !explained.contains(code.as_str()));
    let without_code =
        pages.iter().filter(|(name, text)| !explains(name, text).any(|code| codes.contains(code)));
    let untested = declared.iter().filter(|(_, code)| !is_expected(sources, code));
    without_page
        .map(|(path, code)| format!("{path}: {code} has no page docs/errors/{code}.md"))
        .chain(
            without_code
                .filter(|_| !codes.is_empty())
                .map(|(name, _)| format!("docs/errors/{name}.md: no such code")),
        )
        .chain(untested.map(|(path, code)| format!("{path}: no test expects {code} of a real answer")))
        .collect()
}

/// Whether a test has the code as a text of its own, or after a status as in `429 budget_held`.
fn is_expected(sources: &[Source], code: &str) -> bool {
    let is_real = |source: &&Source| ANSWERED.iter().any(|place| source.path.starts_with(place));
    sources.iter().filter(is_real).flat_map(Source::texts).any(|text| {
        let status = text.strip_suffix(code);
        status.is_some_and(|status| status.bytes().all(|byte| byte.is_ascii_digit() || byte == b' '))
    })
}

/// A page explains the code it is named for, and those of its headings.
fn explains<'a>(name: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    std::iter::once(name).chain(headings.map(|line| line.trim_matches(['#', ' ', '`'])))
}

/// Each code once, with the file that declares it first.
fn declared(sources: &[Source]) -> Vec<(&'static str, String)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (path, form) in DECLARED {
        let Some(source) = sources.iter().find(|source| source.path == *path) else { continue };
        found.extend(
            codes(source, *form)
                .into_iter()
                .filter(|code| seen.insert(code.clone()))
                .map(|code| (*path, code)),
        );
    }
    found
}

fn codes(source: &Source, form: Form) -> Vec<String> {
    let pieces: Vec<&str> = match form {
        Form::Arms { of } => {
            let Some(block) = source.block(of) else { return Vec::new() };
            source.text[block].split("=>").skip(1).collect()
        }
        Form::AfterStatus => {
            let after_status = source.text.split("StatusCode::").skip(1);
            after_status.filter_map(|rest| rest.split_once(',').map(|(_, rest)| rest)).collect()
        }
    };
    pieces.into_iter().filter_map(literal).collect()
}

/// The code that a piece begins with, if it begins with one.
fn literal(piece: &str) -> Option<String> {
    let (code, _) = piece.trim_start().strip_prefix('"')?.split_once('"')?;
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!code.is_empty() && code.bytes().all(is_code)).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(declared: usize, text: &str) -> Source {
        Source::new(DECLARED[declared].0, text.to_owned())
    }

    fn pages(pages: &[(&str, &str)]) -> Pages {
        pages.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn codes_and_pages_are_paired() {
        let text = "//! E.\nimpl ErrorCode {\n fn as_str(self) -> &'static str {\n match self {\n\
                    Self::Budget => \"budget_exhausted\",\n Self::Key => \"invalid_api_key\",\n } } }\n\
                    fn other() { match x { A => \"not_a_code\" } }";
        let test = "assert told == (429, 'budget_exhausted')\nassert end == \"401 invalid_api_key\"\n";
        let tests = Source::new("tests/test_a.py", test.to_owned());
        let found = findings(
            &[source(0, text), tests],
            &pages(&[("budget_exhausted", "# Budget"), ("old_code", "")]),
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("invalid_api_key") && found[1].contains("old_code"));
    }

    #[test]
    fn one_page_may_explain_several_codes() {
        let text = "//! E.\nA => (\n StatusCode::CONFLICT,\n \"still_used\",\n \"x\"), B => (StatusCode::OK, \"refused\", \"y\")";
        let admin = pages(&[("admin", "# Admin API\n\n## `still_used`\n\n## refused\n")]);
        let found = findings(&[source(2, text)], &admin);
        assert!(found.iter().all(|finding| finding.contains("no test expects")), "{found:?}");
    }

    #[test]
    fn a_code_that_only_a_page_of_a_test_or_a_unit_test_names_is_not_expected() {
        let declared = "//! E.\nA => (StatusCode::CONFLICT, \"still_used\", \"x\")";
        let beside = |path: &str, text: &str| {
            findings(
                &[source(2, declared), Source::new(path, text.to_owned())],
                &pages(&[("still_used", "")]),
            )
        };
        assert_eq!(beside("tests/test_a.py", "\"\"\"still_used\"\"\"\n# 'still_used'\n").len(), 1);
        assert_eq!(beside("crates/gateway/src/admin/error.rs", "\"still_used\"").len(), 1);
        assert_eq!(beside("crates/gateway/src/admin/tests.rs", "refused(409, \"still_used\")").len(), 0);
    }
}
