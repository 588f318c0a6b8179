//! Providers: who serves models, where, with which credential, and how long we wait for them.

use crate::{BaseUrl, Credential, HeaderName, Object, Rejection};
use quorate_domain::{Name, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A provider as the catalogue keeps it.
pub type Provider = Object<ProviderSpec>;

/// A provider as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Its identity.
    pub name: Name,
    /// The wire format it speaks.
    #[serde(default)]
    pub dialect: Dialect,
    /// Where it is reached.
    pub base_url: BaseUrl,
    /// What authenticates us; none for a provider that asks for nothing.
    #[serde(default)]
    pub credential: Option<Credential>,
    /// Headers sent along with every request.
    #[serde(default)]
    pub headers: BTreeMap<HeaderName, Credential>,
    /// How long we wait.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// What becomes of a stream whose client has hung up.
    #[serde(default)]
    pub when_client_leaves: WhenClientLeaves,
}

/// What becomes of a stream whose client has hung up. Written as `"cancel"` or `{"read_on_ms": 10000}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenClientLeaves {
    /// The provider is left at once, so that it stops.
    Cancel,
    /// It is read for its usage, for so long at most.
    #[serde(rename = "read_on_ms")]
    ReadOn(Span),
}

/// Most providers go on and bill the whole answer, whoever listens.
impl Default for WhenClientLeaves {
    fn default() -> Self {
        Self::ReadOn(Span::from_millis(10_000))
    }
}

/// The wire format of a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// The `OpenAI` HTTP API, and what is compatible with it.
    #[default]
    #[serde(rename = "openai")]
    OpenAi,
}

/// How long a request may wait in each phase. Written in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For the connection, with its TLS handshake.
    #[serde(rename = "connect_ms")]
    pub connect: Span,
    /// From the sent request to the first byte of the answer.
    #[serde(rename = "first_byte_ms")]
    pub first_byte: Span,
    /// Between two pieces of an answer.
    #[serde(rename = "idle_ms")]
    pub idle: Span,
    /// For one attempt from beginning to end.
    #[serde(rename = "total_ms")]
    pub total: Span,
}

const HEADERS_MAX: usize = 32;

/// A reasoning model may think for minutes before the first byte; ten minutes are what the official SDKs wait.
impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_millis(5_000),
            first_byte: Span::from_millis(300_000),
            idle: Span::from_millis(120_000),
            total: Span::from_millis(600_000),
        }
    }
}

impl Timeouts {
    fn shortest(self) -> Span {
        self.connect.min(self.first_byte).min(self.idle).min(self.total)
    }
}

impl ProviderSpec {
    /// The provider as people may see it: stored values are `***`. Putting it back keeps those values.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self {
            credential: self.credential.as_ref().map(Credential::masked),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), value.masked())).collect(),
            ..self.clone()
        }
    }

    pub(crate) fn check(&self) -> Result<(), Rejection> {
        if self.headers.len() > HEADERS_MAX {
            return Err(Rejection::TooManyHeaders { provider: self.name.clone(), max: HEADERS_MAX as u64 });
        }
        let nothing = Span::from_millis(0);
        if self.timeouts.shortest() == nothing || self.when_client_leaves == WhenClientLeaves::ReadOn(nothing)
        {
            return Err(Rejection::NoTime { provider: self.name.clone() });
        }
        Ok(())
    }

    /// Puts the values of the version before in the place of `***`.
    pub(crate) fn unmasked(mut self, before: Option<&Self>) -> Result<Self, Rejection> {
        let provider = self.name.clone();
        let nothing = || Rejection::NothingBehindMask { provider: provider.clone() };
        if let Some(credential) = self.credential.as_mut().filter(|credential| credential.is_mask()) {
            let kept = before.and_then(|before| before.credential.clone());
            *credential = kept.ok_or_else(nothing)?;
        }
        for (name, value) in self.headers.iter_mut().filter(|(_, value)| value.is_mask()) {
            let kept = before.and_then(|before| before.headers.get(name).cloned());
            *value = kept.ok_or_else(nothing)?;
        }
        Ok(self)
    }
}
