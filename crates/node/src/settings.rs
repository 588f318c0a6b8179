//! Settings: the configuration file, checked. Every problem is found before the first is reported.

use crate::declared::{self, Config};
use crate::reference;
use quorate_catalog::{AllowedModels, ApiKeyText, KeySpec, Owner, Text};
use quorate_domain::{Amount, NanoUsd, Period, Secret, Subject, Unit};
use quorate_ledger::{BudgetSpec, Kind};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A shorter secret could be guessed.
const CLUSTER_SECRET_MIN: usize = 16;
/// Elections need several lost heartbeats, or every hiccup would be one.
const HEARTBEATS_PER_ELECTION_MIN: u64 = 3;

/// What a node needs to know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of its data.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub client_listen: SocketAddr,
    /// Where operators connect.
    pub admin_listen: SocketAddr,
    /// How long requests may take to finish at the end.
    pub drain: Duration,
    /// How it finds its cluster.
    pub cluster: ClusterSettings,
    /// The filter of the log.
    pub log_level: String,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may wait for budget that others hold.
    pub budget_wait: Duration,
    /// What the catalogue and the ledger begin with.
    pub beginning: Beginning,
}

/// How a node finds its cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Where other nodes connect.
    pub peer_listen: SocketAddr,
    /// The address under which other nodes reach it.
    pub peer_address: Option<String>,
    /// What all nodes of the cluster share.
    pub secret: Secret<Vec<u8>>,
    /// What to do on the first start.
    pub first_start: FirstStart,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// Without a leader, before an election.
    pub election: Duration,
}

/// What a node does that belongs to no cluster yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// Founds a cluster.
    Found,
    /// Joins one through these peers.
    Join(Vec<String>),
    /// Waits to be told.
    Wait,
}

/// What the catalogue and the ledger begin with.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// Everything but keys and budgets, in an order in which it can be written.
    pub changes: Vec<quorate_catalog::Change>,
    /// Keys, by their text.
    pub keys: Vec<(ApiKeyText, KeySpec)>,
    /// Budgets.
    pub budgets: Vec<BudgetSpec>,
}

/// Everything that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, each with the place in the file.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be used:", self.path.display())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl Settings {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Everything that is wrong with it, not just the first thing.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed = |problem: String| ConfigError { path: path.to_owned(), problems: vec![problem] };
        let text =
            std::fs::read_to_string(path).map_err(|cause| failed(format!("it cannot be read: {cause}")))?;
        let config: Config =
            toml::from_str(&text).map_err(|cause| failed(without_the_line(&cause, &text)))?;
        Self::check(config).map_err(|problems| ConfigError { path: path.to_owned(), problems })
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// Every problem, each with its place.
    pub fn check(config: Config) -> Result<Self, Vec<String>> {
        let mut problems = Problems::default();
        let cluster = match &config.cluster {
            Some(declared) => cluster(declared, &mut problems),
            None => Some(alone()),
        };
        if config.node.client_listen == config.node.admin_listen && config.node.client_listen.port() != 0 {
            problems.add("node.admin_listen", "is the same address as node.client_listen");
        }
        if config.limits.body_bytes_max == 0 {
            problems.add("limits.body_bytes_max", "must be more than zero");
        }
        let settings = Self {
            data_dir: config.node.data_dir.clone(),
            client_listen: config.node.client_listen,
            admin_listen: config.node.admin_listen,
            drain: Duration::from_millis(config.node.drain_ms),
            cluster: cluster.unwrap_or_else(alone),
            log_level: config.log.level.clone(),
            body_bytes_max: config.limits.body_bytes_max,
            budget_wait: Duration::from_millis(config.limits.budget_wait_ms),
            beginning: beginning(config, &mut problems),
        };
        if problems.0.is_empty() { Ok(settings) } else { Err(problems.0) }
    }
}

/// What is wrong and where. The line itself is not shown: it may hold a secret.
fn without_the_line(cause: &toml::de::Error, text: &str) -> String {
    let Some(span) = cause.span() else { return cause.message().to_owned() };
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", cause.message())
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, place: &str, problem: impl fmt::Display) {
        self.0.push(format!("{place}: {problem}"));
    }

    fn take<T, E: fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(place, problem)).ok()
    }
}

/// A cluster of one: its peer port is on loopback and nobody knows its secret.
fn alone() -> ClusterSettings {
    ClusterSettings {
        peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        peer_address: None,
        secret: Secret::new(Vec::new()),
        first_start: FirstStart::Found,
        heartbeat: Duration::from_millis(100),
        election: Duration::from_millis(300),
    }
}

fn cluster(declared: &declared::Cluster, problems: &mut Problems) -> Option<ClusterSettings> {
    if declared.found && !declared.seeds.is_empty() {
        problems.add("cluster", "either found = true or seeds, not both");
    }
    if declared.election_ms < declared.heartbeat_ms.saturating_mul(HEARTBEATS_PER_ELECTION_MIN) {
        problems.add("cluster.election_ms", "must be at least three times cluster.heartbeat_ms");
    }
    if declared.heartbeat_ms == 0 {
        problems.add("cluster.heartbeat_ms", "must be more than zero");
    }
    let is_everywhere = declared.peer_listen.ip().is_unspecified();
    if is_everywhere && declared.peer_address.is_none() {
        problems.add(
            "cluster.peer_address",
            "is needed, because other nodes cannot reach this one at 0.0.0.0 or ::",
        );
    }
    let secret = problems.take("cluster.secret", reference::resolve(&declared.secret))?;
    if secret.expose().len() < CLUSTER_SECRET_MIN {
        problems.add("cluster.secret", format_args!("is shorter than {CLUSTER_SECRET_MIN} characters"));
    }
    let first_start = match (declared.found, declared.seeds.is_empty()) {
        (true, _) => FirstStart::Found,
        (false, false) => FirstStart::Join(declared.seeds.clone()),
        (false, true) => FirstStart::Wait,
    };
    Some(ClusterSettings {
        peer_listen: declared.peer_listen,
        peer_address: declared.peer_address.clone(),
        secret: Secret::new(secret.expose().clone().into_bytes()),
        first_start,
        heartbeat: Duration::from_millis(declared.heartbeat_ms),
        election: Duration::from_millis(declared.election_ms),
    })
}

fn beginning(config: Config, problems: &mut Problems) -> Beginning {
    use quorate_catalog::{Change, Expected::Any};
    let keys = config
        .keys
        .iter()
        .enumerate()
        .filter_map(|(place, declared)| key(place, declared, problems))
        .collect();
    let budgets = config
        .budgets
        .iter()
        .enumerate()
        .flat_map(|(place, declared)| budget(place, declared, problems))
        .collect();
    let mut changes = Vec::new();
    changes
        .extend(config.organisations.into_iter().map(|spec| Change::PutOrganisation { expected: Any, spec }));
    changes.extend(config.teams.into_iter().map(|spec| Change::PutTeam { expected: Any, spec }));
    changes.extend(config.users.into_iter().map(|spec| Change::PutUser { expected: Any, spec }));
    changes.extend(config.providers.into_iter().map(|spec| Change::PutProvider { expected: Any, spec }));
    changes.extend(config.models.into_iter().map(|spec| Change::PutModel { expected: Any, spec }));
    changes.extend(config.routes.into_iter().map(|spec| Change::PutRoute { expected: Any, spec }));
    Beginning { changes, keys, budgets }
}

fn key(place: usize, declared: &declared::Key, problems: &mut Problems) -> Option<(ApiKeyText, KeySpec)> {
    let place = format!("keys[{place}]");
    let label = problems.take(&format!("{place}.label"), Text::parse(&declared.label));
    let secret = problems.take(&format!("{place}.secret"), reference::resolve(&declared.secret))?;
    let text = problems.take(&format!("{place}.secret"), ApiKeyText::parse(secret.expose()))?;
    let spec = KeySpec {
        label,
        owner: Owner {
            organisation: declared.organisation.clone(),
            team: declared.team.clone(),
            user: declared.user.clone(),
        },
        allowed_models: match &declared.allowed_models {
            Some(routes) => AllowedModels::Only(routes.iter().cloned().collect()),
            None => AllowedModels::All,
        },
        expires_at: None,
    };
    Some((text, spec))
}

fn budget(place: usize, declared: &declared::Budget, problems: &mut Problems) -> Vec<BudgetSpec> {
    let place = format!("budgets[{place}]");
    let subject = problems.take(&format!("{place}.subject"), declared.subject.parse::<Subject>());
    let kind = problems.take(&format!("{place}.period"), kind(&declared.period));
    let usd = declared.usd.as_ref().map(|usd| problems.take(&format!("{place}.usd"), usd.parse::<NanoUsd>()));
    if declared.tokens.is_none() && declared.usd.is_none() {
        problems.add(&place, "needs tokens, usd or both");
    }
    let (Some(subject), Some(kind)) = (subject, kind) else { return Vec::new() };
    let tokens = declared.tokens.map(|tokens| (Unit::Tokens, Amount::new(tokens)));
    let money = usd.flatten().map(|usd| (Unit::NanoUsd, usd.amount()));
    let spec = |(unit, limit)| BudgetSpec { subject: subject.clone(), unit, kind, limit };
    tokens.into_iter().chain(money).map(spec).collect()
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "lifetime" => Ok(Kind::Lifetime),
        "minute" => Ok(Kind::Fixed(Period::Minute)),
        "hour" => Ok(Kind::Fixed(Period::Hour)),
        "day" => Ok(Kind::Fixed(Period::Day)),
        "week" => Ok(Kind::Fixed(Period::Week)),
        "month" => Ok(Kind::Fixed(Period::Month)),
        other => Err(format!("{other:?} is not lifetime, minute, hour, day, week or month")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        let found = match Settings::load(&path) {
            Ok(settings) => format!("{:?}", settings.cluster.first_start),
            Err(error) => error.problems.join("\n"),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn an_empty_file_is_a_node_of_its_own() {
        check("", &expect!["Found"]);
    }

    #[test]
    fn every_problem_is_found_before_the_first_is_reported() {
        check(
            r#"
            [node]
            client_listen = "127.0.0.1:1"
            admin_listen = "127.0.0.1:1"
            [cluster]
            peer_listen = "0.0.0.0:7000"
            secret = "plain"
            heartbeat_ms = 200
            election_ms = 300
            [[keys]]
            label = "a"
            secret = "${env:NO_SUCH_VARIABLE_AT_ALL}"
            [[budgets]]
            subject = "group:x"
            period = "fortnight"
            "#,
            &expect![[r#"
                cluster.election_ms: must be at least three times cluster.heartbeat_ms
                cluster.peer_address: is needed, because other nodes cannot reach this one at 0.0.0.0 or ::
                cluster.secret: write ${env:NAME} or ${file:PATH}
                node.admin_listen: is the same address as node.client_listen
                keys[0].secret: environment variable NO_SUCH_VARIABLE_AT_ALL is not set
                budgets[0].subject: "group:x" is not a subject: write key:ID, user:NAME, team:NAME or org:NAME
                budgets[0].period: "fortnight" is not lifetime, minute, hour, day, week or month
                budgets[0]: needs tokens, usd or both"#]],
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place_and_no_line_is_shown_that_might_hold_a_secret() {
        check(
            "[node]\nclient_lissten = \"127.0.0.1:1\"\n",
            &expect![
                "line 2, column 1: unknown field `client_lissten`, expected one of `data_dir`, `client_listen`, `admin_listen`, `drain_ms`"
            ],
        );
    }
}
