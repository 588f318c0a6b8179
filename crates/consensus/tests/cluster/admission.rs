//! Who belongs to a cluster, and who is refused.

use crate::harness::{Cluster, PATIENCE, Running, create, ids, settings, wait};
use quorate_consensus::{ChangeError, Refusal, Settings, SnapshotPolicy, Start, StartError, StoreError};
use quorate_domain::{NodeId, Secret};
use tempfile::TempDir;

async fn founder(dir: &TempDir) -> Running {
    let node = Running::start(settings(dir.path()), Start::Found).await.unwrap();
    create(&node.replica, 0).await.unwrap();
    node
}

fn seeds(node: &Running) -> Start {
    Start::Join { seeds: vec![node.replica.address().to_owned()] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_secret_is_refused() {
    let (dir, stranger) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let node = founder(&dir).await;
    let settings = Settings { secret: Secret::new(b"a guess".to_vec()), ..settings(stranger.path()) };
    let refused = Running::start(settings, seeds(&node)).await.err();
    assert!(matches!(refused, Some(StartError::Refused { refusal: Refusal::Secret, .. })), "{refused:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let node = founder(&dir).await;
    founder(&other).await.stop().await;
    let refused = Running::start(settings(other.path()), seeds(&node)).await.err();
    let Some(StartError::Refused { refusal: Refusal::Cluster { actual, .. }, .. }) = refused else {
        unreachable!("{refused:?}");
    };
    assert_eq!(actual, node.replica.cluster());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_without_identity_has_nothing_to_resume_and_one_in_use_is_locked() {
    let dir = TempDir::new().unwrap();
    let nothing = Running::start(settings(dir.path()), Start::Resume).await.err();
    assert!(matches!(nothing, Some(StartError::NoIdentity)), "{nothing:?}");
    let node = founder(&dir).await;
    let locked = Running::start(settings(dir.path()), Start::Resume).await.err();
    assert!(matches!(locked, Some(StartError::Store(StoreError::Locked { .. }))), "{locked:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_leaves_and_its_id_is_not_given_again() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let leader = cluster.leader().await;
    let gone = (leader + 1) % 3;
    let id = cluster.node(gone).node();
    cluster.node(leader).remove(id).await.unwrap();
    cluster.nodes[gone].take().unwrap().stop().await;
    assert!(!ids(&cluster.node(leader).status()).contains(&id));
    let unknown = cluster.node(leader).remove(id).await;
    assert_eq!(unknown, Err(ChangeError::UnknownNode(id)));

    let dir = TempDir::new().unwrap();
    let seeds = Start::Join { seeds: vec![cluster.node(leader).address().to_owned()] };
    let newcomer = Running::start(settings(dir.path()), seeds).await.unwrap();
    assert_eq!(newcomer.replica.node(), NodeId::new(4));
    wait(&newcomer.replica, "the newcomer votes", |status| {
        status.peers.iter().filter(|peer| peer.votes).count() == 3
    })
    .await;
    newcomer.replica.read_barrier(PATIENCE).await.unwrap();
    newcomer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_voter_cannot_be_removed() {
    let dir = TempDir::new().unwrap();
    let node = founder(&dir).await;
    let id = node.replica.node();
    assert_eq!(node.replica.remove(id).await, Err(ChangeError::LastVoter(id)));
    node.stop().await;
}

#[tokio::test]
async fn an_address_that_peers_cannot_dial_is_refused() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { listen: "0.0.0.0:0".parse().unwrap(), ..settings(dir.path()) };
    let refused = Running::start(settings, Start::Found).await.err();
    assert!(matches!(refused, Some(StartError::Settings(_))), "{refused:?}");
}
