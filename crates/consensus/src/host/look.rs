//! A look at the data of a node that is stopped: nothing is written, and nobody can start it meanwhile.

use super::Table;
use super::rocks::Rocks;
use crate::host::Tables;
use crate::store::StoreError;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// What `RocksDB` locks while it has a database open.
const LOCK: &str = "LOCK";

/// Looks at the database in a directory. Whoever tries to open it meanwhile finds it in use.
pub(crate) fn look(dir: &Path, tables: &[Table]) -> Result<Box<dyn Tables>, StoreError> {
    let lock = lock(dir)?;
    Ok(Box::new(Rocks::look(dir, tables, lock)?))
}

/// Takes the lock that `RocksDB` would take; `None` of a medium that cannot be written anyway.
fn lock(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = dir.join(LOCK);
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => return Ok(None),
        Err(error) => return Err(StoreError::from_io(&path, &error)),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::ACCESS | Errno::AGAIN) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(errno) => Err(StoreError::from_io(&path, &errno.into())),
    }
}
