//! Central mode: when it begins and ends, and who is served when.

use crate::script::*;
use quorate_domain::{Amount, Period, PlaceId};
use quorate_ledger::*;

/// A budget of a hundred that one session holds all of, so that the others wait.
fn spent_out<const N: usize>() -> (Script, [quorate_domain::SessionId; N]) {
    let (mut script, sessions) = Script::with_sessions::<N>(100);
    script.ask(sessions[0], 100, 100);
    (script, sessions)
}

#[test]
fn central_mode_begins_when_the_fair_share_covers_fewer_than_two_requests() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.say(a, waits(&[place(1, 25)]));
    assert!(!script.is_central());
    // Of the 75 that are left, 37 are fair.
    script.say(a, waits(&[place(2, 19)]));
    assert!(script.is_central());
    assert_eq!(script.shape(), (0, 44, 56));
}

#[test]
fn central_mode_begins_when_the_pool_cannot_meet_an_ask_and_serves_whom_it_can() {
    let (mut script, [a]) = Script::with_sessions(100);
    let places: Vec<_> = (1..=6).map(|id| place(id, 20)).collect();
    script.say(a, waits(&places));
    assert!(script.is_central());
    assert_eq!(script.served(a), [1, 2, 3, 4, 5]);
    assert_eq!(script.account().line_length(), 1);
}

#[test]
fn in_central_mode_a_session_is_granted_what_its_requests_need_and_nothing_beyond() {
    let (mut script, [a]) = Script::with_sessions(100);
    assert_eq!(granted(&script.ask(a, 30, 1_000)), 30);
    assert!(script.is_central());
}

#[test]
fn what_comes_back_serves_the_line_first_come_first_served_over_all_sessions() {
    let (mut script, [a, b, c]) = spent_out();
    script.say(b, waits(&[place(1, 40)]));
    script.say(c, waits(&[place(1, 10)]));
    script.say(b, waits(&[place(1, 40), place(2, 10)]));
    script.report(a, 0, 30);
    assert_eq!((script.granted(b), script.granted(c)), (0, 0), "nobody overtakes the first in line");
    script.report(a, 0, 50);
    assert_eq!((script.granted(b), script.granted(c)), (40, 10));
    script.report(a, 0, 60);
    assert_eq!((script.served(b), script.served(c)), (vec![1, 2], vec![1]));
}

#[test]
fn a_last_call_goes_first() {
    let (mut script, [a, b, c]) = spent_out();
    script.say(b, waits(&[place(1, 40), place(2, 20)]));
    script.say(c, waits(&[last_call(1, 30)]));
    script.report(a, 0, 35);
    assert_eq!((script.served(b), script.served(c)), (vec![], vec![1]));
    script.say(b, waits(&[place(1, 40), last_call(2, 20)]));
    script.report(a, 0, 50);
    assert_eq!(script.served(b), [2]);
}

#[test]
fn an_old_message_is_heard_for_its_reports_and_for_nothing_else() {
    let (mut script, [a, b]) = spent_out();
    let old = script.next_sequence(a);
    script.say(b, demands(&[last_call(1, 10)]));
    script.say(a, waits(&[place(7, 10)]));
    let heard = Some(Heard { round: script.round(), granted: Amount::new(100) });
    assert!(script.account().asks(a));
    let report = SpendingReport { heard, ..script.spent(30, 5) };
    let asks = vec![waits(&[place(8, 1), place(9, 1)])];
    script.apply(Command::Sync(Sync {
        session: a,
        sequence: old,
        generation: 0,
        reports: vec![report],
        asks,
        overspent: vec![],
    }));
    assert_eq!(script.shape(), (30, 65, 5));
    assert!(script.account().asks(a), "something may have been granted since it answered");
    assert_eq!(script.account().line_length(), 2);
}

#[test]
fn a_served_request_that_is_mentioned_again_is_not_granted_twice() {
    for limit in [1_000, 15] {
        let (mut script, [a]) = Script::with_sessions(limit);
        for places in [&[place(1, 10)][..], &[place(1, 10)], &[place(1, 10), place(2, 5)]] {
            script.say(a, waits(places));
        }
        assert_eq!((script.granted(a), script.served(a)), (15, vec![1, 2]));
        assert_eq!(script.is_central(), limit == 15);
    }
}

#[test]
fn a_repeated_message_asks_for_nothing_twice() {
    let (mut script, [a]) = Script::with_sessions(1_000);
    let sequence = script.next_sequence(a);
    let asks = vec![Ask { want: Amount::new(300), ..waits(&[place(1, 10)]) }];
    let sync =
        Command::Sync(Sync { session: a, sequence, generation: 0, reports: vec![], asks, overspent: vec![] });
    let first = granted(&answer(script.apply(sync.clone())));
    assert_eq!(granted(&answer(script.apply(sync))), first);
}

#[test]
fn a_request_that_is_not_mentioned_any_more_leaves_the_line_and_keeps_nobody_waiting() {
    let (mut script, [a, b, c]) = spent_out();
    script.say(b, waits(&[place(1, 50)]));
    script.say(c, waits(&[place(1, 10)]));
    script.report(a, 0, 20);
    assert_eq!(script.granted(c), 0);
    script.say(b, waits(&[]));
    assert_eq!((script.granted(b), script.granted(c)), (0, 10));
}

#[test]
fn the_line_of_a_dead_session_is_gone() {
    let (mut script, [a, b, c]) = spent_out();
    script.say(b, waits(&[place(1, 50)]));
    script.say(c, waits(&[place(1, 10)]));
    script.report(a, 0, 20);
    script.apply(Command::ExpireSession { session: b });
    assert_eq!((script.granted(b), script.granted(c)), (0, 10));
}

#[test]
fn a_raised_limit_serves_the_line() {
    let (mut script, [_, b]) = spent_out();
    script.say(b, waits(&[place(1, 40)]));
    script.limit(139);
    assert_eq!(script.granted(b), 0);
    script.limit(140);
    assert_eq!(script.served(b), [1]);
    assert_eq!(script.shape(), (0, 140, 0));
}

#[test]
fn near_exhaustion_the_budget_is_handed_out_request_by_request_and_a_raised_limit_ends_that() {
    let (mut script, [a]) = Script::with_sessions(100);
    assert_eq!(granted(&script.ask(a, 30, 1_000)), 30);
    assert!(script.is_central());
    script.limit(10_000);
    assert!(granted(&script.ask(a, 60, 1_000)) > 90);
    assert!(!script.is_central());
}

#[test]
fn it_goes_back_to_grants_when_the_fair_share_covers_four_requests_of_those_that_come() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.say(a, waits(&[place(1, 30)]));
    script.report(a, 0, 30);
    script.limit(239);
    script.say(a, waits(&[place(2, 30)]));
    assert!(script.is_central(), "119 of 239 are fair, and four requests need 120");
    script.report(a, 0, 60);
    script.limit(240);
    script.say(a, waits(&[place(3, 30)]));
    assert!(!script.is_central());
}

#[test]
fn one_large_request_keeps_a_rich_budget_in_central_mode_for_nobody_else() {
    let (mut script, [a, b]) = Script::with_sessions(1_000);
    script.say(b, waits(&[place(1, 400)]));
    assert!(script.is_central());
    script.say(a, waits(&[]));
    assert!(script.is_central(), "nobody has come for whom slices would do");
    assert!(granted(&script.ask(a, 10, 100)) > 10);
    assert!(!script.is_central());
}

#[test]
fn whoever_waits_keeps_a_budget_in_central_mode() {
    let (mut script, [a, b]) = spent_out();
    script.say(b, waits(&[place(1, 500)]));
    script.report(a, 0, 100);
    script.limit(450);
    script.say(a, waits(&[place(2, 1)]));
    assert!(script.is_central());
    assert_eq!(script.granted(a), 100, "the first in line is not overtaken");
}

/// A session asks again before it hears that its requests were served meanwhile, and the pool has recovered.
#[test]
fn the_way_back_to_grants_grants_nobody_twice_and_never_more_than_the_pool_has() {
    let (mut script, [a, b]) = Script::with_sessions(400);
    let tens = |ids: std::ops::RangeInclusive<u64>| ids.map(|id| place(id, 10)).collect::<Vec<_>>();
    script.say(b, waits(&tens(1..=40)));
    script.say(a, waits(&tens(1..=20)));
    assert_eq!((script.is_central(), script.granted(a)), (true, 0));
    script.report(b, 10, 390);
    assert_eq!((script.granted(a), script.shape()), (200, (10, 200, 190)));
    script.say(a, waits(&tens(1..=21)));
    assert!(!script.is_central());
    assert_eq!(script.ledger.report(BUDGET).unwrap().excess, Amount::ZERO, "G1");
    assert_eq!(script.granted(a), 210);
}

#[test]
fn a_limit_cut_below_the_grants_calls_them_back_until_there_is_room_again() {
    let (mut script, [a]) = Script::with_sessions(1_000);
    script.ask(a, 100, 400);
    assert!(!script.is_central());
    script.limit(300);
    assert!(script.is_central() && script.account().asks(a));
    script.report(a, 100, 300);
    script.limit(2_000);
    script.ask(a, 10, 10);
    assert!(!script.is_central());
}

#[test]
fn a_window_that_is_over_has_no_line_and_the_next_one_begins_with_grants() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let [a, b] = [1, 2].map(|node| script.open(node, 1, fresh()));
    script.ask(a, 100, 100);
    script.say(b, waits(&[place(1, 40)]));
    let first = script.account().window().id;
    script.at = 60_000;
    script.say(a, waits(&[place(1, 10)]));
    script.sync(a, vec![spent(first, 0, 100)], vec![]);
    let over = script.ledger.budget(BUDGET).unwrap().account(first).unwrap();
    assert_eq!((over.line_length(), over.outstanding()), (0, Amount::ZERO));
    assert!(!script.is_central());
}

#[test]
fn a_request_that_is_content_with_less_is_granted_what_there_is_from_its_need_on() {
    let (mut script, [a, b, c]) = spent_out();
    let content = |id, need, most| Place { most: Amount::new(most), ..place(id, need) };
    script.say(b, waits(&[content(1, 30, 60)]));
    script.report(a, 0, 20);
    assert_eq!(script.granted(b), 0, "less than it needs is of no use to it");
    script.report(a, 0, 45);
    assert_eq!(script.view(b).served, [(PlaceId::new(1), Amount::new(45))]);
    script.say(c, waits(&[content(1, 1, 20)]));
    script.report(a, 0, 100);
    assert_eq!(
        script.view(c).served,
        [(PlaceId::new(1), Amount::new(20))],
        "nor does it take more than its most"
    );
}

#[test]
fn who_has_hope_for_the_whole_may_say_later_that_less_will_do() {
    let (mut script, [a, b]) = spent_out();
    script.say(b, waits(&[place(1, 60)]));
    script.report(a, 0, 40);
    assert_eq!(script.granted(b), 0);
    script.say(b, waits(&[Place { most: Amount::new(60), ..last_call(1, 30) }]));
    assert_eq!(script.granted(b), 40);
}

#[test]
fn who_needs_nothing_takes_no_budget_out_of_central_mode() {
    let (mut script, [_, b]) = spent_out();
    script.say(b, waits(&[place(1, 0)]));
    assert!(script.is_central());
}
