//! The rules of the ledger, one sentence and one short script each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that finds something else has failed"
)]

use quorate_domain::{Amount, BootId, BudgetId, LogTime, NodeId, Period, SessionId, Subject, Unit, WindowId};
use quorate_ledger::*;

struct Script {
    ledger: Ledger,
    at: u64,
}

impl Script {
    fn with_budget(limit: u64, kind: Kind) -> Self {
        let mut script = Self { ledger: Ledger::default(), at: 1_000 };
        script.put(limit, kind, Expected::Absent);
        script
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let outcome = self.ledger.apply(LogTime::from_millis(self.at), command);
        self.ledger.validate().unwrap();
        outcome
    }

    fn put(&mut self, limit: u64, kind: Kind, expected: Expected) -> Outcome {
        let subject = Subject::Team("search".parse().unwrap());
        let spec = BudgetSpec { subject, unit: Unit::Tokens, kind, limit: Amount::new(limit) };
        self.apply(Command::PutBudget(PutBudget { spec, expected }))
    }

    fn open(&mut self, node: u64, boot: u64, evidence: Evidence) -> SessionId {
        let open = OpenSession { node: NodeId::new(node), boot: BootId::new(boot), evidence };
        match self.apply(Command::OpenSession(open)) {
            Outcome::SessionOpened { session } => session,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, session: SessionId, need: u64, want: u64) -> Answer {
        let ask = Ask { budget: BUDGET, window: None, need: Amount::new(need), want: Amount::new(want) };
        match self.apply(Command::Sync(Sync { session, reports: vec![], asks: vec![ask] })) {
            Outcome::Synced { answers } => answers[0],
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, session: SessionId, used: u64, returned: u64) -> Outcome {
        let report = SpendingReport {
            budget: BUDGET,
            window: self.ledger.budget(BUDGET).unwrap().current().window().id,
            used: Amount::new(used),
            returned: Amount::new(returned),
            overrun: Amount::ZERO,
        };
        self.apply(Command::Sync(Sync { session, reports: vec![report], asks: vec![] }))
    }

    fn shape(&self) -> (u64, u64, u64) {
        let report = self.ledger.report(BUDGET).unwrap();
        (report.used.get(), report.outstanding.get(), report.free.get())
    }
}

const BUDGET: BudgetId = BudgetId::new(1);

fn fresh() -> Evidence {
    Evidence::Intact { generation: 1, marks: vec![] }
}

fn granted(answer: Answer) -> u64 {
    match answer {
        Answer::Holds { granted, short: None, .. } => granted.get(),
        other => panic!("{other:?}"),
    }
}

fn shortage(answer: Answer) -> Shortage {
    match answer {
        Answer::Holds { short: Some(short), .. } => short,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_need_is_granted_in_full_and_a_want_up_to_a_fair_share() {
    let mut script = Script::with_budget(1_000, Kind::Lifetime);
    let (a, b) = (script.open(1, 1, fresh()), script.open(2, 1, fresh()));
    assert_eq!(granted(script.ask(a, 10, 10_000)), 500);
    assert_eq!(granted(script.ask(b, 10, 10_000)), 125);
    assert_eq!(script.shape(), (0, 625, 375));
}

#[test]
fn asking_twice_for_the_same_target_grants_nothing_twice() {
    let mut script = Script::with_budget(1_000, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    assert_eq!(granted(script.ask(a, 10, 100)), 100);
    assert_eq!(granted(script.ask(a, 10, 100)), 100);
    assert_eq!(script.shape(), (0, 100, 900));
}

#[test]
fn a_need_beyond_the_pool_grants_nothing_and_says_where_the_budget_is() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let (a, b) = (script.open(1, 1, fresh()), script.open(2, 1, fresh()));
    script.ask(a, 60, 60);
    script.report(a, 20, 0);
    let short = shortage(script.ask(b, 50, 50));
    assert_eq!((short.free.get(), short.held.get(), short.own.get(), short.limit.get()), (40, 40, 0, 100));
    assert_eq!(script.ledger.central().len(), 1);
    assert_eq!(script.shape(), (20, 40, 40));
}

#[test]
fn near_exhaustion_the_budget_is_handed_out_request_by_request_and_a_raised_limit_ends_that() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    assert_eq!(granted(script.ask(a, 30, 1_000)), 30);
    assert!(script.ledger.central().contains(&BUDGET));
    script.put(10_000, Kind::Lifetime, Expected::Any);
    assert!(granted(script.ask(a, 60, 1_000)) > 60);
    assert!(script.ledger.central().is_empty());
}

#[test]
fn an_old_copy_of_a_report_changes_nothing() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.report(a, 30, 20);
    script.report(a, 10, 0);
    assert_eq!(script.shape(), (30, 10, 60));
}

#[test]
fn a_session_that_reports_more_than_it_was_granted_is_frozen() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    assert!(matches!(script.report(a, 40, 21), Outcome::Rejected(Rejection::Inconsistent { .. })));
    assert_eq!(script.report(a, 40, 0), Outcome::Fenced);
    assert_eq!(script.shape(), (0, 60, 40));
}

#[test]
fn a_restart_is_charged_up_to_its_watermark_and_the_rest_returns_to_the_pool() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.report(a, 10, 5);
    let mark = Mark {
        session: a,
        budget: BUDGET,
        window: WindowId::LIFETIME,
        spent_bound: Amount::new(25),
        settled: Amount::new(15),
        overrun: Amount::ZERO,
    };
    let b = script.open(1, 2, Evidence::Intact { generation: 2, marks: vec![mark] });
    assert!(b > a);
    // (G4): what lay between the settlements and the watermark is lost to the budget, and nothing more.
    assert_eq!(script.shape(), (25, 0, 75));
    assert_eq!(script.ledger.report(BUDGET).unwrap().crash_charged.get(), 10);
    assert_eq!(script.report(a, 60, 0), Outcome::Fenced);
}

#[test]
fn a_watermark_above_what_is_left_of_the_grant_is_held_to_it() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.report(a, 10, 40);
    let bound = Amount::new(50);
    let mark = Mark {
        session: a,
        budget: BUDGET,
        window: WindowId::LIFETIME,
        spent_bound: bound,
        settled: bound,
        overrun: Amount::ZERO,
    };
    script.open(1, 2, Evidence::Intact { generation: 2, marks: vec![mark] });
    assert_eq!(script.shape(), (20, 0, 80));
}

#[test]
fn overrun_that_only_the_journal_of_a_dead_node_knows_is_counted_once() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    let report = SpendingReport {
        budget: BUDGET,
        window: WindowId::LIFETIME,
        used: Amount::new(20),
        returned: Amount::ZERO,
        overrun: Amount::new(5),
    };
    script.apply(Command::Sync(Sync { session: a, reports: vec![report], asks: vec![] }));
    let bound = Amount::new(20);
    let mark = Mark {
        session: a,
        budget: BUDGET,
        window: WindowId::LIFETIME,
        spent_bound: bound,
        settled: bound,
        overrun: Amount::new(12),
    };
    script.open(1, 2, Evidence::Intact { generation: 2, marks: vec![mark] });
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
fn a_lost_or_rolled_back_journal_leaves_its_grants_in_doubt_until_they_are_resolved() {
    for evidence in [Evidence::Lost, fresh()] {
        let mut script = Script::with_budget(100, Kind::Lifetime);
        let a = script.open(1, 1, fresh());
        script.ask(a, 60, 60);
        script.report(a, 10, 0);
        let b = script.open(1, 2, evidence);
        assert_eq!(script.shape(), (10, 50, 40));
        assert_eq!(shortage(script.ask(b, 50, 50)).in_doubt.get(), 50);
        let resolve = |session, spent| {
            let (actor, reason) = ("ann".to_owned(), "bill checked".to_owned());
            let (budget, window, spent) = (BUDGET, WindowId::LIFETIME, Amount::new(spent));
            Command::Resolve(Resolve { session, budget, window, spent, actor, reason })
        };
        assert_eq!(script.apply(resolve(b, 0)), Outcome::Rejected(Rejection::SessionAlive(b)));
        assert_eq!(script.apply(resolve(a, 35)), Outcome::Done);
        assert_eq!(script.shape(), (35, 0, 65));
        assert_eq!(script.apply(resolve(a, 35)), Outcome::Rejected(Rejection::UnknownSession(a)));
    }
}

#[test]
fn a_session_closes_only_when_it_holds_nothing() {
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
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
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    script.apply(Command::ExpireSession { session: a });
    assert_eq!(script.shape(), (0, 60, 40));
    assert_eq!(script.report(a, 1, 0), Outcome::Fenced);
}

#[test]
fn a_window_starts_anew_by_log_time_and_late_spending_is_charged_to_its_own_window() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let a = script.open(1, 1, fresh());
    let Answer::Holds { window: first, valid_for, .. } = script.ask(a, 80, 80) else { panic!() };
    assert_eq!(valid_for.millis(), 59_000);
    script.at = 60_000;
    let ask = Ask { budget: BUDGET, window: Some(first.id), need: Amount::new(90), want: Amount::ZERO };
    let sync = Command::Sync(Sync { session: a, reports: vec![], asks: vec![ask] });
    let Outcome::Synced { answers } = script.apply(sync) else { panic!() };
    assert!(matches!(answers[0], Answer::WindowOver { current, .. } if current.id != first.id));
    assert_eq!(granted(script.ask(a, 90, 90)), 90);
    let late = SpendingReport {
        budget: BUDGET,
        window: first.id,
        used: Amount::new(70),
        returned: Amount::new(10),
        overrun: Amount::ZERO,
    };
    script.apply(Command::Sync(Sync { session: a, reports: vec![late], asks: vec![] }));
    assert_eq!(script.shape(), (0, 90, 10));
    assert_eq!(script.ledger.budget(BUDGET).unwrap().account(first.id).unwrap().used().get(), 70);
}

#[test]
fn finished_windows_are_forgotten_once_they_are_settled() {
    let mut script = Script::with_budget(100, Kind::Fixed(Period::Minute));
    let (a, b) = (script.open(1, 1, fresh()), script.open(2, 1, fresh()));
    script.ask(a, 10, 10);
    for minute in 1..100 {
        script.at = minute * 60_000;
        assert_eq!(script.ask(b, 0, 0), script.ask(b, 0, 0));
    }
    // The first window is still kept, because ten tokens of it are outstanding; then the latest two.
    assert_eq!(script.ledger.budget(BUDGET).unwrap().accounts().count(), 3);
    script.apply(Command::ExpireSession { session: a });
    let resolve = Resolve {
        session: a,
        budget: BUDGET,
        window: WindowId::beginning(LogTime::from_millis(0)),
        spent: Amount::ZERO,
        actor: String::new(),
        reason: String::new(),
    };
    assert_eq!(script.apply(Command::Resolve(resolve)), Outcome::Done);
    script.ask(b, 0, 0);
    assert_eq!(script.ledger.budget(BUDGET).unwrap().accounts().count(), 2);
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
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 80, 80);
    script.put(50, Kind::Lifetime, Expected::Any);
    assert_eq!(script.ledger.report(BUDGET).unwrap().excess.get(), 30);
    assert_eq!(shortage(script.ask(a, 81, 81)).free, Amount::ZERO);
}

#[test]
fn a_limit_cut_below_the_grants_calls_them_back_until_there_is_room_again() {
    let mut script = Script::with_budget(1_000, Kind::Lifetime);
    let session = script.open(1, 1, fresh());
    script.ask(session, 100, 400);
    assert!(script.ledger.central().is_empty());
    script.put(300, Kind::Lifetime, Expected::Any);
    assert!(script.ledger.central().contains(&BUDGET));
    script.report(session, 100, 300);
    script.put(2_000, Kind::Lifetime, Expected::Any);
    script.ask(session, 410, 410);
    assert!(script.ledger.central().is_empty());
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
    let mut script = Script::with_budget(100, Kind::Lifetime);
    let a = script.open(1, 1, fresh());
    script.ask(a, 60, 60);
    let report = SpendingReport {
        budget: BUDGET,
        window: WindowId::LIFETIME,
        used: Amount::new(60),
        returned: Amount::ZERO,
        overrun: Amount::new(15),
    };
    script.apply(Command::Sync(Sync { session: a, reports: vec![report, report], asks: vec![] }));
    assert_eq!(script.shape(), (60, 0, 25));
    assert_eq!(script.ledger.report(BUDGET).unwrap().overrun.get(), 15);
}
