//! Buckets: what is spent leaks out again, from when an entry has told of it, and no more than was spent.

use crate::script::*;
use quorate_domain::{Amount, Refill, SessionId, Span, WindowId};
use quorate_ledger::*;

/// A bucket of sixty, of which one leaks a second, and two sessions. It is the first second.
fn bucket() -> (Script, [SessionId; 2]) {
    let mut script = Script::with_budget(60, Kind::Bucket(Refill::Minute));
    let sessions = [1, 2].map(|node| script.open(node, 1, fresh()));
    (script, sessions)
}

fn free(script: &Script) -> u64 {
    script.ledger.budget(BUDGET).unwrap().free_at(script.ledger.time()).get()
}

fn tick(script: &mut Script, at: u64) {
    script.at = at;
    script.apply(Command::Tick);
}

#[test]
fn what_was_spent_leaks_at_the_rate_and_what_is_held_does_not() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 40, 40);
    script.report(a, 10, 0);
    tick(&mut script, 4_000);
    assert_eq!(free(&script), 20 + 3, "three seconds passed since it was told");
    assert_eq!(script.shape(), (7, 30, 23));
    tick(&mut script, 60_000);
    assert_eq!((free(&script), script.shape()), (30, (0, 30, 30)), "ten were spent, and thirty are held");
}

#[test]
fn nothing_leaks_of_what_an_entry_tells_before_the_entry() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 60, 60);
    script.at = 30_000;
    script.report(a, 60, 0);
    assert_eq!(free(&script), 0, "half a minute has passed, but nobody knew");
    tick(&mut script, 31_000);
    assert_eq!(free(&script), 1);
}

#[test]
fn who_waits_is_served_when_enough_has_leaked_and_an_entry_tells_the_time() {
    let (mut script, [a, b]) = bucket();
    script.ask(a, 60, 60);
    script.report(a, 60, 0);
    let waiting = waits(&[place(7, 5)]);
    script.say(b, waiting.clone());
    assert!(script.is_central() && script.served(b).is_empty());
    script.at = 5_999;
    script.say(b, waiting.clone());
    assert!(script.served(b).is_empty());
    script.at = 6_000;
    script.say(b, waiting);
    assert_eq!(script.served(b), [7]);
    assert_eq!(script.shape(), (55, 5, 0));
}

#[test]
fn whoever_could_be_met_within_its_patience_has_hope_and_the_others_are_told_how_long_it_takes() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 60, 60);
    script.report(a, 60, 0);
    let patience = |ms, ahead| Patience { within: Span::from_millis(ms), ahead: Amount::new(ahead) };
    let within = |ms| script.ledger.prospect(BUDGET, Amount::new(5), patience(ms, 0), None).unwrap();
    assert_eq!(within(5_000).0, Prospect::Open);
    let behind =
        |ahead| script.ledger.prospect(BUDGET, Amount::new(5), patience(8_000, ahead), None).unwrap().0;
    assert_eq!((behind(3), behind(4)), (Prospect::Open, Prospect::Spent), "others stand before it");
    let (prospect, shortage) = within(4_999);
    assert_eq!((prospect, shortage.coming), (Prospect::Spent, Amount::new(4)));
    assert_eq!(shortage.refills_in, Some(Span::from_millis(5_000)));
    assert_eq!(script.prospect(61, None), Prospect::TooBig, "however much has leaked, it holds sixty");
}

#[test]
fn what_those_spend_who_stand_before_a_request_leaks_within_its_patience_too() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 60, 60);
    script.report(a, 60, 0);
    let behind = |ms, ahead, need| {
        let patience = Patience { within: Span::from_millis(ms), ahead: Amount::new(ahead) };
        script.ledger.prospect(BUDGET, Amount::new(need), patience, None).unwrap().0
    };
    assert_eq!(behind(120_000, 115, 5), Prospect::Open, "so long the bucket is filled and emptied twice");
    assert_eq!(behind(120_000, 116, 5), Prospect::Spent);
    assert_eq!(behind(119_999, 115, 5), Prospect::Spent);
    assert_eq!(behind(0, 115, 5), Prospect::Spent, "at its last call nothing leaks any more");
}

#[test]
fn a_limit_that_is_set_changes_what_it_holds_and_not_what_has_leaked() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 60, 60);
    script.report(a, 60, 0);
    tick(&mut script, 11_000);
    let set = |script: &mut Script, limit| script.put(limit, Kind::Bucket(Refill::Minute), Expected::Any);
    set(&mut script, 120);
    assert_eq!(free(&script), 10 + 60);
    set(&mut script, 30);
    assert_eq!((free(&script), script.ledger.report(BUDGET).unwrap().excess.get()), (0, 20));
    tick(&mut script, 51_000);
    assert_eq!(free(&script), 0, "half a unit a second leaks now: what was too much is gone");
    tick(&mut script, 111_000);
    assert_eq!((free(&script), script.shape()), (30, (0, 0, 30)));
}

#[test]
fn a_grant_is_good_for_half_a_refill_and_what_a_dead_session_holds_is_taken_as_spent_after_a_whole_one() {
    let (mut script, [a, _]) = bucket();
    let Answer::Holds { valid_for, .. } = script.ask(a, 40, 40) else { panic!("it is granted") };
    assert_eq!(valid_for, Span::from_millis(30_000));
    script.at = 2_000;
    script.apply(Command::ExpireSession { session: a });
    tick(&mut script, 61_999);
    assert_eq!(script.ledger.due_resolutions().count(), 0);
    let by_hand = Resolve {
        session: a,
        budget: BUDGET,
        window: WindowId::LIFETIME,
        spent: Amount::new(40),
        actor: "ann".to_owned(),
        reason: "it is gone".to_owned(),
    };
    let early = Outcome::Rejected(Rejection::MaySpendYet { session: a, left_ms: 1 });
    assert_eq!(script.apply(Command::Resolve(by_hand)), early);
    tick(&mut script, 62_000);
    let due: Vec<_> = script.ledger.due_resolutions().collect();
    due.into_iter().for_each(|resolve| assert_eq!(script.apply(Command::Resolve(resolve)), Outcome::Done));
    assert_eq!((script.shape(), script.ledger.doubts().count()), ((40, 0, 20), 0));
    tick(&mut script, 102_000);
    assert_eq!(script.shape(), (0, 0, 60));
}

#[test]
fn a_session_that_ends_while_it_waits_is_granted_nothing_of_what_has_leaked_by_then() {
    let end = |session| [Command::CloseSession { session }, Command::ExpireSession { session }];
    for n in 0..2 {
        let (mut script, [a, b]) = bucket();
        script.ask(a, 60, 60);
        script.report(a, 60, 0);
        script.say(b, waits(&[place(7, 5)]));
        script.at = 30_000;
        assert_eq!(script.apply(end(b)[n].clone()), Outcome::Done);
        assert_eq!((script.shape(), script.ledger.doubts().count()), ((31, 0, 29), 0));
    }
}

#[test]
fn what_a_provider_billed_too_much_leaks_too() {
    let (mut script, [a, _]) = bucket();
    script.ask(a, 60, 60);
    let report = SpendingReport { overrun: Amount::new(30), ..script.spent(60, 0) };
    script.sync(a, vec![report], vec![]);
    assert_eq!(script.ledger.report(BUDGET).unwrap().excess.get(), 30);
    tick(&mut script, 41_000);
    assert_eq!(free(&script), 10);
    tick(&mut script, 91_000);
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.used, report.overrun, report.free.get()), (Amount::ZERO, Amount::ZERO, 60));
    assert_eq!(report.leaked.get(), 90);
}

/// The same bucket, of which requests reserve what they are expected to use: 60 are granted, and used with 30 beyond.
fn in_debt() -> (Script, [SessionId; 2]) {
    let (mut script, [a, b]) = bucket();
    let spec =
        BudgetSpec { reserve: Reserve::Estimate, ..script.ledger.budget(BUDGET).unwrap().spec().clone() };
    script.apply(Command::PutBudget(PutBudget { spec, expected: Expected::Any }));
    script.ask(a, 60, 60);
    let report = SpendingReport { overrun: Amount::new(30), ..script.spent(60, 0) };
    script.sync(a, vec![report], vec![]);
    (script, [a, b])
}

#[test]
fn what_is_used_beyond_an_estimate_is_used_and_in_debt_and_no_overrun() {
    let (mut script, _) = in_debt();
    let shown = |script: &Script| {
        let report = script.ledger.report(BUDGET).unwrap();
        [report.used, report.overrun, report.free, report.debt()].map(Amount::get)
    };
    assert_eq!(shown(&script), [90, 0, 0, 30]);
    tick(&mut script, 11_000);
    assert_eq!(shown(&script), [80, 0, 0, 20], "it is never forgiven, and leaks like the rest");
    tick(&mut script, 41_000);
    assert_eq!(shown(&script), [50, 0, 10, 0]);
    script.ask(SessionId::new(1), 5, 5);
    assert_eq!(shown(&script), [50, 0, 5, 0], "what is held is not used");
}

#[test]
fn nobody_is_granted_anything_before_the_debt_has_leaked() {
    let (mut script, [_, b]) = in_debt();
    let waiting = waits(&[place(7, 5)]);
    for at in [1_000, 31_000, 35_999] {
        script.at = at;
        script.say(b, waiting.clone());
        assert!(script.served(b).is_empty(), "at {at}");
    }
    script.at = 36_000;
    script.say(b, waiting);
    assert_eq!(script.served(b), [7]);
    assert_eq!(script.account().excess(Amount::new(60 + 35)), Amount::ZERO);
}

#[test]
fn a_debt_has_to_leak_within_the_patience_of_who_hopes_and_is_in_the_time_that_others_are_told() {
    let (script, _) = in_debt();
    let within = |ms| {
        let patience = Patience { within: Span::from_millis(ms), ahead: Amount::ZERO };
        script.ledger.prospect(BUDGET, Amount::new(5), patience, None).unwrap()
    };
    assert_eq!(within(35_000).0, Prospect::Open);
    let (prospect, shortage) = within(34_999);
    assert_eq!(
        (prospect, shortage.owed, shortage.coming),
        (Prospect::Spent, Amount::new(30), Amount::new(34))
    );
    assert_eq!(shortage.refills_in, Some(Span::from_millis(35_000)));
}

#[test]
fn what_others_hold_is_not_there_while_a_debt_takes_it() {
    let (mut script, [a, b]) = bucket();
    script.ask(a, 40, 40);
    script.ask(b, 20, 20);
    let report = SpendingReport { overrun: Amount::new(18), ..script.spent(40, 0) };
    script.sync(a, vec![report], vec![]);
    assert_eq!(script.prospect(2, None), Prospect::Open, "two of twenty, if all come back");
    assert_eq!(script.prospect(3, None), Prospect::Spent);
    script.apply(Command::ExpireSession { session: b });
    assert_eq!((script.prospect(2, None), script.prospect(3, None)), (Prospect::InDoubt, Prospect::Spent));
}
