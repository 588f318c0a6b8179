//! Time zones: by how much local time differs from UTC, and when that changes.
//!
//! A zone here is a table that somebody looked up once. Nothing in this crate knows where such tables come from, so that
//! every replica that has the table computes the same windows, whatever its machine knows of time zones.

use crate::LogTime;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name of a time zone, as the IANA database writes it: `Europe/Berlin`. Whether there is such a zone, it does not say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName(Arc<str>);

const LENGTH_MAX: usize = 64;

/// Why a text cannot be the name of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the name of a time zone, such as Europe/Berlin")]
pub struct ZoneNameError {
    text: String,
}

impl ZoneName {
    /// Reads a name: 1 to 64 of `A-Z a-z 0-9 / _ + -`, beginning with a letter.
    ///
    /// # Errors
    /// When the text breaks the rule above.
    pub fn parse(text: &str) -> Result<Self, ZoneNameError> {
        let fits = text.len() <= LENGTH_MAX && text.starts_with(|first: char| first.is_ascii_alphabetic());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte)) {
            return Ok(Self(text.into()));
        }
        Err(ZoneNameError { text: text.chars().take(LENGTH_MAX).collect() })
    }

    /// The zone of the log: no table is needed for it.
    #[must_use]
    pub fn utc() -> Self {
        Self("UTC".into())
    }

    /// Whether it is the zone of the log.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        &*self.0 == "UTC"
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ZoneName {
    type Error = ZoneNameError;

    fn try_from(text: String) -> Result<Self, ZoneNameError> {
        Self::parse(&text)
    }
}

impl From<ZoneName> for String {
    fn from(name: ZoneName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// By how much local time is ahead of UTC, in seconds; negative in the west.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcOffset(i32);

impl UtcOffset {
    /// That of UTC itself.
    pub const ZERO: Self = Self(0);

    /// So many seconds ahead.
    #[must_use]
    pub const fn from_seconds(seconds: i32) -> Self {
        Self(seconds)
    }

    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> i32 {
        self.0
    }

    pub(crate) fn millis(self) -> i128 {
        i128::from(self.0) * 1_000
    }
}

/// The offsets of a zone: the first one, and the changes, in the order of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    first: UtcOffset,
    changes: Vec<(LogTime, UtcOffset)>,
}

/// A stretch of time with one offset: `from` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Era {
    pub(crate) from: i128,
    pub(crate) until: i128,
    pub(crate) offset: UtcOffset,
}

impl Offsets {
    /// Those of UTC.
    pub const UTC: Self = Self { first: UtcOffset::ZERO, changes: Vec::new() };

    /// The first offset, and each later one with the time from which it holds. What changes nothing is left out, and what
    /// is not after the change before it.
    #[must_use]
    pub fn new(first: UtcOffset, changes: impl IntoIterator<Item = (LogTime, UtcOffset)>) -> Self {
        let mut offsets = Self { first, changes: Vec::new() };
        for (from, offset) in changes {
            let (latest, before) = offsets.changes.last().copied().unwrap_or((LogTime::default(), first));
            if from > latest && offset != before {
                offsets.changes.push((from, offset));
            }
        }
        offsets
    }

    /// The offset at a time.
    #[must_use]
    pub fn at(&self, at: LogTime) -> UtcOffset {
        self.era_at(i128::from(at.millis())).offset
    }

    pub(crate) fn era_at(&self, millis: i128) -> Era {
        self.eras().find(|era| millis < era.until).expect("the last era has no end")
    }

    /// The first instant at which clocks show this local time or a later one. Where they are set back over it, that is
    /// the first of the two; where they skip it, the instant at which they do.
    pub(crate) fn first_showing(&self, local: i128) -> i128 {
        let shown_in =
            |era: Era| Some(era.from.max(local - era.offset.millis())).filter(|at| *at < era.until);
        self.eras().find_map(shown_in).expect("the last era shows every later local time")
    }

    /// The latest local time that clocks have shown up to this instant. They may have been set back since.
    pub(crate) fn latest_shown(&self, millis: i128) -> i128 {
        let begun = self.eras().take_while(|era| era.from <= millis);
        begun.map(|era| millis.min(era.until - 1) + era.offset.millis()).max().unwrap_or(millis)
    }

    fn eras(&self) -> impl Iterator<Item = Era> + '_ {
        let begin = |(from, offset): (LogTime, UtcOffset)| (i128::from(from.millis()), offset);
        let begins = std::iter::once((0, self.first)).chain(self.changes.iter().copied().map(begin));
        let ends = self.changes.iter().map(|(from, _)| i128::from(from.millis()));
        begins.zip(ends.chain(std::iter::once(i128::MAX))).map(|((from, offset), until)| Era {
            from,
            until,
            offset,
        })
    }
}

/// What is known of a time zone: its offsets, by which edition of the IANA database, and how far ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeZone {
    /// Its name.
    pub name: ZoneName,
    /// The edition of the database, such as `2026b`. A later one is a larger text.
    pub edition: String,
    /// Changes of the offset are known up to here; after it the last offset stays.
    pub known_until: LogTime,
    /// The offsets.
    pub offsets: Offsets,
}

impl TimeZone {
    /// Whether it comes from a later edition of the database than `other`, or from the same one and reaches further.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (&self.edition, self.known_until) > (&other.edition, other.known_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_iana_database() {
        for text in ["UTC", "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+12", "EST5EDT"] {
            assert_eq!(ZoneName::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "/etc/passwd", "../x", "+01:00", "Europe Berlin", "Zürich", &"x".repeat(65)] {
            assert!(ZoneName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_change_that_changes_nothing_is_left_out() {
        let (hour, time) = (UtcOffset::from_seconds(3_600), LogTime::from_millis);
        let changes =
            [(time(5), UtcOffset::ZERO), (time(9), hour), (time(9), UtcOffset::ZERO), (time(12), hour)];
        let offsets = Offsets::new(UtcOffset::ZERO, changes);
        assert_eq!(offsets, Offsets::new(UtcOffset::ZERO, [(time(9), hour)]));
        assert_eq!((offsets.at(time(8)), offsets.at(time(9))), (UtcOffset::ZERO, hour));
    }

    #[test]
    fn of_two_tables_that_of_the_later_edition_is_newer_and_then_the_longer_one() {
        let zone = |edition: &str, known_until| TimeZone {
            name: ZoneName::utc(),
            edition: edition.to_owned(),
            known_until: LogTime::from_millis(known_until),
            offsets: Offsets::UTC,
        };
        assert!(zone("2026a", 1).is_newer_than(&zone("2025c", 9)));
        assert!(zone("2026a", 9).is_newer_than(&zone("2026a", 1)));
        assert!(!zone("2026a", 9).is_newer_than(&zone("2026a", 9)));
    }
}
