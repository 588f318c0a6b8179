//! Who was left behind when a cluster was recovered without them: they must learn of it, should they come back.

use crate::StorageId;
use quorate_domain::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A plan of recovery: what was planned of which directory. The same directory gives the same plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(u64);

impl PlanId {
    /// Names the plan with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A node that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// Its storage.
    pub storage: StorageId,
    /// Where it listened for its peers.
    pub address: String,
    /// The lineage that began without it.
    pub lineage: u32,
}

/// All that were left behind, and by which plan the latest were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    pub(crate) plan: Option<PlanId>,
    pub(crate) nodes: BTreeMap<NodeId, Fenced>,
}

impl Fence {
    /// The plan by which the cluster was recovered last.
    #[must_use]
    pub const fn plan(&self) -> Option<PlanId> {
        self.plan
    }

    /// The nodes that were left behind, by id.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<NodeId, Fenced> {
        &self.nodes
    }
}
