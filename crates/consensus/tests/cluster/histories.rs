//! Replicas that differ are noticed (I9).

use crate::harness::{Cluster, applied, create, wait};
use quorate_consensus::{Replica, RunError, SnapshotPolicy, Status};
use quorate_domain::NodeId;
use std::collections::BTreeSet;

/// Changes the state of a replica behind the log's back, as a broken memory or another version of the program would.
fn corrupt(node: &Replica) {
    let quorate_consensus::Command::Ledger(command) = crate::harness::once(999) else { unreachable!() };
    let state = node.state();
    state.ledger.write().apply(state.time(), command);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_differs_from_most_others_stops_and_is_right_again_after_a_replay_of_the_log() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let leader = cluster.leader().await;
    let wrong = (leader + 1) % 3;
    let others: BTreeSet<NodeId> = [leader, (leader + 2) % 3].map(|at| cluster.node(at).node()).into();
    create(cluster.node(leader), 1).await.unwrap();
    corrupt(cluster.node(wrong));
    create(cluster.node(leader), 2).await.unwrap();

    let ended = cluster.nodes[wrong].take().unwrap().ended().await;
    let RunError::Diverged { applied: at, from } = &ended else { panic!("I9: {ended}") };
    assert_eq!(from, &others, "I9: {ended}");
    assert!(*at <= cluster.node(leader).status().committed);
    create(cluster.node(leader), 3).await.unwrap();

    cluster.restart(wrong).await;
    applied(cluster.node(wrong), cluster.node(leader).status().committed).await;
    cluster.agree().await;
    for node in cluster.running() {
        wait(node, "I9: all are equal again", |status| status.differs_from.is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_that_differ_each_says_so_and_both_go_on() {
    let cluster = Cluster::of(2, SnapshotPolicy::default()).await;
    let leader = cluster.leader().await;
    create(cluster.node(leader), 1).await.unwrap();
    cluster.agree().await;
    let applied = cluster.node(0).status().applied;
    for at in [0, 1] {
        let (node, other) = (cluster.node(at), cluster.node(1 - at).node());
        let is_equal = |status: &Status| {
            let mut others = status.peers.iter().filter(|peer| peer.node == other);
            others.any(|peer| peer.equal_at >= Some(applied))
        };
        wait(node, "I9: the other one was compared and is equal", is_equal).await;
    }
    corrupt(cluster.node(1 - leader));
    create(cluster.node(leader), 2).await.unwrap();
    for at in [0, 1] {
        let other = BTreeSet::from([cluster.node(1 - at).node()]);
        wait(cluster.node(at), "I9: the difference is seen", |status| status.differs_from == other).await;
    }
    create(cluster.node(leader), 3).await.unwrap();
    for at in [0, 1] {
        let other = BTreeSet::from([cluster.node(1 - at).node()]);
        assert_eq!(
            cluster.node(at).status().differs_from,
            other,
            "I9: nothing that happens makes them equal"
        );
    }
}
