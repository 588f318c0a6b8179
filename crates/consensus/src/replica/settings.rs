//! What the owner decides about a replica.

use quorate_domain::{Name, Span};
use quorate_lease::RevocationBound;
use quorate_membership::{JoinToken, Levels};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The usual lifetime of a certificate; it is renewed when a third of it is left.
pub const CERTIFICATE_LIFETIME: Span = Span::from_millis(90 * 24 * 60 * 60 * 1_000);

/// A replica's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything the replica stores lives under here.
    pub dir: PathBuf,
    /// Where to listen for peers. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// What peers are told to dial, `host:port`; `None` means the address that is listened on.
    pub advertise: Option<String>,
    /// What people call the node; `None`: by its number.
    pub name: Option<Name>,
    /// Where it stands: what fails together.
    pub zone: Option<Name>,
    /// Where operators reach it, `host:port`, for others to find it.
    pub admin_address: String,
    /// For how long the certificates are good that this node signs while it leads.
    pub certificates: Span,
    /// The levels that this program is to know: its own, but where an older one is played.
    pub levels: Levels,
    /// How fast a lost leader is noticed.
    pub timings: Timings,
    /// For how long a revoked key may be admitted by a node that is cut off. The same on all nodes.
    pub revocation_bound: RevocationBound,
    /// When the log is cut.
    pub snapshots: SnapshotPolicy,
    /// What the machine may be like.
    pub machine: MachineLimits,
}

/// How fast a lost leader is noticed. A new one follows after `election_max` and up to as long again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often the leader shows that it lives.
    pub heartbeat: Duration,
    /// The shortest time without it after which a node stands for election.
    pub election_min: Duration,
    /// The longest; also how long the leader's lease lasts.
    pub election_max: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

/// What the machine may be like before something is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineLimits {
    /// Of the disk is used: a warning.
    pub warn_percent: u8,
    /// The log is cut as short as it can be.
    pub scarce_percent: u8,
    /// Operators can change nothing, and another node should lead.
    pub read_only_percent: u8,
    /// While more than this is left, none of these counts.
    pub headroom_bytes: u64,
    /// A clock that is off by more does not lead while another one can.
    pub clock_skew_max: Span,
}

impl MachineLimits {
    /// The usual ones.
    pub const DEFAULT: Self = Self {
        warn_percent: 85,
        scarce_percent: 92,
        read_only_percent: 97,
        headroom_bytes: 1 << 30,
        clock_skew_max: Span::from_millis(2_000),
    };
}

/// When the log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// A snapshot is taken after so many entries.
    pub every: u64,
    /// So many entries before it are kept for peers that are only a little behind.
    pub keep: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { every: 50_000, keep: 10_000 }
    }
}

/// How a node with an empty directory begins. A node that has an identity resumes, unless the token is of another cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Founds a cluster of its own.
    Found,
    /// Joins the cluster that a token names, through any of its nodes.
    Join(JoinToken),
    /// Resumes only; fails if there is nothing to resume.
    Resume,
}
