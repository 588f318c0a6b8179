//! The encodings, under the names that OpenAI gave them.

use bpe_openai::{Tokenizer, cl100k_base, o200k_base};
use quorate_domain::Tokens;

/// A way to cut texts into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Of GPT-4o and what came after it.
    O200kBase,
    /// Of GPT-4, GPT-3.5 and the embedding models of their time.
    Cl100kBase,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 2] = [Self::O200kBase, Self::Cl100kBase];

    /// The tokens of a text; never more than it has bytes. What looks like a special token counts as the text it is written with,
    /// which is more tokens.
    #[must_use]
    pub fn count(self, text: &str) -> Tokens {
        Tokens::new(self.tokenizer().count(text) as u64)
    }

    /// Loads it, if it is not loaded yet, so that the first text takes no longer than others.
    pub fn load(self) {
        let _loaded = self.tokenizer();
    }

    fn tokenizer(self) -> &'static Tokenizer {
        match self {
            Self::O200kBase => o200k_base(),
            Self::Cl100kBase => cl100k_base(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers are those of OpenAI's own library, tiktoken.
    #[test]
    fn texts_have_as_many_tokens_as_the_inventor_of_the_encodings_says() {
        for (text, o200k, cl100k) in [
            ("", 0, 0),
            ("hello world", 2, 2),
            (" the the the the", 4, 4),
            ("Grüße aus Köln 你好 🎉", 9, 12),
            ("fn main() { println!(\"x\"); }", 9, 9),
            ("<|endoftext|>", 7, 7),
            ("<|im_start|>user", 7, 7),
        ] {
            assert_eq!(Encoding::O200kBase.count(text), Tokens::new(o200k), "{text:?}");
            assert_eq!(Encoding::Cl100kBase.count(text), Tokens::new(cl100k), "{text:?}");
        }
    }

    #[test]
    fn a_long_text_without_a_place_to_cut_it_is_counted_like_any_other() {
        for text in ["x".repeat(1 << 18), " ".repeat(1 << 18), "\n".repeat(1 << 18)] {
            for encoding in Encoding::ALL {
                assert!(encoding.count(&text) < Tokens::new(1 << 16));
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_has_no_more_tokens_than_bytes_and_some_if_it_has_any(text in "\\PC{0,80}") {
            for encoding in Encoding::ALL {
                let tokens = encoding.count(&text);
                prop_assert!(tokens <= Tokens::new(text.len() as u64));
                prop_assert_eq!(tokens == Tokens::ZERO, text.is_empty());
            }
        }
    }
}
