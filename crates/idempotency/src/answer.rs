//! What the first caller was told, to be told again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An answer as its first caller got it; of a stream, all of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What the body is.
    pub content_type: Option<String>,
    /// To how many tokens it was cut because a budget had no more left, if it was.
    pub cut_to: Option<u64>,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Answer {
    /// What it takes to keep it, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        let text = self.content_type.as_ref().map_or(0, String::len);
        self.body.len().saturating_add(text) as u64
    }
}

/// Says how much there is, not what: it is between a client and its model.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}
