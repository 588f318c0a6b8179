//! Doubt: what dead sessions hold, and how it ends.

use crate::script::*;
use quorate_domain::{Amount, LogTime, NodeId, Period, Refill, SessionId, Span, Unit, WindowId};
use quorate_ledger::*;

const HOUR_MS: u64 = 3_600_000;

/// A budget for ever with this rule, and a session that was granted sixty of its hundred, said that it used ten, and died.
fn doubt(auto_resolve: AutoResolve) -> (Script, SessionId) {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    rule(&mut script, auto_resolve);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.report(a, 10, 0);
    script.at = HOUR_MS;
    script.apply(Command::ExpireSession { session: a });
    (script, a)
}

fn rule(script: &mut Script, auto_resolve: AutoResolve) {
    let spec = BudgetSpec { auto_resolve, ..script.ledger.budget(BUDGET).unwrap().spec().clone() };
    let put = Command::PutBudget(PutBudget { spec, expected: Expected::Any });
    assert!(matches!(script.apply(put), Outcome::BudgetStored { .. }));
}

/// What a leader does: lets time pass and proposes what is due. How much there was.
fn lead(script: &mut Script, at: u64) -> usize {
    script.at = at;
    script.apply(Command::Tick);
    let due: Vec<_> = script.ledger.due_resolutions().collect();
    for resolve in &due {
        assert_eq!(script.apply(Command::Resolve(resolve.clone())), Outcome::Done);
        let once = script.ledger.clone();
        assert_eq!(script.apply(Command::Resolve(resolve.clone())), Outcome::Done, "of another leader");
        assert_eq!(script.ledger, once);
    }
    due.len()
}

#[test]
fn doubt_says_who_holds_how_much_since_when_and_what_it_spent_at_least_and_at_most() {
    let (script, a) = doubt(AutoResolve::Never);
    let doubts: Vec<_> = script.ledger.doubts().collect();
    let [Doubt { budget: BUDGET, window: WindowId::LIFETIME, session, node, since, least, most, state }] =
        doubts[..]
    else {
        panic!("{doubts:?}")
    };
    assert_eq!(
        (session, node.get(), since, state),
        (a, 1, LogTime::from_millis(HOUR_MS), SessionState::InDoubt)
    );
    assert_eq!((least, most), (Amount::new(10), Amount::new(60)));
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.used.get(), report.in_doubt.get(), report.spent_at_most.get()), (10, 50, 60));
    let [holding] = report.holdings[..] else { panic!("{report:?}") };
    assert_eq!(
        (holding.state, holding.since, holding.spent_at_most.get()),
        (HolderState::InDoubt, since, 60)
    );
}

#[test]
fn doubt_is_resolved_by_no_rule_unless_the_budget_has_one() {
    let (mut script, _) = doubt(AutoResolve::Never);
    assert_eq!(lead(&mut script, 1_000 * HOUR_MS), 0);
    assert_eq!(script.shape(), (10, 50, 40));
}

#[test]
fn by_rule_doubt_is_taken_as_spent_when_its_time_has_come_and_once() {
    let after = Span::from_millis(24 * HOUR_MS);
    let (mut script, a) = doubt(AutoResolve::AsSpent { after });
    assert_eq!(lead(&mut script, 25 * HOUR_MS - 1), 0);
    assert_eq!(lead(&mut script, 25 * HOUR_MS), 1);
    assert_eq!(script.shape(), (60, 0, 40));
    assert_eq!(lead(&mut script, 100 * HOUR_MS), 0);
    let [done] = &script.ledger.resolutions(BUDGET)[..] else { panic!("one resolution") };
    assert_eq!((done.session, done.at, done.spent.get()), (a, LogTime::from_millis(25 * HOUR_MS), 60));
    assert_eq!((done.released, &*done.actor), (Amount::ZERO, "rule"));
    assert_eq!(done.reason, "auto_resolve as_spent after 86400000 ms");
    assert!(script.ledger.session(a).is_none(), "nothing is kept of it");
}

#[test]
fn by_the_dangerous_rule_what_was_not_reported_comes_back() {
    let after = Span::from_millis(HOUR_MS);
    let (mut script, _) = doubt(AutoResolve::AsReportedMayOverspend { after });
    assert_eq!(lead(&mut script, 2 * HOUR_MS), 1);
    assert_eq!(script.shape(), (10, 0, 90));
    let [done] = &script.ledger.resolutions(BUDGET)[..] else { panic!("one resolution") };
    assert_eq!((done.spent.get(), done.released.get()), (10, 50));
    assert_eq!(done.reason, "auto_resolve as_reported_may_overspend after 3600000 ms");
}

/// What the journal of the dead session's node says when the node is back.
fn journal(session: SessionId, overrun: u64) -> Evidence {
    let settled = Amount::new(30);
    let (budget, window, overrun) = (BUDGET, WindowId::LIFETIME, Amount::new(overrun));
    let mark = Mark { session, budget, window, spent_bound: settled, settled, overrun };
    Evidence::Intact { generation: 1, marks: vec![mark] }
}

fn overrun(script: &Script) -> u64 {
    script.account().overrun().get()
}

#[test]
fn what_went_beyond_grants_is_charged_when_the_journal_tells_of_it_though_doubt_has_ended() {
    let (mut script, a) = doubt(AutoResolve::AsSpent { after: Span::from_millis(0) });
    assert_eq!(lead(&mut script, HOUR_MS), 1);
    let Evidence::Intact { marks, .. } = journal(a, 25) else { unreachable!() };
    assert!(script.ledger.may_learn_from(NodeId::new(1), &marks[0]));
    script.open(1, 2, journal(a, 25));
    assert_eq!(
        (overrun(&script), script.shape()),
        (25, (60, 0, 15)),
        "of grants the resolution has the word"
    );
    assert!(!script.ledger.may_learn_from(NodeId::new(1), &marks[0]));
    script.open(1, 3, journal(a, 25));
    assert_eq!(overrun(&script), 25, "a node that died before it heard of its session tells it again");
}

#[test]
fn what_was_told_before_doubt_ended_is_not_charged_again() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    rule(&mut script, AutoResolve::AsSpent { after: Span::from_millis(0) });
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    let report = SpendingReport { overrun: Amount::new(5), ..script.spent(10, 0) };
    script.sync(a, vec![report], vec![]);
    script.apply(Command::ExpireSession { session: a });
    script.open(1, 2, journal(a, 8));
    assert_eq!(overrun(&script), 8);
    let at = script.at;
    assert_eq!(lead(&mut script, at), 1);
    script.open(1, 3, journal(a, 12));
    assert_eq!(overrun(&script), 12);
}

/// Bounded: nothing is kept of what can count no more.
#[test]
fn the_journal_is_waited_for_no_longer_than_its_budget_and_its_window_are_there() {
    let (mut script, a) = doubt(AutoResolve::AsSpent { after: Span::from_millis(0) });
    lead(&mut script, HOUR_MS);
    script.apply(Command::RemoveBudget { budget: BUDGET, expected: Expected::Any });
    let Evidence::Intact { marks, .. } = journal(a, 25) else { unreachable!() };
    assert!(!script.ledger.may_learn_from(NodeId::new(1), &marks[0]));

    let mut script = Script::with_budget(100, Kind::Fixed(Period::Hour));
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.apply(Command::ExpireSession { session: a });
    let window = script.account().window().id;
    let (actor, reason) = ("ann".to_owned(), "why".to_owned());
    let spent = Amount::new(60);
    script.apply(Command::Resolve(Resolve { session: a, budget: BUDGET, window, spent, actor, reason }));
    let mark = Mark { window, ..marks[0] };
    assert!(script.ledger.may_learn_from(NodeId::new(1), &mark));
    let b = script.open(2, 1, fresh());
    for hour in 1..=2 {
        script.at = hour * HOUR_MS;
        script.ask(b, 1, 0);
    }
    assert!(!script.ledger.may_learn_from(NodeId::new(1), &mark), "the window is forgotten");
}

/// A bucket that goes by estimates: what was used beyond them has to leak before anything is granted.
#[test]
fn a_debt_outlives_the_session_that_made_it() {
    let mut script = Script::with_budget(60, Kind::Bucket(Refill::Minute));
    let spec =
        BudgetSpec { reserve: Reserve::Estimate, ..script.ledger.budget(BUDGET).unwrap().spec().clone() };
    script.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
    let a = script.open(1, 1, fresh());
    script.ask(a, 30, 30);
    script.apply(Command::ExpireSession { session: a });
    let at = script.at + 60_000;
    assert_eq!(lead(&mut script, at), 1, "by rule, one refill later");
    script.at += 60_000;
    script.open(1, 2, journal(a, 100));
    let debt = |script: &Script| script.ledger.report(BUDGET).unwrap().debt().get();
    assert_eq!((debt(&script), script.shape().2), (40, 0));
    script.at += 40_000;
    script.apply(Command::Tick);
    assert_eq!(debt(&script), 0);
}

#[test]
fn a_rule_that_comes_later_counts_from_the_death_too() {
    let (mut script, _) = doubt(AutoResolve::Never);
    script.at = 10 * HOUR_MS;
    rule(&mut script, AutoResolve::AsSpent { after: Span::from_millis(HOUR_MS) });
    assert_eq!(lead(&mut script, 10 * HOUR_MS), 1);
}

#[test]
fn rules_are_for_what_is_spent_for_ever() {
    let auto_resolve = AutoResolve::AsSpent { after: Span::from_millis(0) };
    for (unit, kind) in [(Unit::Permits, Kind::Lifetime), (Unit::Tokens, Kind::Fixed(Period::Month))] {
        let mut script = Script::with_unit(100, unit, kind);
        rule(&mut script, auto_resolve);
        let a = script.open(1, 1, fresh());
        script.ask(a, 60, 60);
        script.apply(Command::ExpireSession { session: a });
        assert_eq!(lead(&mut script, 2_000), 0, "{unit}");
    }
}

#[test]
fn doubt_of_a_window_counts_for_nothing_once_the_window_is_over() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Hour));
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.apply(Command::ExpireSession { session: a });
    assert_eq!(script.ledger.doubts().count(), 1);
    script.at = HOUR_MS;
    script.apply(Command::Tick);
    assert_eq!((script.ledger.doubts().count(), script.shape()), (0, (0, 0, 100)));
    let [over] = &script.ledger.earlier_reports(BUDGET)[..] else { panic!("the window before is shown") };
    assert_eq!((over.in_doubt.get(), over.spent_at_most.get()), (60, 60));
    let (actor, reason) = ("ann".to_owned(), "late".to_owned());
    let (budget, window, spent) = (BUDGET, WindowId::beginning(LogTime::from_millis(0)), Amount::new(60));
    let late = Command::Resolve(Resolve { session: a, budget, window, spent, actor, reason });
    assert_eq!(script.apply(late), Outcome::Rejected(Rejection::NothingHeld(a)));
}

#[test]
fn a_session_that_died_with_everything_accounted_for_leaves_no_doubt() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    script.report(a, 20, 40);
    script.apply(Command::ExpireSession { session: a });
    assert_eq!((script.shape(), script.ledger.doubts().count()), ((20, 0, 80), 0));
    assert!(script.ledger.session(a).is_none());
}

#[test]
fn the_latest_resolutions_of_a_budget_are_kept_and_no_more() {
    let after = Span::from_millis(0);
    let (mut script, _) = doubt(AutoResolve::AsReportedMayOverspend { after });
    for node in 2..40 {
        let session = script.open(node, 1, fresh());
        script.ask(session, 5, 5);
        script.apply(Command::ExpireSession { session });
        lead(&mut script, HOUR_MS);
    }
    let kept: Vec<_> = script.ledger.resolutions(BUDGET).iter().map(|done| done.node.get()).collect();
    assert_eq!(kept, (24..40).rev().collect::<Vec<_>>());
}

#[test]
fn who_kept_a_round_waiting_in_vain_is_shown_as_silent() {
    let (mut script, [a, b]) = Script::with_sessions(100);
    script.ask(a, 90, 90);
    script.say(b, demands(&[place(1, 50)]));
    let overdue = Ask { urgency: Urgency::Overdue(script.round()), ..waits(&[place(1, 50)]) };
    script.say(b, overdue);
    let states: Vec<_> =
        script.ledger.report(BUDGET).unwrap().holdings.iter().map(|h| (h.session, h.state)).collect();
    assert_eq!(states[0], (a, HolderState::Silent));
}

#[test]
fn nothing_is_resolved_that_is_not_there() {
    let (mut script, a) = doubt(AutoResolve::Never);
    let resolve = |session, budget, window| {
        let (actor, reason) = ("ann".to_owned(), "why".to_owned());
        Command::Resolve(Resolve { session, budget, window, spent: Amount::new(10), actor, reason })
    };
    let other = quorate_domain::BudgetId::new(9);
    let refused = [
        (resolve(a, other, WindowId::LIFETIME), Rejection::UnknownBudget(other)),
        (
            resolve(SessionId::new(9), BUDGET, WindowId::LIFETIME),
            Rejection::UnknownSession(SessionId::new(9)),
        ),
        (resolve(a, BUDGET, WindowId::beginning(LogTime::from_millis(7))), Rejection::NothingHeld(a)),
    ];
    for (command, rejection) in refused {
        let before = script.ledger.clone();
        assert_eq!(script.apply(command), Outcome::Rejected(rejection));
        assert_eq!(script.ledger, before);
    }
}
