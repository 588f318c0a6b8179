//! The numbers of `docs/STYLE.md` as they are today: a report, so that a review sees them move.

use super::source::Source;
use std::collections::BTreeMap;

/// A few lines: functions, files, crates, documentation, exceptions to lints.
pub(super) fn report(sources: &[Source]) -> String {
    let rust: Vec<&Source> = sources.iter().filter(|source| source.is_rust() && !source.is_test()).collect();
    let functions =
        rust.iter().flat_map(|source| source.functions()).map(|function| function.length).collect();
    let files = rust.iter().map(|source| source.lines_before_tests()).collect();
    let lines: usize = rust.iter().map(|source| source.text.lines().count()).sum();
    let documented: usize = rust.iter().map(|source| documentation_lines(source)).sum();
    let exceptions: usize = rust.iter().map(|source| lint_exceptions(source)).sum();
    format!(
        "tidy: functions {}\ntidy: files     {}\ntidy: crates    {}\ntidy: docs      {}% of lines; {exceptions} exceptions to lints\n",
        Spread::of(functions),
        Spread::of(files),
        crates(&rust),
        documented * 100 / lines.max(1),
    )
}

fn documentation_lines(source: &Source) -> usize {
    source
        .text
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("///") || line.starts_with("//!"))
        .count()
}

/// Ratcheted by review: this number only goes down.
fn lint_exceptions(source: &Source) -> usize {
    source.code.matches("#[expect(").count() + source.code.matches("#![expect(").count()
}

/// Lines of code per crate, without tests, comments and blank lines.
fn crates(sources: &[&Source]) -> String {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        let code =
            source.code.lines().take(source.lines_before_tests()).filter(|line| !line.trim().is_empty());
        *sizes.entry(source.krate().unwrap_or("tests")).or_default() += code.count();
    }
    sizes.iter().map(|(name, size)| format!("{name} {size}")).collect::<Vec<_>>().join(", ")
}

/// The middle, the ninth tenth and the end of some sizes.
#[derive(Debug)]
struct Spread(Vec<usize>);

impl Spread {
    fn of(mut sizes: Vec<usize>) -> Self {
        sizes.sort_unstable();
        Self(sizes)
    }

    /// The size that this many per cent do not exceed.
    fn at(&self, percent: usize) -> usize {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: median {}, p90 {}, longest {}", self.0.len(), self.at(50), self.at(90), self.at(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_a_middle_and_an_end() {
        assert_eq!(Spread::of((1..=11).collect()).to_string(), "11: median 6, p90 10, longest 11");
        assert_eq!(Spread::of(Vec::new()).at(50), 0);
    }

    #[test]
    fn the_report_counts_documentation() {
        let source = Source::new("crates/a/src/b.rs", "//! A.\n/// F.\nfn f() {}\nfn g() {}\n".to_owned());
        assert!(report(&[source]).contains("docs      50% of lines; 0 exceptions"));
    }
}
