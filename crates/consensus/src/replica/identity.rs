//! Who this data directory is. Written once, durably, before anybody else can know it.

use crate::codec::{self, Kind};
use crate::host::{Disk, Host};
use crate::store::StoreError;
use quorate_domain::{ClusterId, NodeId};
use quorate_membership::StorageId;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::Path;

const FILE: &str = "identity";
const DRAFT: &str = "identity.tmp";

/// The identity of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The directory itself.
    pub storage: StorageId,
    /// Its place in a cluster, once it has one.
    pub place: Option<Place>,
    /// How often a node was started on it. Counted before anybody hears of the start.
    pub starts: u64,
}

/// A place in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The cluster.
    pub cluster: ClusterId,
    /// The id in it.
    pub node: NodeId,
    /// Whether this directory founded the cluster.
    pub founder: bool,
    /// The lineage in which it was given the place, or went on with it: the replica comes to it only at the end of an old log.
    pub lineage: u32,
}

impl Identity {
    /// Reads the identity of a data directory; `None` if it has none yet.
    ///
    /// # Errors
    /// When the file cannot be read or is not ours.
    pub fn load(dir: &Path) -> Result<Option<Self>, StoreError> {
        Self::load_from(&*Host::machine().disk, dir)
    }

    pub(crate) fn load_from(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        match disk.open(&path).and_then(|file| file.read(0, file.size()?)) {
            Ok(bytes) => codec::decode(Kind::Identity, &bytes)
                .map(Some)
                .map_err(|error| StoreError::from_codec(&path, &error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::from_io(&path, &error)),
        }
    }

    /// Writes the identity and waits until it is on the disk.
    pub(crate) fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
        let draft = dir.join(DRAFT);
        let write = || -> io::Result<()> {
            let mut file = disk.create(&draft)?;
            file.append(&codec::encode(Kind::Identity, self))?;
            file.sync()?;
            disk.rename(&draft, &dir.join(FILE))?;
            disk.sync_dir(dir)
        };
        write().map_err(|error| StoreError::from_io(&draft, &error))
    }
}
