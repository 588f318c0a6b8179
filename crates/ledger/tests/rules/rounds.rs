//! Rounds: what they prove, and about whom.

use crate::script::*;
use quorate_domain::{Amount, Round, SessionId};
use quorate_ledger::*;

/// A budget of a hundred in slices of 40, 40 and 20. The third session has spent its own and makes the first round
/// begin.
fn three_holders() -> (Script, [SessionId; 3]) {
    let (mut script, [a, b, c]) = Script::with_sessions(100);
    for (session, amount) in [(a, 40), (b, 40)] {
        script.say(session, Ask { want: Amount::new(amount), ..waits(&[]) });
        script.limit(400);
        script.say(session, Ask { want: Amount::new(amount), ..waits(&[]) });
        script.limit(100);
    }
    assert!(!script.is_central());
    script.say(c, demands(&[last_call(1, 20), last_call(2, 30)]));
    script.report(c, 20, 0);
    assert_eq!(script.shape(), (20, 80, 0));
    (script, [a, b, c])
}

#[test]
fn a_round_asks_everyone_who_holds_something_that_may_be_unreserved() {
    let (mut script, [a, b, c]) = three_holders();
    assert!(script.account().is_round_under_way());
    assert_eq!([a, b, c].map(|session| script.account().asks(session)), [true, true, false]);
    script.answer(a, 40, 0);
    let spell = |session| script.view(session).central.unwrap();
    assert!(!spell(a).is_asked && spell(b).is_asked);
    script.answer(b, 40, 0);
    assert_eq!(script.round(), Round::new(2), "it was called for before the first was over");
    assert!(!script.account().asks(a), "whoever has spent everything has nothing to give back");
}

#[test]
fn a_round_proves_nothing_about_a_session_that_had_not_heard_of_central_mode_before_it_began() {
    let (mut script, [a, b, _]) = three_holders();
    let first = script.round();
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    assert_eq!(script.tally(first), Some((20, vec![a, b])));
    let second = script.round();
    assert!(second > first);
    script.answer(a, 10, 0);
    assert_eq!(script.tally(second), Some((0, vec![b])));
    script.answer(b, 10, 0);
    assert_eq!(script.tally(second), Some((0, vec![])));
    assert_eq!(script.tally(first), Some((0, vec![])), "of an instant after the first round it is true too");
}

#[test]
fn once_everyone_has_heard_of_central_mode_one_round_is_enough() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    assert!(!script.account().is_round_under_way());
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    assert_eq!(script.tally(from), Some((0, vec![])));
}

#[test]
fn a_session_that_is_served_by_name_knows_of_central_mode_and_is_asked_all_the_same() {
    let (mut script, [a, b, c]) = three_holders();
    script.answer(a, 10, 30);
    assert_eq!((script.served(c), script.shape()), (vec![1, 2], (30, 70, 0)));
    script.answer(b, 40, 0);
    let second = script.round();
    assert!(!script.account().asks(a), "it has returned everything");
    assert!(script.account().asks(c));
    assert_eq!(script.tally(second), Some((0, vec![c])));
    script.answer(c, 20, 0);
    assert_eq!(script.tally(second), Some((0, vec![])));
}

#[test]
fn whoever_waits_learns_from_which_round_on_something_is_shown_about_it() {
    let (mut script, [_, _, c]) = three_holders();
    let under_way = script.round();
    let from = proves_from(&script.say(c, waits(&[last_call(2, 30), place(3, 1)])));
    assert!(
        from > under_way,
        "what the round under way collects may have been there before the request came"
    );
    assert_eq!(script.tally(from), None);
}

#[test]
fn an_answer_that_did_not_know_of_everything_that_was_granted_does_not_count() {
    let (mut script, [a, b, _]) = three_holders();
    let round = script.round();
    script.say(a, waits(&[last_call(1, 5)]));
    script.report(b, 10, 30);
    assert_eq!(script.granted(a), 40, "the 30 went to the one who came first");
    script.report(a, 0, 5);
    assert_eq!(script.granted(a), 45);
    let heard = |granted| Some(Heard { round, granted: Amount::new(granted) });
    let report = SpendingReport { heard: heard(40), ..script.spent(0, 5) };
    script.sync(a, vec![report], vec![]);
    assert!(script.account().asks(a));
    script.sync(a, vec![SpendingReport { heard: heard(45), ..report }], vec![]);
    assert!(!script.account().asks(a));
}

#[test]
fn an_answer_to_an_earlier_round_is_none_to_this_one() {
    let (mut script, [a, b, _]) = three_holders();
    let first = script.round();
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    let heard = Some(Heard { round: first, granted: Amount::new(40) });
    let report = SpendingReport { heard, ..script.spent(10, 0) };
    script.sync(a, vec![report], vec![]);
    assert!(script.account().asks(a));
}

#[test]
fn what_is_returned_up_to_the_answer_raises_the_tally_and_what_is_returned_later_was_reserved_then() {
    let (mut script, [a, b, _]) = three_holders();
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    let second = script.round();
    script.report(a, 10, 5);
    script.answer(a, 10, 7);
    script.report(a, 10, 12);
    script.answer(b, 10, 3);
    assert_eq!(script.tally(second), Some((10, vec![])));
    script.report(a, 10, 20);
    assert_eq!(
        script.tally(second),
        Some((10, vec![])),
        "what it has shown is true of an instant that is over"
    );
}

#[test]
fn a_session_that_dies_is_not_waited_for() {
    let (mut script, [a, b, _]) = three_holders();
    let first = script.round();
    script.answer(a, 40, 0);
    assert_eq!(script.round(), first);
    script.apply(Command::ExpireSession { session: b });
    assert!(script.round() > first, "it was called for before the first was over");
    assert!(!script.account().is_round_under_way());
}

#[test]
fn a_session_that_dies_during_a_round_leaves_its_tally_doubtful_and_the_next_one_clean() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    assert_eq!(script.round(), from);
    script.answer(a, 10, 0);
    script.apply(Command::ExpireSession { session: b });
    assert_eq!((script.round(), script.account().is_round_under_way()), (from, false));
    // What it held may have been unreserved when the round began.
    let doubtful: Vec<_> = script.account().shown_from(from).next().unwrap().doubtful().collect();
    assert_eq!(doubtful, [(b, Amount::new(30))]);
    assert_eq!(
        script.prospect(30, Some(from)),
        Prospect::Held { doubtful: Amount::new(30), lost: Amount::ZERO }
    );
    script.say(c, demands(&[last_call(3, 30)]));
    assert_eq!(script.round().get(), from.get() + 1);
    assert!(!script.account().asks(b));
    script.answer(a, 10, 0);
    assert_eq!(
        script.tally(from),
        Some((0, vec![])),
        "what a dead session holds is in doubt, not unreserved"
    );
    assert_eq!(
        script.prospect(30, Some(from)),
        Prospect::Held { doubtful: Amount::ZERO, lost: Amount::new(30) }
    );
}

#[test]
fn whom_a_round_has_denied_is_served_of_what_came_back_if_the_next_round_cannot_judge() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    script.say(c, demands(&[last_call(3, 30)]));
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    script.report(a, 10, 30);
    assert_eq!((script.served(c), script.shape().2), (vec![], 30), "it was denied, and is to be told so");
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    script.apply(Command::ExpireSession { session: b });
    assert_eq!(script.tally(from), Some((30, vec![b])));
    script.say(c, demands(&[last_call(3, 30)]));
    assert_eq!((script.served(c), script.shape().2), (vec![3], 0), "nobody can tell it any more");
}

#[test]
fn a_session_that_dies_after_its_answer_leaves_no_doubt() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    script.answer(a, 10, 0);
    script.apply(Command::ExpireSession { session: a });
    assert!(script.account().asks(b));
    script.answer(b, 10, 0);
    assert_eq!(script.tally(from), Some((0, vec![])));
}

#[test]
fn what_the_journal_of_a_session_that_died_gives_back_raises_the_tally_and_leaves_it_doubtful() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    script.answer(a, 10, 0);
    script.open(2, 2, Evidence::Intact { generation: 2, marks: vec![] });
    assert_eq!(script.tally(from), Some((30, vec![b])));
    assert_eq!(script.prospect(30, Some(from)), Prospect::Open);
}

#[test]
fn an_overdue_round_is_followed_by_another_one_in_which_the_silent_session_is_doubtful() {
    let (mut script, [a, b, c]) = three_holders();
    let first = script.round();
    script.answer(a, 10, 0);
    let overdue = |round| Ask { urgency: Urgency::Overdue(round), ..waits(&[last_call(2, 30)]) };
    script.say(c, overdue(Round::new(first.get() + 7)));
    assert_eq!(script.round(), first, "a round that is not under way cannot be overdue");
    script.say(c, overdue(first));
    let second = script.round();
    assert!(second > first);
    script.answer(a, 10, 0);
    assert!(script.account().asks(b));
    assert_eq!(script.tally(second), Some((0, vec![b])));
    script.say(c, overdue(first));
    assert_eq!(script.round(), second, "that one is over, and another one is on its way");
}

#[test]
fn nothing_is_granted_to_requests_of_a_session_that_kept_a_round_waiting_in_vain_until_it_speaks() {
    let (mut script, [a, b, c]) = three_holders();
    script.say(b, waits(&[place(1, 10)]));
    script.say(c, waits(&[last_call(2, 30), place(3, 10)]));
    let overdue = Ask { urgency: Urgency::Overdue(script.round()), ..waits(&[place(3, 10)]) };
    script.answer(a, 10, 0);
    script.say(c, overdue);
    script.answer(a, 10, 10);
    assert_eq!((script.served(b), script.served(c)), (vec![], vec![3]), "it came earlier, and is silent");
    script.answer(b, 0, 10);
    assert_eq!(script.served(b), [1], "it stands where it stood");
}

#[test]
fn requests_of_silent_sessions_keep_no_budget_in_central_mode() {
    let (mut script, [a, b, c]) = three_holders();
    script.say(b, waits(&[place(1, 10)]));
    script.say(c, Ask { urgency: Urgency::Overdue(script.round()), ..waits(&[last_call(4, 1)]) });
    assert!(script.account().central().unwrap().is_silent(b));
    script.limit(1_000);
    script.say(a, waits(&[place(2, 10)]));
    assert_eq!((script.is_central(), script.account().line_length()), (false, 0));
}

/// Both answer the round under way, and in the next one the first gives back twenty. Which round that was.
fn a_round_that_brings_twenty(script: &mut Script, [a, b]: [SessionId; 2]) -> Round {
    for session in [a, b] {
        script.answer(session, 10, 0);
    }
    let round = script.round();
    script.answer(a, 10, 20);
    script.answer(b, 10, 0);
    round
}

#[test]
fn a_request_that_is_too_large_leaves_all_of_it_to_the_next() {
    let (mut script, [a, b, c]) = three_holders();
    script.answer(a, 10, 0);
    script.answer(b, 10, 0);
    // The round under way began before the last of them came.
    script.say(c, demands(&[last_call(2, 30), last_call(3, 30)]));
    let round = a_round_that_brings_twenty(&mut script, [a, b]);
    let shown = script.account().shown_from(round).next().unwrap();
    assert_eq!(shown.at_most.get(), 20);
    let left = |session, id| shown.left_for(session, quorate_domain::PlaceId::new(id)).get();
    assert_eq!(left(a, 1), 20, "none of its own session stood before it");
    assert_eq!(left(c, 2), 20);
    assert_eq!(left(c, 3), 20, "the one before it needs more than there is, and takes nothing");
}

#[test]
fn what_those_before_it_take_is_not_left_for_a_request_and_one_that_is_too_large_takes_nothing() {
    let (mut script, [a, b, c]) = three_holders();
    let calls = [last_call(2, 100), last_call(3, 8), last_call(4, 8), last_call(5, 8), last_call(6, 8)];
    script.say(c, demands(&calls));
    let round = a_round_that_brings_twenty(&mut script, [a, b]);
    let shown = script.account().shown_from(round).next().unwrap();
    let left = |id| shown.left_for(c, quorate_domain::PlaceId::new(id)).get();
    assert_eq!(
        [2, 3, 4, 5, 6].map(left),
        [20, 20, 12, 7, 7],
        "where less than eight was there, it was seven at most"
    );
    assert_eq!(left(9), 7, "it was not mentioned, and stood behind those that were");
}

#[test]
fn a_round_that_counted_on_doubt_shows_nothing_once_the_doubt_was_taken_as_spent() {
    let (mut script, [a, b, c]) = three_holders();
    for _ in 0..2 {
        script.answer(a, 10, 0);
        script.answer(b, 10, 0);
    }
    script.apply(Command::ExpireSession { session: b });
    let from = proves_from(&script.say(c, demands(&[last_call(3, 30)])));
    script.answer(a, 10, 0);
    let lost = Amount::new(30);
    assert_eq!(script.prospect(30, Some(from)), Prospect::Held { doubtful: Amount::ZERO, lost });
    let (actor, reason) = ("ann".to_owned(), "the bill says so".to_owned());
    let window = script.account().window().id;
    let (budget, spent) = (BUDGET, Amount::new(40));
    script.apply(Command::Resolve(Resolve { session: b, budget, window, spent, actor, reason }));
    assert_eq!(script.prospect(30, Some(from)), Prospect::Open, "they may have been unreserved all the time");
}

#[test]
fn nothing_is_granted_to_who_has_left_by_the_message_that_brings_it_back() {
    let (mut script, [a, b]) = Script::with_sessions(10);
    script.ask(a, 10, 10);
    script.say(a, waits(&[last_call(2, 6)]));
    script.say(b, demands(&[last_call(1, 4)]));
    let heard = Heard { round: script.round(), granted: Amount::new(10) };
    let report = SpendingReport { heard: Some(heard), ..script.spent(0, 10) };
    script.sync(a, vec![report], vec![waits(&[])]);
    assert_eq!((script.served(a), script.served(b)), (vec![], vec![1]));
    assert_eq!(script.shape(), (0, 4, 6));
}
