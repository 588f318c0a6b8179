//! Closed accounts: nobody spends but who was granted it by name, and nothing is kept.

use crate::cluster::*;
use quorate_domain::{Amount, Period};
use quorate_ledger::{Kind, View};
use quorate_wallet::*;

/// A team's budget of a thousand, of which this node holds a part in grant mode, and has reserved ten of it.
fn cluster_with_grant() -> (Cluster, Reservation) {
    let mut cluster = Cluster::new(1_000, 100_000, Kind::Lifetime);
    let reservation = cluster.run(&[TEAM], 10, at(1));
    assert!(cluster.free(TEAM) > 100 && !cluster.account(TEAM).is_closed());
    (cluster, reservation)
}

/// The same, and another session has begun central mode by taking all that was in the pool.
fn closed() -> (Cluster, Reservation) {
    let (mut cluster, reservation) = cluster_with_grant();
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    assert!(cluster.follow(at(2)));
    cluster.talk(at(2)).unwrap();
    (cluster, reservation)
}

/// A closed account of which nothing is in flight, and the pool is empty.
fn drained() -> Cluster {
    let (mut cluster, reservation) = closed();
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    drop(reservation);
    cluster.follow(at(3));
    cluster.talk(at(3)).unwrap();
    assert_eq!((cluster.free(TEAM), cluster.pool(TEAM)), (0, 0));
    cluster
}

/// A request that waits, as the ledger knows.
fn one_waits(cluster: &mut Cluster, tokens: u64) -> quorate_domain::PlaceId {
    let id = cluster.queue(&[TEAM], tokens, at(4));
    cluster.talk(at(4)).unwrap();
    id
}

/// What the other session returns of all it has.
fn other_returns(cluster: &mut Cluster, returned: u64) {
    cluster.other_reports(TEAM, 0, returned);
}

#[test]
fn a_closed_account_reserves_nothing_and_returns_at_once_what_is_free() {
    let (mut cluster, reservation) = cluster_with_grant();
    cluster.run_again();
    let free = cluster.free(TEAM);
    cluster.wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().cancel();
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    assert!(cluster.follow(at(2)), "there is something to be said");
    assert!(cluster.account(TEAM).is_closed() && reservation.is_recalled());
    assert_eq!((cluster.free(TEAM), cluster.returned(TEAM)), (0, free));
    assert_eq!(cluster.wallet.reserve(&[TEAM], cost(1), at(2)).unwrap_err(), Withheld::Short(TEAM.budget));
    let said = cluster.talk(at(2)).unwrap();
    assert_eq!(said.reports[0].returned, Amount::new(free));
    assert_eq!(cluster.pool(TEAM), free);
    assert!(!cluster.follow(at(3)), "it was said");
}

#[test]
fn a_recalled_budget_answers_the_round_and_keeps_what_is_reserved() {
    let (mut cluster, reservation) = cluster_with_grant();
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    cluster.follow(at(2));
    let round = cluster.shown(TEAM).round().unwrap();
    let heard = cluster.talk(at(2)).unwrap().reports[0].heard.unwrap();
    assert_eq!((heard.round, heard.granted), (round, cluster.account(TEAM).granted()));
    assert!(!cluster.shown(TEAM).is_round_under_way());
    assert_eq!(cluster.account(TEAM).in_flight(), Amount::new(10));
    drop(reservation);
}

#[test]
fn a_refund_to_a_closed_account_goes_back_in_the_step_that_settles() {
    let (mut cluster, reservation) = closed();
    let (returned, pool) = (cluster.returned(TEAM), cluster.pool(TEAM));
    let _within = reservation.settle(&cost(4));
    assert_eq!((cluster.returned(TEAM), cluster.free(TEAM)), (returned + 6, 0));
    assert!(cluster.follow(at(5)), "others may wait for it");
    cluster.talk(at(5)).unwrap();
    assert_eq!(cluster.pool(TEAM), pool + 6);
}

#[test]
fn a_request_that_was_granted_its_need_by_name_takes_it_once_the_journal_holds_a_watermark() {
    let mut cluster = drained();
    let (first, second) = (one_waits(&mut cluster, 30), one_waits(&mut cluster, 20));
    other_returns(&mut cluster, 30);
    assert!(cluster.wallet.serve(at(5)).is_empty());
    cluster.follow(at(5));
    assert!(cluster.wallet.serve(at(5)).is_empty(), "the journal has no watermark for it");
    assert!(cluster.wallet.needs_flush());
    let served = serve(&cluster.wallet, at(5));
    assert_eq!(ids(&served), [first]);
    let account = cluster.account(TEAM);
    assert_eq!((account.in_flight().get(), account.spent_bound().get()), (30, 40));
    other_returns(&mut cluster, 50);
    cluster.follow(at(6));
    assert_eq!(ids(&serve(&cluster.wallet, at(6))), [second]);
}

#[test]
fn what_one_was_granted_by_name_nobody_else_takes() {
    let mut cluster = drained();
    let large = cluster.queue(&[TEAM], 30, at(4));
    let small = cluster.queue(&[TEAM], 20, at(4));
    // Of the two, the ledger knows the second alone.
    cluster.wallet.leave(large);
    cluster.talk(at(4)).unwrap();
    let early = cluster.queue(&[TEAM], 20, at(4));
    other_returns(&mut cluster, 20);
    cluster.follow(at(5));
    assert_eq!(ids(&serve(&cluster.wallet, at(5))), [small]);
    assert!(cluster.wallet.reserve(&[TEAM], cost(1), at(5)).is_err());
    assert!(cluster.wallet.leave(early));
}

#[test]
fn what_was_granted_to_a_request_that_left_goes_back() {
    let mut cluster = drained();
    let id = one_waits(&mut cluster, 30);
    let before = cluster.returned(TEAM);
    other_returns(&mut cluster, 30);
    cluster.follow(at(5));
    assert!(cluster.wallet.leave(id));
    assert_eq!(cluster.returned(TEAM), before + 30);
    cluster.talk(at(5)).unwrap();
    assert_eq!((cluster.pool(TEAM), cluster.shown(TEAM).line_length()), (30, 0));
}

#[test]
fn what_is_granted_to_a_request_after_it_left_goes_back_too() {
    let mut cluster = drained();
    let id = one_waits(&mut cluster, 30);
    let before = cluster.returned(TEAM);
    assert!(cluster.wallet.leave(id));
    other_returns(&mut cluster, 30);
    assert!(cluster.follow(at(5)));
    assert_eq!(cluster.returned(TEAM), before + 30);
}

#[test]
fn an_older_view_changes_nothing() {
    let (mut cluster, reservation) = cluster_with_grant();
    let before = cluster.ledger.clone();
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    cluster.follow(at(2));
    let closed = (cluster.account(TEAM).granted(), cluster.account(TEAM).statement());
    cluster.wallet.follow(&before, at(3));
    assert!(cluster.account(TEAM).is_closed());
    assert_eq!((cluster.account(TEAM).granted(), cluster.account(TEAM).statement()), closed);
    drop(reservation);
}

#[test]
fn an_answer_that_comes_after_a_newer_view_reopens_nothing() {
    let (mut cluster, reservation) = cluster_with_grant();
    let id = cluster.queue(&[TEAM], 600, at(1));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(1)).unwrap();
    cluster.limit(TEAM, 10_000);
    let answers = cluster.deliver(&speech);
    cluster.limit(TEAM, 100);
    cluster.follow(at(2));
    assert!(cluster.account(TEAM).is_closed());
    cluster.wallet.heard(&speech, &answers, at(1), at(3));
    assert!(cluster.account(TEAM).is_closed());
    assert_eq!(cluster.free(TEAM), 0);
    cluster.wallet.leave(id);
    drop(reservation);
}

#[test]
fn an_account_that_opens_again_has_headroom_again() {
    let mut cluster = drained();
    cluster.limit(TEAM, 100_000);
    // Whoever asks first finds that there is room again.
    cluster.other_asks(TEAM, 10);
    assert!(!cluster.shown(TEAM).is_central());
    cluster.follow(at(5));
    assert!(!cluster.account(TEAM).is_closed());
    cluster.run(&[TEAM], 10, at(6)).cancel();
    assert!(cluster.free(TEAM) > 0, "a refund stays here");
    cluster.wallet.reserve(&[TEAM], cost(1), at(7)).unwrap().cancel();
}

#[test]
fn what_was_meant_for_a_request_is_headroom_when_the_account_opens_and_is_lost_to_nobody() {
    let mut cluster = drained();
    let id = one_waits(&mut cluster, 30);
    other_returns(&mut cluster, 30);
    cluster.follow(at(5));
    flush(&cluster.wallet, at(5));
    assert_eq!(cluster.free(TEAM), 0);
    cluster.limit(TEAM, 100_000);
    cluster.other_asks(TEAM, 10);
    cluster.follow(at(6));
    assert_eq!(cluster.free(TEAM), 30);
    assert_eq!(ids(&serve(&cluster.wallet, at(6))), [id]);
}

#[test]
fn a_request_that_was_granted_room_just_before_central_mode_began_asks_for_it_again() {
    let mut cluster = Cluster::new(1_000, 100_000, Kind::Lifetime);
    let id = one_waits(&mut cluster, 10);
    assert!(cluster.free(TEAM) >= 10);
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    cluster.follow(at(5));
    assert_eq!(cluster.free(TEAM), 0, "it was part of a grant, and anybody may have spent from that");
    let said = cluster.talk(at(5)).unwrap();
    let told: Vec<_> = said.asks.iter().flat_map(|ask| &ask.places).map(|place| place.id).collect();
    assert_eq!(told, [id], "rule (d): what was asked for in grant mode is void in central mode");
}

#[test]
fn a_request_whose_answer_comes_after_central_mode_was_seen_to_begin_asks_again() {
    let (mut cluster, reservation) = cluster_with_grant();
    cluster.limit(TEAM, 100_000);
    let id = cluster.queue(&[TEAM], cluster.free(TEAM) + 1, at(1));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(1)).unwrap();
    let answers = cluster.deliver(&speech);
    assert!(!cluster.shown(TEAM).is_central() && speech.sync.asks[0].places[0].id == id);
    let pool = cluster.pool(TEAM);
    cluster.other_asks(TEAM, pool);
    cluster.follow(at(2));
    cluster.wallet.heard(&speech, &answers, at(1), at(3));
    assert!(cluster.account(TEAM).is_closed());
    let said = cluster.talk(at(4)).unwrap();
    let told: Vec<_> = said.asks.iter().flat_map(|ask| &ask.places).map(|place| place.id).collect();
    assert_eq!(told, [id]);
    drop(reservation);
}

/// The replica shows the end of one spell of central mode and the beginning of the next at once.
#[test]
fn what_was_granted_by_name_in_one_spell_of_central_mode_means_nothing_in_the_next() {
    let mut cluster = drained();
    let id = one_waits(&mut cluster, 30);
    other_returns(&mut cluster, 30);
    cluster.follow(at(5));
    assert_eq!(cluster.wallet.lacks(id), None);
    let since = |cluster: &Cluster| cluster.shown(TEAM).central().unwrap().since();
    let (first, returned) = (since(&cluster), cluster.returned(TEAM));
    cluster.limit(TEAM, 100_000);
    cluster.other_asks(TEAM, 10);
    assert!(!cluster.shown(TEAM).is_central());
    cluster.limit(TEAM, 100);
    assert!(since(&cluster) > first);
    cluster.follow(at(6));
    assert_eq!((cluster.returned(TEAM), cluster.wallet.lacks(id)), (returned + 30, Some(TEAM.budget)));
    assert!(serve(&cluster.wallet, at(6)).is_empty());
    let said = cluster.talk(at(6)).unwrap();
    let told: Vec<_> = said.asks.iter().flat_map(|ask| &ask.places).map(|place| place.id).collect();
    assert_eq!(told, [id]);
}

#[test]
fn what_requests_in_line_hold_is_what_they_took_and_what_they_were_granted_by_name() {
    let mut cluster = Cluster::new(1_000, 100, Kind::Lifetime);
    cluster.other_asks(KEY, 60);
    let id = cluster.queue(&[TEAM, KEY], 5, at(1));
    assert_eq!((cluster.wallet.lacks(id), cluster.wallet.held_in_line()), (Some(TEAM.budget), vec![]));
    cluster.talk(at(1)).unwrap();
    assert!(serve(&cluster.wallet, at(1)).is_empty());
    let taken = (TEAM.budget, cluster.account(TEAM).window().id, Amount::new(5));
    assert_eq!((cluster.wallet.lacks(id), cluster.wallet.held_in_line()), (Some(KEY.budget), vec![taken]));
    cluster.talk(at(2)).unwrap();
    cluster.other_reports(KEY, 0, 60);
    cluster.follow(at(3));
    let granted = (KEY.budget, cluster.account(KEY).window().id, Amount::new(50));
    assert_eq!((cluster.wallet.lacks(id), cluster.wallet.held_in_line()), (None, vec![taken, granted]));
    assert_eq!(ids(&serve(&cluster.wallet, at(3))), [id]);
    assert!(cluster.wallet.held_in_line().is_empty());
}

#[test]
fn a_request_takes_one_budget_after_the_other_and_holds_what_it_has_while_it_waits() {
    let mut cluster = Cluster::new(1_000, 100, Kind::Lifetime);
    cluster.other_asks(KEY, 60);
    let id = cluster.queue(&[TEAM, KEY], 5, at(1));
    let said = cluster.talk(at(1)).unwrap();
    assert_eq!(said.asks.len(), 1, "it does not ask for the second before it has the first");
    assert!(serve(&cluster.wallet, at(1)).is_empty());
    assert_eq!(cluster.account(TEAM).in_flight(), Amount::new(5));
    cluster.talk(at(2)).unwrap();
    assert_eq!(cluster.shown(KEY).line_length(), 1);
    cluster.other_reports(KEY, 0, 60);
    cluster.follow(at(3));
    let served = serve(&cluster.wallet, at(3));
    assert_eq!(ids(&served), [id]);
    assert_eq!(
        (cluster.account(TEAM).in_flight(), cluster.account(KEY).in_flight()),
        (Amount::new(5), Amount::new(50))
    );
}

#[test]
fn a_request_that_leaves_gives_back_all_it_had() {
    let mut cluster = Cluster::new(1_000, 100, Kind::Lifetime);
    cluster.other_asks(KEY, 60);
    let id = cluster.queue(&[TEAM, KEY], 5, at(1));
    cluster.talk(at(1)).unwrap();
    assert!(serve(&cluster.wallet, at(1)).is_empty());
    let free = cluster.free(TEAM);
    assert!(cluster.wallet.leave(id));
    let account = cluster.account(TEAM);
    assert_eq!((account.in_flight(), account.statement().used), (Amount::ZERO, Amount::ZERO));
    assert_eq!(cluster.free(TEAM), free + 5);
    assert!(!cluster.wallet.leave(id), "it has left already");
}

#[test]
fn a_request_of_which_the_journal_was_too_late_is_not_forgotten_when_the_window_is_over() {
    let mut cluster = Cluster::new(100, 0, Kind::Fixed(Period::Minute));
    cluster.other_asks(TEAM, 100);
    let id = one_waits(&mut cluster, 30);
    other_returns(&mut cluster, 30);
    let view = View::of(cluster.shown(TEAM), cluster.wallet.session());
    assert_eq!(view.served, [(id, Amount::new(30))]);
    cluster.follow(at(5));
    // The place is not mentioned any more, since the request has all it needs but a watermark.
    while cluster.talk(at(6)).is_some() {}
    cluster.pass(60_000);
    assert!(serve(&cluster.wallet, at(60_010)).is_empty(), "the grant is over");
    let mut served = vec![];
    for millis in 60_011..60_020 {
        cluster.talk(at(millis));
        served.append(&mut serve(&cluster.wallet, at(millis)));
    }
    assert_eq!(ids(&served), [id], "nobody asked for another window on its behalf");
}
