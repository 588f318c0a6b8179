//! What becomes of a replica whose disk fails.

use super::*;
use crate::{Command, Metrics};
use prometheus_client::registry::Registry;
use quorate_domain::{Clock, LogTime, MonoTime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Stopped;

impl Clock for Stopped {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> LogTime {
        LogTime::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_stops_the_node_and_names_the_cause() {
    let dir = TempDir::new().unwrap();
    let settings = Settings {
        dir: dir.path().to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        name: None,
        zone: None,
        admin_address: "127.0.0.1:1".to_owned(),
        certificates: CERTIFICATE_LIFETIME,
        levels: quorate_membership::Levels::OURS,
        timings: Timings::default(),
        revocation_bound: quorate_lease::RevocationBound::DEFAULT,
        snapshots: SnapshotPolicy::default(),
        machine: MachineLimits::DEFAULT,
    };
    let clock: Arc<dyn Clock> = Arc::new(Stopped);
    let metrics = Metrics::register(&mut Registry::default(), clock.clone());
    let (replica, runner) = Replica::start(settings, clock, metrics, Start::Found).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(runner.run(CancellationToken::new()));
    let token = quorate_membership::TokenId::new(99);
    let command = || Command::Membership(quorate_membership::Command::WithdrawToken { token });
    replica.propose(command()).await.unwrap();

    replica.0.log.fail("no space left on device");
    let refused = replica.propose_within(command(), Duration::from_secs(1)).await;
    assert!(refused.is_err(), "{refused:?}");
    let ended = running.join_next().await.unwrap().unwrap();
    let Err(RunError::Storage(cause)) = ended else { unreachable!("{ended:?}") };
    assert!(cause.to_string().contains("no space left"), "{cause}");
    assert_eq!(replica.propose(command()).await, Err(ProposeError::Stopped));
}
