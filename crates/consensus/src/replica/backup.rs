//! A copy of the state in one file, while the node runs.

use super::error::ReadError;
use super::handle::Replica;
use crate::host::run_blocking;
use crate::recovery::BackupFile;
use std::sync::Arc;

impl Replica {
    /// All of the state as this node has it now, as the bytes of a file. Applying waits while it is copied, requests do not.
    ///
    /// # Errors
    /// When the node stops meanwhile.
    pub async fn backup(&self) -> Result<BackupFile, ReadError> {
        let state = Arc::clone(self.state());
        let made = run_blocking(&*self.0.disk, move || BackupFile::of(&state));
        made.await.map_err(|_| ReadError::Stopped)
    }
}
