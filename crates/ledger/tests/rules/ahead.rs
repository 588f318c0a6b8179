//! Grants of the next window: made shortly before it begins, part of it when it does, and never spent before.

use crate::script::*;
use quorate_domain::{Amount, LogTime, Period, SessionId, Span, WindowId};
use quorate_ledger::*;

const MINUTE: u64 = 60_000;
const NEXT: WindowId = WindowId::beginning(LogTime::from_millis(MINUTE));

/// A budget of 100 each minute, ten seconds before the second minute begins, and two sessions.
fn script() -> (Script, [SessionId; 2]) {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    script.at = MINUTE - 10_000;
    let sessions = [1, 2].map(|node| script.open(node, 1, fresh()));
    (script, sessions)
}

fn ahead(want: u64) -> Ask {
    Ask { window: Some(NEXT), want: Amount::new(want), ..waits(&[]) }
}

fn granted(answer: &Answer) -> u64 {
    let Answer::Holds { view, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(view.window.id, NEXT);
    view.granted.get()
}

fn next_of(script: &Script, session: SessionId) -> Holding {
    let account = script.ledger.budget(BUDGET).unwrap().account(NEXT).unwrap();
    account.holding(session).cloned().unwrap_or_default()
}

#[test]
fn the_next_window_is_granted_of_before_it_begins_and_is_as_empty_when_it_does() {
    let (mut script, [a, b]) = script();
    script.ask(a, 80, 0);
    let Answer::Holds { view, valid_for, .. } = script.say(a, ahead(40)) else { panic!() };
    assert_eq!((view.granted.get(), valid_for), (40, Span::from_millis(10_000 + MINUTE)));
    assert_eq!(script.shape(), (0, 80, 20), "the open window knows nothing of it");
    script.at = MINUTE;
    assert_eq!(granted(&script.ask(b, 60, 0)), 60);
    assert_eq!(script.shape(), (0, 100, 0), "nobody is granted twice, nor anything lost");
    let (mine, theirs) = (next_of(&script, a), next_of(&script, b));
    assert_eq!((mine.granted.get(), theirs.granted.get()), (40, 60));
}

#[test]
fn a_repeated_ask_ahead_is_granted_nothing_twice() {
    let (mut script, [a, _]) = script();
    assert_eq!(granted(&script.say(a, ahead(40))), 40);
    assert_eq!(granted(&script.say(a, ahead(40))), 40);
}

#[test]
fn a_window_that_is_far_away_is_not_granted_of() {
    let mut early = Script::with_budget(100, Kind::Fixed(Period::Minute));
    early.at = MINUTE - ASKED_AHEAD.millis() - 1;
    let session = early.open(1, 1, fresh());
    let told = early.say(session, ahead(40));
    assert!(matches!(told, Answer::WindowOver { current, .. } if current.id != NEXT), "{told:?}");
    let (mut script, [a, _]) = script();
    let after_next = WindowId::beginning(LogTime::from_millis(2 * MINUTE));
    let told = script.say(a, Ask { window: Some(after_next), ..ahead(40) });
    assert!(matches!(told, Answer::WindowOver { .. }), "{told:?}");
}

#[test]
fn a_report_alone_opens_a_window_that_was_granted_of_ahead() {
    let (mut script, [a, _]) = script();
    script.say(a, ahead(40));
    script.at = MINUTE + 5;
    script.sync(a, vec![spent(NEXT, 30, 0)], vec![]);
    assert_eq!(script.account().window().id, NEXT);
    assert_eq!(script.shape(), (30, 10, 60));
}

#[test]
fn a_node_that_dies_before_the_window_begins_has_spent_nothing_of_it_whatever_its_disk_says() {
    for evidence in [fresh(), Evidence::Lost] {
        let (mut script, [a, _]) = script();
        script.say(a, ahead(40));
        script.open(1, 2, evidence);
        script.at = MINUTE;
        let after = script.open(3, 1, fresh());
        assert_eq!(granted(&script.ask(after, 100, 0)), 100);
    }
}

#[test]
fn a_node_that_dies_after_it_has_begun_is_believed_no_more_than_of_any_window() {
    let (mut script, [a, b]) = script();
    script.say(a, ahead(40));
    script.at = MINUTE;
    script.open(1, 2, Evidence::Lost);
    script.say(b, waits(&[]));
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.window.id, report.in_doubt.get(), report.free.get()), (NEXT, 40, 60));
}

#[test]
fn a_limit_that_is_cut_holds_for_the_next_window_too_but_for_what_was_granted_already() {
    let (mut script, [a, b]) = script();
    script.say(a, ahead(50));
    script.put(30, Kind::Fixed(Period::Minute), Expected::Any);
    script.at = MINUTE;
    assert_eq!(granted(&script.ask(b, 1, 0)), 0);
    assert!(script.is_central(), "what is granted beyond it is called back");
    script.sync(a, vec![spent(NEXT, 0, 50)], vec![]);
    assert_eq!((script.granted(b), script.shape()), (1, (0, 1, 29)));
}
