//! What a request that waits may hope for.

use crate::script::*;
use quorate_domain::{Amount, PlaceId, SessionId};
use quorate_ledger::*;

/// A budget of a hundred: one session holds 60 in doubt of nothing yet, another 40.
fn two_holders() -> (Script, [SessionId; 3]) {
    let (mut script, [a, b, c]) = Script::with_sessions(100);
    script.limit(1_000);
    script.say(a, Ask { want: Amount::new(60), ..waits(&[]) });
    script.say(b, Ask { want: Amount::new(40), ..waits(&[]) });
    script.limit(100);
    (script, [a, b, c])
}

fn held(doubtful: u64) -> Prospect {
    Prospect::Held { doubtful: Amount::new(doubtful), lost: Amount::ZERO }
}

#[test]
fn a_request_larger_than_the_whole_budget_is_too_big() {
    let (script, _) = two_holders();
    assert_eq!(script.prospect(101, None), Prospect::TooBig);
    assert_eq!(script.prospect(100, None), Prospect::Open);
}

#[test]
fn a_budget_is_spent_when_not_even_all_returns_would_be_enough() {
    let (mut script, [a, b, _]) = two_holders();
    script.report(a, 50, 0);
    assert_eq!((script.prospect(51, None), script.prospect(50, None)), (Prospect::Spent, Prospect::Open));
    script.report(b, 0, 15);
    assert_eq!((script.prospect(51, None), script.prospect(50, None)), (Prospect::Spent, Prospect::Open));
    // What a dead session holds may come back; nobody else's return would be enough.
    script.apply(Command::ExpireSession { session: a });
    assert_eq!((script.prospect(51, None), script.prospect(50, None)), (Prospect::Spent, Prospect::InDoubt));
    assert_eq!((script.prospect(41, None), script.prospect(40, None)), (Prospect::InDoubt, Prospect::Open));
}

#[test]
fn without_a_round_that_shows_something_about_it_a_request_may_hope_for_what_others_hold() {
    let (mut script, [_, _, c]) = two_holders();
    let from = proves_from(&script.say(c, waits(&[place(1, 30)])));
    let none_yet = quorate_domain::Round::new(from.get() + 1);
    assert_eq!(script.prospect(30, None), Prospect::Open);
    assert_eq!(script.prospect(30, Some(none_yet)), Prospect::Open);
    assert_eq!(script.prospect(30, Some(from)), held(100));
}

#[test]
fn what_others_hold_is_in_doubt_until_they_have_answered_a_round_they_could_not_spend_in() {
    let (mut script, [a, b, c]) = two_holders();
    let from = proves_from(&script.say(c, demands(&[last_call(1, 30)])));
    script.answer(a, 5, 0);
    script.answer(b, 5, 0);
    assert_eq!(script.prospect(30, Some(from)), held(60 + 40), "what they held when the round began");
    script.answer(a, 5, 0);
    assert_eq!(script.prospect(30, Some(from)), held(35));
    script.answer(b, 5, 29);
    assert_eq!(script.prospect(30, Some(from)), held(0));
    assert_eq!(script.prospect(29, Some(from)), Prospect::Open);
}

#[test]
fn a_proof_is_about_the_window_it_was_collected_in() {
    let (mut script, [a, b, c]) = two_holders();
    let from = proves_from(&script.say(c, demands(&[last_call(1, 30)])));
    for _ in 0..2 {
        script.answer(a, 5, 0);
        script.answer(b, 5, 0);
    }
    let another = quorate_domain::WindowId::beginning(quorate_domain::LogTime::from_millis(60_000));
    let of = |window| {
        script
            .ledger
            .prospect(
                BUDGET,
                Amount::new(30),
                Patience::default(),
                Some(Standing { window, proves_from: from, session: SessionId::new(9), id: PlaceId::new(1) }),
            )
            .unwrap()
            .0
    };
    assert_eq!(of(quorate_domain::WindowId::LIFETIME), held(0));
    assert_eq!(of(another), Prospect::Open);
}

#[test]
fn of_a_budget_that_is_gone_nothing_is_said() {
    let (mut script, _) = two_holders();
    script.apply(Command::RemoveBudget { budget: BUDGET, expected: Expected::Any });
    assert_eq!(script.ledger.prospect(BUDGET, Amount::new(1), Patience::default(), None), None);
}

/// Rule (a) with a holder that was silent in the first round: it spent from its grant in the second, unseen, while what
/// another one had settled was on its way back. At every instant ten were unreserved.
#[test]
fn what_an_unaware_session_spent_during_a_round_is_no_proof() {
    let (mut script, [k, j, c]) = Script::with_sessions(1_000);
    script.say(k, Ask { want: Amount::new(10), ..waits(&[]) });
    script.limit(20);
    script.say(j, waits(&[place(1, 10)]));
    let from = proves_from(&script.say(c, demands(&[last_call(1, 10)])));
    let round = script.round();
    script.say(c, Ask { urgency: Urgency::Overdue(round), ..waits(&[last_call(1, 10)]) });
    let second = script.round();
    // The request of the second is under way when it answers, and settles for nothing later; its return is on its way.
    script.answer(j, 0, 0);
    // The third has not seen any of this, spends its ten, and only then hears of the round.
    script.answer(k, 10, 0);
    assert_ne!(script.prospect(10, Some(second)), held(0), "ten of twenty were unreserved all the time");
    assert_ne!(script.prospect(10, Some(from)), held(0));
}
