//! What a member says of the machine it runs on, and what follows for who should lead
//! (docs/adr/0027-machine-faults.md).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a node should not lead while another one can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// Its disk is almost full.
    Disk,
    /// Its disk took seconds for one write, a moment ago.
    Stall,
    /// Its clock is not that of the others.
    Clock,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "its disk is almost full",
            Self::Stall => "its disk took seconds for one write",
            Self::Clock => "its clock is not that of most others",
        })
    }
}

/// How full the file system is under the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// There is room.
    #[default]
    Ample,
    /// Somebody should make room.
    Filling,
    /// The log is cut as short as it can be.
    Scarce,
    /// Operators change nothing any more.
    ReadOnly,
}

/// How much of the file system under the data is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// In thousandths.
    pub used_permille: u16,
    /// What follows from it.
    pub fill: Fill,
}
