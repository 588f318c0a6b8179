//! Another cluster from a file of the state: a data directory of one fresh node. Made beside and renamed: it is there as a whole or not at all.

use super::backup::Backup;
use super::copy::{RAFT, SNAPSHOTS};
use super::error::RecoveryError;
use super::rebirth::{self, Heir};
use super::told;
use crate::host::{self, Host};
use crate::machine::State;
use crate::replica::{CERTIFICATE_LIFETIME, Identity, Place};
use crate::store::{Database, LOG, META, Snapshots, StoreError, StoredLog};
use crate::trust::{self, Held, Keyring, Lifetime};
use quorate_domain::{BootId, Clock, ClusterId, LogTime, Name, NodeId};
use quorate_membership::{FIRST_LINEAGE, Founding, Levels, Profile, StorageId};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who the first node of the new cluster is.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What people call it.
    pub name: Name,
    /// Where its peers will reach it, `host:port`.
    pub peer_address: String,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster.
    pub cluster: String,
    /// Its first node.
    pub node: NodeId,
    /// The cluster that the file was of.
    pub from_cluster: String,
    /// Log time of the state, as people read it.
    pub log_time: String,
    /// Sessions that are dead now, and what they held is in doubt.
    pub sessions: usize,
}

/// Makes a data directory of a new cluster of one node from a file.
///
/// # Errors
/// When the file cannot be used, the directory is not empty, or cannot be written.
pub fn restore(
    file: &Path,
    dir: &Path,
    wanted: Wanted,
    clock: &Arc<dyn Clock>,
) -> Result<Restored, RecoveryError> {
    let backup = Backup::read(file)?;
    is_free(dir)?;
    let draft = draft_of(dir);
    let io = |error: io::Error| StoreError::from_io(&draft, &error);
    remove_if_there(&draft).map_err(io)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&draft).map_err(io)?;
    let heirloom = Heirloom::new(&backup, wanted, clock.wall())?;
    heirloom.write(&draft, &backup, clock)?;
    std::fs::rename(&draft, dir).map_err(|error| StoreError::from_io(dir, &error))?;
    let parent =
        dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Host::machine().disk.sync_dir(parent).map_err(|error| StoreError::from_io(parent, &error))?;
    Ok(Restored {
        cluster: told::hex(heirloom.founding.cluster.get()),
        node: heirloom.node,
        from_cluster: told::hex(backup.head.cluster.get()),
        log_time: told::time(backup.head.at),
        sessions: backup.state.ledger.read().sessions().count(),
    })
}

fn is_free(dir: &Path) -> Result<(), RecoveryError> {
    match std::fs::read_dir(dir).map(|mut items| items.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RecoveryError::NotEmpty { dir: dir.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::from_io(dir, &error).into()),
    }
}

fn draft_of(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".restoring");
    PathBuf::from(name)
}

/// An attempt before this one may have been cut short.
fn remove_if_there(draft: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What the new node is given.
struct Heirloom {
    node: NodeId,
    founding: Founding,
    held: Held,
    log: StoredLog,
}

impl Heirloom {
    fn new(backup: &Backup, wanted: Wanted, now: LogTime) -> Result<Self, RecoveryError> {
        let cluster = ClusterId::new(random()?);
        let root = trust::root(cluster, draw()?, now).map_err(|error| certificate(&error))?;
        let profile = Profile {
            name: Some(wanted.name),
            zone: None,
            peer_address: wanted.peer_address.clone(),
            admin_address: String::new(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            levels: Levels::OURS,
        };
        let storage = StorageId::new(random()?);
        let founding = Founding { cluster, storage, profile, root, starts: 0, boot: BootId::default() };
        let (node, last) = (fresh_node(&backup.state, &founding), backup.last);
        let heir = Heir { node, address: wanted.peer_address, last, term: 0 };
        let log = rebirth::refounding(&backup.state, &heir, founding.clone());
        Ok(Self {
            node,
            held: held(&founding, node, now)?,
            log: StoredLog { purged: Some(last), ..log },
            founding,
        })
    }

    fn write(&self, dir: &Path, backup: &Backup, clock: &Arc<dyn Clock>) -> Result<(), RecoveryError> {
        let disk = Host::machine().disk;
        let (meta, frozen) = backup.state.freeze();
        Snapshots::open(disk.clone(), &dir.join(SNAPSHOTS))?.write(&meta, &frozen)?;
        let database = Database::open(&*disk, &dir.join(RAFT), StoredLog::PURPOSE, &[LOG, META])?;
        database.write_synced(self.log.writes())?;
        drop(database);
        Keyring::create(self.held.clone(), (&disk, dir, clock))?;
        let place = Some(Place {
            cluster: self.founding.cluster,
            node: self.node,
            founder: true,
            lineage: FIRST_LINEAGE,
        });
        Ok(Identity { storage: self.founding.storage, place, starts: 0 }.store(&*disk, dir)?)
    }
}

fn fresh_node(state: &State, founding: &Founding) -> NodeId {
    rebirth::fresh_id(state, founding.clone()).expect("a founded cluster has a node")
}

/// What proves that the node is that node.
fn held(founding: &Founding, node: NodeId, now: LogTime) -> Result<Held, RecoveryError> {
    let (key, root) = (draw()?, &founding.root);
    let public = trust::public(&key).map_err(|error| certificate(&error))?;
    let life = Lifetime { since: now, until: now.plus(CERTIFICATE_LIFETIME) };
    let signed =
        trust::sign(root, (founding.cluster, node), public, life).map_err(|error| certificate(&error))?;
    Ok(Held {
        key,
        certificate: signed,
        issuer: root.certificate.clone(),
        since: life.since,
        until: life.until,
        roots: vec![root.certificate.clone()],
        founding: None,
    })
}

fn draw() -> Result<trust::KeySeed, RecoveryError> {
    trust::draw().map_err(|error| RecoveryError::Random(error.to_string()))
}

fn random() -> Result<u64, RecoveryError> {
    host::random().map_err(|error| RecoveryError::Random(error.to_string()))
}

fn certificate(error: &dyn std::fmt::Display) -> RecoveryError {
    RecoveryError::Certificate(error.to_string())
}
