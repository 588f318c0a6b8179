//! When a budget starts anew, as people write it: a window, perhaps a time zone, and perhaps the day on which weeks begin; or
//! the refill of a bucket.

use super::words;
use crate::time_zones;
use quorate_domain::{Calendar, Period, Refill, Weekday, ZoneName};
use quorate_ledger::Kind;

/// The fields as they were written; `window` is missing in a budget for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written<'a> {
    pub(super) window: Option<Period>,
    pub(super) bucket: Option<Refill>,
    pub(super) time_zone: Option<&'a str>,
    pub(super) week_starts: Option<Weekday>,
}

impl Written<'_> {
    /// The kind they ask for.
    ///
    /// # Errors
    /// Says which field is wrong.
    pub(super) fn kind(self) -> Result<Kind, String> {
        let period = match (self.window, self.bucket) {
            (None, None) => return self.no_calendar("a lifetime budget").map(|()| Kind::Lifetime),
            (None, Some(refill)) => return self.no_calendar("a bucket").map(|()| Kind::Bucket(refill)),
            (Some(_), Some(_)) => {
                return Err("bucket: a bucket has no window; give one of the two".to_owned());
            }
            (Some(period), None) => period,
        };
        if self.week_starts.is_some() && period != Period::Week {
            return Err(format!("week_starts: a window of a {} has no week", words::of_period(period)));
        }
        let zone = match self.time_zone {
            Some(text) => time_zones::named(text).map_err(|error| format!("time_zone: {error}"))?,
            None => ZoneName::utc(),
        };
        Ok(Kind::windowed(Calendar::new(period, zone, self.week_starts.unwrap_or_default())))
    }

    fn no_calendar(self, kind: &str) -> Result<(), String> {
        let without = |field| Err(format!("{field}: {kind} has no windows"));
        match (self.time_zone, self.week_starts) {
            (Some(_), _) => without("time_zone"),
            (None, Some(_)) => without("week_starts"),
            (None, None) => Ok(()),
        }
    }
}

/// The calendar that a kind follows; `None` for ever.
pub(super) fn of(kind: &Kind) -> Option<Calendar> {
    match kind {
        Kind::Lifetime | Kind::Bucket(_) => None,
        Kind::Fixed(period) => Some(Calendar::new(*period, ZoneName::utc(), Weekday::Monday)),
        Kind::Local(calendar) => Some(calendar.clone()),
    }
}

/// The kind in a few words: `lifetime`, `day`, `week from sunday in Europe/Berlin`, `bucket that fills in a minute`.
pub(super) fn in_words(kind: &Kind) -> String {
    let calendar = match kind {
        Kind::Lifetime | Kind::Fixed(_) => return words::of_window(kind).unwrap_or_default().to_owned(),
        Kind::Bucket(_) => {
            return format!("bucket that fills in a {}", words::of_bucket(kind).unwrap_or_default());
        }
        Kind::Local(calendar) => calendar,
    };
    let (period, zone, first) =
        (words::of_period(calendar.period()), calendar.zone(), calendar.week_starts());
    if first == Weekday::default() {
        return format!("{period} in {zone}");
    }
    format!("{period} from {} in {zone}", words::of_weekday(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(
        window: Option<Period>,
        time_zone: Option<&str>,
        week_starts: Option<Weekday>,
    ) -> Result<Kind, String> {
        Written { window, time_zone, week_starts, ..Written::default() }.kind()
    }

    #[test]
    fn what_is_not_written_is_utc_and_weeks_from_monday() {
        assert_eq!(kind(None, None, None), Ok(Kind::Lifetime));
        assert_eq!(kind(Some(Period::Day), None, None), Ok(Kind::Fixed(Period::Day)));
        assert_eq!(
            kind(Some(Period::Week), Some("utc"), Some(Weekday::Monday)),
            Ok(Kind::Fixed(Period::Week))
        );
    }

    #[test]
    fn a_bucket_has_a_refill_and_nothing_else() {
        let bucket = Written { bucket: Some(Refill::Minute), ..Written::default() };
        assert_eq!(bucket.kind(), Ok(Kind::Bucket(Refill::Minute)));
        assert_eq!(in_words(&bucket.kind().unwrap()), "bucket that fills in a minute");
        let refused = |written: Written<'_>| written.kind().unwrap_err();
        assert_eq!(
            refused(Written { window: Some(Period::Day), ..bucket }),
            "bucket: a bucket has no window; give one of the two"
        );
        assert_eq!(
            refused(Written { time_zone: Some("UTC"), ..bucket }),
            "time_zone: a bucket has no windows"
        );
    }

    #[test]
    fn a_kind_is_told_in_words() {
        let told = |window, zone, week_starts| in_words(&kind(Some(window), zone, week_starts).unwrap());
        assert_eq!(in_words(&Kind::Lifetime), "lifetime");
        assert_eq!(told(Period::Day, None, None), "day");
        assert_eq!(told(Period::Day, Some("europe/berlin"), None), "day in Europe/Berlin");
        let sunday = Some(Weekday::Sunday);
        assert_eq!(
            told(Period::Week, Some("America/New_York"), sunday),
            "week from sunday in America/New_York"
        );
    }

    #[test]
    fn a_field_that_means_nothing_is_refused_by_name() {
        let refused = |window, zone, week_starts| kind(window, zone, week_starts).unwrap_err();
        let sunday = Some(Weekday::Sunday);
        assert_eq!(refused(None, Some("UTC"), None), "time_zone: a lifetime budget has no windows");
        assert_eq!(refused(None, None, sunday), "week_starts: a lifetime budget has no windows");
        assert_eq!(refused(Some(Period::Day), None, sunday), "week_starts: a window of a day has no week");
        let told = refused(Some(Period::Day), Some("Europe/Belin"), None);
        assert!(
            told.starts_with("time_zone: \"Europe/Belin\" is no time zone of the IANA database (20"),
            "{told}"
        );
    }
}
