//! Every error code that a client can see has a page in `docs/errors`, and every page has its code.

use super::source::Source;

/// The one file that declares the codes: the texts in its `impl ErrorCode`.
const DECLARED_IN: &str = "crates/gateway/src/error.rs";

/// Codes without a page and pages without a code.
pub(super) fn findings(sources: &[Source], pages: &[String]) -> Vec<String> {
    let Some(source) = sources.iter().find(|source| source.path == DECLARED_IN) else { return Vec::new() };
    let codes = codes(source);
    let without_page = codes.iter().filter(|code| !pages.contains(code));
    let without_code = pages.iter().filter(|page| !codes.contains(page));
    without_page
        .map(|code| format!("{DECLARED_IN}: {code} has no page docs/errors/{code}.md"))
        .chain(
            without_code.map(|page| format!("docs/errors/{page}.md: no code of this name in {DECLARED_IN}")),
        )
        .collect()
}

/// The `"snake_case"` texts that arms of `impl ErrorCode` answer with.
fn codes(source: &Source) -> Vec<String> {
    let Some(block) = source.block("impl ErrorCode") else { return Vec::new() };
    let mut codes: Vec<String> = source.text[block]
        .split("=> \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|code| is_code(code))
        .map(str::to_owned)
        .collect();
    codes.sort();
    codes.dedup();
    codes
}

fn is_code(text: &str) -> bool {
    text.contains('_')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_pages_are_paired() {
        let text = "//! Errors.\nimpl ErrorCode {\n    fn code(self) -> &'static str {\n        match self {\n\
                    Self::Budget => \"budget_exhausted\",\n Self::Key => \"invalid_api_key\",\n } } }\n";
        let sources = [Source::new(DECLARED_IN, text.to_owned())];
        let pages = ["budget_exhausted".to_owned(), "old_code".to_owned()];
        let found = findings(&sources, &pages);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("invalid_api_key") && found[1].contains("old_code"));
    }
}
