//! Windows around the oddities of real clocks. Against the whole IANA database they are held where that is at hand: in
//! the tests of the gateway.

use super::*;
use crate::UtcOffset;
use proptest::prelude::*;

/// The instant of this date and time in UTC.
fn utc(year: i128, month: i128, day: i128, (hour, minute): (i128, i128)) -> LogTime {
    let day = first_day_of(year, month) + day - 1;
    log_time(day * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS)
}

const fn hours(hours: i32) -> UtcOffset {
    UtcOffset::from_seconds(hours * 3_600)
}

const fn minutes(minutes: i32) -> UtcOffset {
    UtcOffset::from_seconds(minutes * 60)
}

fn berlin() -> Offsets {
    let changes = [(utc(2026, 3, 29, (1, 0)), hours(2)), (utc(2026, 10, 25, (1, 0)), hours(1))];
    Offsets::new(hours(1), changes)
}

fn havana() -> Offsets {
    let changes = [(utc(2026, 3, 8, (5, 0)), hours(-4)), (utc(2026, 11, 1, (5, 0)), hours(-5))];
    Offsets::new(hours(-5), changes)
}

fn beirut() -> Offsets {
    let changes = [(utc(2026, 3, 28, (22, 0)), hours(3)), (utc(2026, 10, 24, (21, 0)), hours(2))];
    Offsets::new(hours(2), changes)
}

fn lord_howe() -> Offsets {
    let changes = [(utc(2026, 4, 4, (15, 0)), minutes(630)), (utc(2026, 10, 3, (15, 30)), hours(11))];
    Offsets::new(hours(11), changes)
}

/// The window around a time must have this start and this end, at every instant in it.
fn check(period: Period, offsets: &Offsets, (start, end): (LogTime, LogTime)) {
    let expected = Window { id: WindowId::beginning(start), end: Some(end) };
    for at in [start.millis(), (start.millis() + end.millis()) / 2, end.millis() - 1] {
        let found = window(period, Weekday::Monday, offsets, LogTime::from_millis(at));
        assert_eq!(found, expected, "{period:?} around {at}");
    }
}

fn hours_of((start, end): (LogTime, LogTime)) -> u64 {
    (end.millis() - start.millis()) / 3_600_000
}

#[test]
fn days_are_as_long_as_their_clocks_make_them() {
    let short = (utc(2026, 3, 28, (23, 0)), utc(2026, 3, 29, (22, 0)));
    let long = (utc(2026, 10, 24, (22, 0)), utc(2026, 10, 25, (23, 0)));
    let usual = (utc(2026, 7, 1, (22, 0)), utc(2026, 7, 2, (22, 0)));
    assert_eq!([short, long, usual].map(hours_of), [23, 25, 24]);
    [short, long, usual].into_iter().for_each(|day| check(Period::Day, &berlin(), day));
}

#[test]
fn weeks_and_months_begin_at_a_local_midnight() {
    check(Period::Week, &berlin(), (utc(2026, 3, 22, (23, 0)), utc(2026, 3, 29, (22, 0))));
    check(Period::Month, &berlin(), (utc(2026, 2, 28, (23, 0)), utc(2026, 3, 31, (22, 0))));
    check(Period::Month, &havana(), (utc(2026, 12, 1, (5, 0)), utc(2027, 1, 1, (5, 0))));
}

#[test]
fn a_week_begins_on_the_chosen_day() {
    let friday = utc(2026, 11, 27, (12, 0));
    let starts = |weekday| window(Period::Week, weekday, &Offsets::UTC, friday).id.start();
    assert_eq!(starts(Weekday::Monday), utc(2026, 11, 23, (0, 0)));
    assert_eq!(starts(Weekday::Thursday), utc(2026, 11, 26, (0, 0)));
    assert_eq!(starts(Weekday::Friday), utc(2026, 11, 27, (0, 0)));
    assert_eq!(starts(Weekday::Saturday), utc(2026, 11, 21, (0, 0)));
    assert_eq!(starts(Weekday::Sunday), utc(2026, 11, 22, (0, 0)));
}

#[test]
fn where_midnight_is_skipped_the_day_begins_at_its_first_instant() {
    // 00:00 becomes 01:00.
    check(Period::Day, &havana(), (utc(2026, 3, 8, (5, 0)), utc(2026, 3, 9, (4, 0))));
    check(Period::Day, &beirut(), (utc(2026, 3, 28, (22, 0)), utc(2026, 3, 29, (21, 0))));
}

#[test]
fn where_midnight_comes_twice_the_first_one_counts() {
    // 01:00 becomes 00:00: the first hour of the day is there twice.
    check(Period::Day, &havana(), (utc(2026, 11, 1, (4, 0)), utc(2026, 11, 2, (5, 0))));
}

#[test]
fn where_midnight_becomes_an_hour_before_midnight_the_day_is_longer() {
    check(Period::Day, &beirut(), (utc(2026, 10, 23, (21, 0)), utc(2026, 10, 24, (22, 0))));
    check(Period::Day, &beirut(), (utc(2026, 10, 24, (22, 0)), utc(2026, 10, 25, (22, 0))));
}

#[test]
fn a_day_that_has_begun_does_not_end_because_its_eve_comes_back() {
    // In Saint John's 00:01 became 23:01 of the day before, in 2010.
    let st_johns = Offsets::new(minutes(-150), [(utc(2010, 11, 7, (2, 31)), minutes(-210))]);
    check(Period::Day, &st_johns, (utc(2010, 11, 7, (2, 30)), utc(2010, 11, 8, (3, 30))));
    check(Period::Day, &st_johns, (utc(2010, 11, 6, (2, 30)), utc(2010, 11, 7, (2, 30))));
}

#[test]
fn a_day_that_a_place_skips_has_no_window() {
    // Samoa went from Thursday 29 December 2011 to Saturday the 31st.
    let apia = Offsets::new(hours(-10), [(utc(2011, 12, 30, (10, 0)), hours(14))]);
    check(Period::Day, &apia, (utc(2011, 12, 29, (10, 0)), utc(2011, 12, 30, (10, 0))));
    check(Period::Day, &apia, (utc(2011, 12, 30, (10, 0)), utc(2011, 12, 31, (10, 0))));
    check(Period::Week, &apia, (utc(2011, 12, 26, (10, 0)), utc(2012, 1, 1, (10, 0))));
}

#[test]
fn hours_are_those_of_local_clocks() {
    let kolkata = Offsets::new(minutes(330), []);
    check(Period::Hour, &kolkata, (utc(2026, 1, 1, (6, 30)), utc(2026, 1, 1, (7, 30))));
    check(Period::Minute, &kolkata, (utc(2026, 1, 1, (6, 30)), utc(2026, 1, 1, (6, 31))));
}

#[test]
fn an_hour_that_comes_twice_is_two_windows() {
    check(Period::Hour, &berlin(), (utc(2026, 10, 25, (0, 0)), utc(2026, 10, 25, (1, 0))));
    check(Period::Hour, &berlin(), (utc(2026, 10, 25, (1, 0)), utc(2026, 10, 25, (2, 0))));
}

#[test]
fn half_an_hour_that_comes_twice_or_is_skipped_makes_no_longer_hour() {
    // 02:00 becomes 01:30.
    check(Period::Hour, &lord_howe(), (utc(2026, 4, 4, (14, 0)), utc(2026, 4, 4, (15, 0))));
    check(Period::Hour, &lord_howe(), (utc(2026, 4, 4, (15, 0)), utc(2026, 4, 4, (15, 30))));
    check(Period::Hour, &lord_howe(), (utc(2026, 4, 4, (15, 30)), utc(2026, 4, 4, (16, 30))));
    // 02:00 becomes 02:30.
    check(Period::Hour, &lord_howe(), (utc(2026, 10, 3, (15, 30)), utc(2026, 10, 3, (16, 0))));
    check(Period::Day, &lord_howe(), (utc(2026, 10, 3, (13, 30)), utc(2026, 10, 4, (13, 0))));
}

#[test]
fn the_day_on_which_weeks_begin_tells_only_calendars_of_weeks_apart() {
    let of = |period, week_starts| Calendar::new(period, ZoneName::utc(), week_starts);
    assert_eq!(of(Period::Day, Weekday::Sunday), of(Period::Day, Weekday::Monday));
    assert_ne!(of(Period::Week, Weekday::Sunday), of(Period::Week, Weekday::Monday));
}

proptest! {
    /// Clocks that are changed often, by anything up to a whole day, in any direction.
    #[test]
    fn windows_tile_time_whatever_is_done_to_clocks(
        first in -90_000_i32..90_000,
        changes in prop::collection::vec((1_u64..40 * 86_400, -90_000_i32..90_000), 0..12),
        at in 0_u64..500 * 86_400_000,
        starts_on_sunday in any::<bool>(),
    ) {
        let mut clock = 0;
        let changes = changes.into_iter().map(|(after, offset)| {
            clock += after * 1_000;
            (LogTime::from_millis(clock), UtcOffset::from_seconds(offset))
        });
        let offsets = Offsets::new(UtcOffset::from_seconds(first), changes);
        let week_starts = if starts_on_sunday { Weekday::Sunday } else { Weekday::Monday };
        for period in [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month] {
            let found = window(period, week_starts, &offsets, LogTime::from_millis(at));
            let (start, end) = (found.id.start(), found.end.unwrap());
            prop_assert!(start.millis() <= at && at < end.millis());
            prop_assert_eq!(window(period, week_starts, &offsets, end).id.start(), end);
            prop_assert_eq!(window(period, week_starts, &offsets, start), found);
        }
    }
}
