//! The time of day, for the bill. The only file of this crate that asks the machine.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the start of 1970.
#[expect(clippy::disallowed_methods, reason = "a stand-in for a foreign service has its own clock")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
