//! Join tokens: what a fresh node shows to be let in, and what the cluster keeps of it.

use crate::RootId;
use crate::command::{NewToken, Rejection};
use quorate_domain::{ClusterId, LogTime, Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use subtle::ConstantTimeEq;

/// So many tokens there can be at a time; those that expired make room.
const TOKENS_MAX: usize = 256;
const VERSION: &str = "qj1";
const SEEDS_MAX: usize = 16;

/// The public part of a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(u64);

impl TokenId {
    /// Names the token with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for TokenId {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        number(text).map(Self).ok_or(TokenError::Part("id"))
    }
}

/// All of a join token, as its bearer has it: `qj1.CLUSTER.PIN.ID.SECRET.SEEDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The cluster it lets in to.
    pub cluster: ClusterId,
    /// The authority that the bearer is to trust.
    pub root: RootId,
    /// Which token it is.
    pub id: TokenId,
    /// What proves that the bearer has it.
    pub secret: Secret<[u8; 32]>,
    /// Peer addresses of members.
    pub seeds: Vec<String>,
}

/// Why a text is no join token. The text itself is not shown: it may hold the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Another kind of text.
    #[error("this is no join token: one begins with {VERSION}. and has six parts between dots")]
    Foreign,
    /// A part of it is wrong.
    #[error("the {0} of the join token is not readable: it was cut or changed on its way")]
    Part(&'static str),
}

impl JoinToken {
    /// Reads a token.
    ///
    /// # Errors
    /// When the text is none, without showing it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = text.trim().splitn(6, '.').collect();
        let [VERSION, cluster, root, id, secret, seeds] = parts[..] else { return Err(TokenError::Foreign) };
        let seeds: Vec<String> = seeds.split(',').map(str::to_owned).collect();
        if seeds.len() > SEEDS_MAX || !seeds.iter().all(|seed| is_address(seed)) {
            return Err(TokenError::Part("list of seeds"));
        }
        Ok(Self {
            cluster: number(cluster).map(ClusterId::new).ok_or(TokenError::Part("cluster"))?,
            root: bytes(root).map(RootId::new).ok_or(TokenError::Part("pin"))?,
            id: id.parse()?,
            secret: bytes(secret).map(Secret::new).ok_or(TokenError::Part("secret"))?,
            seeds,
        })
    }

    /// The text. It opens the cluster to whoever has it.
    #[must_use]
    pub fn expose(&self) -> String {
        let secret = hex(self.secret.expose());
        let Self { cluster, root, id, seeds, .. } = self;
        format!("{VERSION}.{:016x}.{root}.{id}.{secret}.{}", cluster.get(), seeds.join(","))
    }

    /// What the cluster keeps of its secret.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(self.secret.expose())
    }
}

/// What the cluster knows of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    digest: [u8; 32],
    /// Until when it is good.
    pub until: LogTime,
    /// How many nodes it may still let in.
    pub uses_left: u32,
    /// When it was made.
    pub since: LogTime,
    /// Who made it.
    pub actor: String,
}

/// All tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens(BTreeMap<TokenId, Token>);

impl Tokens {
    /// All tokens, also those that have expired or are used up.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, &Token)> {
        self.0.iter().map(|(id, token)| (*id, token))
    }

    /// Whether this is the secret of that token. Takes the same time whatever the secret is.
    #[must_use]
    pub fn is_secret(&self, id: TokenId, secret: &Secret<[u8; 32]>) -> bool {
        let shown = digest(secret.expose());
        self.0.get(&id).is_some_and(|token| bool::from(token.digest.ct_eq(&shown)))
    }

    pub(crate) fn create(&mut self, at: LogTime, new: NewToken) -> Result<(), Rejection> {
        let NewToken { token, digest, until, uses, actor } = new;
        // The same command again: its first answer was lost.
        if self.0.get(&token).is_some_and(|known| known.digest == digest) {
            return Ok(());
        }
        self.0.retain(|_, token| token.until > at);
        if self.0.len() >= TOKENS_MAX {
            return Err(Rejection::TooManyTokens(u32::try_from(TOKENS_MAX).unwrap_or(u32::MAX)));
        }
        self.0.insert(token, Token { digest, until, uses_left: uses, since: at, actor });
        Ok(())
    }

    pub(crate) fn withdraw(&mut self, id: TokenId) -> Result<(), Rejection> {
        self.0.remove(&id).map(drop).ok_or(Rejection::TokenUnknown)
    }

    /// Whether the token lets somebody in; a use is taken by [`Tokens::spend`].
    pub(crate) fn check(&self, at: LogTime, id: TokenId) -> Result<(), Rejection> {
        match self.0.get(&id) {
            None => Err(Rejection::TokenUnknown),
            Some(token) if token.until <= at => Err(Rejection::TokenExpired),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn spend(&mut self, at: LogTime, id: TokenId) -> Result<(), Rejection> {
        self.check(at, id)?;
        let token = self.0.get_mut(&id).ok_or(Rejection::TokenUnknown)?;
        token.uses_left = token.uses_left.checked_sub(1).ok_or(Rejection::TokenUsedUp)?;
        Ok(())
    }
}

fn digest(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn is_address(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", ""));
    !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut read = [0; 32];
    for (byte, pair) in read.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            cluster: ClusterId::new(0xC1),
            root: RootId::new([7; 32]),
            id: TokenId::new(3),
            secret: Secret::new([9; 32]),
            seeds: vec!["10.0.0.1:7000".to_owned(), "[::1]:7000".to_owned()],
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_shown() {
        let text = token().expose();
        assert_eq!(JoinToken::parse(&format!(" {text}\n")), Ok(token()));
        assert!(!format!("{:?}", token()).contains("9, 9"));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_named_without_showing_it() {
        let text = token().expose();
        let failed = |text: &str| JoinToken::parse(text).unwrap_err();
        assert_eq!(failed("qk_0123"), TokenError::Foreign);
        assert_eq!(failed(""), TokenError::Foreign);
        assert_eq!(failed(&text.replace("qj1.", "qj1.0")), TokenError::Part("cluster"));
        assert_eq!(failed(&text.replace(&"09".repeat(32), &"09".repeat(31))), TokenError::Part("secret"));
        assert_eq!(failed(&text.replace(&"07".repeat(32), &"0g".repeat(32))), TokenError::Part("pin"));
        assert_eq!(failed(&text[..text.len() - 5]), TokenError::Part("list of seeds"));
        assert_eq!(failed(&text.replace("10.0.0.1:7000", "10.0.0.1")), TokenError::Part("list of seeds"));
    }

    #[test]
    fn a_token_lets_in_so_many_until_its_time() {
        let at = LogTime::from_millis;
        let mut tokens = Tokens::default();
        let new = |id, until| NewToken {
            token: TokenId::new(id),
            digest: token().digest(),
            until: at(until),
            uses: 2,
            actor: "ann".to_owned(),
        };
        tokens.create(at(0), new(3, 10)).unwrap();
        assert!(tokens.is_secret(TokenId::new(3), &Secret::new([9; 32])));
        assert!(!tokens.is_secret(TokenId::new(3), &Secret::new([8; 32])));
        assert!(!tokens.is_secret(TokenId::new(4), &Secret::new([9; 32])));
        tokens.spend(at(1), TokenId::new(3)).unwrap();
        tokens.create(at(1), new(3, 10)).unwrap();
        tokens.spend(at(9), TokenId::new(3)).unwrap();
        assert_eq!(tokens.spend(at(9), TokenId::new(3)), Err(Rejection::TokenUsedUp));
        assert_eq!(tokens.spend(at(10), TokenId::new(3)), Err(Rejection::TokenExpired));
        tokens.create(at(10), new(4, 20)).unwrap();
        assert_eq!(tokens.spend(at(10), TokenId::new(3)), Err(Rejection::TokenUnknown), "it made room");
        tokens.withdraw(TokenId::new(4)).unwrap();
        assert_eq!(tokens.withdraw(TokenId::new(4)), Err(Rejection::TokenUnknown));
    }
}
