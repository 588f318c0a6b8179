//! Budgets that nobody wrote: made when an end user is first seen, changed with their template, and forgotten.

use crate::script::*;
use quorate_domain::{
    Amount, BudgetId, EndUserId, LogTime, Name, Period, Refill, SessionId, Subject, Unit, WindowId,
};
use quorate_ledger::*;

const TEMPLATE: BudgetId = BudgetId::new(1);
/// A minute and a bit: longer than who was met is kept without having spent.
const LATER: u64 = 61_000;

fn acme() -> Name {
    "acme".parse().unwrap()
}

fn id(name: &str) -> EndUserId {
    EndUserId::parse(name).unwrap()
}

fn of(name: &str) -> Subject {
    Subject::EndUser(acme(), id(name))
}

fn put(subject: Subject, kind: Kind, limit: u64, expected: Expected) -> PutBudget {
    let (unit, limit) = (Unit::Tokens, Amount::new(limit));
    PutBudget {
        spec: BudgetSpec {
            subject,
            unit,
            kind,
            limit,
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        },
        expected,
    }
}

/// A template of ten for so many end users, and two sessions.
fn script(kind: Kind, end_users_max: u32) -> (Script, [SessionId; 2]) {
    let mut script = Script::empty(1_000, Unit::Tokens);
    let put = put(Subject::EndUserDefault(acme()), kind, 10, Expected::Absent);
    script.apply(Command::PutTemplate(PutTemplate { put, end_users_max }));
    let sessions = [1, 2].map(|node| script.open(node, 1, fresh()));
    (script, sessions)
}

fn meet(script: &mut Script, name: &str) -> Outcome {
    script.apply(Command::MeetEndUser(MeetEndUser { organisation: acme(), end_user: id(name) }))
}

fn met(script: &mut Script, name: &str) -> BudgetId {
    assert_eq!(meet(script, name), Outcome::Done);
    budget_of(script, name).unwrap()
}

fn budget_of(script: &Script, name: &str) -> Option<BudgetId> {
    script.ledger.budgets_of(&of(name)).first().copied()
}

fn shape(script: &Script, budget: BudgetId) -> (u64, u64, u64) {
    let report = script.ledger.report(budget).unwrap();
    (report.used.get(), report.outstanding.get(), report.free.get())
}

/// What a session gets of a budget for one request.
fn ask(script: &mut Script, session: SessionId, budget: BudgetId, need: u64) -> Answer {
    script.say(session, Ask { budget, ..waits(&[place(need, need)]) })
}

fn report(script: &mut Script, session: SessionId, budget: BudgetId, used: u64, returned: u64) {
    let window = script.ledger.budget(budget).unwrap().accounts().next().unwrap().window().id;
    script.sync(session, vec![SpendingReport { budget, ..spent(window, used, returned) }], vec![]);
}

#[test]
fn who_is_seen_on_two_nodes_at_once_has_one_budget() {
    let (mut script, [one, other]) = script(Kind::Lifetime, 9);
    let unmet: Vec<_> = script.ledger.unmet(&acme(), &id("ann")).collect();
    assert_eq!(unmet, [TEMPLATE]);
    let budget = met(&mut script, "ann");
    assert_eq!(met(&mut script, "ann"), budget);
    assert_eq!(script.ledger.unmet(&acme(), &id("ann")).count(), 0);
    assert_ne!(met(&mut script, "bob"), budget);
    assert_eq!(granted(&ask(&mut script, one, budget, 7)), 7);
    ask(&mut script, other, budget, 4);
    assert_eq!(shape(&script, budget), (0, 7, 3), "the other waits: both spend of the same ten");
    assert_eq!(shape(&script, TEMPLATE), (0, 0, 10), "of a template nothing is spent");
}

#[test]
fn a_budget_that_somebody_wrote_beats_the_default_of_its_unit_and_kind() {
    let (mut script, _) = script(Kind::Lifetime, 9);
    script.apply(Command::PutBudget(put(of("ann"), Kind::Lifetime, 99, Expected::Absent)));
    assert_eq!(script.ledger.unmet(&acme(), &id("ann")).count(), 0);
    script.apply(Command::PutBudget(put(of("bob"), Kind::Fixed(Period::Day), 99, Expected::Absent)));
    assert_eq!(script.ledger.unmet(&acme(), &id("bob")).count(), 1, "another kind is another budget");
    met(&mut script, "bob");
    assert_eq!(script.ledger.budgets_of(&of("bob")).len(), 2);
}

#[test]
fn to_write_a_budget_where_one_was_made_takes_it_over_with_what_is_spent() {
    let (mut script, [one, _]) = script(Kind::Lifetime, 1);
    let made = met(&mut script, "ann");
    ask(&mut script, one, made, 6);
    report(&mut script, one, made, 6, 0);
    let stored = script.apply(Command::PutBudget(put(of("ann"), Kind::Lifetime, 20, Expected::Absent)));
    assert!(matches!(stored, Outcome::BudgetStored { budget, .. } if budget == made), "{stored:?}");
    assert_eq!(shape(&script, made), (6, 0, 14));
    script.apply(Command::PutBudget(put(Subject::EndUserDefault(acme()), Kind::Lifetime, 3, Expected::Any)));
    assert_eq!(shape(&script, made), (6, 0, 14), "the template is nothing to it any more");
    met(&mut script, "bob");
    let again = script.apply(Command::PutBudget(put(of("ann"), Kind::Lifetime, 30, Expected::Absent)));
    assert_eq!(again, Outcome::Rejected(Rejection::BudgetExists(made)));
}

#[test]
fn a_change_of_the_template_is_one_of_all_that_were_made_and_calls_grants_back() {
    let (mut script, [one, _]) = script(Kind::Lifetime, 9);
    let [ann, bob] = ["ann", "bob"].map(|name| met(&mut script, name));
    ask(&mut script, one, ann, 8);
    script.apply(Command::PutBudget(put(Subject::EndUserDefault(acme()), Kind::Lifetime, 5, Expected::Any)));
    assert_eq!((shape(&script, ann), shape(&script, bob)), ((0, 8, 0), (0, 0, 5)));
    assert!(script.ledger.budget(ann).unwrap().current().is_central(), "more is granted than it allows");
    assert_eq!(script.ledger.template(TEMPLATE).unwrap().end_users_max(), 9);
    script.apply(Command::RemoveBudget { budget: TEMPLATE, expected: Expected::Any });
    assert_eq!(script.ledger.budgets().count(), 0);
    assert!(script.ledger.template(TEMPLATE).is_none() && script.ledger.central().is_empty());
    assert!(!script.ledger.limits_end_users(&acme()));
}

#[test]
fn what_was_made_reserves_as_its_template_does_also_when_that_is_changed() {
    let kind = Kind::Bucket(Refill::Minute);
    let (mut script, _) = script(kind.clone(), 9);
    let made = met(&mut script, "ann");
    let reserve = |script: &Script| script.ledger.budget(made).unwrap().spec().reserve;
    assert_eq!(reserve(&script), Reserve::Bound);
    let mut put = put(Subject::EndUserDefault(acme()), kind, 10, Expected::Any);
    put.spec.reserve = Reserve::Estimate;
    script.apply(Command::PutBudget(put));
    assert_eq!(reserve(&script), Reserve::Estimate);
    let later = met(&mut script, "bob");
    assert_eq!(script.ledger.budget(later).unwrap().spec().reserve, Reserve::Estimate);
}

#[test]
fn what_was_made_and_is_deleted_begins_anew_at_next_sight() {
    let (mut script, [one, _]) = script(Kind::Lifetime, 1);
    let first = met(&mut script, "ann");
    ask(&mut script, one, first, 8);
    script.apply(Command::RemoveBudget { budget: first, expected: Expected::Any });
    let second = met(&mut script, "ann");
    assert!(second > first);
    assert_eq!(shape(&script, second), (0, 0, 10));
}

#[test]
fn there_are_no_more_end_users_than_the_template_allows_until_their_window_is_over() {
    let (mut script, [one, other]) = script(Kind::Fixed(Period::Minute), 2);
    let [ann, bob] = ["ann", "bob"].map(|name| met(&mut script, name));
    let full = Outcome::Rejected(Rejection::TooManyEndUsers { budget: TEMPLATE, most: 2 });
    assert_eq!(meet(&mut script, "cid"), full);
    ask(&mut script, one, ann, 8);
    report(&mut script, one, ann, 3, 0);
    ask(&mut script, other, bob, 8);
    report(&mut script, other, bob, 8, 0);
    script.at += LATER;
    let cid = met(&mut script, "cid");
    assert_eq!(
        budget_of(&script, "ann"),
        Some(ann),
        "a session that lives holds five of it, of a window that is over"
    );
    assert_eq!(budget_of(&script, "bob"), None, "nothing of its window counts any more");
    assert!(script.ledger.session(other).unwrap().holds.iter().all(|(budget, _)| *budget != bob));
    assert_eq!(meet(&mut script, "dan"), full);
    assert_eq!(budget_of(&script, "cid"), Some(cid), "it was made just now");
    report(&mut script, one, ann, 3, 5);
    assert_eq!(meet(&mut script, "dan"), Outcome::Done);
}

#[test]
fn what_is_spent_for_ever_is_kept_and_what_nobody_spent_is_not() {
    let (mut script, [one, other]) = script(Kind::Lifetime, 3);
    let [spends, holds, _idle] = ["ann", "bob", "cid"].map(|name| met(&mut script, name));
    ask(&mut script, one, spends, 1);
    report(&mut script, one, spends, 1, 0);
    ask(&mut script, other, holds, 1);
    script.apply(Command::ExpireSession { session: other });
    script.at += LATER;
    met(&mut script, "dan");
    let left = ["ann", "bob", "cid"].map(|name| budget_of(&script, name));
    assert_eq!(left, [Some(spends), Some(holds), None], "what the dead may have spent counts as spent");
}

#[test]
fn a_bucket_is_forgotten_when_all_has_leaked() {
    let (mut script, [one, _]) = script(Kind::Bucket(Refill::Hour), 1);
    let ann = met(&mut script, "ann");
    ask(&mut script, one, ann, 10);
    report(&mut script, one, ann, 10, 0);
    script.at += 50 * 60_000;
    assert!(matches!(meet(&mut script, "bob"), Outcome::Rejected(_)), "a sixth of it is spent still");
    script.at += 10 * 60_000;
    assert_eq!(meet(&mut script, "bob"), Outcome::Done);
}

#[test]
fn an_end_user_of_another_organisation_is_another() {
    let (mut script, _) = script(Kind::Lifetime, 9);
    let other: Name = "umbrella".parse().unwrap();
    assert!(script.ledger.limits_end_users(&acme()) && !script.ledger.limits_end_users(&other));
    assert_eq!(script.ledger.unmet(&other, &id("ann")).count(), 0);
    let written = put(Subject::EndUser(other.clone(), id("ann")), Kind::Lifetime, 1, Expected::Absent);
    script.apply(Command::PutBudget(written));
    assert!(script.ledger.limits_end_users(&other));
}

#[test]
fn a_node_that_dies_between_meeting_and_asking_leaves_a_budget_of_which_nothing_is_held() {
    let (mut script, [one, other]) = script(Kind::Fixed(Period::Minute), 9);
    let ann = met(&mut script, "ann");
    script.open(1, 2, fresh());
    let ask_of_the_dead = Ask { budget: ann, ..waits(&[place(1, 1)]) };
    assert_eq!(script.sync(one, vec![], vec![ask_of_the_dead]), Outcome::Fenced);
    let window = script.ledger.budget(ann).unwrap().current().window();
    assert_eq!(window.id, WindowId::beginning(LogTime::from_millis(0)));
    assert_eq!(granted(&ask(&mut script, other, ann, 10)), 10);
}
