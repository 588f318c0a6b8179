//! Who is turned away, and with what proof.

use crate::cluster::*;
use quorate_domain::{MonoTime, PlaceId, Refill};
use quorate_ledger::{Command, Kind};
use quorate_wallet::*;

/// A budget of a hundred, all of which the other session has, and a request that waits until the tenth millisecond.
fn one_waits(tokens: u64) -> (Cluster, PlaceId) {
    let mut cluster = Cluster::new(100, 100_000, Kind::Lifetime);
    cluster.other_asks(TEAM, 100);
    let id = cluster.wallet.queue([TEAM].into(), cost(tokens), at(1), at(10));
    cluster.talk(at(1));
    (cluster, id)
}

fn turned_away(cluster: &Cluster, as_of: Option<MonoTime>, now: MonoTime) -> Vec<(PlaceId, Option<Cause>)> {
    let cause = |refusal| match refusal {
        Refusal::Denied { cause, budget, .. } if budget == TEAM.budget => Some(cause),
        Refusal::Denied { .. } | Refusal::Unavailable => None,
    };
    let refused = cluster.wallet.turn_away(&cluster.ledger, as_of, now);
    refused.into_iter().map(|(id, refusal)| (id, cause(refusal))).collect()
}

#[test]
fn too_big_and_spent_are_said_at_once_by_a_replica_that_shows_what_was_before_the_request_came() {
    for (tokens, used, cause) in [(101, 0, Cause::TooBig), (50, 51, Cause::Spent)] {
        let (mut cluster, id) = one_waits(tokens);
        cluster.other_reports(TEAM, used, 0);
        assert!(cluster.wallet.needs_barrier(&cluster.ledger, at(2)));
        assert_eq!(turned_away(&cluster, None, at(2)), []);
        assert_eq!(turned_away(&cluster, Some(at(0)), at(2)), [], "the replica may be behind");
        assert_eq!(turned_away(&cluster, Some(at(1)), at(2)), [(id, Some(cause))]);
    }
}

#[test]
fn whoever_has_no_hope_is_not_told_to_the_ledger() {
    let (cluster, id) = one_waits(101);
    assert_eq!(cluster.shown(TEAM).line_length(), 0);
    assert!(cluster.wallet.leave(id));
}

#[test]
fn held_is_said_at_the_last_call_and_only_with_proof() {
    let (mut cluster, id) = one_waits(10);
    assert!(!cluster.wallet.needs_barrier(&cluster.ledger, at(9)), "others may return something");
    assert_eq!(turned_away(&cluster, Some(at(9)), at(9)), []);
    assert_eq!(turned_away(&cluster, Some(at(10)), at(10)), [], "there is no proof yet");
    cluster.talk(at(10)).unwrap();
    assert_eq!(turned_away(&cluster, Some(at(11)), at(11)), [], "the round waits for an answer");
    cluster.other_reports(TEAM, 0, 0);
    assert_eq!(turned_away(&cluster, Some(at(9)), at(9)), [], "it has patience");
    assert_eq!(turned_away(&cluster, None, at(12)), [(id, Some(Cause::Held))], "a round needs no barrier");
}

#[test]
fn what_comes_back_in_a_round_is_enough_to_refuse_nobody() {
    let (mut cluster, id) = one_waits(10);
    cluster.talk(at(10)).unwrap();
    cluster.other_reports(TEAM, 0, 10);
    cluster.follow(at(11));
    assert_eq!(turned_away(&cluster, Some(at(11)), at(11)), []);
    assert_eq!(ids(&serve(&cluster.wallet, at(11))), [id]);
}

#[test]
fn what_a_silent_holder_has_counts_as_in_doubt_a_while_after_the_last_call() {
    let (mut cluster, id) = one_waits(10);
    cluster.talk(at(10)).unwrap();
    assert_eq!(turned_away(&cluster, None, at(259)), []);
    let refused = cluster.wallet.turn_away(&cluster.ledger, None, at(260));
    let [(refused, Refusal::Denied { cause: Cause::Held, doubtful, .. })] = refused[..] else {
        panic!("{refused:?}")
    };
    assert_eq!((refused, doubtful.get()), (id, 100));
}

#[test]
fn a_silent_holder_keeps_nobody_from_proof_who_comes_while_a_round_waits_for_it() {
    let (mut cluster, first) = one_waits(10);
    cluster.talk(at(10)).unwrap();
    cluster.wallet.leave(first);
    let stuck = cluster.shown(TEAM).round().unwrap();
    let id = cluster.wallet.queue([TEAM].into(), cost(10), at(20), at(20));
    cluster.talk(at(20)).unwrap();
    assert!(cluster.talk(at(21)).is_none(), "the next round is called for already");
    cluster.talk(at(120)).unwrap();
    assert!(cluster.shown(TEAM).round().unwrap() > stuck, "it is waited for no longer");
    assert_eq!(turned_away(&cluster, None, at(269)), []);
    assert_eq!(turned_away(&cluster, None, at(270)), [(id, Some(Cause::Held))]);
}

#[test]
fn what_only_the_dead_hold_is_said_to_be_in_doubt_and_how_much_it_is() {
    let (mut cluster, id) = one_waits(10);
    cluster.other_reports(TEAM, 60, 0);
    cluster.apply(Command::ExpireSession { session: cluster.other });
    let refused = cluster.wallet.turn_away(&cluster.ledger, Some(at(2)), at(2));
    let [(refused, Refusal::Denied { cause: Cause::InDoubt, doubtful, .. })] = refused[..] else {
        panic!("{refused:?}")
    };
    assert_eq!((refused, doubtful.get()), (id, 40));
}

#[test]
fn whoever_comes_to_a_budget_after_its_patience_is_over_waits_for_proof_there_as_long_as_anybody() {
    let mut cluster = Cluster::new(100, 100_000, Kind::Lifetime);
    cluster.other_asks(TEAM, 100);
    cluster.run(&[KEY], 10, at(1)).cancel();
    let id = cluster.wallet.queue([KEY, TEAM].into(), cost(10), at(1), at(10));
    assert_eq!(ids(&serve(&cluster.wallet, at(500))), [], "it has what it needs of the key's");
    assert_eq!(turned_away(&cluster, None, at(999)), []);
    assert_eq!(turned_away(&cluster, None, at(1_000)), [(id, None)]);
}

#[test]
fn whoever_was_granted_what_it_needs_is_not_turned_away_while_the_journal_is_written() {
    let (mut cluster, id) = one_waits(10);
    cluster.talk(at(10)).unwrap();
    cluster.other_reports(TEAM, 90, 10);
    cluster.follow(at(11));
    for now in [at(11), at(300), at(600)] {
        assert_eq!(turned_away(&cluster, Some(now), now), []);
    }
    assert_eq!(ids(&serve(&cluster.wallet, at(600))), [id]);
}

/// The replica shows a grant by name of ten to a request that waits until the 900th millisecond. What the last answer said of
/// this bucket's grants was good until the 500th.
fn granted_after_a_lapse() -> (Cluster, PlaceId) {
    let mut cluster = Cluster::new(100, 100_000, Kind::Bucket(Refill::Second));
    cluster.other_asks(TEAM, 100);
    let id = cluster.wallet.queue([TEAM].into(), cost(10), at(1), at(900));
    cluster.talk(at(1)).unwrap();
    cluster.other_reports(TEAM, 0, 10);
    cluster.follow(at(950));
    assert_eq!(ids(&serve(&cluster.wallet, at(950))), []);
    (cluster, id)
}

#[test]
fn whoever_was_granted_what_it_needs_and_hears_no_more_of_the_ledger_is_told_so_when_the_grant_has_lapsed() {
    let (cluster, id) = granted_after_a_lapse();
    assert_eq!(turned_away(&cluster, None, at(1_399)), [], "it may be renewed");
    assert_eq!(turned_away(&cluster, None, at(1_400)), [(id, None)]);
    assert!(cluster.wallet.leave(id));
    assert_eq!(cluster.returned(TEAM), 10);
}

#[test]
fn whoever_was_granted_what_it_needs_is_served_as_soon_as_a_lapsed_grant_is_renewed() {
    let (mut cluster, id) = granted_after_a_lapse();
    cluster.talk(at(951)).unwrap();
    assert_eq!(turned_away(&cluster, Some(at(1_400)), at(1_400)), []);
    assert_eq!(ids(&serve(&cluster.wallet, at(1_400))), [id]);
}

#[test]
fn whoever_was_granted_what_it_needs_is_not_turned_away_before_the_wallet_hears_of_it() {
    let (mut cluster, _) = one_waits(10);
    cluster.talk(at(10)).unwrap();
    cluster.other_reports(TEAM, 90, 10);
    assert_eq!(turned_away(&cluster, Some(at(11)), at(11)), []);
}

#[test]
fn when_the_ledger_is_out_of_reach_it_is_said_that_it_is_and_nothing_about_the_budget() {
    for tokens in [10, 101] {
        let (cluster, id) = one_waits(tokens);
        let (none, all_patience) = (None, at(509));
        assert_eq!(turned_away(&cluster, none, at(100)), []);
        let early = turned_away(&cluster, none, all_patience);
        assert!(early.is_empty(), "{early:?}");
        assert_eq!(turned_away(&cluster, none, at(510)), [(id, None)]);
    }
}

/// A team's bucket of which the other session has just spent all.
fn empty_bucket(limit: u64, refill: Refill) -> Cluster {
    let mut cluster = Cluster::new(limit, 100_000, Kind::Bucket(refill));
    cluster.other_asks(TEAM, limit);
    cluster.other_reports(TEAM, limit, 0);
    cluster
}

#[test]
fn whoever_has_no_hope_is_refused_and_takes_none_from_those_behind() {
    let mut cluster = empty_bucket(100, Refill::Minute);
    let patience_ends = at(30_001);
    let large = cluster.wallet.queue([TEAM].into(), cost(90), at(1), patience_ends);
    let fits = cluster.wallet.queue([TEAM].into(), cost(45), at(1), patience_ends);
    let behind = cluster.wallet.queue([TEAM].into(), cost(5), at(1), patience_ends);
    let late = cluster.wallet.queue([TEAM].into(), cost(1), at(1), patience_ends);
    let asks = cluster.talk(at(1)).unwrap().asks;
    let asked: Vec<PlaceId> = asks[0].places.iter().map(|place| place.id).collect();
    assert_eq!(asked, [fits, behind], "fifty leak in half a minute");
    let spent = [(large, Some(Cause::Spent)), (late, Some(Cause::Spent))];
    assert_eq!(turned_away(&cluster, Some(at(1)), at(2)), spent);
}

#[test]
fn a_line_may_need_more_than_the_bucket_holds_as_long_as_so_much_leaks_within_its_patience() {
    let mut cluster = empty_bucket(10, Refill::Second);
    let queue = |cluster: &Cluster| cluster.wallet.queue([TEAM].into(), cost(1), at(1), at(2_001));
    let line: Vec<PlaceId> = (0..21).map(|_| queue(&cluster)).collect();
    cluster.talk(at(1)).unwrap();
    let last = [(line[20], Some(Cause::Spent))];
    assert_eq!(turned_away(&cluster, Some(at(1)), at(2)), last, "twenty leak in two seconds");
}

#[test]
fn the_next_deadline_is_the_earliest_in_line() {
    let (cluster, id) = one_waits(10);
    cluster.wallet.queue([TEAM].into(), cost(1), at(2), at(7));
    assert_eq!(cluster.wallet.next_deadline(), Some(at(7)));
    cluster.wallet.leave(id);
    assert_eq!(cluster.wallet.line_length(), 1);
}
