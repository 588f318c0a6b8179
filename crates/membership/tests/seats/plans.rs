//! What plans say, and what they refuse.

use crate::town::{Town, id, set};
use quorate_domain::BootId;
use quorate_membership::{Ask, Change, Command, Report, Successor, Verdict};

fn drained(town: &mut Town, node: u64) {
    town.change(Change::Drain { node: id(node), within: None });
    let boot = town.table.get(id(node)).unwrap().boot;
    let report = Command::Report { node: id(node), boot, report: Report::Drained };
    town.table.apply(crate::town::NOW, report);
    assert_ne!(boot, BootId::new(99));
}

fn refusals(town: &Town, ask: &Ask) -> Vec<String> {
    town.plan(ask).unwrap().refusals().map(str::to_owned).collect()
}

#[test]
fn a_removal_says_who_takes_the_seat_and_what_may_fail_before_and_after() {
    let mut town = Town::of(6, 5);
    drained(&mut town, 3);
    let plan = town.plan(&Ask::Remove(id(3))).unwrap();
    assert_eq!(plan.change, Some(Change::Remove { node: id(3), voters: set([1, 2, 4, 5, 6]) }));
    assert_eq!(plan.to_string(), "voters {1,2,3,4,5} → {1,2,4,5,6}, quorum 3 → 3, may fail: 2 → 2 → 2");
    assert_eq!(plan.refusals().count(), 0, "{plan:?}");
    let texts: Vec<_> = plan.checks.iter().map(|check| check.text.as_str()).collect();
    assert_eq!(texts[..2], ["node-6 takes its seat, and is caught up", "node-3 is drained"]);
}

#[test]
fn without_a_learner_the_number_of_voters_stays_odd() {
    let mut town = Town::of(5, 5);
    drained(&mut town, 3);
    let plan = town.plan(&Ask::Remove(id(3))).unwrap();
    assert_eq!(plan.to_string(), "voters {1,2,3,4,5} → {1,2,4}, quorum 3 → 2, may fail: 2 → 1 → 1");
    drained(&mut town, 1);
    let plan = town.plan(&Ask::Remove(id(1))).unwrap();
    assert_eq!(
        plan.voters_after,
        set([2, 4, 5]).difference(&set([])).copied().collect(),
        "the leader may go, too"
    );
}

#[test]
fn who_has_not_drained_is_not_removed_unless_it_is_gone() {
    let mut town = Town::of(4, 3);
    assert_eq!(refusals(&town, &Ask::Remove(id(3))), ["node-3 has not drained: quorate node drain node-3"]);
    town.silence(3, 1);
    let plan = town.plan(&Ask::Remove(id(3))).unwrap();
    assert_eq!((plan.refusals().count(), plan.tolerance.before, plan.tolerance.after), (0, 0, 1));
    assert!(
        plan.checks
            .iter()
            .any(|check| check.verdict == Verdict::Warned && check.text.contains("stays charged"))
    );
}

#[test]
fn nothing_that_is_reachable_is_taken_while_others_are_down() {
    let mut town = Town::of(5, 5);
    drained(&mut town, 2);
    (4..=5).for_each(|node| town.silence(node, 1));
    let text = "3 of 5 voters are reachable; without a reachable one 2 of 3 would be, and 2 are needed: start or replace \
                node-4, node-5 first";
    assert_eq!(refusals(&town, &Ask::Remove(id(2))), [text]);
    assert_eq!(refusals(&town, &Ask::Drain(id(3), None)).len(), 1);
    assert_eq!(refusals(&town, &Ask::Remove(id(4))), [""; 0], "the dead may go");
    town.silence(3, 1);
    let text = "2 of 5 voters are reachable, and 3 are needed to agree on anything";
    assert_eq!(refusals(&town, &Ask::Remove(id(4))), [text]);
}

#[test]
fn one_of_three_may_drain_and_a_second_may_not() {
    let mut town = Town::of(3, 3);
    let plan = town.plan(&Ask::Drain(id(1), None)).unwrap();
    assert_eq!((plan.refusals().count(), plan.tolerance.before, plan.tolerance.after), (0, 1, 0));
    assert_eq!(plan.change, Some(Change::Drain { node: id(1), within: None }));
    town.silence(2, 0);
    town.sight.nodes.get_mut(&id(2)).unwrap().silent = quorate_domain::Span::from_millis(5_000);
    assert_eq!(refusals(&town, &Ask::Drain(id(1), None)).len(), 1);
    drained(&mut town, 1);
    assert_eq!(town.plan(&Ask::Drain(id(1), None)).unwrap().change, None, "it is so already");
}

#[test]
fn the_only_voter_may_drain_with_a_warning_and_may_not_leave() {
    let mut town = Town::of(1, 1);
    let plan = town.plan(&Ask::Drain(id(1), None)).unwrap();
    assert_eq!(plan.refusals().count(), 0);
    assert!(plan.checks.iter().any(|check| check.text.starts_with("while it is stopped")), "{plan:?}");
    drained(&mut town, 1);
    assert_eq!(
        refusals(&town, &Ask::Remove(id(1))),
        ["it is the only voter, and nobody could take its seat"]
    );
}

#[test]
fn a_promotion_keeps_the_number_odd_and_a_demotion_finds_an_heir() {
    let mut town = Town::of(4, 3);
    let plan = town.plan(&Ask::Promote(id(4), None)).unwrap();
    assert_eq!(plan.voters_after, set([1, 2, 4]));
    let plan = town.plan(&Ask::Promote(id(4), Some(id(2)))).unwrap();
    assert_eq!(plan.voters_after, set([1, 3, 4]));
    assert_eq!(refusals(&town, &Ask::Promote(id(4), Some(id(4)))).len(), 1, "it has no seat to give");
    let plan = town.plan(&Ask::Demote(id(2))).unwrap();
    assert_eq!(plan.voters_after, set([1, 3, 4]));
    town.mark_catching_up(4);
    assert_eq!(refusals(&town, &Ask::Promote(id(4), None)), ["node-4 is not caught up yet"]);
    assert_eq!(town.plan(&Ask::Demote(id(2))).unwrap().voters_after, set([1]));
    assert_eq!(town.plan(&Ask::Promote(id(1), None)).unwrap().change, None);
    let text = "2 voters tolerate no more than 1: wait for another learner";
    assert_eq!(refusals(&Town::of(2, 1), &Ask::Promote(id(2), None)), [text]);
}

#[test]
fn a_dead_node_can_be_replaced_and_nobody_that_is_none() {
    let mut town = Town::of(3, 3);
    town.silence(2, 1);
    let plan = town.plan(&Ask::Replace(id(2), Successor::Namesake)).unwrap();
    assert_eq!((plan.refusals().count(), plan.voters_after.clone()), (0, set([1, 2, 3])));
    assert!(town.plan(&Ask::Replace(id(9), Successor::Namesake)).is_err());
}

#[test]
fn what_changes_voters_waits_for_the_change_before() {
    let mut town = Town::of(4, 3);
    town.sight.voters = set([1, 2]);
    let text = "another change of voters is under way; wait for it";
    assert_eq!(refusals(&town, &Ask::Promote(id(4), None)), [text]);
}
