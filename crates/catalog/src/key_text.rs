//! The text of an API key: `qk_` + id (8 digits) + `_` + secret (43 digits) + checksum (6 digits), in base 62.
//!
//! Always 61 bytes, so that a scanner finds leaked keys and a wrong paste is told apart offline.

use crate::base62;
use quorate_domain::{KeyId, Secret};

const PREFIX: &str = "qk_";
const ID_AT: usize = PREFIX.len();
const ID_DIGITS: usize = 8;
const SECRET_AT: usize = ID_AT + ID_DIGITS + 1;
const CHECKSUM_AT: usize = SECRET_AT + 43;
const CHECKSUM_DIGITS: usize = 6;
const LENGTH: usize = CHECKSUM_AT + CHECKSUM_DIGITS;
/// 62^8: ids below it have eight digits in a key, and are exact in every JSON reader.
const ID_END: u64 = 218_340_105_584_896;

/// The whole text of a key: shown once, kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyText {
    id: KeyId,
    text: Secret<String>,
}

/// The text is not shaped like a key, or its checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: it begins with qk_ and has 61 letters and digits, the last six being a checksum")]
pub struct MalformedKey;

impl ApiKeyText {
    /// Makes a key of an id and 256 freshly drawn random bits.
    #[must_use]
    pub fn mint(id: KeyId, drawn: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        base62::push(&mut text, id.get(), ID_DIGITS);
        text.push('_');
        base62::push_256(&mut text, drawn);
        let checksum = checksum_of(text.as_bytes());
        base62::push(&mut text, checksum, CHECKSUM_DIGITS);
        Self { id, text: Secret::new(text) }
    }

    /// Reads a key that was minted before, as from a configuration file.
    ///
    /// # Errors
    /// When the text is not a key.
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let id = Self::id_in(text)?;
        Ok(Self { id, text: Secret::new(text.to_owned()) })
    }

    /// An id for a new key, of freshly drawn random bits. The catalogue refuses one that is taken: draw again.
    #[must_use]
    pub const fn draw_id(drawn: u64) -> KeyId {
        KeyId::new(1 + drawn % (ID_END - 1))
    }

    /// The id in the text of a key.
    ///
    /// # Errors
    /// When the text is not a key.
    pub fn id_in(text: &str) -> Result<KeyId, MalformedKey> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == LENGTH
            && bytes.starts_with(PREFIX.as_bytes())
            && bytes[SECRET_AT - 1] == b'_'
            && bytes[SECRET_AT..].iter().copied().all(base62::is_digit);
        if !shaped || base62::parse(&bytes[CHECKSUM_AT..]) != Some(checksum_of(&bytes[..CHECKSUM_AT])) {
            return Err(MalformedKey);
        }
        base62::parse(&bytes[ID_AT..ID_AT + ID_DIGITS]).map(KeyId::new).ok_or(MalformedKey)
    }

    /// The id of the key.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The text itself, for the one who asked for the key.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

fn checksum_of(bytes: &[u8]) -> u64 {
    u64::from(crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shape_of_a_key_never_changes() {
        let key = ApiKeyText::mint(KeyId::new(17), &[7; 32]);
        expect_test::expect!["qk_0000000H_1fJjkkpe9PiTw9KSulA8Ghct30vZz4HpdQ5c5b9cPF10cgIbf"]
            .assert_eq(key.expose());
        assert_eq!(ApiKeyText::parse(key.expose()), Ok(key));
    }

    #[test]
    fn what_is_not_quite_a_key_is_refused() {
        let key = ApiKeyText::mint(KeyId::new(17), &[7; 32]);
        let text = key.expose();
        let swapped = text.replacen("0H_", "H0_", 1);
        let mangled =
            [text[1..].to_owned(), format!("{text}0"), format!(" {text}"), text.to_lowercase(), swapped];
        for wrong in mangled.iter().map(String::as_str).chain(["", "qk_", "sk-abc", &"é".repeat(30)]) {
            assert_eq!(ApiKeyText::parse(wrong), Err(MalformedKey), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_minted_key_carries_its_id(drawn_id: u64, drawn: [u8; 32]) {
            let id = ApiKeyText::draw_id(drawn_id);
            prop_assert_eq!(ApiKeyText::id_in(ApiKeyText::mint(id, &drawn).expose()), Ok(id));
        }

        #[test]
        fn one_wrong_character_is_always_noticed(drawn: [u8; 32], at in 0..LENGTH, wrong in "[0-9A-Za-z_]") {
            let text = ApiKeyText::mint(KeyId::new(1), &drawn).expose().to_owned();
            let mut other = text.clone();
            other.replace_range(at..=at, &wrong);
            prop_assert!(other == text || ApiKeyText::id_in(&other) == Err(MalformedKey));
        }

        #[test]
        fn no_text_breaks_the_parser(text: String) {
            prop_assert_eq!(ApiKeyText::id_in(&text), Err(MalformedKey));
        }
    }
}
