//! Spending without grants, for keys that may, on a node that reaches no majority.

use crate::cluster::*;
use quorate_domain::{Amount, BudgetId};
use quorate_ledger::*;
use quorate_wallet::{Charge, Cost, Overdrafts, Wallet};
use std::sync::Arc;

/// What the flusher does with what is overspent.
fn flush_overspent(wallet: &Wallet) -> Vec<(BudgetId, u64)> {
    let marks = wallet.overdrafts().marks();
    wallet.overdrafts().journalled(&marks);
    marks.iter().map(|mark| (mark.budget, mark.bound.get())).collect()
}

fn overspent(cluster: &Cluster, charge: Charge) -> u64 {
    cluster.shown(charge).overspend().get()
}

#[test]
fn what_grants_cover_is_taken_of_them_and_only_the_rest_is_overspent() {
    let mut cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    cluster.run(&[TEAM], 10, at(1)).cancel();
    flush(&cluster.wallet, at(1));
    let reservation = cluster.wallet.overdraw(&[TEAM, KEY], cost(10), at(1)).unwrap();
    assert_eq!(reservation.taken().map(|(budget, ..)| budget).collect::<Vec<_>>(), [TEAM.budget]);
    assert!(reservation.overspends() && !reservation.is_covered(), "the journal does not hold it yet");
    assert_eq!(flush_overspent(&cluster.wallet), [(KEY.budget, 100)]);
    assert!(reservation.is_covered());
    assert!(reservation.settle(&cost(4)).is_durable());
    cluster.talk(at(2)).unwrap();
    assert_eq!((overspent(&cluster, KEY), overspent(&cluster, TEAM)), (40, 0));
    assert_eq!(cluster.ledger.report(TEAM.budget).unwrap().used, Amount::new(4));
}

#[test]
fn what_is_told_again_adds_nothing_and_what_was_not_heard_is_told_again() {
    let mut cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let spend = |cluster: &Cluster, tokens| {
        let reservation = cluster.wallet.overdraw(&[TEAM], cost(tokens), at(1)).unwrap();
        flush_overspent(&cluster.wallet);
        assert!(reservation.settle(&cost(tokens)).is_durable());
    };
    spend(&cluster, 7);
    let lost = cluster.wallet.speech(&cluster.ledger, true, at(2)).unwrap();
    cluster.deliver(&lost);
    cluster.wallet.unheard(&lost);
    assert!(!cluster.wallet.is_at_rest());
    spend(&cluster, 5);
    cluster.talk(at(3)).unwrap();
    assert_eq!(overspent(&cluster, TEAM), 12);
    assert!(cluster.talk(at(4)).is_none_or(|said| said.overspent.is_empty()));
    assert!(cluster.wallet.is_at_rest());
}

#[test]
fn what_nobody_saw_the_end_of_counts_in_full_and_a_request_that_cost_nothing_does_not() {
    let cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let settled = || cluster.wallet.overdrafts().settled(TEAM.budget).get();
    let overdraw = || cluster.wallet.overdraw(&[TEAM], cost(10), at(1)).unwrap();
    overdraw().cancel();
    assert_eq!(settled(), 0);
    assert!(overdraw().settle(&Cost::NOTHING).is_durable());
    assert_eq!(settled(), 0);
    drop(overdraw());
    assert_eq!(settled(), 10);
}

#[test]
fn one_that_costs_more_than_it_could_is_heard_of_once_the_journal_has_it() {
    let cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let reservation = cluster.wallet.overdraw(&[TEAM], cost(10), at(1)).unwrap();
    flush_overspent(&cluster.wallet);
    let overrun = reservation.settle(&cost(13));
    assert!(!overrun.is_durable());
    assert_eq!(flush_overspent(&cluster.wallet), [(TEAM.budget, 13)]);
    assert!(overrun.is_durable());
}

#[test]
fn less_is_kept_in_the_journal_once_less_was_spent() {
    let cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let mut reservation = cluster.wallet.overdraw(&[TEAM], cost(10), at(1)).unwrap();
    assert_eq!(flush_overspent(&cluster.wallet), [(TEAM.budget, 10)]);
    reservation.shrink(&cost(8));
    assert_eq!(flush_overspent(&cluster.wallet), [(TEAM.budget, 8)]);
    assert!(reservation.settle(&cost(3)).is_durable());
    assert_eq!(flush_overspent(&cluster.wallet), [(TEAM.budget, 3)]);
    assert_eq!(flush_overspent(&cluster.wallet), []);
}

#[test]
fn after_a_restart_the_bound_counts_and_after_a_lost_disk_what_the_ledger_knows() {
    let mut cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let session = cluster.wallet.session();
    let bound = |amount| [(TEAM.budget, Amount::new(amount))];
    cluster.wallet = Wallet::overdrawing(session, Arc::new(Overdrafts::restored(bound(20))));
    cluster.talk(at(1)).unwrap();
    assert_eq!(overspent(&cluster, TEAM), 20);
    let nothing = Overdrafts::restored([]);
    nothing.known(cluster.ledger.overspent_by(quorate_domain::NodeId::new(2)));
    cluster.wallet = Wallet::overdrawing(session, Arc::new(nothing));
    drop(cluster.wallet.overdraw(&[TEAM], cost(3), at(2)).unwrap());
    cluster.talk(at(2)).unwrap();
    assert_eq!(overspent(&cluster, TEAM), 23);
}

#[test]
fn permits_that_are_not_at_hand_are_done_without() {
    let cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let permit =
        Charge { budget: BudgetId::new(9), unit: quorate_domain::Unit::Permits, reserve: Reserve::Bound };
    let reservation = cluster.wallet.overdraw(&[permit], cost(10), at(1)).unwrap();
    assert!(reservation.is_empty() && !reservation.overspends());
}

#[test]
fn budgets_that_are_gone_are_forgotten_once_nothing_spends_of_them() {
    let cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    let reservation = cluster.wallet.overdraw(&[TEAM], cost(10), at(1)).unwrap();
    let drafts = cluster.wallet.overdrafts();
    assert_eq!(drafts.forget(&|_| true), []);
    reservation.cancel();
    assert_eq!(drafts.forget(&|_| true), [TEAM.budget]);
    assert_eq!(drafts.marks(), []);
}
