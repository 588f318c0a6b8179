//! From the text of an API key to the key: the first step of every request.

use crate::{ApiKey, ApiKeyText, Catalog};
use quorate_domain::LogTime;
use std::sync::Arc;

/// Why a text opens nothing. For metrics and the audit; the caller is told the same in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum AuthenticationFailure {
    /// No key has that shape, or its checksum is wrong.
    #[error("malformed key")]
    Malformed,
    /// No key has that id.
    #[error("unknown key")]
    Unknown,
    /// The key exists, but the secret is not its secret.
    #[error("wrong secret")]
    WrongSecret,
    /// The right text of a key that was revoked.
    #[error("revoked key")]
    Revoked,
    /// The right text of a key whose time is over.
    #[error("expired key")]
    Expired,
}

impl AuthenticationFailure {
    /// Whether a text that opens nothing here may open something for a replica that knows more.
    #[must_use]
    pub const fn may_have_changed(self) -> bool {
        match self {
            Self::Unknown | Self::WrongSecret | Self::Expired => true,
            Self::Malformed | Self::Revoked => false,
        }
    }
}

impl Catalog {
    /// The key that a text opens now. Costs one keyed hash of 61 bytes, whatever the answer.
    ///
    /// # Errors
    /// When the text opens no key; which of the reasons it was must not reach the caller.
    pub fn authenticate(&self, text: &str, now: LogTime) -> Result<Arc<ApiKey>, AuthenticationFailure> {
        let id = ApiKeyText::id_in(text).map_err(|_| AuthenticationFailure::Malformed)?;
        // The digest comes before the look-up, so that the time taken does not tell which ids exist.
        let digest = self.digest(text).ok_or(AuthenticationFailure::Unknown)?;
        let key = self.keys.get(&id).ok_or(AuthenticationFailure::Unknown)?;
        if !key.is_opened_by(digest, now) {
            return Err(AuthenticationFailure::WrongSecret);
        }
        if key.is_revoked() {
            return Err(AuthenticationFailure::Revoked);
        }
        if key.has_expired_at(now) {
            return Err(AuthenticationFailure::Expired);
        }
        Ok(Arc::clone(key))
    }
}

#[cfg(test)]
mod tests;
