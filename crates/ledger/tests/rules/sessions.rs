//! Lives of nodes: how one begins, and what becomes of the one before.

use crate::script::*;
use quorate_domain::{
    Amount, BootId, BudgetId, Calendar, NodeId, Period, Revision, SessionId, Unit, Weekday, WindowId,
    ZoneName,
};
use quorate_ledger::*;

fn mark(session: SessionId, spent_bound: u64) -> Mark {
    let (budget, window, spent_bound) = (BUDGET, WindowId::LIFETIME, Amount::new(spent_bound));
    Mark { session, budget, window, spent_bound, settled: Amount::ZERO, overrun: Amount::ZERO }
}

fn journal(generation: u64, marks: Vec<Mark>) -> Evidence {
    Evidence::Intact { generation, marks }
}

/// A session that holds thirty of a hundred permits.
fn holder_of_permits() -> (Script, SessionId) {
    let mut script = Script::with_unit(100, Unit::Permits, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 30, 30);
    assert_eq!(script.shape(), (0, 30, 70));
    (script, a)
}

/// An opening whose sender gave up on it, and which the log got all the same: after the node's next life had begun.
#[test]
fn an_opening_made_before_the_nodes_latest_session_is_refused_and_changes_nothing() {
    let (mut script, [a]) = Script::with_sessions(100);
    script.ask(a, 60, 60);
    let stale = [
        script.opening(1, 2, journal(2, vec![mark(a, 10)])),
        // Of a generation that was not seen yet, so that nothing but `previous` tells that it is old.
        script.opening(1, 2, journal(9, vec![mark(a, 10)])),
        script.opening(1, 2, Evidence::Lost),
    ];
    let latest = script.open(1, 3, journal(3, vec![mark(a, 10)]));
    assert_eq!(granted(&script.ask(latest, 40, 40)), 40);
    for open in stale {
        let before = script.ledger.clone();
        let refused = Rejection::LaterSession { node: NodeId::new(1), latest };
        assert_eq!(script.apply(Command::OpenSession(open)), Outcome::Rejected(refused));
        assert_eq!(script.ledger, before);
    }
    // (G1): the evidence of the earlier life does not mention the forty, which would have been spent twice.
    assert_eq!(script.shape(), (10, 40, 50));
    assert!(matches!(script.report(latest, 40, 0), Outcome::Synced { .. }), "it is alive");
}

#[test]
fn an_opening_of_an_earlier_life_is_refused_after_the_latest_session_is_closed_too() {
    let (mut script, [a]) = Script::with_sessions(100);
    let stale = script.opening(1, 2, journal(2, vec![]));
    let latest = script.open(1, 3, journal(3, vec![]));
    assert_eq!(script.apply(Command::CloseSession { session: latest }), Outcome::Done);
    assert_eq!(script.ledger.sessions().count(), 0);
    let refused = Rejection::LaterSession { node: NodeId::new(1), latest };
    assert_eq!(script.apply(Command::OpenSession(stale)), Outcome::Rejected(refused));
    assert!(script.open(1, 4, journal(4, vec![])) > latest && latest > a);
}

#[test]
fn the_latest_session_of_a_node_is_its_own_and_not_another_nodes() {
    let (mut script, [a, b]) = Script::with_sessions(100);
    let open = script.opening(1, 2, journal(2, vec![]));
    assert_eq!((open.previous, script.ledger.latest_session(NodeId::new(2))), (a, b));
    let again = script.open(2, 2, journal(2, vec![]));
    assert!(
        matches!(script.apply(Command::OpenSession(open)), Outcome::SessionOpened { session } if session > again)
    );
    assert_eq!(script.ledger.latest_session(NodeId::new(3)), SessionId::default());
}

#[test]
fn permits_of_a_dead_session_all_come_back_whatever_its_journal_says() {
    let (mut script, a) = holder_of_permits();
    script.open(1, 2, journal(2, vec![mark(a, 25)]));
    assert_eq!(script.shape(), (0, 0, 100));
    assert_eq!(script.ledger.report(BUDGET).unwrap().crash_charged, Amount::ZERO);
}

#[test]
fn permits_in_doubt_all_come_back_when_the_doubt_is_resolved() {
    let (mut script, a) = holder_of_permits();
    script.apply(Command::ExpireSession { session: a });
    assert_eq!(script.shape(), (0, 30, 70), "whether it runs still is not known");
    let (actor, reason) = ("ann".to_owned(), "the machine is gone".to_owned());
    let (budget, window, spent) = (BUDGET, WindowId::LIFETIME, Amount::new(30));
    let resolve = Resolve { session: a, budget, window, spent, actor, reason };
    assert_eq!(script.apply(Command::Resolve(resolve)), Outcome::Done);
    assert_eq!(script.shape(), (0, 0, 100));
}

#[test]
fn permits_in_doubt_come_back_when_the_next_process_of_the_node_opens_a_session() {
    let (mut script, a) = holder_of_permits();
    script.apply(Command::ExpireSession { session: a });
    let again = script.open(1, 1, journal(2, vec![]));
    assert_eq!(script.shape(), (0, 30, 70), "the same process may still run what it began");
    script.open(1, 2, journal(3, vec![]));
    assert_eq!(script.shape(), (0, 0, 100));
    assert!(script.ledger.session(a).is_none() && script.ledger.session(again).is_none());
}

#[test]
fn a_journal_may_be_told_in_parts_and_only_by_the_process_that_opens_a_session() {
    let parts = |teller: u64| {
        let mut script = Script::with_budget(100, Kind::Lifetime);
        let a = script.open(1, 1, fresh());
        script.ask(a, 10, 60);
        let mark = Mark {
            session: a,
            budget: BUDGET,
            window: script.account().window().id,
            spent_bound: Amount::new(7),
            settled: Amount::new(7),
            overrun: Amount::ZERO,
        };
        let (node, boot) = (NodeId::new(1), BootId::new(teller));
        let tell = Command::TellMarks(TellMarks { node, boot, marks: vec![mark] });
        // Twice: an answer may be lost.
        assert_eq!([script.apply(tell.clone()), script.apply(tell)], [Outcome::Done, Outcome::Done]);
        // What an earlier process has told comes late.
        let late = Command::TellMarks(TellMarks { node, boot: BootId::new(1), marks: vec![] });
        assert_eq!(script.apply(late), Outcome::Done);
        script.open(1, 2, Evidence::Intact { generation: 1, marks: vec![] });
        script.shape()
    };
    assert_eq!(parts(2), (7, 0, 93));
    assert_eq!(parts(3), (0, 0, 100), "what another process has told says nothing of this one's journal");
}

#[test]
fn what_a_session_has_overrun_counts_although_it_was_declared_dead_before_its_journal_was_heard() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 10, 10);
    let window = script.account().window().id;
    script.apply(Command::ExpireSession { session: a });
    let (spent_bound, overrun) = (Amount::new(10), Amount::new(25));
    let mark = Mark { session: a, budget: BUDGET, window, spent_bound, settled: spent_bound, overrun };
    script.open(1, 2, Evidence::Intact { generation: 1, marks: vec![mark] });
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.overrun, report.in_doubt, report.free), (overrun, spent_bound, Amount::new(65)));
}

#[test]
fn a_copy_goes_on_with_numbers_that_the_original_never_gave_and_what_the_dead_held_counts() {
    let (mut script, [session]) = Script::with_sessions(100);
    script.ask(session, 40, 40);
    let held = script.ledger.report(BUDGET).unwrap().outstanding;
    script.apply(Command::ExpireSession { session });
    assert_eq!(script.apply(Command::GoOn { left_out: 1_000_000 }), Outcome::Done);
    let report = script.ledger.report(BUDGET).unwrap();
    assert_eq!((report.in_doubt, report.outstanding), (held, held));
    assert_eq!(script.open(2, 1, fresh()), SessionId::new(1_000_002));
    let put = script.put(
        10,
        Kind::windowed(Calendar::new(Period::Day, ZoneName::utc(), Weekday::Monday)),
        Expected::Absent,
    );
    let Outcome::BudgetStored { budget, revision } = put else { panic!("{put:?}") };
    assert_eq!((budget, revision), (BudgetId::new(1_000_002), Revision::new(1_000_002)));
}
