//! What a request claims with its header: that of all requests of its API key with this text one is executed.

use crate::error::NotExecuted;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use quorate_dialect::Operation;
use quorate_domain::KeyId;
use quorate_idempotency::{Digest, Name};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// As long as Stripe's, so that no client has to shorten its own.
const LENGTH_MAX: usize = 255;

/// A name, and what the request under it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Claim {
    pub(super) name: Name,
    pub(super) fingerprint: Digest,
}

impl Claim {
    /// What a request claims, if it has the header. `whose` is what its headers say of whose budgets it spends: nobody is
    /// given the answer of another end user.
    ///
    /// # Errors
    /// A header that is no key, or more than one.
    pub(in crate::proxy) fn read(
        headers: &HeaderMap,
        key: KeyId,
        (operation, body): (Operation, &Bytes),
        whose: &Digest,
    ) -> Result<Option<Self>, NotExecuted> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        if headers.get_all(IDEMPOTENCY_KEY).iter().nth(1).is_some() {
            return Err(NotExecuted::InvalidKey);
        }
        let name = Name { key, text: Digest::of(&[text(value)?.as_bytes()]) };
        let fingerprint = Digest::of(&[b"POST", path(operation).as_bytes(), body, whose.as_bytes()]);
        Ok(Some(Self { name, fingerprint }))
    }
}

/// The draft says a quoted string, Stripe and many clients a bare one: both name the same.
fn text(value: &HeaderValue) -> Result<&str, NotExecuted> {
    let text = value.to_str().map_err(|_| NotExecuted::InvalidKey)?.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if (1..=LENGTH_MAX).contains(&text.len()) { Ok(text) } else { Err(NotExecuted::InvalidKey) }
}

const fn path(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/v1/chat/completions",
        Operation::Embeddings => "/v1/embeddings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(
        values: &[&str],
        key: u64,
        operation: Operation,
        body: &'static str,
    ) -> Result<Claim, NotExecuted> {
        claim_for(b"", values, key, (operation, body))
    }

    fn claim_for(
        whose: &[u8],
        values: &[&str],
        key: u64,
        (operation, body): (Operation, &'static str),
    ) -> Result<Claim, NotExecuted> {
        let value = |text: &&str| (IDEMPOTENCY_KEY, HeaderValue::from_str(text).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(value) {
            headers.append(name, value);
        }
        let asked = (operation, &Bytes::from_static(body.as_bytes()));
        let read = Claim::read(&headers, KeyId::new(key), asked, &Digest::of(&[whose]));
        read.map(|claim| claim.unwrap())
    }

    #[test]
    fn a_key_names_the_same_with_and_without_quotes_and_another_for_every_api_key() {
        let plain = claim(&["a-1"], 1, Operation::Chat, "{}").unwrap();
        assert_eq!(claim(&["\"a-1\""], 1, Operation::Chat, "{}"), Ok(plain));
        assert_ne!(claim(&["a-1"], 2, Operation::Chat, "{}").unwrap().name, plain.name);
        assert_ne!(claim(&["a-2"], 1, Operation::Chat, "{}").unwrap().name, plain.name);
        let asked = (Operation::Chat, &Bytes::new());
        let read = Claim::read(&HeaderMap::new(), KeyId::new(1), asked, &Digest::of(&[]));
        assert_eq!(read, Ok(None));
    }

    #[test]
    fn another_body_or_path_is_another_request_of_the_same_name() {
        let plain = claim(&["a"], 1, Operation::Chat, "{}").unwrap();
        for (operation, body) in [(Operation::Chat, "{ }"), (Operation::Embeddings, "{}")] {
            let other = claim(&["a"], 1, operation, body).unwrap();
            assert_eq!((other.name, other.fingerprint == plain.fingerprint), (plain.name, false));
        }
    }

    #[test]
    fn the_same_body_for_somebody_else_is_another_request_of_the_same_name() {
        let [ann, bob] =
            [b"ann", b"bob"].map(|whose| claim_for(whose, &["a"], 1, (Operation::Chat, "{}")).unwrap());
        assert_eq!((ann.name, ann.fingerprint == bob.fingerprint), (bob.name, false));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(LENGTH_MAX + 1);
        for values in [vec![""], vec!["\"\""], vec![long.as_str()], vec!["a", "a"], vec!["\u{e9}"]] {
            assert_eq!(claim(&values, 1, Operation::Chat, "{}"), Err(NotExecuted::InvalidKey), "{values:?}");
        }
        assert!(claim(&[&long[1..]], 1, Operation::Chat, "{}").is_ok());
    }
}
