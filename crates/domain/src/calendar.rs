//! Local calendars: the windows of a budget whose days begin at midnight somewhere.
//!
//! Days, weeks and months begin at the first instant at which local clocks show midnight or a later time, so that they
//! tile time whatever is done to clocks. Hours and minutes are those that clocks show, and end when clocks are changed.

use crate::{LogTime, Offsets, Period, Window, WindowId, ZoneName};
use serde::{Deserialize, Serialize};

const MINUTE_MS: i128 = 60_000;
const HOUR_MS: i128 = 60 * MINUTE_MS;
const DAY_MS: i128 = 24 * HOUR_MS;
/// 1970-01-01 was a Thursday: so many days after a Monday.
const FIRST_DAY_AFTER_MONDAY: i128 = 3;

/// A day of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// The first day of an ISO week.
    #[default]
    Monday,
    /// The day after it.
    Tuesday,
    /// The middle of the week.
    Wednesday,
    /// The day after it.
    Thursday,
    /// The last day of work in much of the world.
    Friday,
    /// The first day of the week in parts of the Middle East.
    Saturday,
    /// The first day of the week in the Americas.
    Sunday,
}

/// The windows of a place: how long they are, where, and on which day its weeks begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Calendar {
    period: Period,
    zone: ZoneName,
    week_starts: Weekday,
}

impl Calendar {
    /// The calendar of these. On which day weeks begin matters to weeks alone, so that calendars with the same windows are equal.
    #[must_use]
    pub fn new(period: Period, zone: ZoneName, week_starts: Weekday) -> Self {
        match period {
            Period::Week => Self { period, zone, week_starts },
            Period::Minute | Period::Hour | Period::Day | Period::Month => {
                Self { period, zone, week_starts: Weekday::Monday }
            }
        }
    }

    /// How long its windows are.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// The zone whose clocks it follows.
    #[must_use]
    pub const fn zone(&self) -> &ZoneName {
        &self.zone
    }

    /// The day on which its weeks begin.
    #[must_use]
    pub const fn week_starts(&self) -> Weekday {
        self.week_starts
    }

    /// The window that contains `at`, by the offsets of its zone.
    #[must_use]
    pub fn window(&self, offsets: &Offsets, at: LogTime) -> Window {
        window(self.period, self.week_starts, offsets, at)
    }
}

pub(crate) fn window(period: Period, week_starts: Weekday, offsets: &Offsets, at: LogTime) -> Window {
    let at = i128::from(at.millis());
    let today = || offsets.latest_shown(at).div_euclid(DAY_MS);
    let (start, end) = match period {
        Period::Minute => of_clock(MINUTE_MS, offsets, at),
        Period::Hour => of_clock(HOUR_MS, offsets, at),
        Period::Day => of_days((today(), today() + 1), offsets),
        Period::Week => of_days(week_of(today(), week_starts), offsets),
        Period::Month => of_days(month_of(today()), offsets),
    };
    Window { id: WindowId::beginning(log_time(start)), end: Some(log_time(end)) }
}

/// Full units of local time. A change of the offset ends one: where an hour is repeated, its second pass is a window of
/// its own, so that none is longer than it is called.
fn of_clock(length: i128, offsets: &Offsets, at: i128) -> (i128, i128) {
    let era = offsets.era_at(at);
    let offset = era.offset.millis();
    let start = (at + offset).div_euclid(length) * length - offset;
    (start.max(era.from), (start + length).min(era.until))
}

/// From the beginning of one local day to that of another.
fn of_days((first, next): (i128, i128), offsets: &Offsets) -> (i128, i128) {
    (offsets.first_showing(first * DAY_MS), offsets.first_showing(next * DAY_MS))
}

/// The first day of a day's week, and of the next. Days are counted from 1970-01-01.
fn week_of(day: i128, week_starts: Weekday) -> (i128, i128) {
    let first = day - (day + FIRST_DAY_AFTER_MONDAY - week_starts as i128).rem_euclid(7);
    (first, first + 7)
}

/// The first day of a day's month, and of the next.
fn month_of(day: i128) -> (i128, i128) {
    let (year, month) = year_and_month(day);
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    (first_day_of(year, month), first_day_of(next_year, next_month))
}

/// Year and month (1–12) of a day, in the proleptic Gregorian calendar.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn year_and_month(day: i128) -> (i128, i128) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i128::from(month <= 2), month)
}

/// The first day of a month. Source as above, `days_from_civil`.
fn first_day_of(year: i128, month: i128) -> i128 {
    let year = year - i128::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Nothing is before the log's first instant, or after its last.
fn log_time(millis: i128) -> LogTime {
    LogTime::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
