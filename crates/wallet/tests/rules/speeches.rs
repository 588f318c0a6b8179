//! What is said to the ledger, and when it is said again.

use crate::cluster::*;
use quorate_domain::{Amount, Period};
use quorate_ledger::{Command, Expected, Kind, PLACES_MAX, Sync, Urgency};

/// A budget of a hundred, all of which the other session has.
fn spent_out() -> Cluster {
    let mut cluster = Cluster::new(100, 100_000, Kind::Lifetime);
    cluster.other_asks(TEAM, 100);
    cluster
}

fn told(said: &Sync) -> Vec<u64> {
    said.asks.iter().flat_map(|ask| &ask.places).map(|place| place.id.get()).collect()
}

#[test]
fn places_that_were_told_are_not_told_again() {
    let mut cluster = spent_out();
    cluster.queue(&[TEAM], 10, at(1));
    assert_eq!(told(&cluster.talk(at(1)).unwrap()), [1]);
    assert!(cluster.talk(at(2)).is_none());
    cluster.queue(&[TEAM], 10, at(3));
    assert_eq!(told(&cluster.talk(at(3)).unwrap()), [1, 2], "what is said is the whole line");
    assert!(cluster.talk(at(4)).is_none());
}

#[test]
fn a_speech_of_which_nobody_knows_whether_it_was_heard_is_said_again() {
    for is_heard in [false, true] {
        let mut cluster = spent_out();
        cluster.queue(&[TEAM], 10, at(1));
        let speech = cluster.wallet.speech(&cluster.ledger, true, at(1)).unwrap();
        if is_heard {
            cluster.deliver(&speech);
        }
        cluster.wallet.unheard(&speech);
        let again = cluster.talk(at(2)).unwrap();
        assert_eq!((told(&again), again.sequence), (vec![1], speech.sync.sequence + 1));
        assert_eq!(cluster.shown(TEAM).line_length(), 1);
    }
}

#[test]
fn what_was_said_in_vain_is_taken_back_even_if_nobody_waits_any_more() {
    let mut cluster = spent_out();
    let id = cluster.queue(&[TEAM], 10, at(1));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(1)).unwrap();
    cluster.deliver(&speech);
    cluster.wallet.unheard(&speech);
    cluster.wallet.leave(id);
    let said = cluster.talk(at(2)).unwrap();
    assert_eq!((told(&said), said.asks.len()), (vec![], 1));
    assert_eq!(cluster.shown(TEAM).line_length(), 0);
}

#[test]
fn a_line_in_which_nobody_is_left_is_cleared_with_one_word() {
    let mut cluster = spent_out();
    let id = cluster.queue(&[TEAM], 10, at(1));
    cluster.talk(at(1)).unwrap();
    cluster.wallet.leave(id);
    let said = cluster.talk(at(2)).unwrap();
    assert_eq!((told(&said), said.asks.len()), (vec![], 1));
    assert_eq!(cluster.shown(TEAM).line_length(), 0);
    assert!(cluster.talk(at(3)).is_none());
}

#[test]
fn a_report_that_nobody_heard_is_made_again_and_one_that_was_heard_is_not() {
    let mut cluster = Cluster::new(1_000, 100_000, Kind::Lifetime);
    let _within = cluster.run(&[TEAM], 10, at(1)).settle(&cost(10));
    cluster.run_again();
    while cluster.wallet.speech(&cluster.ledger, false, at(1)).is_some() {
        cluster.talk(at(1)).unwrap();
    }
    let _within = cluster.wallet.reserve(&[TEAM], cost(5), at(2)).unwrap().settle(&cost(5));
    assert!(
        cluster.wallet.speech(&cluster.ledger, false, at(2)).is_none(),
        "a report can wait until it is due"
    );
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(2)).unwrap();
    cluster.wallet.unheard(&speech);
    assert_eq!(cluster.talk(at(3)).unwrap().reports[0].used, Amount::new(15));
    assert!(cluster.talk(at(4)).is_none());
}

#[test]
fn an_answer_to_a_round_is_given_again_until_it_was_heard() {
    let mut cluster = Cluster::new(1_000, 100_000, Kind::Lifetime);
    let reservation = cluster.run(&[TEAM], 10, at(1));
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    assert!(cluster.follow(at(2)));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(2)).unwrap();
    assert!(speech.sync.reports[0].heard.is_some());
    cluster.wallet.unheard(&speech);
    assert!(cluster.follow(at(3)));
    assert_eq!(cluster.talk(at(3)).unwrap().reports[0].heard, speech.sync.reports[0].heard);
    assert!(!cluster.follow(at(4)));
    drop(reservation);
}

#[test]
fn a_line_longer_than_the_ledger_takes_is_told_from_the_front_and_last_calls_first() {
    let mut cluster = spent_out();
    for _ in 0..PLACES_MAX + 5 {
        cluster.queue(&[TEAM], 10, at(1));
    }
    let hasty = cluster.wallet.queue([TEAM].into(), cost(10), at(1), at(1));
    let told = told(&cluster.talk(at(1)).unwrap());
    assert_eq!(told.len(), PLACES_MAX);
    assert_eq!(told[..3], [hasty.get(), 1, 2]);
}

#[test]
fn a_last_call_demands_proof_and_another_round_when_the_one_under_way_is_overdue() {
    let mut cluster = spent_out();
    cluster.wallet.queue([TEAM].into(), cost(10), at(1), at(10));
    assert_eq!(cluster.talk(at(1)).unwrap().asks[0].urgency, Urgency::CanWait);
    let said = cluster.talk(at(10)).unwrap();
    assert_eq!((said.asks[0].urgency, said.asks[0].places[0].is_last_call), (Urgency::Proof, true));
    let round = cluster.shown(TEAM).round().unwrap();
    assert!(cluster.talk(at(11)).is_none(), "its round is under way");
    assert!(cluster.talk(at(110)).is_none());
    assert_eq!(cluster.talk(at(111)).unwrap().asks[0].urgency, Urgency::Overdue(round));
    assert!(cluster.shown(TEAM).round().unwrap() > round);
    assert!(cluster.talk(at(112)).is_none());
}

#[test]
fn those_who_wait_when_a_window_is_over_are_told_to_the_next_one_at_once() {
    let mut cluster = Cluster::new(100, 0, Kind::Fixed(Period::Minute));
    cluster.other_asks(TEAM, 100);
    let id = cluster.queue(&[TEAM], 10, at(1));
    cluster.talk(at(1)).unwrap();
    let first = cluster.shown(TEAM).window().id;
    cluster.pass(60_000);
    // The first answer says that the window is over.
    assert_eq!(cluster.talk(at(60_001)).unwrap().asks[0].window, Some(first));
    let said = cluster.talk(at(60_002)).expect("nobody in line is known to the new window");
    assert_eq!((told(&said), said.asks[0].window), (vec![id.get()], None));
    assert_eq!(ids(&serve(&cluster.wallet, at(60_003))), [id]);
}

#[test]
fn a_budget_that_is_gone_limits_nobody_in_line() {
    let mut cluster = spent_out();
    let id = cluster.queue(&[TEAM], 10, at(1));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(1)).unwrap();
    let (budget, expected) = (TEAM.budget, Expected::Any);
    cluster.apply(Command::RemoveBudget { budget, expected });
    let answers = cluster.deliver(&speech);
    cluster.wallet.heard(&speech, &answers, at(1), at(2));
    cluster.follow(at(2));
    let served = cluster.wallet.serve(at(2));
    assert_eq!(ids(&served), [id]);
    assert!(served[0].1.is_empty());
}

#[test]
fn whoever_waits_for_a_budget_that_is_removed_waits_for_it_no_longer() {
    let mut cluster = spent_out();
    let id = cluster.queue(&[TEAM], 10, at(1));
    cluster.talk(at(1)).unwrap();
    assert_eq!(cluster.wallet.lacks(id), Some(TEAM.budget));
    cluster.apply(Command::RemoveBudget { budget: TEAM.budget, expected: Expected::Any });
    cluster.follow(at(2));
    assert_eq!(ids(&serve(&cluster.wallet, at(2))), [id]);
}

#[test]
fn more_than_there_is_is_not_asked_for_ahead_of_need_again_and_again() {
    let mut cluster = Cluster::new(100, 100_000, Kind::Lifetime);
    let reservation = cluster.run(&[TEAM], 10, at(1));
    let limit = 100 - cluster.pool(TEAM);
    cluster.limit(TEAM, limit);
    drop(reservation);
    let entries =
        (2..60).filter(|millis| cluster.talk(at(*millis)).is_some_and(|said| !said.asks.is_empty()));
    assert!(entries.count() <= 1, "the pool is empty, and nobody waits");
}

#[test]
fn a_budget_that_the_ledger_knows_no_more_lets_nobody_pass_before_this_nodes_replica_lacks_it_too() {
    let mut cluster = Cluster::new(100, 1_000, Kind::Lifetime);
    let behind = cluster.ledger.clone();
    let id = cluster.queue(&[TEAM], 10, at(1));
    let speech = cluster.wallet.speech(&behind, true, at(1)).unwrap();
    let (budget, expected) = (TEAM.budget, Expected::Any);
    cluster.apply(Command::RemoveBudget { budget, expected });
    let answers = cluster.deliver(&speech);
    cluster.wallet.heard(&speech, &answers, at(1), at(2));
    cluster.wallet.follow(&behind, at(2));
    assert_eq!(
        ids(&serve(&cluster.wallet, at(2))),
        [],
        "it would be let in again by the budget that is gone"
    );
    cluster.follow(at(3));
    assert_eq!(ids(&serve(&cluster.wallet, at(3))), [id]);
}
