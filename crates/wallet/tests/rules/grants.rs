//! Grants, watermarks, overrun and windows.

use crate::cluster::*;
use quorate_domain::{Amount, BudgetId, LogTime, MonoTime, Period, Round, SessionId, Span, Unit, Window};
use quorate_ledger::{Answer, Ledger, Place, View};
use quorate_wallet::*;

fn wallet() -> Wallet {
    Wallet::new(SessionId::new(7))
}

fn view(window: Window, granted: u64) -> View {
    View { window, version: 1, granted: Amount::new(granted), served: vec![], central: None }
}

/// What a ledger answers, whatever was asked.
fn hear(wallet: &Wallet, charge: Charge, view: &View, valid_for: Span, (sent, now): (MonoTime, MonoTime)) {
    let asks_for_it = wallet.queue([charge].into(), cost(1), sent, LATER);
    let speech = wallet.speech(&Ledger::default(), false, sent).unwrap();
    let (budget, view, proves_from) = (charge.budget, view.clone(), Round::new(1));
    wallet.heard(&speech, &[Answer::Holds { budget, view, valid_for, proves_from }], sent, now);
    wallet.leave(asks_for_it);
    if let Some(speech) = wallet.speech(&Ledger::default(), false, now) {
        wallet.heard(&speech, &[], now, now);
    }
}

fn grant(wallet: &Wallet, charge: Charge, granted: u64) {
    hear(wallet, charge, &view(Window::LIFETIME, granted), Span::FOREVER, (at(0), at(0)));
}

/// A wallet that holds a grant of a hundred, and a watermark for requests of ten.
fn wallet_with_hundred() -> Wallet {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    wallet.reserve(&[TEAM], cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    wallet
}

fn free(wallet: &Wallet, charge: Charge) -> u64 {
    wallet.account(charge.budget).unwrap().free().get()
}

fn statement(wallet: &Wallet, charge: Charge) -> Statement {
    wallet.account(charge.budget).unwrap().statement()
}

/// What is asked for at a budget: the needs of those in line, and what is welcome in all.
fn wishes(wallet: &Wallet, now: MonoTime) -> (Vec<u64>, u64) {
    let speech = wallet.speech(&Ledger::default(), false, now).unwrap();
    let ask = &speech.sync.asks[0];
    (ask.places.iter().map(|place: &Place| place.need.get()).collect(), ask.want.get())
}

#[test]
fn nothing_is_spent_before_the_journal_holds_a_watermark_above_it() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    assert_eq!(wallet.reserve(&[TEAM], cost(10), at(1)).unwrap_err(), Withheld::Short(TEAM.budget));
    assert_eq!(flush(&wallet, at(1)), 1);
    let _none = wallet.reserve(&[TEAM], cost(10), at(2)).unwrap().settle(&cost(4));
    assert_eq!(free(&wallet, TEAM), 96);
}

#[test]
fn a_path_is_reserved_in_full_or_not_at_all() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    grant(&wallet, KEY, 50);
    wallet.reserve(&[TEAM, KEY], cost(9), at(1)).unwrap_err();
    flush(&wallet, at(1));
    assert_eq!(wallet.reserve(&[TEAM, KEY], cost(9), at(1)).unwrap_err(), Withheld::Short(KEY.budget));
    assert_eq!((free(&wallet, TEAM), free(&wallet, KEY)), (100, 50));
    assert_eq!(wallet.account(TEAM.budget).unwrap().in_flight(), Amount::ZERO);
}

#[test]
fn a_reservation_that_is_dropped_is_charged_in_full() {
    let wallet = wallet_with_hundred();
    drop(wallet.reserve(&[TEAM], cost(10), at(1)).unwrap());
    assert_eq!(statement(&wallet, TEAM).used, Amount::new(10));
}

#[test]
fn permits_outlive_the_attempt_they_were_reserved_with_and_come_back_whole() {
    let wallet = wallet_with_hundred();
    let permits = Charge { budget: BudgetId::new(3), unit: Unit::Permits, ..TEAM };
    grant(&wallet, permits, 5);
    wallet.reserve(&[permits, TEAM], cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    let mut attempt = wallet.reserve(&[permits, TEAM], cost(10), at(1)).unwrap();
    let held = attempt.split_permits();
    drop(attempt);
    let in_flight = |charge: Charge| wallet.account(charge.budget).unwrap().in_flight().get();
    assert_eq!((in_flight(permits), in_flight(TEAM)), (1, 0));
    drop(held);
    assert_eq!((in_flight(permits), statement(&wallet, permits).used.get()), (0, 0));
}

#[test]
fn more_than_was_reserved_is_booked_as_overrun() {
    let wallet = wallet_with_hundred();
    let _overrun = wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().settle(&cost(17));
    let statement = statement(&wallet, TEAM);
    assert_eq!((statement.used.get(), statement.overrun.get()), (10, 7));
}

#[test]
fn overrun_is_durable_once_the_journal_holds_it_and_the_watermark_stays() {
    let wallet = wallet_with_hundred();
    let within = wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().settle(&cost(10));
    assert!(within.is_durable());
    let mut overrun = wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().settle(&cost(17));
    assert!(!overrun.is_durable());
    wallet.record_or_owe(&mut overrun);
    let bound = wallet.account(TEAM.budget).unwrap().spent_bound();
    let marks = wallet.marks(at(1));
    let told: Vec<_> = marks.lines.iter().map(|mark| (mark.settled.get(), mark.overrun.get())).collect();
    assert_eq!(told, [(20, 7)]);
    assert!(marks.lines[0].spent_bound >= bound);
    wallet.journalled(&marks, at(1));
    assert!(overrun.is_durable());
}

/// One more with every write of the journal: nobody waits for those who came later.
#[test]
fn nobody_waits_for_overrun_that_came_while_the_journal_was_written() {
    let wallet = wallet_with_hundred();
    let overrun = || {
        let mut overrun = wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().settle(&cost(17));
        wallet.record_or_owe(&mut overrun);
        overrun
    };
    let earlier = overrun();
    let marks = wallet.marks(at(1));
    let later = overrun();
    wallet.journalled(&marks, at(1));
    assert!(earlier.is_durable() && !later.is_durable());
    flush(&wallet, at(1));
    assert!(later.is_durable());
}

#[test]
fn who_came_first_is_served_first_and_nobody_overtakes_the_line() {
    let wallet = wallet();
    let large = wallet.queue([TEAM].into(), cost(80), at(0), LATER);
    let small = wallet.queue([TEAM].into(), cost(10), at(0), LATER);
    grant(&wallet, TEAM, 50);
    assert!(serve(&wallet, at(1)).is_empty());
    assert_eq!(wallet.reserve(&[TEAM], cost(1), at(1)).unwrap_err(), Withheld::Short(TEAM.budget));
    grant(&wallet, TEAM, 100);
    let served = serve(&wallet, at(2));
    assert_eq!(ids(&served), [large, small]);
    served.into_iter().for_each(|(_, reservation)| reservation.cancel());
    wallet.reserve(&[TEAM], cost(1), at(3)).unwrap().cancel();
}

#[test]
fn waiting_at_one_budget_holds_up_nobody_at_another() {
    let wallet = wallet();
    grant(&wallet, TEAM, 1_000);
    wallet.reserve(&[TEAM], cost(10), at(1)).unwrap_err();
    flush(&wallet, at(1));
    wallet.queue([KEY, TEAM].into(), cost(10), at(1), LATER);
    assert!(wallet.serve(at(1)).is_empty());
    wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().cancel();
}

#[test]
fn everyone_in_line_for_whom_the_grant_is_not_enough_is_asked_for_with_a_reserve_for_later() {
    let wallet = wallet();
    grant(&wallet, TEAM, 10);
    for tokens in [4, 20, 30] {
        wallet.queue([TEAM].into(), cost(tokens), at(1), LATER);
    }
    let (needs, want) = wishes(&wallet, at(1));
    assert_eq!(needs, [20, 30], "the first waits for the journal alone");
    assert!(want > 54);
}

#[test]
fn what_nobody_touches_for_long_is_returned() {
    let wallet = wallet();
    grant(&wallet, TEAM, 100);
    assert!(wallet.speech(&Ledger::default(), true, at(59_000)).is_none());
    let speech = wallet.speech(&Ledger::default(), true, at(60_000)).unwrap();
    assert_eq!(speech.sync.reports[0].returned, Amount::new(100));
}

#[test]
fn a_fenced_wallet_reserves_nothing() {
    let wallet = wallet_with_hundred();
    wallet.fence();
    assert_eq!(wallet.reserve(&[TEAM], cost(1), at(1)).unwrap_err(), Withheld::Fenced);
}

#[test]
fn a_grant_ends_with_its_window_and_late_settlements_are_reported_to_it() {
    let mut cluster = Cluster::new(1_000, 0, quorate_ledger::Kind::Fixed(Period::Minute));
    let late = cluster.run(&[TEAM], 10, at(500));
    cluster.run(&[TEAM], 10, at(500)).cancel();
    let first = cluster.account(TEAM).window();
    // Log time was at one millisecond when the window was asked for.
    cluster.wallet.reserve(&[TEAM], cost(1), at(60_498)).unwrap().cancel();
    assert!(cluster.wallet.reserve(&[TEAM], cost(1), at(60_499)).is_err());
    let waits = cluster.queue(&[TEAM], 10, at(60_499));
    cluster.pass(60_000);
    assert_eq!(
        cluster.talk(at(60_500)).unwrap().asks[0].window,
        Some(first.id),
        "nobody told it of another one yet"
    );
    assert_eq!(cluster.talk(at(60_505)).unwrap().asks[0].window, None);
    let served = serve(&cluster.wallet, at(60_510));
    assert_eq!(ids(&served), [waits]);
    let second = cluster.account(TEAM).window();
    assert!(second.id > first.id);
    let _within = late.settle(&cost(7));
    assert!(cluster.wallet.settled_windows().is_empty());
    let said = cluster.talk(at(60_600)).unwrap();
    let report = said.reports.iter().find(|report| report.window == first.id).unwrap();
    let granted = cluster.ledger.budget(TEAM.budget).unwrap().account(first.id).unwrap();
    assert_eq!((report.used.get(), granted.outstanding()), (7, Amount::ZERO));
    assert_eq!(cluster.wallet.accounts().len(), 1);
    assert_eq!(cluster.wallet.settled_windows(), [(TEAM.budget, first.id)]);
    assert!(cluster.wallet.settled_windows().is_empty());
}

fn first_minute() -> Window {
    Window::containing(Period::Minute, LogTime::from_millis(0))
}

#[test]
fn a_window_that_is_over_here_but_not_for_the_ledger_is_not_spent_twice() {
    let wallet = wallet();
    let view = view(first_minute(), 100);
    hear(&wallet, TEAM, &view, Span::from_millis(1_000), (at(0), at(0)));
    wallet.queue([TEAM].into(), cost(40), at(1), LATER);
    for (_, reservation) in serve(&wallet, at(1)) {
        let _within = reservation.settle(&cost(40));
    }
    // This node's clock is ahead of the log.
    let waits = wallet.queue([TEAM].into(), cost(90), at(1_000), LATER);
    assert!(wallet.serve(at(1_000)).is_empty());
    let speech = wallet.speech(&Ledger::default(), true, at(1_000)).unwrap();
    assert!(!speech.sync.asks.is_empty(), "the ledger is not asked whether the window is over");
    hear(&wallet, TEAM, &view, Span::from_millis(500), (at(1_000), at(1_001)));
    let served = serve(&wallet, at(1_002));
    assert!(!ids(&served).contains(&waits), "90 of 100 were reserved, although 40 are spent");
    assert_eq!(statement(&wallet, TEAM).used, Amount::new(40));
}

#[test]
fn a_window_that_goes_on_for_the_ledger_goes_on_here() {
    let wallet = wallet();
    let view = view(first_minute(), 100);
    hear(&wallet, TEAM, &view, Span::from_millis(1_000), (at(0), at(0)));
    let waits = wallet.queue([TEAM].into(), cost(40), at(1), LATER);
    assert!(serve(&wallet, at(1_000)).is_empty());
    assert_eq!(wishes(&wallet, at(1_000)).0, [40]);
    hear(&wallet, TEAM, &view, Span::from_millis(500), (at(1_000), at(1_001)));
    assert_eq!(ids(&serve(&wallet, at(1_002))), [waits]);
}
