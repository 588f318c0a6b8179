//! A change that operators and the autopilot make, by compare-and-set: what was planned is what is applied.
//!
//! The order of variants and fields is a stored format: add at the end, never reorder.

use crate::{AutopilotSettings, By};
use quorate_domain::{NodeId, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A change, made if the membership is still what it was planned for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The revision it was planned at.
    pub expected: u64,
    /// Who asks for it, and why.
    pub by: By,
    /// What.
    pub change: Change,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A node leaves its work.
    Drain {
        /// The node.
        node: NodeId,
        /// For how long requests may go on.
        within: Option<Span>,
    },
    /// It takes work again.
    Undrain {
        /// The node.
        node: NodeId,
    },
    /// A node leaves for good, and these vote from now on.
    Remove {
        /// The node.
        node: NodeId,
        /// Who votes from now on.
        voters: BTreeSet<NodeId>,
    },
    /// A node is to be replaced by one that comes.
    Replace {
        /// The node.
        node: NodeId,
        /// By whom.
        successor: Successor,
    },
    /// These vote from now on.
    Seat {
        /// All of them.
        voters: BTreeSet<NodeId>,
    },
    /// A node may vote; these do from now on.
    Promote {
        /// The node.
        node: NodeId,
        /// Who votes from now on.
        voters: BTreeSet<NodeId>,
    },
    /// A node may not vote until it is promoted; these do from now on.
    Demote {
        /// The node.
        node: NodeId,
        /// Who votes from now on.
        voters: BTreeSet<NodeId>,
    },
    /// The autopilot goes by these.
    Autopilot(AutopilotSettings),
}

/// Which newcomer takes a node's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Successor {
    /// The one that comes with its name or its address.
    Namesake,
    /// Whoever comes next.
    Anyone,
}
