//! Budgets that go by estimates: what is expected is reserved, what is used is charged, and nobody's answer is cut for them.

use crate::cluster::*;
use quorate_domain::{Amount, Refill, Tokens, Unit};
use quorate_ledger::*;
use quorate_wallet::{Cause, Charge, Need, Refusal};

const EXPECTED: Charge = Charge { reserve: Reserve::Estimate, ..TEAM };

/// A minute's bucket of tokens, of which requests reserve what they are expected to use, and a key's of money.
fn bucket(tokens: u64, key: u64) -> Cluster {
    Cluster::new(tokens, key, Kind::Bucket(Refill::Minute))
}

/// It may cost a hundred, and is expected to use ten.
fn need() -> Need {
    Need { expected: Tokens::new(10), ..cost(100).into() }
}

fn in_flight(cluster: &Cluster, charge: Charge) -> u64 {
    cluster.account(charge).in_flight().get()
}

/// What a budget was charged: within what was reserved, and beyond it.
fn charged(cluster: &Cluster, charge: Charge) -> (u64, u64) {
    let statement = cluster.account(charge).statement();
    (statement.used.get(), statement.overrun.get())
}

/// Grants with room for many.
fn funded(tokens: u64, key: u64) -> Cluster {
    let mut cluster = bucket(tokens, key);
    cluster.run(&[TEAM, KEY], 100, at(0)).cancel();
    cluster
}

#[test]
fn what_is_expected_is_reserved_of_such_a_budget_and_the_bound_of_all_others() {
    let cluster = funded(100_000, 1_000_000);
    let reservation = cluster.wallet.reserve(&[EXPECTED, KEY], need(), at(1)).unwrap();
    assert_eq!((in_flight(&cluster, TEAM), in_flight(&cluster, KEY)), (10, 1_000));
    assert_eq!(reservation.estimated(), Some(Amount::new(10)));
    let overrun = reservation.settle(&cost(7));
    assert!(overrun.is_durable());
    assert_eq!((charged(&cluster, TEAM), charged(&cluster, KEY)), ((7, 0), (70, 0)));
}

#[test]
fn no_more_than_the_bound_is_reserved_whatever_is_expected() {
    let cluster = funded(100_000, 1_000_000);
    let need = Need { expected: Tokens::new(5_000), ..cost(100).into() };
    let reservation = cluster.wallet.reserve(&[EXPECTED], need, at(1)).unwrap();
    assert_eq!(reservation.estimated(), Some(Amount::new(100)));
    reservation.cancel();
}

#[test]
fn what_goes_beyond_an_estimate_is_told_to_nobody_before_the_journal_holds_it() {
    let cluster = funded(100_000, 1_000_000);
    let mut debt = cluster.wallet.reserve(&[EXPECTED, KEY], need(), at(1)).unwrap().settle(&cost(100));
    assert_eq!((charged(&cluster, TEAM), charged(&cluster, KEY)), ((10, 90), (1_000, 0)));
    assert!(!debt.is_durable());
    cluster.wallet.record_or_owe(&mut debt);
    flush(&cluster.wallet, at(1));
    assert!(debt.is_durable());
}

#[test]
fn the_bound_is_charged_where_nobody_can_tell_what_it_cost() {
    let cluster = funded(100_000, 1_000_000);
    let take = || {
        flush(&cluster.wallet, at(1));
        cluster.wallet.reserve(&[EXPECTED, KEY], need(), at(1)).unwrap()
    };
    let debt = take().charge_in_full();
    assert!(!debt.is_durable());
    assert_eq!((charged(&cluster, TEAM), charged(&cluster, KEY)), ((10, 90), (1_000, 0)));
    drop(take());
    assert_eq!((charged(&cluster, TEAM), charged(&cluster, KEY)), ((20, 180), (2_000, 0)));
    let mut cut = take();
    cut.shrink(&cost(40));
    drop(cut);
    assert_eq!(charged(&cluster, TEAM), (30, 210), "by then it was bound to 40");
    assert_eq!(in_flight(&cluster, TEAM), 0);
}

#[test]
fn an_answer_is_not_cut_for_what_was_taken_by_estimate() {
    let cluster = funded(100_000, 1_000_000);
    let mut reservation = cluster.wallet.reserve(&[EXPECTED, KEY], need(), at(1)).unwrap();
    assert_eq!(reservation.least(Unit::Tokens), None);
    assert_eq!(reservation.least(Unit::NanoUsd), Some(Amount::new(1_000)));
    reservation.shrink(&cost(60));
    assert_eq!((in_flight(&cluster, TEAM), in_flight(&cluster, KEY)), (10, 600));
    reservation.shrink(&cost(4));
    assert_eq!((in_flight(&cluster, TEAM), in_flight(&cluster, KEY)), (4, 40));
    reservation.cancel();
}

#[test]
fn who_waits_takes_what_is_expected_and_no_less() {
    let mut cluster = bucket(60, 1_000_000);
    let need = Need { least: cost(1), ..need() };
    let ids: Vec<_> = (0..6).map(|_| cluster.wallet.queue([EXPECTED].into(), need, at(0), LATER)).collect();
    let mut served = vec![];
    while served.len() < ids.len() {
        cluster.talk(at(1)).expect("requests wait");
        cluster.follow(at(1));
        served.append(&mut serve(&cluster.wallet, at(1)));
    }
    assert_eq!(served.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert!(served.iter().all(|(_, reservation)| reservation.estimated() == Some(Amount::new(10))));
    served.into_iter().for_each(|(_, reservation)| reservation.cancel());
}

#[test]
fn a_request_is_too_large_by_what_is_expected_and_not_by_its_bound() {
    let mut cluster = bucket(60, 1_000_000);
    let within = cluster.wallet.queue([EXPECTED].into(), need(), at(0), at(0));
    let need = Need { expected: Tokens::new(61), ..need() };
    let beyond = cluster.wallet.queue([EXPECTED].into(), need, at(0), at(0));
    cluster.talk(at(1));
    let refused = cluster.wallet.turn_away(&cluster.ledger, Some(at(2)), at(2));
    assert!(matches!(
        refused[..],
        [(id, Refusal::Denied { need, cause: Cause::TooBig, .. })] if id == beyond && need.get() == 61
    ));
    assert!(cluster.wallet.leave(beyond) && cluster.wallet.leave(within));
}

#[test]
fn nothing_is_reserved_of_a_bucket_in_debt_before_that_has_leaked() {
    let mut cluster = bucket(30, 1_000_000);
    let id = cluster.wallet.queue([EXPECTED].into(), need(), at(0), LATER);
    cluster.talk(at(0));
    cluster.follow(at(0));
    let mut served = serve(&cluster.wallet, at(0));
    assert_eq!(ids(&served), [id]);
    let mut debt = served.remove(0).1.settle(&cost(100));
    cluster.wallet.record_or_owe(&mut debt);
    flush(&cluster.wallet, at(0));
    // Of thirty, a hundred are used: seventy and ten have to leak, one in two seconds.
    let next = cluster.wallet.queue([EXPECTED].into(), need(), at(0), LATER);
    let mut served_after = None;
    for second in 0..=170 {
        let now = at(second * 1_000);
        cluster.talk(now);
        cluster.follow(now);
        let served = serve(&cluster.wallet, now);
        if !served.is_empty() {
            assert_eq!(ids(&served), [next]);
            served_after.get_or_insert(second);
            served.into_iter().for_each(|(_, reservation)| reservation.cancel());
        }
        cluster.pass(1_000);
    }
    assert_eq!(served_after, Some(160));
}
