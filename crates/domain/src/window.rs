//! Windows: the stretches of log time in which a budget starts anew.

use crate::LogTime;
use serde::{Deserialize, Serialize};
use std::fmt;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 1970-01-01 was a Thursday; the first Monday came four days later.
const FIRST_MONDAY_DAY: u64 = 4;

/// How often a fixed-window budget starts anew. Windows are those of the calendar in UTC; a week begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Every full minute.
    Minute,
    /// Every full hour.
    Hour,
    /// Midnight.
    Day,
    /// The midnight that begins a Monday.
    Week,
    /// The midnight that begins the first of a month.
    Month,
}

/// A window of a budget, named by the log time at which it began. A lifetime budget has the one window 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WindowId(u64);

impl WindowId {
    /// The only window of a lifetime budget.
    pub const LIFETIME: Self = Self(0);

    /// The window that begins at this log time.
    #[must_use]
    pub const fn beginning(start: LogTime) -> Self {
        Self(start.millis())
    }

    /// Log time at which the window began.
    #[must_use]
    pub const fn start(self) -> LogTime {
        LogTime::from_millis(self.0)
    }
}

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A stretch of log time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its name, which is its first instant.
    pub id: WindowId,
    /// The first instant after it; `None` for the window that never ends.
    pub end: Option<LogTime>,
}

impl Window {
    /// The window of a lifetime budget: always.
    pub const LIFETIME: Self = Self { id: WindowId::LIFETIME, end: None };

    /// The window of this period that contains `at`.
    #[must_use]
    pub fn containing(period: Period, at: LogTime) -> Self {
        let (start, end) = match period {
            Period::Minute => aligned(at.millis(), MINUTE_MS, 0),
            Period::Hour => aligned(at.millis(), HOUR_MS, 0),
            Period::Day => aligned(at.millis(), DAY_MS, 0),
            Period::Week => aligned(at.millis(), 7 * DAY_MS, FIRST_MONDAY_DAY * DAY_MS),
            Period::Month => month_around(at.millis()),
        };
        Self { id: WindowId(start), end: Some(LogTime::from_millis(end)) }
    }

    /// Whether the window is over at `at`.
    #[must_use]
    pub fn has_ended_at(self, at: LogTime) -> bool {
        self.end.is_some_and(|end| at >= end)
    }
}

/// The multiple-of-`length` stretch around `millis`, counted from `origin`. Before the origin, the stretch up to it.
fn aligned(millis: u64, length: u64, origin: u64) -> (u64, u64) {
    match millis.checked_sub(origin) {
        Some(since) => {
            let start = origin + since / length * length;
            (start, start.saturating_add(length))
        }
        None => (0, origin),
    }
}

fn month_around(millis: u64) -> (u64, u64) {
    let (year, month) = year_and_month(millis / DAY_MS);
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    (first_day_of(year, month) * DAY_MS, first_day_of(next_year, next_month) * DAY_MS)
}

/// Year and month (1–12) of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn year_and_month(day: u64) -> (u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month)
}

/// The first day of a month, counted from 1970-01-01. Source as above, `days_from_civil`.
fn first_day_of(year: u64, month: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(period: Period, at: u64, start: u64, end: u64) {
        let window = Window::containing(period, LogTime::from_millis(at));
        assert_eq!((window.id.start().millis(), window.end.unwrap().millis()), (start, end));
    }

    #[test]
    fn windows_follow_the_calendar() {
        let noon = 1_709_208_000_000; // Thursday 2024-02-29T12:00:00Z
        check(Period::Minute, noon + 61_001, noon + 60_000, noon + 120_000);
        check(Period::Hour, noon + 61_001, noon, noon + HOUR_MS);
        check(Period::Day, noon, 1_709_164_800_000, 1_709_251_200_000);
        check(Period::Week, noon, 1_708_905_600_000, 1_709_510_400_000); // Monday 26 February to Monday 4 March
        check(Period::Month, noon, 1_706_745_600_000, 1_709_251_200_000); // February has 29 days
        check(Period::Month, 1_735_689_599_999, 1_733_011_200_000, 1_735_689_600_000); // December ends with the year
    }

    #[test]
    fn the_days_before_the_first_monday_are_a_short_week() {
        check(Period::Week, 0, 0, FIRST_MONDAY_DAY * DAY_MS);
    }

    proptest! {
        #[test]
        fn windows_of_a_period_tile_time(millis in 0_u64..8_000_000_000_000) {
            for period in [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month] {
                let window = Window::containing(period, LogTime::from_millis(millis));
                let end = window.end.unwrap();
                prop_assert!(window.id.start().millis() <= millis && millis < end.millis());
                prop_assert_eq!(Window::containing(period, end).id.start(), end);
            }
        }
    }
}
