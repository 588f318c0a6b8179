//! What is in a file of the state.

use super::backup::{Backup, Contents};
use super::told;
use crate::store::StoreError;
use std::path::Path;

/// Reads a file, checks its sum and says what is in it.
///
/// # Errors
/// When it cannot be read, is damaged, or of another program.
pub fn inspect(path: &Path) -> Result<Contents, StoreError> {
    let Backup { head, state, size, sha256, .. } = Backup::read(path)?;
    let (catalog, ledger, members) = (state.catalog.read(), state.ledger.read(), state.membership.read());
    Ok(Contents {
        cluster: told::hex(head.cluster.get()),
        lineage: head.lineage,
        term: head.term,
        index: head.index,
        log_time_ms: head.at,
        log_time: told::time(head.at),
        revision: head.revision,
        level: head.level,
        release: head.release,
        keys: catalog.keys().len(),
        budgets: ledger.budgets().count(),
        nodes: members.iter().count(),
        sessions: ledger.sessions().count(),
        providers: catalog.providers().len(),
        routes: catalog.routes().len(),
        history: state.history().map_or_else(String::new, |at| at.hex()),
        size,
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
