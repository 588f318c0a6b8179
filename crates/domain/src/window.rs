//! Windows: the stretches of log time in which a budget starts anew.

use crate::{LogTime, Offsets, Weekday, calendar};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How often a windowed budget starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Every full minute.
    Minute,
    /// Every full hour.
    Hour,
    /// Midnight.
    Day,
    /// The midnight that begins a Monday, or another day that was chosen.
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

    /// The window of this period that contains `at`, in UTC and with weeks from Monday.
    #[must_use]
    pub fn containing(period: Period, at: LogTime) -> Self {
        calendar::window(period, Weekday::Monday, &Offsets::UTC, at)
    }

    /// The same window, but for what of it lies before the end of an earlier one. The rules of a time zone may have changed
    /// since that one began.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let free_from = earlier.end.map_or(self.id, WindowId::beginning);
        Self { id: self.id.max(free_from), end: self.end }
    }

    /// Whether the window is over at `at`.
    #[must_use]
    pub fn has_ended_at(self, at: LogTime) -> bool {
        self.end.is_some_and(|end| at >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;
    /// 1970-01-01 was a Thursday; the first Monday came four days later.
    const FIRST_MONDAY_DAY: u64 = 4;

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

    #[test]
    fn a_window_begins_where_the_one_before_it_ended_whatever_its_own_calendar_says() {
        let (id, time) = (|start| WindowId::beginning(LogTime::from_millis(start)), LogTime::from_millis);
        let window = |start, end| Window { id: id(start), end: Some(time(end)) };
        assert_eq!(window(10, 20).after(window(0, 15)), window(15, 20));
        assert_eq!(window(10, 20).after(window(0, 10)), window(10, 20));
        assert_eq!(window(10, 20).after(window(0, 5)), window(10, 20));
    }

    #[test]
    fn the_end_of_time_is_in_a_window_too() {
        for period in [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month] {
            let window = Window::containing(period, LogTime::from_millis(u64::MAX));
            assert_eq!(window.end, Some(LogTime::from_millis(u64::MAX)));
        }
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
