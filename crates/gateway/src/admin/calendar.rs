//! When a budget starts anew, as people write it: a window, perhaps a time zone, and perhaps the day on which weeks begin.

use super::words;
use crate::time_zones;
use quorate_domain::{Calendar, Period, Weekday, ZoneName};
use quorate_ledger::Kind;

/// The fields as they were written; `window` is missing in a budget for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    window: Option<Period>,
    time_zone: Option<&'a str>,
    week_starts: Option<Weekday>,
}

impl<'a> Written<'a> {
    pub(super) const fn of(
        window: Option<Period>,
        time_zone: Option<&'a str>,
        week_starts: Option<Weekday>,
    ) -> Self {
        Self { window, time_zone, week_starts }
    }

    /// The kind they ask for.
    ///
    /// # Errors
    /// Says which field is wrong.
    pub(super) fn kind(self) -> Result<Kind, String> {
        let Some(period) = self.window else {
            return self.no_calendar().map(|()| Kind::Lifetime);
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

    fn no_calendar(self) -> Result<(), String> {
        let without = |field| Err(format!("{field}: a lifetime budget has no windows"));
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
        Kind::Lifetime => None,
        Kind::Fixed(period) => Some(Calendar::new(*period, ZoneName::utc(), Weekday::Monday)),
        Kind::Local(calendar) => Some(calendar.clone()),
    }
}

/// The kind in a few words: `lifetime`, `day`, `week from sunday in Europe/Berlin`.
pub(super) fn in_words(kind: &Kind) -> String {
    let Kind::Local(calendar) = kind else { return words::of_window(kind).to_owned() };
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
        Written::of(window, time_zone, week_starts).kind()
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
