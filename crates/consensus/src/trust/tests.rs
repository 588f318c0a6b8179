//! What is signed is believed, by whom it should be and by nobody else.

use super::*;
use crate::host::Host;
use crate::machine::State;
use crate::metrics::Metrics;
use crate::store::LogStore;
use prometheus_client::registry::Registry;
use quorate_domain::{BootId, Clock, ClusterId, LogTime, MonoTime, NodeId, Span};
use quorate_membership::{Levels, Mismatch, Root, RootId, StorageId};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// A clock that shows what it is told to.
pub(crate) struct Hand(AtomicU64);

impl Hand {
    pub(crate) fn at(millis: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(millis)))
    }

    pub(crate) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Release);
    }
}

impl Clock for Hand {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> LogTime {
        LogTime::from_millis(self.0.load(Ordering::Acquire))
    }
}

pub(crate) const NOW: u64 = 1_800_000_000_000;
pub(crate) const DAY: u64 = 24 * 60 * 60 * 1_000;

pub(crate) fn root_of(cluster: u64) -> Root {
    root(ClusterId::new(cluster), draw().unwrap(), LogTime::from_millis(NOW)).unwrap()
}

/// A certificate of a node that is good for ten days.
pub(crate) fn held(root: &Root, cluster: u64, node: u64) -> Held {
    let since = LogTime::from_millis(NOW);
    let life = Lifetime { since, until: since.plus(Span::from_millis(10 * DAY)) };
    let key = draw().unwrap();
    let named = (ClusterId::new(cluster), NodeId::new(node));
    let certificate = sign(root, named, public(&key).unwrap(), life).unwrap();
    Held {
        key,
        certificate,
        issuer: root.certificate.clone(),
        since: life.since,
        until: life.until,
        roots: vec![root.certificate.clone()],
        founding: None,
    }
}

/// What a member has at a handshake.
pub(crate) fn member(
    dir: &Path,
    clock: Arc<dyn Clock>,
    held: Held,
    (cluster, node): (u64, u64),
) -> (Arc<Keyring>, Arc<Register>) {
    let disk = Host::machine().disk;
    let keyring = Keyring::create(held, (&disk, dir, &clock)).unwrap();
    let metrics = Metrics::register(&mut Registry::default(), clock);
    let log = LogStore::open(&*disk, &dir.join("raft"), metrics.log).unwrap();
    let myself = Myself {
        cluster: ClusterId::new(cluster),
        lineage: 1,
        node: NodeId::new(node),
        storage: StorageId::new(node),
        starts: 1,
        boot: BootId::new(node),
        levels: Levels::OURS,
    };
    (Arc::new(keyring), Arc::new(Register::new(myself, Arc::new(State::default()), log)))
}

#[test]
fn a_certificate_is_that_of_one_node_of_one_cluster() {
    let held = held(&root_of(9), 9, 3);
    let is = |cluster, node| is_certificate_of(&held.certificate, ClusterId::new(cluster), NodeId::new(node));
    assert!(is(9, 3));
    assert!(!is(9, 2) && !is(9, 33) && !is(8, 3));
    assert!(!is_certificate_of(b"", ClusterId::new(9), NodeId::new(3)));
    assert_eq!(held.issued_by(), RootId::of(&held.issuer));
}

#[test]
fn a_keyring_is_read_back_as_it_was_kept() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (Host::machine().disk, Hand::at(NOW) as Arc<dyn Clock>);
    assert!(Keyring::load(&disk, dir.path(), &clock).unwrap().is_none());
    let first = held(&root_of(9), 9, 3);
    let keyring = Keyring::create(first.clone(), (&disk, dir.path(), &clock)).unwrap();
    assert_eq!(keyring.held(), first);
    let second = held(&root_of(9), 9, 3);
    let changes = keyring.changes();
    keyring.replace(second.clone()).unwrap();
    assert!(changes.has_changed().unwrap());
    let again = Keyring::load(&disk, dir.path(), &clock).unwrap().unwrap();
    assert_eq!(again.held(), second);
    assert!(!format!("{:?}", again.held()).contains(&format!("{:?}", second.key.expose())));
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_found_when_it_is_read() {
    let dir = TempDir::new().unwrap();
    let (disk, clock) = (Host::machine().disk, Hand::at(NOW) as Arc<dyn Clock>);
    let wrong = Held { key: draw().unwrap(), ..held(&root_of(9), 9, 3) };
    assert!(Keyring::create(wrong, (&disk, dir.path(), &clock)).is_err());
}

#[test]
fn a_node_that_joined_a_recovered_cluster_is_of_its_lineage_before_its_replica_knows() {
    let dir = TempDir::new().unwrap();
    let clock = Hand::at(NOW) as Arc<dyn Clock>;
    let (_, register) = member(dir.path(), clock, held(&root_of(9), 9, 3), (9, 3));
    let older = register.card();
    let myself = Myself { lineage: 2, ..register.myself };
    drop(register);
    let metrics = Metrics::register(&mut Registry::default(), Hand::at(NOW));
    let log = LogStore::open(&*Host::machine().disk, &dir.path().join("raft"), metrics.log).unwrap();
    let register = Register::new(myself, Arc::new(State::default()), log);
    assert_eq!((older.lineage, register.card().lineage), (1, 2));
    let noted = register.on_disks();
    assert_eq!(register.judge(&older, &noted), Err(Mismatch::Lineage { expected: 1, actual: 2 }));
    assert_eq!(register.judge(&register.card(), &noted), Ok(()));
}
