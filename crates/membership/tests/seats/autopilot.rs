//! What the autopilot wishes for.

use crate::town::{Town, id, set};
use quorate_domain::{LogTime, Span};
use quorate_membership::{Change, Mode, Outcome, Successor, Wish};

fn seats(voters: std::collections::BTreeSet<quorate_domain::NodeId>) -> Change {
    Change::Seat { voters }
}

fn wished(town: &Town) -> Option<Change> {
    town.wish().map(|wish| wish.change)
}

#[test]
fn voters_grow_from_one_to_three_to_five_and_never_through_an_even_number() {
    let mut town = Town::new();
    town.admit(None);
    assert_eq!(town.wish(), None, "two voters would tolerate no more than one");
    town.admit(None);
    assert_eq!(town.fly(), [set([1, 2, 3])]);
    town.admit(None);
    assert_eq!(town.wish(), None);
    (0..4).for_each(|_| town.admit(None));
    assert_eq!(town.fly(), [set([1, 2, 3, 4, 5])]);
    town.set_autopilot(|settings| settings.target = 100);
    assert_eq!(town.fly(), [set([1, 2, 3, 4, 5, 6, 7])]);
    town.set_autopilot(|settings| settings.target = 4);
    assert_eq!(town.fly(), [set([1, 2, 3])]);
}

#[test]
fn a_learner_is_trusted_after_it_was_caught_up_for_ten_seconds_and_beside_one_voter_for_one() {
    let seen = |caught_up| quorate_membership::Seen { lag: Some(0), silent: Span::default(), caught_up };
    let wished_after = |voters, millis: Option<u64>| {
        let mut town = Town::of(voters + 2, voters);
        let last = id(voters + 2);
        town.sight.nodes.insert(last, seen(millis.map(Span::from_millis)));
        town.wish().is_some()
    };
    assert_eq!([None, Some(9_999), Some(10_000)].map(|millis| wished_after(3, millis)), [false, false, true]);
    assert_eq!([None, Some(999), Some(1_000)].map(|millis| wished_after(1, millis)), [false, false, true]);
}

#[test]
fn seats_are_spread_over_zones() {
    let mut town = Town::new();
    ["a", "a", "b", "b", "c"].into_iter().for_each(|zone| town.admit(Some(zone)));
    assert_eq!(wished(&town), Some(seats(set([1, 2, 4]))), "one of each zone before two of one");
    town.fly();
    assert_eq!(town.table.voters(), &set([1, 2, 3, 4, 6]));
}

#[test]
fn the_seat_of_a_dead_voter_goes_to_a_learner_and_without_one_it_stays() {
    let mut town = Town::of(3, 3);
    town.silence(3, 1);
    assert_eq!(town.wish(), None, "fewer voters are no safer");
    town.admit(None);
    let Some(Wish { change, why }) = town.wish() else { panic!("a learner is there") };
    assert_eq!((change, why.as_str()), (seats(set([1, 2, 4])), "node 3 was silent for 3600 s"));
    town.set_autopilot(|settings| settings.mode = Mode::Paused);
    assert_eq!(town.wish(), None);
}

#[test]
fn learners_that_are_gone_for_a_day_leave_and_voters_do_not() {
    let mut town = Town::of(4, 3);
    town.silence(3, 100);
    town.silence(4, 24);
    assert_eq!(town.wish(), None);
    town.silence(4, 25);
    assert_eq!(wished(&town), Some(Change::Remove { node: id(4), voters: set([1, 2, 3]) }));
}

#[test]
fn nothing_is_wished_for_without_a_quorum_or_while_voters_change() {
    let mut town = Town::of(4, 3);
    (2..=3).for_each(|node| town.silence(node, 1));
    assert_eq!(town.wish(), None);
    let mut town = Town::of(5, 3);
    town.sight.voters = set([1, 2]);
    assert_eq!(town.wish(), None);
}

#[test]
fn a_successor_takes_its_place_in_one_change_also_when_the_autopilot_is_paused() {
    let mut town = Town::of(3, 3);
    town.set_autopilot(|settings| settings.mode = Mode::Paused);
    town.silence(2, 0);
    let (node, successor) = (id(2), Successor::Anyone);
    assert_eq!(town.change(Change::Replace { node, successor }), Outcome::Done);
    town.admit(None);
    town.mark_catching_up(4);
    assert_eq!(town.wish(), None);
    town.sight.nodes.insert(id(4), town.sight.nodes[&id(1)]);
    assert_eq!(wished(&town), Some(Change::Remove { node, voters: set([1, 3, 4]) }));
    assert_eq!(town.fly(), [set([1, 3, 4])]);
    assert!(town.table.is_gone(node));
}

#[test]
fn a_successor_of_a_learner_takes_no_seat() {
    let mut town = Town::of(4, 3);
    let (node, successor) = (id(4), Successor::Anyone);
    town.change(Change::Replace { node, successor });
    town.admit(None);
    assert_eq!(wished(&town), Some(Change::Remove { node, voters: set([1, 2, 3]) }));
}

#[test]
fn who_was_demoted_or_drains_is_given_no_seat() {
    let mut town = Town::of(4, 1);
    town.change(Change::Demote { node: id(2), voters: set([1]) });
    assert_eq!(wished(&town), Some(seats(set([1, 3, 4]))));
    town.change(Change::Drain { node: id(4), within: None });
    assert_eq!(town.wish(), None);
    town.change(Change::Promote { node: id(2), voters: set([1]) });
    assert_eq!(wished(&town), Some(seats(set([1, 2, 3]))));
    assert_eq!(town.table.events().iter().next_back().unwrap().at, LogTime::from_millis(1_000));
}
