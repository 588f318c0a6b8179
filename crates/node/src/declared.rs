//! The configuration file as people write it (TOML). Nothing is checked here but its shape; see `settings`.

use quorate_catalog::{
    EndUserPolicy, ModelSpec, OnRevocation, OrganisationSpec, ProviderSpec, RouteSpec, TeamSpec, UserSpec,
    WithoutQuorum,
};
use quorate_consensus::{CERTIFICATE_LIFETIME, MachineLimits};
use quorate_domain::{Name, Tags};
use quorate_gateway::admin::BudgetInput;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A node's configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This node: where its data is and where it listens.
    pub node: Node,
    /// The cluster it belongs to. Without this table the node is a cluster of its own.
    pub cluster: Option<Cluster>,
    /// What it writes to its log.
    pub log: Log,
    /// What is done before its disk is full.
    pub disk: Disk,
    /// Bounds on requests.
    pub limits: Limits,
    /// Organisations to begin with.
    pub organisations: Vec<OrganisationSpec>,
    /// Teams to begin with.
    pub teams: Vec<TeamSpec>,
    /// Users to begin with.
    pub users: Vec<UserSpec>,
    /// Providers to begin with.
    pub providers: Vec<ProviderSpec>,
    /// Models to begin with.
    pub models: Vec<ModelSpec>,
    /// Routes to begin with.
    pub routes: Vec<RouteSpec>,
    /// API keys to begin with.
    pub keys: Vec<Key>,
    /// Budgets to begin with, as the admin API takes them.
    pub budgets: Vec<BudgetInput>,
}

/// Where a node keeps its data and listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// What people call it: no two members have the same name. By its number, if it is missing.
    pub name: Option<Name>,
    /// Where it stands, as an availability zone: what fails together.
    pub zone: Option<Name>,
    /// The directory of its data. Created if it is missing.
    pub data_dir: PathBuf,
    /// Where clients send requests.
    pub client_listen: SocketAddr,
    /// Where operators, probes and Prometheus connect. Keep it private.
    pub admin_listen: SocketAddr,
    /// The address under which operators reach it, `host:port`, for other nodes and for `quorate cluster status`, if that is not
    /// `admin_listen`.
    pub admin_address: Option<String>,
    /// How long requests under way may take to finish when the node is told to stop, all together, in milliseconds. What
    /// comes before and after it takes 20 seconds more at the most.
    pub drain_ms: u64,
    /// For how long a node that is drained says that it is unready before it takes no more requests, in milliseconds: as long as load
    /// balancers may need to see it. When it is told to stop, it waits for 1.5 seconds at the most.
    pub unready_ms: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            name: None,
            zone: None,
            data_dir: PathBuf::from("quorate-data"),
            client_listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            admin_address: None,
            drain_ms: 30_000,
            unready_ms: 10_000,
        }
    }
}

/// How a node finds its cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Where other nodes connect.
    pub peer_listen: SocketAddr,
    /// The address under which other nodes reach it, `host:port`, if that is not `peer_listen`.
    #[serde(default)]
    pub peer_address: Option<String>,
    /// A file that holds a join token, or will hold one: on the first start the node joins the cluster that the token names. Without it
    /// the node waits for `quorate cluster init` or `quorate cluster join`.
    #[serde(default)]
    pub join_token_file: Option<PathBuf>,
    /// On the first start, found a new cluster instead of waiting. On one node only.
    #[serde(default)]
    pub found: bool,
    /// For how long the certificates are good that this node signs while it leads, in milliseconds. They are renewed in time.
    #[serde(default = "default_certificate_ms")]
    pub certificate_ms: u64,
    /// A node whose clock is off by more than so many milliseconds from that of most others does not lead while another one can; and
    /// none joins with such a clock.
    #[serde(default = "default_clock_skew_max_ms")]
    pub clock_skew_max_ms: u64,
    /// Milliseconds between heartbeats.
    #[serde(default = "default_heartbeat_ms")]
    pub heartbeat_ms: u64,
    /// Milliseconds: one and a half of it after the last sign of a leader its followers stop to count on it, and between one and one and a half
    /// later the first of them stands for election. So another leads within three times that.
    #[serde(default = "default_election_ms")]
    pub election_ms: u64,
}

const fn default_clock_skew_max_ms() -> u64 {
    MachineLimits::DEFAULT.clock_skew_max.millis()
}

const fn default_certificate_ms() -> u64 {
    CERTIFICATE_LIFETIME.millis()
}

const fn default_heartbeat_ms() -> u64 {
    100
}

/// What `election_ms` is where nobody says so.
pub(crate) const DEFAULT_ELECTION_MS: u64 = 300;

const fn default_election_ms() -> u64 {
    DEFAULT_ELECTION_MS
}

/// Enough to start and to cut the log.
const RESERVE_BYTES: u64 = 64 << 20;

/// What is done before the disk under `node.data_dir` is full.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// Percent that are used before the node warns.
    pub warn_percent: u8,
    /// Percent before it cuts its log as short as it can.
    pub scarce_percent: u8,
    /// Percent before it takes no changes from operators, and leaves the lead to another node.
    pub read_only_percent: u8,
    /// While more bytes than this are left, none of the three counts.
    pub headroom_bytes: u64,
    /// Bytes that are kept in reserve in the data directory, and given up when the disk is full at a start. At most a thirty-second part of
    /// the disk; 0 for none.
    pub reserve_bytes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let MachineLimits { warn_percent, scarce_percent, read_only_percent, headroom_bytes, .. } =
            MachineLimits::DEFAULT;
        Self { warn_percent, scarce_percent, read_only_percent, headroom_bytes, reserve_bytes: RESERVE_BYTES }
    }
}

/// What is written to the log, as JSON lines on standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The level, or a filter such as `info,quorate_consensus=debug`. Can be changed while the node runs.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

/// Bounds on requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may wait for budget that others hold, in milliseconds.
    pub budget_wait_ms: u64,
    /// The shortest answer that is worth sending when a budget has no more left, in tokens.
    pub output_tokens_min: u64,
    /// For how long a revoked key may still be admitted by a node that is cut off from the others, in milliseconds. The same
    /// on all nodes of a cluster.
    pub revocation_bound_ms: u64,
    /// For how long it is kept that a request with an `Idempotency-Key` was executed, in milliseconds, and what the answer was.
    pub idempotency_kept_ms: u64,
    /// How long a repeat may wait for the end of the first request, in milliseconds.
    pub idempotency_wait_ms: u64,
    /// The largest answer that is kept, in bytes.
    pub idempotent_response_bytes_max: usize,
    /// What all answers that are kept may take, in bytes, on every node; half of it those of one API key.
    pub idempotency_bytes_max: u64,
    /// How many requests with an `Idempotency-Key` may be remembered; half of them of one API key.
    pub idempotency_records_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 * 1024 * 1024,
            budget_wait_ms: 2_000,
            output_tokens_min: 256,
            revocation_bound_ms: 2_000,
            idempotency_kept_ms: 24 * 60 * 60 * 1_000,
            idempotency_wait_ms: 60_000,
            idempotent_response_bytes_max: 256 * 1024,
            idempotency_bytes_max: 64 * 1024 * 1024,
            idempotency_records_max: 200_000,
        }
    }
}

/// An API key that exists from the beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What people call it.
    pub label: String,
    /// `${env:NAME}` or `${file:PATH}` of a key made by `quorate key mint`.
    pub secret: String,
    /// The organisation whose budgets it spends.
    #[serde(default)]
    pub organisation: Option<Name>,
    /// The team whose budgets it spends.
    #[serde(default)]
    pub team: Option<Name>,
    /// The user whose budgets it spends.
    #[serde(default)]
    pub user: Option<Name>,
    /// The routes it may use; all of them if the list is missing.
    #[serde(default)]
    pub allowed_models: Option<Vec<Name>>,
    /// What becomes of its requests on a node that does not know whether it was revoked.
    #[serde(default)]
    pub without_quorum: WithoutQuorum,
    /// What becomes of its open streams when it is revoked.
    #[serde(default)]
    pub on_revocation: OnRevocation,
    /// Tags that all its requests bear.
    #[serde(default)]
    pub tags: Tags,
    /// Tags that its requests may give themselves, besides.
    #[serde(default)]
    pub request_tags: Tags,
    /// Whether its requests must name their end user.
    #[serde(default)]
    pub end_user: EndUserPolicy,
}
