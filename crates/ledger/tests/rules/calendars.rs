//! Budgets whose windows follow local clocks: what a change of clocks does, and a change of the rules for them.

use crate::script::*;
use quorate_domain::{
    Amount, BudgetId, Calendar, LogTime, Offsets, Period, Subject, TimeZone, Unit, UtcOffset, Weekday,
    Window, WindowId, ZoneName,
};
use quorate_ledger::*;

const HOUR: u64 = 3_600_000;
/// 2026-03-28T23:00Z: midnight in Berlin, from which the day is 23 hours long.
const MIDNIGHT: u64 = 1_774_738_800_000;
/// 2026-03-29T01:00Z.
const SUMMER: u64 = MIDNIGHT + 2 * HOUR;
const NEXT_MIDNIGHT: u64 = MIDNIGHT + 23 * HOUR;

fn berlin() -> ZoneName {
    ZoneName::parse("Europe/Berlin").unwrap()
}

fn daily() -> Kind {
    Kind::windowed(Calendar::new(Period::Day, berlin(), Weekday::Monday))
}

fn zone(edition: &str, offsets: Offsets) -> Command {
    let known_until = LogTime::from_millis(2_000_000_000_000);
    Command::PutTimeZone(TimeZone { name: berlin(), edition: edition.to_owned(), known_until, offsets })
}

const fn hours(hours: i32) -> UtcOffset {
    UtcOffset::from_seconds(hours * 3_600)
}

fn with_summer_time() -> Offsets {
    Offsets::new(hours(1), [(LogTime::from_millis(SUMMER), hours(2))])
}

/// A daily budget in Berlin, an hour before the midnight that begins the short day.
fn script() -> Script {
    let mut script = Script::empty(MIDNIGHT - HOUR, Unit::Tokens);
    assert_eq!(script.apply(zone("2026a", with_summer_time())), Outcome::Done);
    assert!(matches!(
        script.put(100, daily(), Expected::Absent),
        Outcome::BudgetStored { budget: BUDGET, .. }
    ));
    script
}

fn window(start: u64, end: u64) -> Window {
    Window { id: WindowId::beginning(LogTime::from_millis(start)), end: Some(LogTime::from_millis(end)) }
}

#[test]
fn a_day_of_23_hours_starts_the_budget_anew_after_them_and_late_spending_goes_to_its_own_day() {
    let mut script = script();
    let a = script.open(1, 1, fresh());
    script.at = MIDNIGHT;
    let Answer::Holds { view, valid_for, .. } = script.ask(a, 80, 80) else { panic!() };
    assert_eq!((view.window, valid_for.millis()), (window(MIDNIGHT, NEXT_MIDNIGHT), 23 * HOUR));
    script.at = NEXT_MIDNIGHT - 1;
    assert_eq!(granted(&script.ask(a, 20, 100)), 100);
    script.at = NEXT_MIDNIGHT;
    let over = script.say(a, Ask { window: Some(view.window.id), ..waits(&[place(1, 90)]) });
    assert_eq!(
        over,
        Answer::WindowOver { budget: BUDGET, current: window(NEXT_MIDNIGHT, NEXT_MIDNIGHT + 24 * HOUR) }
    );
    assert_eq!(granted(&script.ask(a, 90, 90)), 90);
    script.sync(a, vec![spent(view.window.id, 70, 10)], vec![]);
    assert_eq!(script.shape(), (0, 90, 10));
    assert_eq!(script.ledger.budget(BUDGET).unwrap().account(view.window.id).unwrap().used().get(), 70);
}

#[test]
fn other_rules_begin_where_the_open_window_ends_without_gap_or_overlap() {
    let mut script = script();
    let a = script.open(1, 1, fresh());
    script.at = MIDNIGHT;
    script.ask(a, 10, 10);
    // Summer time is given up: midnight is an hour later than was told.
    script.apply(zone("2026b", Offsets::new(hours(1), [])));
    assert_eq!(script.account().window(), window(MIDNIGHT, NEXT_MIDNIGHT));
    script.at = NEXT_MIDNIGHT;
    script.ask(a, 10, 10);
    assert_eq!(script.account().window(), window(NEXT_MIDNIGHT, NEXT_MIDNIGHT + HOUR));
    // And comes back: the day of now has begun an hour ago.
    script.apply(zone("2026c", with_summer_time()));
    script.at = NEXT_MIDNIGHT + HOUR;
    script.ask(a, 10, 10);
    assert_eq!(script.account().window(), window(NEXT_MIDNIGHT + HOUR, NEXT_MIDNIGHT + 24 * HOUR));
    script.at = NEXT_MIDNIGHT + 24 * HOUR;
    assert_eq!(
        script.ledger.report(BUDGET).unwrap().window,
        window(NEXT_MIDNIGHT + HOUR, NEXT_MIDNIGHT + 24 * HOUR)
    );
    script.apply(Command::Tick);
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!(report.window, window(NEXT_MIDNIGHT + 24 * HOUR, NEXT_MIDNIGHT + 48 * HOUR));
    assert_eq!(report.offset_at_end, hours(2));
}

#[test]
fn an_older_database_overrules_no_newer_one() {
    let mut script = script();
    script.apply(zone("2025z", Offsets::UTC));
    assert_eq!(script.ledger.time_zone(&berlin()).unwrap().edition, "2026a");
    assert_eq!(script.ledger.time_zones().count(), 1);
}

#[test]
fn a_budget_in_a_zone_that_nobody_told_of_is_refused_and_changes_nothing() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let before = script.ledger.clone();
    let refused = script.put(5, daily(), Expected::Absent);
    assert_eq!(refused, Outcome::Rejected(Rejection::UnknownTimeZone(berlin())));
    assert_eq!(script.ledger, before);
}

#[test]
fn the_same_windows_are_the_same_budget() {
    let utc = Kind::windowed(Calendar::new(Period::Day, ZoneName::utc(), Weekday::Sunday));
    assert_eq!(utc, Kind::Fixed(Period::Day));
    let mut script = Script::with_budget(100, utc);
    let again = script.put(5, Kind::Fixed(Period::Day), Expected::Absent);
    assert_eq!(again, Outcome::Rejected(Rejection::BudgetExists(BUDGET)));
    let sundays = Kind::windowed(Calendar::new(Period::Week, ZoneName::utc(), Weekday::Sunday));
    assert_ne!(sundays, Kind::Fixed(Period::Week));
}

#[test]
fn midnight_over_a_hundred_thousand_budgets_changes_none_of_them_until_somebody_asks() {
    let mut script = script();
    let a = script.open(1, 1, fresh());
    for user in 0..100_000_u64 {
        let subject = Subject::User(format!("user-{user}").parse().unwrap());
        let (limit, auto_resolve) = (Amount::new(100), AutoResolve::Never);
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: daily(),
            limit,
            auto_resolve,
            reserve: Reserve::Bound,
        };
        let put = Command::PutBudget(PutBudget { spec, expected: Expected::Absent });
        script.ledger.apply(LogTime::from_millis(script.at), put);
    }
    let at_first: Vec<_> = script.ledger.budgets().map(|(id, budget)| (id, budget.clone())).collect();
    assert_eq!(at_first.len(), 100_001);
    script.at = MIDNIGHT;
    script.ledger.apply(LogTime::from_millis(script.at), Command::Tick);
    let after_midnight = script.ledger.budgets().map(|(id, budget)| (id, budget.clone()));
    assert!(after_midnight.eq(at_first.iter().cloned()), "a tick rolls no window");

    // One entry may ask for many budgets: each is rolled then, and no other.
    let asks = (2..1_002).map(|id| Ask { budget: BudgetId::new(id), ..waits(&[]) }).collect();
    let Outcome::Synced { answers } = script.sync(a, vec![], asks) else { panic!() };
    assert_eq!(answers.len(), 1_000);
    let rolled = script.ledger.budgets().filter(|(_, budget)| budget.accounts().count() == 2);
    assert_eq!(rolled.map(|(id, _)| id.get()).collect::<Vec<_>>(), (2..1_002).collect::<Vec<_>>());
}
