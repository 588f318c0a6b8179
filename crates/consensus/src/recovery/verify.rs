//! Whether a directory is what recovery or restoring should have made of it, and what comes next.

use super::copy::Copy;
use super::error::RecoveryError;
use super::plan::At;
use super::told;
use quorate_domain::{BudgetId, NodeId};
use serde::Serialize;
use std::path::Path;

/// A directory that a cluster can go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The cluster, hexadecimal.
    pub cluster: String,
    /// Its lineage.
    pub lineage: u32,
    /// The plan by which it was recovered last.
    pub plan: Option<String>,
    /// The node of the directory.
    pub node: NodeId,
    /// Where its peers reach it.
    pub address: String,
    /// The last entry.
    pub last: At,
    /// All members.
    pub members: Vec<NodeId>,
    /// Who was left behind.
    pub fenced: Vec<NodeId>,
    /// Budgets of which something is in doubt.
    pub in_doubt: Vec<BudgetId>,
}

/// Reads a directory and checks that its node can start by itself. Changes nothing.
///
/// # Errors
/// When the directory cannot be read, is in use, or does not hold together.
pub fn verify(dir: &Path) -> Result<Verified, RecoveryError> {
    let copy = Copy::look(dir)?;
    let unsound = |why: String| RecoveryError::Unsound { dir: dir.to_owned(), why };
    let ledger = copy.state.ledger.read();
    ledger.validate().map_err(|violation| unsound(violation.to_string()))?;
    let members = copy.state.membership.read();
    let record = members.get(copy.place.node).ok_or(RecoveryError::NoMember(copy.place.node))?;
    if members.cluster() != Some(copy.place.cluster) {
        return Err(unsound("its identity and its state name different clusters".to_owned()));
    }
    let voters = copy.state.progress().1.membership().voter_ids().collect::<Vec<_>>();
    if !voters.contains(&copy.place.node.get()) {
        return Err(unsound(format!("voters are {voters:?}, without its node")));
    }
    let in_doubt = |id: &BudgetId| ledger.report(*id).is_some_and(|report| report.in_doubt.get() > 0);
    Ok(Verified {
        cluster: told::hex(copy.place.cluster.get()),
        lineage: members.lineage(),
        plan: members.fence().plan().map(|plan| plan.to_string()),
        node: copy.place.node,
        address: record.address().to_owned(),
        last: copy.last.into(),
        members: members.iter().map(|(id, _)| id).collect(),
        fenced: members.fence().nodes().keys().copied().collect(),
        in_doubt: ledger.budgets().map(|(id, _)| id).filter(in_doubt).collect(),
    })
}
