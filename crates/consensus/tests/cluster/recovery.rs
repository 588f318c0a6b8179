//! What is there again after a restart, and how a node that was away catches up.

use crate::harness::{Cluster, PATIENCE, Running, applied, count, create, settings, wait};
use quorate_consensus::{Replica, SnapshotPolicy, Start};
use std::ops::RangeInclusive;
use std::path::Path;
use tempfile::TempDir;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_after_restarts_with_and_without_a_snapshot() {
    let dir = TempDir::new().unwrap();
    let policy = SnapshotPolicy { every: 60, keep: 20 };
    let settings = || quorate_consensus::Settings { snapshots: policy, ..settings(dir.path()) };
    let mut node = Running::start(settings(), Start::Found).await.unwrap();
    let cluster = node.replica.cluster();
    let mut written = 0;
    for round in [1, 0, 40, 100, 3, 200] {
        for _ in 0..round {
            create(&node.replica, written).await.unwrap();
            written += 1;
        }
        let hash = node.replica.state().hash();
        node.stop().await;
        node = Running::start(settings(), Start::Found).await.unwrap();
        node.replica.read_barrier(PATIENCE).await.unwrap();
        assert_eq!(count(&node.replica), usize::try_from(written).unwrap());
        assert_eq!(node.replica.cluster(), cluster);
        assert!(node.replica.state().hash().applied >= hash.applied);
    }
    wait(&node.replica, "the log was cut", |status| status.purged.is_some()).await;
    node.stop().await;
}

async fn write_many(node: &Replica, users: RangeInclusive<u64>) {
    let mut writers = JoinSet::new();
    for user in users {
        let node = node.clone();
        writers.spawn(async move { create(&node, user).await.unwrap() });
    }
    writers.join_all().await;
}

fn snapshot_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("snapshots")).unwrap();
    // A file may give way to a newer one while the directory is read.
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_past_the_purge_is_brought_back_by_a_snapshot() {
    let mut cluster = Cluster::of(3, SnapshotPolicy { every: 50, keep: 5 }).await;
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    create(cluster.node(leader), 0).await.unwrap();
    cluster.stop(away).await;
    let last_seen = cluster.node(leader).status().last_log;
    write_many(cluster.node(leader), 1..=4_000).await;
    for user in 4_001..=4_100 {
        create(cluster.node(leader), user).await.unwrap();
    }
    wait(cluster.node(leader), "the log is cut behind the node that is away", |status| {
        status.purged.is_some_and(|purged| purged > last_seen + 10)
    })
    .await;
    let bytes = snapshot_bytes(cluster.dirs[leader].path());
    assert!(bytes > 512 << 10, "{bytes} bytes travel in one piece");
    cluster.restart(away).await;
    let index = cluster.node(leader).status().committed;
    applied(cluster.node(away), index).await;
    wait(cluster.node(away), "a snapshot was installed", |status| status.snapshot.is_some()).await;
    assert_eq!(count(cluster.node(away)), 4_101);
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_stopped_and_started_again_remember_what_was_acknowledged() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    for user in 0..50 {
        create(cluster.node(usize::try_from(user).unwrap() % 3), user).await.unwrap();
    }
    for at in 0..3 {
        cluster.stop(at).await;
    }
    for at in 0..3 {
        cluster.restart(at).await;
    }
    for node in cluster.running() {
        node.read_barrier(PATIENCE).await.unwrap();
        assert_eq!(count(node), 50);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_at_another_address_is_found_again() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let moved = (cluster.leader().await + 1) % 3;
    let id = cluster.node(moved).node();
    cluster.stop(moved).await;
    create(cluster.running().next().unwrap(), 1).await.unwrap();
    cluster.restart_on(moved, "127.0.0.1:0".parse().unwrap()).await;
    let address = cluster.node(moved).address().to_owned();
    for node in cluster.running() {
        wait(node, "the new address is known", |status| {
            status.peers.iter().any(|peer| peer.node == id && peer.address == address)
        })
        .await;
    }
    create(cluster.node(moved), 2).await.unwrap();
    cluster.agree().await;
}
