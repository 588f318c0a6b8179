//! Grants of which no answer told: they are found in what a replica shows, and held by nobody for ever (I5).

use crate::cluster::*;
use quorate_domain::{Amount, Period, WindowId};
use quorate_ledger::{Command, Expected, Kind, View};

/// So often is searched.
const SEARCH_MS: u64 = 5_000;

/// A budget for a minute. The node searches now, and not again for a while.
fn cluster() -> Cluster {
    let cluster = Cluster::new(100_000, 0, Kind::Fixed(Period::Minute));
    cluster.follow(at(SEARCH_MS));
    cluster
}

/// A request needs more than the node has, the ledger grants it, and the answer is lost. The request has given up by then.
fn lose_an_answer(cluster: &mut Cluster, millis: u64) {
    let free = cluster.wallet.account(TEAM.budget).map_or(0, |account| account.free().get());
    let granted = granted(cluster);
    let id = cluster.queue(&[TEAM], free + 1, at(millis));
    let speech = cluster.wallet.speech(&cluster.ledger, true, at(millis)).unwrap();
    cluster.deliver(&speech);
    cluster.wallet.unheard(&speech);
    cluster.wallet.leave(id);
    assert!(self::granted(cluster) > granted);
}

/// What the node was granted in the open window, whether it knows of it or not.
fn granted(cluster: &Cluster) -> Amount {
    View::of(cluster.shown(TEAM), cluster.wallet.session()).granted
}

/// What the sessions hold of one window, as the ledger knows; `None` once it has forgotten the window.
fn outstanding(cluster: &Cluster, window: WindowId) -> Option<Amount> {
    Some(cluster.ledger.budget(TEAM.budget).unwrap().account(window)?.outstanding())
}

/// Log time and this node's are a minute on, and everything was said that the wallet knows of.
fn next_minute(cluster: &mut Cluster, now: u64) {
    cluster.pass(60_000);
    cluster.queue(&[TEAM], 10, at(now));
    while cluster.talk(at(now)).is_some() {}
    let served = serve(&cluster.wallet, at(now));
    assert_eq!(served.len(), 1);
    served.into_iter().for_each(|(_, reservation)| reservation.cancel());
    while cluster.talk(at(now)).is_some() {}
}

#[test]
fn a_grant_whose_answer_was_lost_is_found_in_the_open_window_and_can_be_spent() {
    let mut cluster = cluster();
    lose_an_answer(&mut cluster, SEARCH_MS + 1);
    let granted = granted(&cluster);
    assert!(cluster.wallet.account(TEAM.budget).is_none());
    cluster.follow(at(2 * SEARCH_MS - 1));
    assert!(cluster.wallet.account(TEAM.budget).is_none(), "it is searched for now and then");
    cluster.follow(at(2 * SEARCH_MS));
    assert_eq!(cluster.account(TEAM).granted(), granted);
    // The next answer says until when it is good.
    cluster.run(&[TEAM], 100, at(2 * SEARCH_MS + 1)).cancel();
}

#[test]
fn a_grant_whose_answer_was_lost_in_a_window_that_is_over_is_found_and_returned() {
    let mut cluster = cluster();
    let _within = cluster.run(&[TEAM], 10, at(SEARCH_MS + 1)).settle(&cost(7));
    let first = cluster.shown(TEAM).window().id;
    let known = cluster.account(TEAM).granted();
    lose_an_answer(&mut cluster, SEARCH_MS + 2);
    next_minute(&mut cluster, 60_100);
    let stray = outstanding(&cluster, first).unwrap();
    assert!(!stray.is_zero(), "of {known} the ledger has all back, and more was granted");
    assert_eq!(cluster.wallet.settled_windows(), [(TEAM.budget, first)]);
    cluster.follow(at(60_200));
    while cluster.talk(at(60_200)).is_some() {}
    assert_eq!(outstanding(&cluster, first), Some(Amount::ZERO));
    let account = cluster.ledger.budget(TEAM.budget).unwrap().account(first).unwrap();
    assert_eq!(account.used(), Amount::new(7), "and what was spent of it stays spent");
    assert_eq!(
        cluster.wallet.settled_windows(),
        [(TEAM.budget, first)],
        "the journal need not hold it any longer"
    );
}

#[test]
fn a_grant_is_found_and_returned_of_a_window_the_node_never_knew_of() {
    let mut cluster = cluster();
    let first = cluster.shown(TEAM).window().id;
    lose_an_answer(&mut cluster, SEARCH_MS + 1);
    next_minute(&mut cluster, 60_100);
    assert!(!outstanding(&cluster, first).unwrap().is_zero());
    cluster.follow(at(60_200));
    while cluster.talk(at(60_200)).is_some() {}
    assert_eq!(outstanding(&cluster, first), Some(Amount::ZERO));
}

#[test]
fn a_search_that_finds_nothing_says_nothing_and_opens_no_account_again() {
    let mut cluster = cluster();
    cluster.run(&[TEAM], 10, at(SEARCH_MS + 1)).cancel();
    next_minute(&mut cluster, 60_100);
    let accounts = cluster.wallet.accounts().len();
    cluster.follow(at(60_200));
    assert!(cluster.talk(at(60_200)).is_none());
    assert_eq!(cluster.wallet.accounts().len(), accounts);
}

#[test]
fn a_second_loss_in_the_same_window_is_found_too() {
    let mut cluster = cluster();
    let first = cluster.shown(TEAM).window().id;
    lose_an_answer(&mut cluster, SEARCH_MS + 1);
    cluster.follow(at(2 * SEARCH_MS));
    while cluster.talk(at(2 * SEARCH_MS)).is_some() {}
    let found = cluster.account(TEAM).granted();
    lose_an_answer(&mut cluster, 2 * SEARCH_MS + 1);
    next_minute(&mut cluster, 60_100);
    assert!(!outstanding(&cluster, first).unwrap().is_zero(), "more than {found} was granted");
    cluster.follow(at(60_200));
    while cluster.talk(at(60_200)).is_some() {}
    assert_eq!(outstanding(&cluster, first), Some(Amount::ZERO));
}

#[test]
fn an_account_whose_budget_is_gone_is_forgotten_with_its_mark_and_its_request_still_ends() {
    let mut cluster = cluster();
    let runs = cluster.run(&[TEAM], 10, at(SEARCH_MS));
    let window = cluster.account(TEAM).window().id;
    cluster.apply(Command::RemoveBudget { budget: TEAM.budget, expected: Expected::Any });
    let mut searches = 0;
    while cluster.wallet.account(TEAM.budget).is_some() {
        searches += 1;
        assert!(searches <= 16, "a part of them each time, and all in a minute and a half");
        cluster.follow(at((1 + searches) * SEARCH_MS));
    }
    assert!(cluster.wallet.settled_windows().contains(&(TEAM.budget, window)));
    assert!(runs.settle(&cost(7)).is_durable());
    assert!(cluster.wallet.is_at_rest());
}
