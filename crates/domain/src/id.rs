//! One type per kind of id, so that a node can never be passed where a session is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares an id: a number that is compared, printed and stored, never added.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Names the id with this number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The number itself, for storage and for people.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id_type! {
    /// A member of the cluster. Never reused: a node that lost its disk comes back under a new id.
    NodeId(u64)
}
id_type! {
    /// One life of one node as a holder of grants. Given by the ledger; strictly increasing.
    SessionId(u64)
}
id_type! {
    /// A budget in the ledger. Given by the ledger; never reused.
    BudgetId(u64)
}
id_type! {
    /// A request that stands in a session's line. Given by the wallet; strictly increasing within a session.
    PlaceId(u64)
}
id_type! {
    /// One round of asking every holder of a budget's window for what it can give back. Strictly increasing.
    Round(u64)
}
id_type! {
    /// The public part of an API key: enough to look it up, not enough to use it.
    KeyId(u64)
}
id_type! {
    /// A Raft group. There is one today, number 0; every stored key and every frame names it all the same.
    GroupId(u16)
}
id_type! {
    /// A cluster, drawn at random when it is founded. Nodes of different clusters refuse each other.
    ClusterId(u64)
}
id_type! {
    /// One start of one process, drawn at random, so that a retry is told from a restart.
    BootId(u64)
}
id_type! {
    /// The version of an object: the number of the change that wrote it. Compared, and given back on update.
    Revision(u64)
}

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
