//! The cluster's pepper, and the keyed digests by which API keys are known without being kept.

use hmac::{Hmac, KeyInit, Mac};
use quorate_domain::Secret;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Keys the digests of one cluster, so that a stolen digest cannot be tried against a guess. Kept ready keyed:
/// a digest costs the hashing of one key text and nothing else.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Secret<[u8; 32]>", into = "Secret<[u8; 32]>")]
pub struct Pepper {
    drawn: Secret<[u8; 32]>,
    keyed: Hmac<Sha256>,
}

/// HMAC-SHA256 of a whole key text under the pepper. Compared in constant time, never printed.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest([u8; 32]);

impl Pepper {
    /// A pepper of 256 freshly drawn random bits.
    #[must_use]
    pub fn new(drawn: Secret<[u8; 32]>) -> Self {
        let keyed = Hmac::new_from_slice(drawn.expose()).expect("HMAC takes a key of any length");
        Self { drawn, keyed }
    }

    /// The digest of a key text.
    #[must_use]
    pub fn digest(&self, text: &str) -> Digest {
        let mut mac = self.keyed.clone();
        mac.update(text.as_bytes());
        Digest(mac.finalize().into_bytes().into())
    }
}

impl From<Secret<[u8; 32]>> for Pepper {
    fn from(drawn: Secret<[u8; 32]>) -> Self {
        Self::new(drawn)
    }
}

impl From<Pepper> for Secret<[u8; 32]> {
    fn from(pepper: Pepper) -> Self {
        pepper.drawn
    }
}

impl PartialEq for Pepper {
    fn eq(&self, other: &Self) -> bool {
        self.drawn == other.drawn
    }
}

impl Eq for Pepper {}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_the_pepper_and_on_every_character() {
        let [one, two] = [1, 2].map(|byte| Pepper::new(Secret::new([byte; 32])));
        assert_eq!(one.digest("qk_a"), one.digest("qk_a"));
        assert_ne!(one.digest("qk_a"), one.digest("qk_b"));
        assert_ne!(one.digest("qk_a"), two.digest("qk_a"));
    }

    /// RFC 4231, test case 1, with the key padded by zeroes to 32 bytes (HMAC pads it so anyway).
    #[test]
    fn the_digest_is_hmac_sha256() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let digest = Pepper::new(Secret::new(key)).digest("Hi There");
        let hex: String = digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn neither_pepper_nor_digest_can_be_printed() {
        let pepper = Pepper::new(Secret::new([65; 32]));
        assert_eq!(format!("{pepper:?} {:?}", pepper.digest("x")), "*** ***");
    }
}
