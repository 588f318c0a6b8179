//! A mutation: a wrong version of the protocol, as replacements in the text of its sources.

use super::verdict::Verdict;
use anyhow::{Result, ensure};

/// One wrong version of the protocol.
#[derive(Debug)]
pub(super) struct Mutation {
    /// Its name.
    pub(super) name: &'static str,
    /// Why it is wrong; goes on after "it is wrong because".
    pub(super) why: &'static str,
    /// What makes it of the right version.
    pub(super) edits: &'static [Edit],
    /// The promises of which the simulator may find one broken (docs/INVARIANTS.md).
    pub(super) breaks: &'static [&'static str],
}

/// One replacement in one file.
#[derive(Debug)]
pub(super) struct Edit {
    /// The file, from the root of the clone.
    pub(super) file: &'static str,
    /// Stands there exactly once.
    pub(super) right: &'static str,
    /// Takes its place.
    pub(super) wrong: &'static str,
}

impl Mutation {
    /// Whether the simulator has found what is wrong: a promise broken that the mutation breaks, not just any.
    pub(super) fn is_caught(&self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Broken { id, .. } => self.breaks.contains(&id.as_str()),
            Verdict::Held | Verdict::Fell { .. } => false,
        }
    }
}

impl Edit {
    /// The text with the wrong piece in place of the right one.
    ///
    /// # Errors
    /// The right piece is not there, or there more than once: the source has changed, and the mutation must follow.
    pub(super) fn apply(&self, text: &str) -> Result<String> {
        let found = text.matches(self.right).count();
        ensure!(found == 1, "this stands {found} times in {}, not once:\n{}", self.file, self.right);
        Ok(text.replacen(self.right, self.wrong, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDIT: Edit = Edit { file: "a.rs", right: "x <= y", wrong: "x < y" };

    #[test]
    fn a_piece_that_stands_there_once_is_replaced() -> Result<()> {
        assert_eq!(EDIT.apply("if x <= y { x }")?, "if x < y { x }");
        Ok(())
    }

    #[test]
    fn a_piece_that_is_missing_or_ambiguous_is_refused() {
        for text in ["if x < y {}", "x <= y || x <= y"] {
            assert!(EDIT.apply(text).is_err(), "{text}");
        }
    }

    #[test]
    fn another_promise_broken_than_the_one_it_breaks_does_not_catch_a_mutation() {
        let mutation = Mutation { name: "a", why: "b", edits: &[EDIT], breaks: &["G1"] };
        let broken = |id: &str| Verdict::Broken { id: id.to_owned(), seed: 3 };
        assert!(mutation.is_caught(&broken("G1")));
        assert!(!mutation.is_caught(&broken("I9")));
        assert!(!mutation.is_caught(&Verdict::Held));
    }
}
