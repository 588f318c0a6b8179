//! Writes and reads on any node, also while the leader goes.

use crate::harness::{Cluster, PATIENCE, Running, count, create, settings, wait};
use quorate_consensus::{ProposeError, Role, SnapshotPolicy, Start};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_a_cluster() {
    let dir = TempDir::new().unwrap();
    let node = Running::start(settings(dir.path()), Start::Found).await.unwrap();
    create(&node.replica, 1).await.unwrap();
    assert_eq!(count(&node.replica), 1);
    node.replica.read_barrier(PATIENCE).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_through_one_node_is_read_on_every_other() {
    let cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    for (user, node) in (0..).zip(cluster.running()) {
        create(node, user).await.unwrap();
        for reader in cluster.running() {
            reader.read_barrier(PATIENCE).await.unwrap();
            assert_eq!(count(reader), usize::try_from(user).unwrap() + 1);
        }
    }
    cluster.agree().await;
}

/// Writes from all nodes at once; returns how many were made.
fn write_everywhere(cluster: &Cluster, each: u64) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for (number, node) in (0..).zip(cluster.running()) {
        for writer in 0..8 {
            let node = node.clone();
            writers.spawn(async move {
                for write in 0..each {
                    create(&node, (number * 8 + writer) * 1_000 + write).await.unwrap();
                }
            });
        }
    }
    writers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_happens_once_while_leadership_moves() {
    let cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let writers = write_everywhere(&cluster, 40);
    for _ in 0..3 {
        let leader = cluster.node(cluster.leader().await);
        let before = count(leader);
        leader.transfer_leadership(None).await.unwrap();
        wait(leader, "writes go on", |_| count(leader) > before + 50 || count(leader) == 960).await;
    }
    writers.join_all().await;
    assert_eq!(count(cluster.node(cluster.leader().await)), 960);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_happens_once_when_the_leader_falls_silent() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let at = cluster.leader().await;
    let silent = cluster.nodes[at].take().unwrap();
    let writers = write_everywhere(&cluster, 60);
    let follower = cluster.running().next().unwrap();
    wait(follower, "writes go on", |_| count(follower) > 100).await;
    let old = silent.cut_off();
    writers.join_all().await;
    let leader = cluster.node(cluster.leader().await);
    assert_ne!(leader.node(), old.node());
    assert_eq!(count(leader), 960);
    cluster.agree().await;

    // The old leader cannot confirm anything any more, and says so.
    let read = old.read_barrier(Duration::from_secs(2)).await;
    assert!(read.is_err());
    drop(old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_written_and_the_caller_is_told() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let leader = cluster.leader().await;
    for at in (0..3).filter(|at| *at != leader) {
        cluster.stop(at).await;
    }
    let alone = cluster.node(leader);
    wait(alone, "the leader knows it leads nobody", |status| status.role != Role::Follower).await;
    let refused = alone.propose_within(crate::harness::once(1), Duration::from_secs(2)).await;
    assert!(matches!(refused, Err(ProposeError::TimedOut | ProposeError::Unavailable)), "{refused:?}");
    assert!(alone.read_barrier(Duration::from_secs(1)).await.is_err());
    assert_eq!(count(alone), 0);
}
