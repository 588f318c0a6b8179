//! A session ends while requests of it run: what they cost beyond their reservations is told once, by the journal of the session, by its
//! last report, or as overspent.

use crate::cluster::*;
use quorate_domain::{Amount, SessionId};
use quorate_ledger::*;
use quorate_wallet::{Overdrafts, Overrun, Wallet};
use std::sync::Arc;

/// A wallet that may spend of its team's budget.
fn spending() -> Cluster {
    let mut cluster = Cluster::new(1_000, 10_000, Kind::Lifetime);
    cluster.run(&[TEAM], 10, at(1)).cancel();
    flush(&cluster.wallet, at(1));
    cluster
}

/// Ends a request that costs so much more than it reserved.
fn overrun(cluster: &Cluster, beyond: u64) -> Overrun {
    cluster.wallet.reserve(&[TEAM], cost(10), at(1)).unwrap().settle(&cost(10 + beyond))
}

fn owed(drafts: &Overdrafts) -> u64 {
    drafts.settled(TEAM.budget).get()
}

fn write_overspent(wallet: &Wallet) {
    let marks = wallet.overdrafts().marks();
    wallet.overdrafts().journalled(&marks);
}

#[test]
fn what_was_not_written_when_the_session_ended_is_owed_and_never_written() {
    let cluster = spending();
    let wallet = &cluster.wallet;
    let (mut earlier, mut later) = (overrun(&cluster, 3), overrun(&cluster, 7));
    assert_eq!(wallet.record_or_owe(&mut earlier), [], "the next mark has it");
    wallet.fence();
    assert_eq!(wallet.record_or_owe(&mut later), [(TEAM.budget, Amount::new(7))]);
    assert!(
        wallet.marks(at(2)).is_empty(),
        "the next session would be opened with ten that were overrun, and seven overspent"
    );
    assert_eq!(wallet.record_or_owe(&mut earlier), [(TEAM.budget, Amount::new(3))]);
    assert_eq!((wallet.record_or_owe(&mut earlier).len(), owed(wallet.overdrafts())), (0, 10));
    assert!(!earlier.is_durable() && !later.is_durable());
    write_overspent(wallet);
    assert!(earlier.is_durable() && later.is_durable());
}

#[test]
fn what_was_on_its_way_to_the_journal_is_told_by_it() {
    let cluster = spending();
    let wallet = &cluster.wallet;
    let under_way = wallet.reserve(&[TEAM], cost(10), at(1)).unwrap();
    let mut written = overrun(&cluster, 3);
    wallet.record_or_owe(&mut written);
    let marks = wallet.marks(at(2));
    assert_eq!(marks.lines[0].overrun, Amount::new(3));
    wallet.fence();
    let mut later = under_way.settle(&cost(17));
    assert_eq!(wallet.record_or_owe(&mut written), []);
    assert!(!written.is_durable());
    wallet.journalled(&marks, at(2));
    assert!(written.is_durable());
    assert_eq!(wallet.record_or_owe(&mut later), [(TEAM.budget, Amount::new(7))]);
}

#[test]
fn what_the_ledger_has_heard_of_is_not_owed() {
    let mut cluster = spending();
    let mut heard = overrun(&cluster, 3);
    cluster.talk(at(2)).unwrap();
    assert_eq!(cluster.shown(TEAM).overrun(), Amount::new(3));
    cluster.wallet.fence();
    assert_eq!(cluster.wallet.record_or_owe(&mut heard), []);
    assert!(heard.is_durable(), "no crash loses what is agreed on");
}

#[test]
fn a_later_session_owes_what_an_earlier_one_did_not_tell_and_writes_nothing_of_it() {
    let cluster = spending();
    let (mut told, mut untold) = (overrun(&cluster, 3), overrun(&cluster, 7));
    cluster.wallet.record_or_owe(&mut told);
    let next = Wallet::overdrawing(SessionId::new(9), Arc::clone(cluster.wallet.overdrafts()));
    cluster.wallet.fence();
    assert_eq!(next.record_or_owe(&mut untold), [(TEAM.budget, Amount::new(7))]);
    assert!(next.marks(at(2)).is_empty());
}

/// A node that leaves in order has a session still: its journal and its reports say what there is.
#[test]
fn a_wallet_that_is_drained_owes_nothing() {
    let mut cluster = spending();
    let mut beyond = overrun(&cluster, 3);
    cluster.wallet.drain();
    assert!(cluster.wallet.reserve(&[TEAM], cost(10), at(2)).is_err());
    assert_eq!(cluster.wallet.record_or_owe(&mut beyond), []);
    flush(&cluster.wallet, at(2));
    assert!(beyond.is_durable());
    cluster.wallet.give_back_all();
    cluster.talk(at(3)).unwrap();
    assert_eq!((cluster.shown(TEAM).overrun(), owed(cluster.wallet.overdrafts())), (Amount::new(3), 0));
}
