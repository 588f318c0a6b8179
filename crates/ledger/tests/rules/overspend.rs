//! What nodes spent without grants: it counts once, however often it is told, and from then on.

use crate::script::*;
use quorate_domain::{Amount, Period, Refill, SessionId};
use quorate_ledger::*;

fn told(total: u64) -> Overspent {
    Overspent { budget: BUDGET, total: Amount::new(total) }
}

fn tell(script: &mut Script, session: SessionId, total: u64) -> Outcome {
    let sequence = script.next_sequence(session);
    let overspent = vec![told(total)];
    script.apply(Command::Sync(Sync {
        session,
        sequence,
        generation: 0,
        reports: vec![],
        asks: vec![],
        overspent,
    }))
}

fn overspend(script: &Script) -> u64 {
    script.account().overspend().get()
}

#[test]
fn it_counts_once_however_often_and_late_it_is_told() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let [a, b] = [1, 2].map(|node| script.open(node, 1, fresh()));
    tell(&mut script, a, 10);
    tell(&mut script, a, 25);
    tell(&mut script, a, 10);
    tell(&mut script, b, 5);
    assert_eq!((overspend(&script), script.shape()), (30, (0, 0, 70)));
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.overspend, report.spent_at_most), (Amount::new(30), Amount::new(30)));
}

#[test]
fn it_is_counted_by_node_so_that_a_new_session_adds_only_what_is_new() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let first = script.open(1, 1, fresh());
    tell(&mut script, first, 10);
    let second = script.open(1, 2, fresh());
    assert_eq!(tell(&mut script, first, 90), Outcome::Fenced, "the new session tells it");
    tell(&mut script, second, 12);
    assert_eq!(overspend(&script), 12);
    let known: Vec<_> = script.ledger.overspent_by(quorate_domain::NodeId::new(1)).collect();
    assert_eq!(known, [told(12)]);
}

#[test]
fn what_is_held_beyond_what_is_left_is_called_back() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let [a, b] = [1, 2].map(|node| script.open(node, 1, fresh()));
    script.ask(a, 10, 50);
    assert!(!script.is_central());
    tell(&mut script, b, 90);
    assert!(script.is_central(), "a holds fifty of ten that are left");
    assert!(script.account().asks(a));
    script.answer(a, 10, 40);
    assert_eq!((overspend(&script), script.shape()), (90, (10, 0, 0)));
    assert_eq!(script.account().excess(Amount::new(100)), Amount::ZERO);
}

#[test]
fn it_counts_in_the_window_that_is_open_when_it_is_told() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let a = script.open(1, 1, fresh());
    script.ask(a, 10, 10);
    script.at = 200_000;
    tell(&mut script, a, 30);
    assert_eq!((overspend(&script), script.shape().2), (30, 70));
    script.at = 250_000;
    tell(&mut script, a, 30);
    script.ask(a, 1, 0);
    assert_eq!(overspend(&script), 0, "the next window owes nothing");
}

#[test]
fn of_a_bucket_it_leaks_as_what_is_spent_does() {
    let mut script = Script::with_budget(60, Kind::Bucket(Refill::Minute));
    let a = script.open(1, 1, fresh());
    tell(&mut script, a, 90);
    let free = |script: &Script| script.ledger.budget(BUDGET).unwrap().free_at(script.ledger.time()).get();
    assert_eq!(free(&script), 0);
    script.at = 31_000;
    script.apply(Command::Tick);
    assert_eq!(free(&script), 0, "thirty too many have leaked");
    script.at = 41_000;
    script.apply(Command::Tick);
    assert_eq!(free(&script), 10);
}

#[test]
fn of_a_budget_that_is_gone_nothing_counts_and_nothing_is_remembered() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    tell(&mut script, a, 10);
    script.apply(Command::RemoveBudget { budget: BUDGET, expected: Expected::Any });
    tell(&mut script, a, 20);
    assert_eq!(script.ledger.overspent_by(quorate_domain::NodeId::new(1)).count(), 0);
}
