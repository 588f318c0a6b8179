//! Who belongs to a cluster, and who is refused.

use crate::harness::{Cluster, PATIENCE, Running, create, ids, settings, token, wait};
use quorate_consensus::{
    ChangeError, Refusal, Replica, RunError, Settings, SnapshotPolicy, Start, StartError, StoreError,
};
use quorate_domain::{NodeId, Secret, Span};
use quorate_membership::{JoinToken, Mismatch, Rejection, RootId};
use std::path::Path;
use tempfile::TempDir;

async fn founder(dir: &TempDir) -> Running {
    let node = Running::start(settings(dir.path()), Start::Found).await.unwrap();
    create(&node.replica, 0).await.unwrap();
    node
}

async fn join(node: &Running, settings: Settings) -> Result<Running, StartError> {
    Running::start(settings, Start::Join(token(&node.replica).await)).await
}

fn not_admitted(refused: Option<StartError>) -> Rejection {
    let Some(StartError::NotAdmitted { rejection, .. }) = refused else { unreachable!("{refused:?}") };
    rejection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_used_up_withdrawn_or_guessed_lets_nobody_in() {
    let dirs = [0; 3].map(|_| TempDir::new().unwrap());
    let node = founder(&dirs[0]).await;
    let token = token(&node.replica).await;
    let attempt = |token: JoinToken, dir: &TempDir| Running::start(settings(dir.path()), Start::Join(token));
    let guessed = JoinToken { secret: Secret::new([7; 32]), ..token.clone() };
    assert_eq!(not_admitted(attempt(guessed, &dirs[1]).await.err()), Rejection::TokenUnknown);
    attempt(token.clone(), &dirs[1]).await.unwrap().stop().await;
    assert_eq!(not_admitted(attempt(token.clone(), &dirs[2]).await.err()), Rejection::TokenUsedUp);
    // The same directory again needs no use: it has its place.
    attempt(token.clone(), &dirs[1]).await.unwrap().stop().await;
    node.replica.withdraw_token(token.id).await.unwrap();
    assert_eq!(not_admitted(attempt(token, &dirs[2]).await.err()), Rejection::TokenUnknown);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_another_cluster_than_the_token_is_refused() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let node = founder(&dir).await;
    founder(&other).await.stop().await;
    let refused = join(&node, settings(other.path())).await.err();
    let Some(StartError::OtherCluster { other, .. }) = refused else { unreachable!("{refused:?}") };
    assert_eq!(other, node.replica.cluster());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_seed_is_another_cluster_says_which() {
    let (dir, other, fresh) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let (node, foreign) = (founder(&dir).await, founder(&other).await);
    let token = JoinToken { seeds: vec![foreign.replica.address().to_owned()], ..token(&node.replica).await };
    let refused = Running::start(settings(fresh.path()), Start::Join(token)).await.err();
    let Some(StartError::Refused { refusal: Refusal::Card(Mismatch::Cluster { expected, actual }), .. }) =
        refused
    else {
        unreachable!("{refused:?}");
    };
    assert_eq!((expected, actual), (node.replica.cluster(), foreign.replica.cluster()));
    node.stop().await;
    foreign.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_is_replaced_under_writes_and_none_fails() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let first = root_of(cluster.node(0));
    cluster.node(1).rotate_root().await.unwrap();
    let mut user = 1;
    while root_of(cluster.node(0)) == first || is_rotating(cluster.node(0)) {
        for node in cluster.running() {
            create(node, user).await.unwrap();
            user += 1;
        }
    }
    cluster.agree().await;
    // Who was away comes back with what it was given, and whoever joins knows the new root.
    cluster.stop(2).await;
    cluster.restart(2).await;
    create(cluster.node(2), user).await.unwrap();
    cluster.grow().await;
    create(cluster.node(3), user + 1).await.unwrap();
}

fn root_of(node: &Replica) -> RootId {
    node.state().membership.read().authority().unwrap().trusted().next().unwrap().id()
}

fn is_rotating(node: &Replica) -> bool {
    node.state().membership.read().authority().unwrap().next().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_last_for_seconds_are_renewed_and_nobody_notices() {
    let dirs = [0; 2].map(|_| TempDir::new().unwrap());
    let short = |dir: &TempDir| Settings { certificates: Span::from_millis(6_000), ..settings(dir.path()) };
    let first = Running::start(short(&dirs[0]), Start::Found).await.unwrap();
    create(&first.replica, 0).await.unwrap();
    let second = join(&first, short(&dirs[1])).await.unwrap();
    let until = |node: &Running| {
        let members = node.replica.state().membership.read();
        members.get(second.replica.node()).unwrap().certificate.unwrap().until
    };
    let (begin, mut user) = (until(&first), 1);
    while until(&first).since(begin).millis() < 9_000 {
        create(&second.replica, user).await.unwrap();
        user += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_directory_is_refused_and_the_node_goes_on() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let copy = TempDir::new().unwrap();
    cluster.stop(2).await;
    copy_dir(cluster.dirs[2].path(), copy.path());
    cluster.restart(2).await;
    create(cluster.node(2), 1).await.unwrap();
    wait_for_start(cluster.node(0), cluster.node(2).node(), 2).await;
    let clone = Running::start(settings(copy.path()), Start::Resume).await.unwrap();
    let RunError::Expelled(Refusal::Card(told)) = clone.ended().await else { unreachable!("it is refused") };
    assert!(matches!(told, Mismatch::Cloned(_) | Mismatch::RolledBack(_)), "{told:?}");
    create(cluster.node(2), 2).await.unwrap();
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_that_was_put_back_is_refused() {
    let mut cluster = Cluster::of(3, SnapshotPolicy::default()).await;
    let copy = TempDir::new().unwrap();
    cluster.stop(2).await;
    copy_dir(cluster.dirs[2].path(), copy.path());
    for user in 1..3 {
        cluster.restart(2).await;
        create(cluster.node(2), user).await.unwrap();
        wait_for_start(cluster.node(0), cluster.node(2).node(), user + 1).await;
        cluster.stop(2).await;
    }
    let old = Running::start(settings(copy.path()), Start::Resume).await.unwrap();
    let RunError::Expelled(Refusal::Card(told)) = old.ended().await else { unreachable!("it is refused") };
    assert!(matches!(told, Mismatch::RolledBack(_)), "{told:?}");
}

/// Waits until a node knows that another one was started so often.
async fn wait_for_start(node: &Replica, other: NodeId, starts: u64) {
    let mut applied = node.applied();
    let known = || node.state().membership.read().get(other).is_some_and(|record| record.starts >= starts);
    let seen = tokio::time::timeout(PATIENCE, applied.wait_for(|_| known())).await;
    assert!(seen.is_ok(), "its start is not known");
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
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
    let ended = cluster.nodes[gone].take().unwrap().ended().await;
    let is_told = matches!(ended, RunError::Expelled(Refusal::Card(Mismatch::Removed(node))) if node == id);
    assert!(is_told, "{ended:?}");
    assert!(!ids(&cluster.node(leader).status()).contains(&id));
    let unknown = cluster.node(leader).remove(id).await;
    assert_eq!(unknown, Err(ChangeError::UnknownNode(id)));

    let dir = TempDir::new().unwrap();
    let token = token(cluster.node(leader)).await;
    let newcomer = Running::start(settings(dir.path()), Start::Join(token)).await.unwrap();
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
