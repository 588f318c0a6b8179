//! Settings: the configuration file, checked. Every problem is found before the first is reported.

use crate::declared::{self, Config, DEFAULT_ELECTION_MS};
use crate::problems::Problems;
use crate::{Beginning, environment, log};
use quorate_consensus::{CERTIFICATE_LIFETIME, MachineLimits};
use quorate_domain::{Name, Span, Tokens};
use quorate_gateway::IdempotencyLimits;
use quorate_lease::RevocationBound;
use quorate_membership::Levels;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A certificate that is good for less could run out while a busy machine renews it.
const CERTIFICATE_MIN_MS: u64 = 10_000;
/// Clocks of healthy machines differ by less, and answers on slow networks say nothing more exact.
const CLOCK_SKEW_MIN_MS: u64 = 500;
/// Elections need several lost heartbeats, or every hiccup would be one.
const HEARTBEATS_PER_ELECTION_MIN: u64 = 3;
/// A new leader is there after three times `election_ms`, and the last renewal may have been a quarter of the bound before:
/// with less, every election would end every lease.
const ELECTIONS_PER_BOUND_MIN: u64 = 5;

/// An answer that is kept goes through the log, in whose entries it must fit with others.
const RESPONSE_BYTES_MAX: usize = 512 * 1024;
/// Less than a request may take to be repeated says nothing.
const KEPT_MIN_MS: u64 = 1_000;

/// What a node needs to know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What people call it.
    pub name: Option<Name>,
    /// Where it stands.
    pub zone: Option<Name>,
    /// The levels that it is to know: those of its program, unless an older one is played.
    pub levels: Levels,
    /// The directory of its data.
    pub data_dir: PathBuf,
    /// Where clients connect.
    pub client_listen: SocketAddr,
    /// Where operators connect.
    pub admin_listen: SocketAddr,
    /// Where others look for operators' address of this node.
    pub admin_address: String,
    /// How long requests may take to finish at the end.
    pub drain: Duration,
    /// How long it is unready before it takes no more requests.
    pub unready: Duration,
    /// How it finds its cluster.
    pub cluster: ClusterSettings,
    /// What its machine may be like.
    pub machine: MachineLimits,
    /// Bytes that are kept in reserve on its disk.
    pub reserve_bytes: u64,
    /// The filter of the log.
    pub log_level: String,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may wait for budget that others hold.
    pub budget_wait: Duration,
    /// The shortest answer that is worth sending when a budget has no more left.
    pub output_tokens_min: Tokens,
    /// For how long a revoked key may be admitted by a node that is cut off.
    pub revocation_bound: RevocationBound,
    /// What is kept of requests with an `Idempotency-Key`.
    pub idempotency: IdempotencyLimits,
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
    /// For how long the certificates are good that it signs.
    pub certificates: Span,
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
    /// Joins the one that the token in this file names, once the file is there.
    Join(PathBuf),
    /// Waits to be told.
    Wait,
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
            None => alone(),
        };
        if config.node.client_listen == config.node.admin_listen && config.node.client_listen.port() != 0 {
            problems.add("node.admin_listen", "is the same address as node.client_listen");
        }
        if config.limits.body_bytes_max == 0 {
            problems.add("limits.body_bytes_max", "must be more than zero");
        }
        let revocation_bound = problems.take("limits.revocation_bound_ms", revocation_bound(&config));
        let idempotency = idempotency(&config.limits, &mut problems);
        problems.take("node.data_dir", directory(&config.node.data_dir));
        problems.take("log.level", log::check(&config.log.level));
        if let Some(own) = &config.node.admin_address {
            problems.take("node.admin_address", dialled_address(own));
        }
        let settings = Self {
            name: config.node.name.clone(),
            levels: problems.take("QUORATE_LEVELS", levels()).unwrap_or(Levels::OURS),
            zone: config.node.zone.clone(),
            admin_address: admin_address(&config, &cluster),
            data_dir: config.node.data_dir.clone(),
            client_listen: config.node.client_listen,
            admin_listen: config.node.admin_listen,
            drain: Duration::from_millis(config.node.drain_ms),
            unready: Duration::from_millis(config.node.unready_ms),
            cluster,
            machine: machine(&config, &mut problems),
            reserve_bytes: config.disk.reserve_bytes,
            log_level: config.log.level.clone(),
            body_bytes_max: config.limits.body_bytes_max,
            budget_wait: Duration::from_millis(config.limits.budget_wait_ms),
            output_tokens_min: Tokens::new(config.limits.output_tokens_min),
            revocation_bound: revocation_bound.unwrap_or(RevocationBound::DEFAULT),
            idempotency,
            beginning: Beginning::read(config, &mut problems),
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

/// A cluster of one: its peer port is on loopback and nobody knows its secret.
fn alone() -> ClusterSettings {
    ClusterSettings {
        peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        peer_address: None,
        certificates: CERTIFICATE_LIFETIME,
        first_start: FirstStart::Found,
        heartbeat: Duration::from_millis(100),
        election: Duration::from_millis(DEFAULT_ELECTION_MS),
    }
}

fn revocation_bound(config: &Config) -> Result<RevocationBound, String> {
    let bound = RevocationBound::new(Span::from_millis(config.limits.revocation_bound_ms));
    let (min, max) = (RevocationBound::MIN.millis(), RevocationBound::MAX.millis());
    let outside = || {
        format!(
            "must be between {min} and {max}: busy nodes might lose shorter leases, and who revokes waits as long"
        )
    };
    let bound = bound.ok_or_else(outside)?;
    let election_ms = config.cluster.as_ref().map_or(DEFAULT_ELECTION_MS, |cluster| cluster.election_ms);
    if bound.span().millis() < election_ms.saturating_mul(ELECTIONS_PER_BOUND_MIN) {
        return Err("must be at least five times cluster.election_ms, or every election would stop requests"
            .to_owned());
    }
    Ok(bound)
}

fn idempotency(declared: &declared::Limits, problems: &mut Problems) -> IdempotencyLimits {
    if declared.idempotency_kept_ms < KEPT_MIN_MS {
        problems.add("limits.idempotency_kept_ms", format_args!("must be at least {KEPT_MIN_MS}"));
    }
    if declared.idempotent_response_bytes_max > RESPONSE_BYTES_MAX {
        problems.add(
            "limits.idempotent_response_bytes_max",
            format_args!("must be at most {RESPONSE_BYTES_MAX}: answers that are kept go through the log"),
        );
    }
    if declared.idempotency_records_max == 0 {
        problems.add("limits.idempotency_records_max", "must be more than zero");
    }
    IdempotencyLimits {
        kept: Span::from_millis(declared.idempotency_kept_ms),
        wait: Duration::from_millis(declared.idempotency_wait_ms),
        response_bytes_max: declared.idempotent_response_bytes_max,
        bytes_max: declared.idempotency_bytes_max,
        records_max: declared.idempotency_records_max,
    }
}

fn machine(config: &Config, problems: &mut Problems) -> MachineLimits {
    let declared::Disk { warn_percent, scarce_percent, read_only_percent, headroom_bytes, .. } = config.disk;
    if !(0 < warn_percent && warn_percent < scarce_percent && scarce_percent < read_only_percent)
        || read_only_percent > 100
    {
        problems.add("disk", "warn_percent, scarce_percent and read_only_percent must rise, and end at 100");
    }
    let skew_ms = config.cluster.as_ref().map(|cluster| cluster.clock_skew_max_ms);
    if skew_ms.is_some_and(|ms| ms < CLOCK_SKEW_MIN_MS) {
        problems.add("cluster.clock_skew_max_ms", format_args!("must be at least {CLOCK_SKEW_MIN_MS}"));
    }
    let clock_skew_max = skew_ms.map_or(MachineLimits::DEFAULT.clock_skew_max, Span::from_millis);
    MachineLimits { warn_percent, scarce_percent, read_only_percent, headroom_bytes, clock_skew_max }
}

fn cluster(declared: &declared::Cluster, problems: &mut Problems) -> ClusterSettings {
    if declared.found && declared.join_token_file.is_some() {
        problems.add("cluster", "either found = true or join_token_file, not both");
    }
    if declared.certificate_ms < CERTIFICATE_MIN_MS {
        problems.add("cluster.certificate_ms", format_args!("must be at least {CERTIFICATE_MIN_MS}"));
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
    if let Some(own) = &declared.peer_address {
        problems.take("cluster.peer_address", dialled_address(own));
    }
    let first_start = match (declared.found, &declared.join_token_file) {
        (true, _) => FirstStart::Found,
        (false, Some(file)) => FirstStart::Join(file.clone()),
        (false, None) => FirstStart::Wait,
    };
    ClusterSettings {
        peer_listen: declared.peer_listen,
        peer_address: declared.peer_address.clone(),
        certificates: Span::from_millis(declared.certificate_ms),
        first_start,
        heartbeat: Duration::from_millis(declared.heartbeat_ms),
        election: Duration::from_millis(declared.election_ms),
    }
}

/// Checks a `host:port` that nodes dial.
fn address(text: &str) -> Result<(), String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let host_is_good = !host.is_empty() && !host.contains(char::is_whitespace);
    if port.parse::<u16>().is_ok_and(|port| port != 0)
        && host_is_good
        && (is_bracketed || !host.contains(':'))
    {
        Ok(())
    } else {
        Err(format!("{text:?} is not HOST:PORT"))
    }
}

fn dialled_address(text: &str) -> Result<(), String> {
    address(text)?;
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host).trim_matches(['[', ']']);
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err(format!("other nodes cannot reach this one at {host}"));
    }
    Ok(())
}

/// The variable by which tests of upgrades play an older program, as `1-1`.
const LEVELS: &str = "QUORATE_LEVELS";

fn levels() -> Result<Levels, String> {
    let Ok(text) = environment(LEVELS) else { return Ok(Levels::OURS) };
    let read = text
        .split_once('-')
        .and_then(|(min, max)| Some(Levels { min: min.parse().ok()?, max: max.parse().ok()? }));
    let ours = Levels::OURS;
    read.filter(|read| ours.min <= read.min && read.min <= read.max && read.max <= ours.max)
        .ok_or_else(|| format!("{text:?} is no range within the levels {ours} of this program"))
}

/// Where others find operators' address: as it is said, or on the host that peers dial.
fn admin_address(config: &Config, cluster: &ClusterSettings) -> String {
    let listen = config.node.admin_listen;
    let host = cluster.peer_address.as_deref().and_then(|own| own.rsplit_once(':')).map(|(host, _)| host);
    match (&config.node.admin_address, host) {
        (Some(said), _) => said.clone(),
        (None, Some(host)) if listen.ip().is_unspecified() => format!("{host}:{}", listen.port()),
        (None, _) => listen.to_string(),
    }
}

/// Checks that a directory is there or could be made. Who may write to it is seen when it is used.
fn directory(path: &Path) -> Result<(), String> {
    let found = path.ancestors().find_map(|place| place.metadata().ok().map(|found| (place, found)));
    match found {
        _ if path.as_os_str().is_empty() => Err("is empty".to_owned()),
        Some((place, found)) if !found.is_dir() => Err(format!("{} is no directory", place.display())),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use quorate_catalog::ApiKeyText;
    use serde::Deserialize as _;
    use std::collections::BTreeSet;
    use toml::Value;

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

    /// The examples of the document, with a file in place of every secret.
    fn examples(secret: &Path) -> Vec<String> {
        let document = include_str!("../../../docs/configuration.md");
        let blocks = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let reference = format!("${{file:{}}}", secret.display());
        let known = |line: &str| match line.split_once("secret = \"${") {
            Some((before, rest)) => {
                let after = rest.split_once("}\"").map_or("", |(_, after)| after);
                format!("{before}secret = \"{reference}\"{after}\n")
            }
            None => format!("{line}\n"),
        };
        blocks.map(|block| block.lines().map(known).collect()).collect()
    }

    #[test]
    fn the_examples_of_the_document_can_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, ApiKeyText::mint(ApiKeyText::draw_id(1), &[7; 32]).expose()).unwrap();
        let [node, objects] = examples(&secret).try_into().unwrap();
        for text in [node.clone(), objects.clone(), format!("{node}\n{objects}")] {
            let config = toml::from_str(&text).unwrap();
            assert_eq!(Settings::check(config).map(|_| ()), Ok(()), "{text}");
        }
    }

    fn table(field: &str, value: Value) -> Value {
        Value::Table(toml::Table::from_iter([(field.to_owned(), value)]))
    }

    /// The fields that stand where `place` puts a table, as the refusal of one that nobody knows lists them.
    fn fields_at(place: &dyn Fn(Value) -> Value) -> Vec<String> {
        let refusal = Config::deserialize(place(table("unknown", Value::Boolean(true)))).unwrap_err();
        let listed = refusal
            .message()
            .split_once("unknown field `unknown`, expected ")
            .map_or("", |(_, listed)| listed);
        listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Every field that a file may have, in tables and in lists of tables: `models.price.input`. But for the fields
    /// behind a tag, as of `auto_resolve`: without the tag nobody says which there are.
    fn accepted(path: &str, place: &dyn Fn(Value) -> Value, found: &mut BTreeSet<String>) {
        for field in fields_at(place) {
            let path = format!("{path}.{field}");
            accepted(&path, &|inner| place(table(&field, inner)), found);
            accepted(&path, &|inner| place(table(&field, Value::Array(vec![inner]))), found);
            found.insert(path);
        }
    }

    fn written(path: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Table(fields) => {
                for (field, value) in fields {
                    let path = format!("{path}.{field}");
                    written(&path, value, found);
                    found.insert(path);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| written(path, item, found)),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => {}
        }
    }

    #[test]
    fn every_field_is_in_the_document() {
        let (mut fields, mut examples_have) = (BTreeSet::new(), BTreeSet::new());
        accepted("", &|inner| inner, &mut fields);
        for example in examples(Path::new("/secret")) {
            written("", &Value::Table(example.parse().unwrap()), &mut examples_have);
        }
        for path in [".log.level", ".providers.timeouts.idle_ms", ".routes.targets.weight", ".budgets.unit"] {
            assert!(fields.contains(path), "{path} is not found: {fields:?}");
        }
        let missing: Vec<_> = fields.difference(&examples_have).collect();
        assert!(missing.is_empty(), "the examples of docs/configuration.md lack {missing:?}");
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
            heartbeat_ms = 200
            election_ms = 300
            [[keys]]
            label = "a"
            secret = "${env:NO_SUCH_VARIABLE_AT_ALL}"
            [[budgets]]
            subject = "group:x"
            unit = "usd"
            limit = 5
            "#,
            &expect![[r#"
                cluster.election_ms: must be at least three times cluster.heartbeat_ms
                cluster.peer_address: is needed, because other nodes cannot reach this one at 0.0.0.0 or ::
                node.admin_listen: is the same address as node.client_listen
                keys[0].secret: environment variable NO_SUCH_VARIABLE_AT_ALL is not set
                budgets[0]: subject: "group:x" is not a subject: write key:ID, key:ID/model:ROUTE, user:NAME, team:NAME, org:NAME, tag:NAME, end-user:ORG/ID or end-user:ORG/*"#]],
        );
    }

    #[test]
    fn an_election_must_fit_into_the_revocation_bound_several_times() {
        check("[limits]\nrevocation_bound_ms = 1500", &expect!["Found"]);
        check(
            "[limits]\nrevocation_bound_ms = 1499",
            &expect![
                "limits.revocation_bound_ms: must be at least five times cluster.election_ms, or every election would stop requests"
            ],
        );
        check(
            "[limits]\nrevocation_bound_ms = 20001",
            &expect![
                "limits.revocation_bound_ms: must be between 500 and 20000: busy nodes might lose shorter leases, and who revokes waits as long"
            ],
        );
    }

    #[test]
    fn what_is_kept_of_idempotent_requests_has_bounds() {
        check(
            r"
            [limits]
            idempotency_kept_ms = 999
            idempotent_response_bytes_max = 524289
            idempotency_records_max = 0
            ",
            &expect![[r"
                limits.idempotency_kept_ms: must be at least 1000
                limits.idempotent_response_bytes_max: must be at most 524288: answers that are kept go through the log
                limits.idempotency_records_max: must be more than zero"]],
        );
    }

    #[test]
    fn addresses_the_log_and_the_data_directory_are_checked_before_the_node_starts() {
        check(
            r#"
            [node]
            data_dir = "/dev/null/data"
            admin_address = "no port"
            [log]
            level = "info,="
            [cluster]
            peer_listen = "127.0.0.1:7000"
            peer_address = "0.0.0.0:7000"
            certificate_ms = 9999
            "#,
            &expect![[r#"
                cluster.certificate_ms: must be at least 10000
                cluster.peer_address: other nodes cannot reach this one at 0.0.0.0
                node.data_dir: /dev/null is no directory
                log.level: "info,=" is no filter: invalid filter directive
                node.admin_address: "no port" is not HOST:PORT"#]],
        );
    }

    #[test]
    fn what_the_cluster_would_refuse_is_refused_in_the_file() {
        check(
            r#"
            organisations = [{ name = "acme" }, { name = "acme" }]
            teams = [{ name = "search", organisation = "acme" }, { name = "lost", organisation = "nobody" }]
            providers = [{ name = "p", base_url = "http://127.0.0.1:1" }]
            [[models]]
            name = "m"
            provider = "p"
            upstream_model = "m"
            price = { input = "1", output = "1" }
            context_tokens = 0
            output_tokens_max = 0
            [[routes]]
            name = "r"
            targets = [{ model = "gone" }]
            [[budgets]]
            subject = "org:gone"
            unit = "tokens"
            limit = 5
            [[budgets]]
            subject = "team:search"
            unit = "usd"
            window = "day"
            limit = "12.50"
            [[budgets]]
            subject = "team:search"
            unit = "usd"
            window = "day"
            limit = "13"
            "#,
            &expect![[r#"
                organisations[1]: organisation acme is there twice
                teams[1]: team lost names organisation nobody, which does not exist
                models[0]: model m needs context_tokens above zero and not below output_tokens_max
                routes[0]: route r names model gone, which does not exist
                budgets[0]: org:gone does not exist, so a budget would limit nobody
                budgets[2]: team:search has a budget of this unit and window already"#]],
        );
    }

    #[test]
    fn a_budget_has_the_words_of_the_admin_api() {
        let budget = |fields: &str| {
            format!("organisations = [{{ name = \"a\" }}]\n[[budgets]]\nsubject = \"org:a\"\n{fields}")
        };
        check(&budget("unit = \"requests\"\nlimit = 5"), &expect!["Found"]);
        check(&budget("unit = \"usd\"\nwindow = \"month\"\nlimit = \"0.50\""), &expect!["Found"]);
        let in_zone = |fields: &str| budget(&format!("unit = \"tokens\"\nlimit = 5\n{fields}"));
        check(
            &in_zone("window = \"week\"\ntime_zone = \"Europe/Berlin\"\nweek_starts = \"sunday\""),
            &expect!["Found"],
        );
        check(
            &in_zone("time_zone = \"Europe/Berlin\""),
            &expect!["budgets[0]: time_zone: a lifetime budget has no windows"],
        );
        check(
            &in_zone("window = \"week\"\nweek_starts = \"dimanche\""),
            &expect![[
                r#"line 7, column 15: "dimanche" is none of monday, tuesday, wednesday, thursday, friday, saturday, sunday"#
            ]],
        );
        check(
            &budget("unit = \"usd\"\nlimit = 5\nperiod = \"day\""),
            &expect![
                "line 6, column 1: unknown field `period`, expected one of `subject`, `unit`, `window`, `bucket`, `time_zone`, `week_starts`, `limit`, `auto_resolve`, `reserve`, `end_users_max`"
            ],
        );
        check(
            &budget("unit = \"tokens\"\nlimit = 5\nwindow = \"fortnight\""),
            &expect![[
                r#"line 6, column 10: "fortnight" is none of lifetime, minute, hour, day, week, month"#
            ]],
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place_and_no_line_is_shown_that_might_hold_a_secret() {
        check(
            "[node]\nclient_lissten = \"127.0.0.1:1\"\n",
            &expect![
                "line 2, column 1: unknown field `client_lissten`, expected one of `name`, `zone`, `data_dir`, `client_listen`, `admin_listen`, `admin_address`, `drain_ms`, `unready_ms`"
            ],
        );
    }
}
