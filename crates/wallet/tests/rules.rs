//! The rules of a wallet, one sentence and one short script each.

#![expect(clippy::unwrap_used, reason = "a test that finds something else has failed")]

use quorate_domain::{
    Amount, BudgetId, LogTime, MonoTime, NanoUsd, Period, SessionId, Span, Tokens, Unit, Window,
};
use quorate_wallet::*;
use std::sync::Arc;

const TEAM: Charge = Charge { budget: BudgetId::new(1), unit: Unit::Tokens };
const KEY: Charge = Charge { budget: BudgetId::new(2), unit: Unit::NanoUsd };

fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::new(tokens * 10) }
}

fn at(millis: u64) -> MonoTime {
    MonoTime::from_micros(millis * 1_000)
}

fn wallet() -> Wallet {
    Wallet::new(SessionId::new(7))
}

fn grant(wallet: &Wallet, charge: Charge, granted: u64) {
    let grant = Grant {
        budget: charge.budget,
        window: Window::LIFETIME,
        granted: Amount::new(granted),
        valid_for: Span::FOREVER,
        is_central: false,
    };
    wallet.learn(&grant, at(0), at(0));
}

/// What the flusher does: writes every mark that is wanted.
fn flush(wallet: &Wallet, now: MonoTime) -> usize {
    let marks = wallet.marks(now);
    wallet.journalled(&marks, now);
    marks.len()
}

fn free(wallet: &Wallet, charge: Charge) -> u64 {
    wallet.account(charge.budget).unwrap().free().get()
}

#[test]
fn nothing_is_spent_before_the_journal_holds_a_watermark_above_it() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    assert_eq!(wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err(), Withheld::Short(TEAM.budget));
    assert_eq!(flush(&wallet, at(1)), 1);
    let _none = wallet.reserve(&[TEAM], &cost(10), at(2)).unwrap().settle(&cost(4));
    assert_eq!(free(&wallet, TEAM), 96);
}

#[test]
fn a_path_is_reserved_in_full_or_not_at_all() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    grant(&wallet, KEY, 50);
    wallet.reserve(&[TEAM, KEY], &cost(9), at(1)).unwrap_err();
    flush(&wallet, at(1));
    assert_eq!(wallet.reserve(&[TEAM, KEY], &cost(9), at(1)).unwrap_err(), Withheld::Short(KEY.budget));
    assert_eq!((free(&wallet, TEAM), free(&wallet, KEY)), (100, 50));
    assert_eq!(wallet.account(TEAM.budget).unwrap().in_flight(), Amount::ZERO);
}

#[test]
fn a_reservation_that_is_dropped_is_charged_in_full() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    drop(wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap());
    assert_eq!(wallet.account(TEAM.budget).unwrap().standing().used, Amount::new(10));
}

#[test]
fn more_than_was_reserved_is_booked_as_overrun() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    let _overrun = wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap().settle(&cost(17));
    let standing = wallet.account(TEAM.budget).unwrap().standing();
    assert_eq!((standing.used.get(), standing.overrun.get()), (10, 7));
}

#[test]
fn overrun_is_durable_once_the_journal_holds_it_and_the_watermark_stays() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    let within = wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap().settle(&cost(10));
    assert!(within.is_durable());
    let overrun = wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap().settle(&cost(17));
    assert!(!overrun.is_durable());
    wallet.record(&overrun);
    let bound = wallet.account(TEAM.budget).unwrap().spent_bound();
    let marks = wallet.marks(at(1));
    let told: Vec<_> = marks.iter().map(|mark| (mark.settled.get(), mark.overrun.get())).collect();
    assert_eq!(told, [(20, 7)]);
    assert!(marks[0].spent_bound >= bound);
    wallet.journalled(&marks, at(1));
    assert!(overrun.is_durable());
}

#[test]
fn who_came_first_is_served_first_and_nobody_overtakes_the_line() {
    let wallet = wallet();
    let path: Arc<[Charge]> = [TEAM].into();
    let large = wallet.queue(path.clone(), cost(80), TEAM.budget);
    let small = wallet.queue(path, cost(10), TEAM.budget);
    grant(&wallet, TEAM, 50);
    flush(&wallet, at(1));
    assert!(wallet.serve(at(1)).is_empty());
    assert_eq!(wallet.reserve(&[TEAM], &cost(1), at(1)).unwrap_err(), Withheld::Short(TEAM.budget));
    grant(&wallet, TEAM, 100);
    flush(&wallet, at(2));
    let served: Vec<_> =
        wallet.serve(at(2)).into_iter().map(|(id, reservation)| (id, reservation.cancel()).0).collect();
    assert_eq!(served, [large, small]);
    wallet.reserve(&[TEAM], &cost(1), at(3)).unwrap().cancel();
}

#[test]
fn waiting_at_one_budget_holds_up_nobody_at_another() {
    let wallet = wallet();
    grant(&wallet, TEAM, 1_000);
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    wallet.queue([TEAM, KEY].into(), cost(10), KEY.budget);
    assert!(wallet.serve(at(1)).is_empty());
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap().cancel();
}

#[test]
fn wishes_are_targets_for_everyone_in_line_and_the_last_brings_a_reserve_for_later() {
    let wallet = wallet();
    grant(&wallet, TEAM, 10);
    wallet.queue([TEAM].into(), cost(20), TEAM.budget);
    wallet.queue([TEAM].into(), cost(30), TEAM.budget);
    let wants = wallet.wants(at(1));
    assert_eq!(wants.iter().map(|want| want.need.get()).collect::<Vec<_>>(), [20, 50]);
    assert!(wants[1].want > wants[1].need);
    assert_eq!(wants[0].window, Some(Window::LIFETIME.id));
}

#[test]
fn a_recalled_budget_returns_what_is_free_and_keeps_what_is_reserved() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    let reservation = wallet.reserve(&[TEAM], &cost(10), at(1)).unwrap();
    assert!(wallet.reports(at(1)).is_empty());
    assert!(wallet.recall(|budget| budget == TEAM.budget));
    let reports = wallet.reports(at(2));
    assert_eq!(reports[0].1, Standing { returned: Amount::new(90), ..Standing::default() });
    wallet.reported(&reports, at(2));
    assert!(wallet.reports(at(2)).is_empty());
    let _within = reservation.settle(&cost(4));
    assert_eq!(wallet.reports(at(3))[0].1.returned, Amount::new(96));
    assert_eq!(wallet.reports(at(3))[0].1.used, Amount::new(4));
}

#[test]
fn what_nobody_touches_for_long_is_returned() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    assert!(wallet.reports(at(59_000)).is_empty());
    assert_eq!(wallet.reports(at(60_000))[0].1.returned, Amount::new(100));
}

#[test]
fn a_grant_ends_with_its_window_and_late_settlements_are_reported_to_it() {
    let wallet = wallet();
    let first = Window::containing(Period::Minute, LogTime::from_millis(0));
    let base = Grant {
        budget: TEAM.budget,
        window: first,
        granted: Amount::new(100),
        valid_for: Span::from_millis(60_000),
        is_central: false,
    };
    wallet.learn(&base, at(500), at(510));
    wallet.reserve(&[TEAM], &cost(10), at(600)).unwrap_err();
    flush(&wallet, at(600));
    let late = wallet.reserve(&[TEAM], &cost(10), at(60_499)).unwrap();
    assert_eq!(wallet.reserve(&[TEAM], &cost(10), at(60_500)).unwrap_err(), Withheld::Short(TEAM.budget));
    assert!(wallet.wants(at(60_500)).is_empty());
    wallet.queue([TEAM].into(), cost(10), TEAM.budget);
    assert_eq!(wallet.wants(at(60_500))[0].window, Some(first.id));
    wallet.window_over(TEAM.budget);
    assert_eq!(wallet.wants(at(60_505))[0].window, None);
    let second = Window::containing(Period::Minute, LogTime::from_millis(60_000));
    wallet.learn(&Grant { window: second, granted: Amount::new(30), ..base }, at(60_510), at(60_520));
    let _within = late.settle(&cost(7));
    let reports = wallet.reports(at(60_600));
    assert_eq!(reports[0].0.window(), first);
    assert_eq!(
        reports[0].1,
        Standing { used: Amount::new(7), returned: Amount::new(93), overrun: Amount::ZERO }
    );
    assert!(wallet.settled_windows().is_empty());
    wallet.reported(&reports, at(60_700));
    assert_eq!(wallet.accounts().len(), 1);
    assert_eq!(wallet.settled_windows(), [(TEAM.budget, first.id)]);
    assert!(wallet.settled_windows().is_empty());
}

#[test]
fn a_fenced_wallet_reserves_nothing() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.fence();
    assert_eq!(wallet.reserve(&[TEAM], &cost(1), at(1)).unwrap_err(), Withheld::Fenced);
}

#[test]
fn a_window_that_is_over_here_but_not_for_the_ledger_is_not_spent_twice() {
    let wallet = wallet();
    let grant = |valid_for: u64| Grant {
        budget: TEAM.budget,
        window: Window::containing(Period::Minute, LogTime::from_millis(0)),
        granted: Amount::new(100),
        valid_for: Span::from_millis(valid_for),
        is_central: false,
    };
    wallet.learn(&grant(1_000), at(0), at(0));
    wallet.queue([TEAM].into(), cost(40), TEAM.budget);
    flush(&wallet, at(1));
    for (_, reservation) in wallet.serve(at(1)) {
        let _within = reservation.settle(&cost(40));
    }
    // This node's clock is ahead of the log.
    let waits = wallet.queue([TEAM].into(), cost(90), TEAM.budget);
    assert!(wallet.serve(at(1_000)).is_empty());
    assert!(!wallet.wants(at(1_000)).is_empty(), "the ledger is not asked whether the window is over");
    let reports = wallet.reports(at(1_000));
    wallet.reported(&reports, at(1_001));
    wallet.learn(&grant(500), at(1_000), at(1_001));
    flush(&wallet, at(1_001));
    let served: Vec<u64> = wallet.serve(at(1_002)).into_iter().map(|(id, _)| id).collect();
    assert!(!served.contains(&waits), "90 of 100 were reserved, although 40 are spent");
    assert_eq!(wallet.account(TEAM.budget).unwrap().standing().used, Amount::new(40));
}

#[test]
fn a_window_that_goes_on_for_the_ledger_goes_on_here() {
    let wallet = wallet();
    let grant = |valid_for: u64| Grant {
        budget: TEAM.budget,
        window: Window::containing(Period::Minute, LogTime::from_millis(0)),
        granted: Amount::new(100),
        valid_for: Span::from_millis(valid_for),
        is_central: false,
    };
    wallet.learn(&grant(1_000), at(0), at(0));
    let waits = wallet.queue([TEAM].into(), cost(40), TEAM.budget);
    flush(&wallet, at(1_000));
    assert!(wallet.serve(at(1_000)).is_empty());
    assert_eq!(wallet.wants(at(1_000))[0].need, Amount::new(40));
    wallet.learn(&grant(500), at(1_000), at(1_001));
    flush(&wallet, at(1_001));
    assert_eq!(wallet.serve(at(1_002)).first().map(|(id, _)| *id), Some(waits));
}
