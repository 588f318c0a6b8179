//! In what time an empty bucket is full again.

use crate::Span;
use serde::{Deserialize, Serialize};

/// In what time an empty bucket is full again. The lengths do not depend on any calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refill {
    /// In a second.
    Second,
    /// In a minute: what others call RPM and TPM.
    Minute,
    /// In an hour.
    Hour,
    /// In 24 hours.
    Day,
}

impl Refill {
    /// So long.
    #[must_use]
    pub const fn span(self) -> Span {
        match self {
            Self::Second => Span::from_millis(1_000),
            Self::Minute => Span::from_millis(60_000),
            Self::Hour => Span::from_millis(3_600_000),
            Self::Day => Span::from_millis(86_400_000),
        }
    }

    /// Half as long.
    #[must_use]
    pub const fn half(self) -> Span {
        Span::from_millis(self.span().millis() / 2)
    }
}
