//! Grants, reports, restarts and windows.

use crate::script::*;
use quorate_domain::{Amount, Period, SessionId, WindowId};
use quorate_ledger::*;

fn mark(session: SessionId, spent_bound: u64, settled: u64) -> Mark {
    Mark {
        session,
        budget: BUDGET,
        window: WindowId::LIFETIME,
        spent_bound: Amount::new(spent_bound),
        settled: Amount::new(settled),
        overrun: Amount::ZERO,
    }
}

fn journal(mark: Mark) -> Evidence {
    Evidence::Intact { generation: 2, marks: vec![mark] }
}

#[test]
fn a_need_is_granted_in_full_and_a_want_up_to_a_fair_share() {
    let (mut script, [a, b]) = Script::with_sessions(1_000);
    assert_eq!(granted(&script.ask(a, 10, 10_000)), 10 + 500);
    assert_eq!(granted(&script.ask(b, 10, 10_000)), 10 + 122);
    assert_eq!(script.shape(), (0, 642, 358));
}

#[test]
fn needs_and_a_want_together_never_exceed_the_pool() {
    let (mut script, [a]) = Script::with_sessions(100);
    let places = [place(1, 25), place(2, 25), place(3, 25), place(4, 25)];
    script.say(a, Ask { want: Amount::new(1_000), ..waits(&places) });
    assert_eq!(script.shape(), (0, 100, 0));
    assert_eq!(script.ledger.report(BUDGET).unwrap().excess, Amount::ZERO);
}

#[test]
fn asking_twice_for_the_same_target_grants_nothing_twice() {
    let (mut script, [a]) = Script::with_sessions(1_000);
    let ask = Ask { want: Amount::new(100), ..waits(&[place(1, 10)]) };
    assert_eq!(granted(&script.say(a, ask.clone())), 100);
    assert_eq!(granted(&script.say(a, ask)), 100);
    assert_eq!(script.shape(), (0, 100, 900));
}

#[test]
fn a_need_beyond_the_pool_grants_nothing_and_says_where_the_budget_is() {
    let (mut script, [a, b]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.report(a, 20, 0);
    assert_eq!(granted(&script.ask(b, 50, 50)), 0);
    let (_, short) = script.ledger.prospect(BUDGET, Amount::new(50), Patience::default(), None).unwrap();
    let (limit, free, held) = (Amount::new(100), Amount::new(40), Amount::new(40));
    let none = Amount::ZERO;
    assert_eq!(
        short,
        Shortage { limit, free, held, in_doubt: none, owed: none, coming: none, refills_in: None }
    );
    assert!(script.is_central());
    assert_eq!(script.shape(), (20, 40, 40));
}

#[test]
fn an_old_copy_of_a_report_changes_nothing() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.report(a, 30, 20);
    script.report(a, 10, 0);
    assert_eq!(script.shape(), (30, 10, 60));
}

#[test]
fn a_session_that_reports_more_than_it_was_granted_is_frozen() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    assert!(matches!(script.report(a, 40, 21), Outcome::Rejected(Rejection::Inconsistent { .. })));
    assert_eq!(script.report(a, 40, 0), Outcome::Fenced);
    assert_eq!(script.shape(), (0, 60, 40));
}

#[test]
fn a_restart_is_charged_up_to_its_watermark_and_the_rest_returns_to_the_pool() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.report(a, 10, 5);
    let b = script.open(1, 2, journal(mark(a, 25, 15)));
    assert!(b > a);
    // (G4): what lay between the settlements and the watermark is lost to the budget, and nothing more.
    assert_eq!(script.shape(), (25, 0, 75));
    assert_eq!(script.ledger.report(BUDGET).unwrap().crash_charged.get(), 10);
    assert_eq!(script.report(a, 60, 0), Outcome::Fenced);
}

#[test]
fn a_watermark_above_what_is_left_of_the_grant_is_held_to_it() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.report(a, 10, 40);
    script.open(1, 2, journal(mark(a, 50, 50)));
    assert_eq!(script.shape(), (20, 0, 80));
}

#[test]
fn overrun_that_only_the_journal_of_a_dead_node_knows_is_counted_once() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    let report = SpendingReport { overrun: Amount::new(5), ..script.spent(20, 0) };
    script.sync(a, vec![report], vec![]);
    script.open(1, 2, journal(Mark { overrun: Amount::new(12), ..mark(a, 20, 20) }));
    assert_eq!(script.shape(), (20, 0, 68));
    assert_eq!(script.ledger.report(BUDGET).unwrap().overrun.get(), 12);
}

#[test]
fn a_retried_opening_is_the_same_session() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 7, fresh());
    assert_eq!(script.open(1, 7, fresh()), a);
}

#[test]
fn a_journal_is_believed_that_has_come_as_far_as_the_ledger_has_heard() {
    for (heard, is_believed) in [(2, true), (3, false)] {
        let (mut script, [a]) = Script::with_sessions(100);
        script.ask(a, 60, 60);
        script.journal = heard;
        script.report(a, 10, 0);
        script.open(1, 2, journal(mark(a, 30, 10)));
        assert_eq!(script.shape(), if is_believed { (30, 0, 70) } else { (10, 50, 40) });
    }
}

#[test]
fn a_lost_or_rolled_back_journal_leaves_its_grants_in_doubt_until_they_are_resolved() {
    for evidence in [Evidence::Lost, fresh()] {
        let (mut script, [a]) = Script::with_sessions(100);
        script.journal = 2;
        script.ask(a, 60, 60);
        script.report(a, 10, 0);
        let b = script.open(1, 2, evidence);
        assert_eq!(script.shape(), (10, 50, 40));
        let (_, short) = script.ledger.prospect(BUDGET, Amount::new(50), Patience::default(), None).unwrap();
        assert_eq!((short.held, short.in_doubt), (Amount::ZERO, Amount::new(50)));
        let resolve = |session, spent| {
            let (actor, reason) = ("ann".to_owned(), "bill checked".to_owned());
            let (budget, window, spent) = (BUDGET, WindowId::LIFETIME, Amount::new(spent));
            Command::Resolve(Resolve { session, budget, window, spent, actor, reason })
        };
        assert_eq!(script.apply(resolve(b, 0)), Outcome::Rejected(Rejection::SessionAlive(b)));
        for spent in [9, 61] {
            let (least, most) = (Amount::new(10), Amount::new(60));
            let refused = Rejection::SpentOutOfRange { session: a, least, most };
            assert_eq!(script.apply(resolve(a, spent)), Outcome::Rejected(refused));
        }
        assert_eq!(script.apply(resolve(a, 35)), Outcome::Done);
        assert_eq!(script.shape(), (35, 0, 65));
        let resolved = script.ledger.clone();
        assert_eq!(script.apply(resolve(a, 35)), Outcome::Done, "a retry");
        assert_eq!(script.ledger, resolved);
        assert_eq!(script.apply(resolve(a, 36)), Outcome::Rejected(Rejection::UnknownSession(a)));
    }
}

#[test]
fn a_session_closes_only_when_it_holds_nothing() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    assert_eq!(
        script.apply(Command::CloseSession { session: a }),
        Outcome::Rejected(Rejection::StillHolding(a))
    );
    script.report(a, 40, 20);
    assert_eq!(script.apply(Command::CloseSession { session: a }), Outcome::Done);
    assert_eq!(script.shape(), (40, 0, 60));
    assert_eq!(script.ledger.sessions().count(), 0);
}

#[test]
fn an_expired_session_stays_counted_as_spent() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.apply(Command::ExpireSession { session: a });
    assert_eq!(script.shape(), (0, 60, 40));
    assert_eq!(script.report(a, 1, 0), Outcome::Fenced);
}

#[test]
fn a_window_starts_anew_by_log_time_and_late_spending_is_charged_to_its_own_window() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let a = script.open(1, 1, fresh());
    let Answer::Holds { view, valid_for, .. } = script.ask(a, 80, 80) else { panic!() };
    let first = view.window.id;
    assert_eq!(valid_for.millis(), 59_000);
    script.at = 60_000;
    let over = script.say(a, Ask { window: Some(first), ..waits(&[place(1, 90)]) });
    assert!(matches!(over, Answer::WindowOver { current, .. } if current.id != first));
    assert_eq!(granted(&script.ask(a, 90, 90)), 90);
    script.sync(a, vec![spent(first, 70, 10)], vec![]);
    assert_eq!(script.shape(), (0, 90, 10));
    assert_eq!(script.ledger.budget(BUDGET).unwrap().account(first).unwrap().used().get(), 70);
}

#[test]
fn finished_windows_are_forgotten_once_they_are_settled() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let (a, b) = (script.open(1, 1, fresh()), script.open(2, 1, fresh()));
    script.ask(a, 10, 10);
    for minute in 1..100 {
        script.at = minute * 60_000;
        script.say(b, waits(&[]));
    }
    // The first window is still kept, because ten tokens of it are outstanding; then the latest two.
    assert_eq!(script.ledger.budget(BUDGET).unwrap().accounts().count(), 3);
    script.apply(Command::ExpireSession { session: a });
    script.say(b, waits(&[]));
    assert_eq!(script.ledger.budget(BUDGET).unwrap().accounts().count(), 2, "doubt dies with its window");
    assert!(script.ledger.session(a).is_none());
}

#[test]
fn a_report_shows_the_window_of_now_even_if_nobody_asked_for_any_of_it_yet() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let a = script.open(1, 1, fresh());
    script.ask(a, 80, 80);
    script.at = 60_000;
    script.apply(Command::Tick);
    assert_eq!(script.shape(), (0, 0, 100));
}

#[test]
fn a_limit_cut_below_the_grants_shows_as_excess_and_grants_nothing_more() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 80, 80);
    script.limit(50);
    assert_eq!(script.ledger.report(BUDGET).unwrap().excess.get(), 30);
    assert_eq!(granted(&script.ask(a, 1, 1)), 80);
    assert_eq!(script.shape(), (0, 80, 0));
}

#[test]
fn two_writers_of_one_budget_cannot_overwrite_each_other_unseen() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    assert_eq!(
        script.put(5, Kind::Lifetime, Expected::Absent),
        Outcome::Rejected(Rejection::BudgetExists(BUDGET))
    );
    let seen = script.ledger.budget(BUDGET).unwrap().revision();
    assert!(matches!(script.put(5, Kind::Lifetime, Expected::Revision(seen)), Outcome::BudgetStored { .. }));
    let again = script.put(6, Kind::Lifetime, Expected::Revision(seen));
    assert!(matches!(again, Outcome::Rejected(Rejection::RevisionMismatch { .. })));
}

#[test]
fn a_provider_that_bills_beyond_the_reservation_is_charged_to_the_budget() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    let report = SpendingReport { overrun: Amount::new(15), ..script.spent(60, 0) };
    script.sync(a, vec![report, report], vec![]);
    assert_eq!(script.shape(), (60, 0, 25));
    assert_eq!(script.ledger.report(BUDGET).unwrap().overrun.get(), 15);
}
