//! Who is fresh, and when what one node withdrew is withdrawn on all.

use crate::harness::{Cluster, Jumping, PATIENCE, Running, create};
use quorate_consensus::{Replica, SnapshotPolicy};
use quorate_domain::{Clock, Span};
use quorate_lease::{RevocationBound, Standing};
use std::collections::BTreeSet;
use std::time::Duration;

fn is_fresh(node: &Replica, clock: &dyn Clock) -> bool {
    node.lease().0.is_fresh(clock.mono())
}

async fn wait_until(what: &str, mut state: impl FnMut() -> bool) {
    let reached = tokio::time::timeout(PATIENCE, async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(reached.await.is_ok(), "{what}");
}

async fn all_fresh(cluster: &Cluster) {
    wait_until("all nodes are fresh", || {
        cluster.nodes.iter().flatten().all(|node| is_fresh(&node.replica, &*node.clock))
    })
    .await;
}

/// Changes something and waits until all know; says how that came about, and how long it took.
async fn withdraw(node: &Running) -> (Standing, Duration) {
    create(&node.replica, node.replica.node().get()).await.unwrap();
    let committed = node.clock.mono();
    node.replica.read_barrier(PATIENCE).await.unwrap();
    let standing = node.replica.everywhere(committed).await;
    (standing, node.clock.mono().since(committed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_kept_whatever_the_time_of_day_and_a_withdrawal_waits_for_none_of_them() {
    let cluster = Cluster::by(Jumping::clock, 3, SnapshotPolicy::default()).await;
    all_fresh(&cluster).await;
    let begun = cluster.nodes[0].as_ref().unwrap().clock.mono();
    while cluster.nodes[0].as_ref().unwrap().clock.mono().since(begun) < Duration::from_secs(5) {
        for node in cluster.nodes.iter().flatten() {
            assert!(is_fresh(&node.replica, &*node.clock), "node {}", node.replica.node());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in cluster.nodes.iter().flatten() {
        let (standing, _) = withdraw(node).await;
        assert_eq!(standing, Standing::Acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_is_fresh_no_more_when_a_withdrawal_returns_not_even_the_old_leader() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    all_fresh(&cluster).await;
    let leader = cluster.leader().await;
    let running = cluster.nodes[leader].take().unwrap();
    let clock = running.clock.clone();
    let old = running.cut_off();
    let others = cluster.nodes.iter().flatten().next().unwrap();
    let (standing, took) = withdraw(others).await;
    assert!(!is_fresh(&old, &*clock), "G3: the old leader is fresh after a withdrawal returned");
    assert_eq!(standing, Standing::WaitedOut(BTreeSet::from([old.node()])));
    assert!(took >= Duration::from(RevocationBound::DEFAULT.span()), "{took:?}");
    for node in cluster.nodes.iter().flatten() {
        assert!(is_fresh(&node.replica, &*node.clock), "one election must not end a lease");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_is_waited_for_like_one_that_is_cut_off() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    all_fresh(&cluster).await;
    let leader = cluster.leader().await;
    let gone = (leader + 1) % 3;
    let running = cluster.nodes[gone].take().unwrap();
    let clock = running.clock.clone();
    let removed = running.cut_off();
    cluster.node(leader).remove(removed.node()).await.unwrap();
    let (standing, _) = withdraw(cluster.nodes[leader].as_ref().unwrap()).await;
    assert_eq!(standing, Standing::WaitedOut(BTreeSet::from([removed.node()])));
    assert!(!is_fresh(&removed, &*clock), "G3: a removed node is fresh after a withdrawal returned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_is_waited_for_also_by_one_that_has_started_anew_since() {
    // Long enough for a start on a busy machine.
    let bound = RevocationBound::new(Span::from_millis(8_000)).unwrap();
    let mut cluster = Cluster::with_bound(bound, 3).await;
    all_fresh(&cluster).await;
    let leader = cluster.leader().await;
    let (gone, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let running = cluster.nodes[gone].take().unwrap();
    let clock = running.clock.clone();
    let removed = running.cut_off();
    cluster.node(leader).remove(removed.node()).await.unwrap();
    cluster.stop(other).await;
    cluster.restart(other).await;
    let (standing, _) = withdraw(cluster.nodes[other].as_ref().unwrap()).await;
    assert!(!is_fresh(&removed, &*clock), "G3: a removed node is fresh after a withdrawal returned");
    assert_eq!(standing, Standing::WaitedOut(BTreeSet::from([removed.node()])));
}
