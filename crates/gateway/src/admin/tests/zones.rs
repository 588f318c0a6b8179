//! Rules of time zones: who tells the ledger of them, and when.

use super::{Alone, NOW, StoppedClock, founded};
use crate::replica::Replica;
use crate::time_zones::{edition, named, refresh, tell};
use quorate_domain::{Calendar, LogTime, Offsets, Period, TimeZone, Weekday};
use quorate_ledger::{Command, Kind, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// A cluster that was told of Berlin by a program with this edition of the database, which knew nothing of summer time.
fn told_by(edition: &str) -> Arc<Alone> {
    let alone = founded(true);
    let (name, known_until) = (named("Europe/Berlin").unwrap(), LogTime::from_millis(u64::MAX));
    let zone = TimeZone { name, edition: edition.to_owned(), known_until, offsets: Offsets::UTC };
    assert_eq!(alone.ledger.write().apply(NOW, Command::PutTimeZone(zone)), Outcome::Done);
    Arc::new(alone)
}

/// Each zone the ledger knows, and by which edition.
fn known(replica: &Alone) -> Vec<(String, String)> {
    let ledger = replica.ledger.read();
    ledger.time_zones().map(|zone| (zone.name.to_string(), zone.edition.clone())).collect()
}

fn berlin_of(edition: &str) -> Vec<(String, String)> {
    vec![("Europe/Berlin".to_owned(), edition.to_owned())]
}

async fn start(replica: &Arc<Alone>) {
    let replica: Arc<dyn Replica> = Arc::<Alone>::clone(replica);
    refresh(replica, Arc::new(StoppedClock)).await;
}

#[tokio::test]
async fn a_node_that_starts_renews_the_rules_of_zones_in_use_and_tells_of_no_others() {
    let replica = told_by("2000a");
    start(&replica).await;
    assert_eq!(known(&replica), berlin_of(edition()));
}

#[tokio::test]
async fn a_node_with_an_older_database_leaves_the_rules_as_they_are() {
    let replica = told_by("2999z");
    start(&replica).await;
    assert_eq!(known(&replica), berlin_of("2999z"));
}

#[tokio::test]
async fn the_next_budget_in_a_zone_renews_its_rules() {
    let replica = told_by("2000a");
    let day_in = |zone| Kind::windowed(Calendar::new(Period::Day, named(zone).unwrap(), Weekday::Monday));
    tell(&*replica, &Kind::Fixed(Period::Day), NOW, Duration::ZERO).await.unwrap();
    assert_eq!(known(&replica), berlin_of("2000a"), "a budget in UTC needs no rules");
    tell(&*replica, &day_in("Europe/Berlin"), NOW, Duration::ZERO).await.unwrap();
    assert_eq!(known(&replica), berlin_of(edition()));
}

#[tokio::test]
async fn a_node_whose_clock_is_years_ahead_tells_the_rules_of_the_time_that_was_agreed_on() {
    let replica = told_by("2000a");
    let berlin = Kind::windowed(Calendar::new(Period::Day, named("Europe/Berlin").unwrap(), Weekday::Monday));
    let in_years = LogTime::from_millis(NOW.millis() + 20 * 365 * 86_400_000);
    tell(&*replica, &berlin, in_years, Duration::ZERO).await.unwrap();
    let by_a_wrong_clock = replica.ledger.read().time_zones().next().cloned();
    let right = told_by("2000a");
    tell(&*right, &berlin, NOW, Duration::ZERO).await.unwrap();
    assert_eq!(by_a_wrong_clock, right.ledger.read().time_zones().next().cloned());
}
