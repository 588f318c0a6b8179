//! The checks of a cluster: every node is asked by itself, so that they work without a leader and find who hears whom.

use super::finding::{Findings, State, up_to};
use crate::client::Client;
use crate::error::CliError;
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A node that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);
/// As nodes count it, too.
const SILENT_MS: u64 = 5_000;
const SKEW_WARN_MS: u64 = 250;
const SKEW_FAIL_MS: u64 = 2_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Two snapshots' worth of entries.
const UNCOVERED_MAX: u64 = 100_000;

/// What the nodes said, by node; those that did not answer are missing.
type Answers = BTreeMap<u64, Value>;

/// Asks all nodes, and examines what they say.
pub(super) async fn examine(client: &Client, findings: &mut Findings) {
    let first = match client.get("/machines").await {
        Ok(first) => first,
        Err(error) => {
            let next = if matches!(error, CliError::Refused { .. }) {
                "give an admin key, by QUORATE_TOKEN or QUORATE_TOKEN_FILE"
            } else {
                "see that a node runs there, or name another one with --server"
            };
            findings.add("cluster", (State::Fail, error.to_string()), next);
            return;
        }
    };
    let mut answers = Answers::new();
    let mut silent = Vec::new();
    let own = number(&first["node"]);
    let others = members(&first).filter(|member| number(&member["node"]) != own).map(async |member| {
        let address = member["admin_address"].as_str().unwrap_or_default();
        let node = client.elsewhere(&format!("http://{address}"));
        let asked = tokio::time::timeout(PATIENCE, node.get("/machines")).await;
        let answer = asked
            .map_err(|_| "no answer".to_owned())
            .and_then(|answer| answer.map_err(|error| error.to_string()));
        (number(&member["node"]), answer)
    });
    for (node, answer) in join_all(others).await {
        match answer {
            Ok(answer) => drop(answers.insert(node, answer)),
            Err(cause) => silent.push(format!("node {node}: {cause}")),
        }
    }
    answers.insert(own, first.clone());
    judge(&first, &answers, &silent, findings);
}

fn judge(first: &Value, answers: &Answers, silent: &[String], findings: &mut Findings) {
    let asked = format!("{} of {} nodes answer", answers.len(), answers.len() + silent.len());
    let said = if silent.is_empty() { asked } else { format!("{asked}; {}", silent.join("; ")) };
    findings.add(
        "nodes",
        (worse_if(!silent.is_empty(), State::Fail), said),
        "start them, or correct node.admin_address",
    );
    quorum(first, answers, findings);
    matrix(answers, findings);
    releases(first, findings);
    replicas(answers, findings);
    machines(answers, findings);
    certificates(first, findings);
    doubts(first, findings);
    snapshots(answers, findings);
}

fn quorum(first: &Value, answers: &Answers, findings: &mut Findings) {
    let leaders: BTreeSet<Option<u64>> = answers.values().map(|answer| answer["leader"].as_u64()).collect();
    let voters: Vec<u64> = members(first)
        .filter(|member| member["is_voter"] == true)
        .map(|member| number(&member["node"]))
        .collect();
    let there = voters.iter().filter(|voter| answers.contains_key(voter)).count();
    let tolerance = there.saturating_sub(voters.len() / 2 + 1);
    let leads = match leaders.iter().next() {
        Some(Some(leader)) if leaders.len() == 1 => (State::Ok, format!("node {leader} leads, all agree")),
        _ => (State::Fail, "the nodes do not agree on a leader, or know none".to_owned()),
    };
    findings.add(
        "leader",
        leads,
        "look at `quorate cluster status`: nodes or the network between them are missing",
    );
    let said = format!("{there} of {} voters answer; {tolerance} more may fail", voters.len());
    findings.add(
        "tolerance",
        (worse_if(tolerance == 0, State::Warn), said),
        "bring the missing voters back, or add nodes",
    );
}

/// Who does not hear whom.
fn matrix(answers: &Answers, findings: &mut Findings) {
    let mut deaf = Vec::new();
    for (node, answer) in answers {
        for other in members(answer).filter(|other| number(&other["node"]) != *node) {
            if other["silent_ms"].as_u64().is_none_or(|silent| silent >= SILENT_MS) {
                deaf.push(format!("{node} does not hear {}", number(&other["node"])));
            }
        }
    }
    let said = if deaf.is_empty() { "all nodes hear each other".to_owned() } else { deaf.join(", ") };
    findings.add(
        "peers",
        (worse_if(!deaf.is_empty(), State::Fail), said),
        "look at the network between their peer addresses",
    );
}

fn releases(first: &Value, findings: &mut Findings) {
    let releases: BTreeSet<&str> = members(first).filter_map(|member| member["release"].as_str()).collect();
    let said = releases.iter().copied().collect::<Vec<_>>().join(", ");
    findings.add(
        "releases",
        (worse_if(releases.len() > 1, State::Warn), said),
        "finish the upgrade: `quorate upgrade status`",
    );
}

fn replicas(answers: &Answers, findings: &mut Findings) {
    let differs =
        |answer: &&Value| answer["differs_from"].as_array().is_some_and(|others| !others.is_empty());
    let count = answers.values().filter(differs).count();
    let said = if count == 0 {
        "no node differs from another one".to_owned()
    } else {
        format!("{count} nodes differ from others")
    };
    findings.add(
        "replicas",
        (worse_if(count > 0, State::Fail), said),
        "look at `quorate cluster status`, and replace the node that is wrong",
    );
}

fn machines(answers: &Answers, findings: &mut Findings) {
    for (node, answer) in answers {
        let skew = answer["clock_skew_ms"].as_i64().map_or(0, i64::unsigned_abs);
        let state = up_to(skew, SKEW_WARN_MS, SKEW_FAIL_MS);
        findings.add(
            "clock",
            (state, format!("node {node} is {skew} ms off most others")),
            "set its clock, as by NTP",
        );
        let fill = answer["disk"]["fill"].as_str().unwrap_or("not looked at yet");
        let used = number(&answer["disk"]["used_permille"]) / 10;
        let state = match fill {
            "read_only" => State::Fail,
            "filling" | "scarce" => State::Warn,
            _ => State::Ok,
        };
        findings.add("disk", (state, format!("node {node}: {used} % used, {fill}")), "make room on its disk");
        if answer["unfit"] == "stall" {
            findings.add(
                "writes",
                (State::Warn, format!("node {node}: a write took seconds")),
                "look at its disk",
            );
        }
    }
}

fn certificates(first: &Value, findings: &mut Findings) {
    let now = number(&first["time_ms"]);
    for member in members(first) {
        let (node, certificate) = (number(&member["node"]), &member["certificate"]);
        let (since, until) = (number(&certificate["since"]), number(&certificate["until"]));
        let (left, life) = (until.saturating_sub(now), until.saturating_sub(since));
        let state = if certificate.is_null() || left > life / 4 {
            State::Ok
        } else if left > 0 {
            State::Warn
        } else {
            State::Fail
        };
        let said = if certificate.is_null() {
            format!("node {node}: its own files")
        } else {
            format!("node {node}: good for {} more days", left / DAY_MS)
        };
        findings.add(
            "certificate",
            (state, said),
            "see in the node's log why it was not renewed; start it with a join token if it has run out",
        );
    }
}

fn doubts(first: &Value, findings: &mut Findings) {
    let count = number(&first["sessions_in_doubt"]);
    let said = format!("{count} dead sessions hold grants that nobody resolved");
    findings.add(
        "doubts",
        (worse_if(count > 0, State::Warn), said),
        "`quorate budget explain`, then `quorate budget resolve`",
    );
}

fn snapshots(answers: &Answers, findings: &mut Findings) {
    let uncovered =
        answers.values().map(|answer| number(&answer["applied"]).saturating_sub(number(&answer["snapshot"])));
    let most = uncovered.max().unwrap_or(0);
    let said = format!("at most {most} entries since the newest one");
    findings.add(
        "snapshots",
        (worse_if(most >= UNCOVERED_MAX, State::Warn), said),
        "see in the log of the node why it takes none",
    );
}

fn members(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["members"].as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

const fn worse_if(is_so: bool, state: State) -> State {
    if is_so { state } else { State::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(node: u64, silent_of_others: u64) -> Value {
        let member = |other: u64| {
            let silent = (other != node).then_some(silent_of_others);
            json!({
                "node": other, "is_voter": true, "silent_ms": silent, "release": "1.0.0",
                "certificate": { "since": 0, "until": 90 * DAY_MS },
            })
        };
        let disk = json!({ "used_permille": 220, "fill": "ample" });
        json!({
            "node": node, "leader": 1, "applied": 9, "snapshot": null, "differs_from": [], "unfit": null, "disk": disk,
            "clock_skew_ms": 3, "time_ms": DAY_MS, "sessions_in_doubt": 0, "members": [member(1), member(2), member(3)],
        })
    }

    fn found(answers: &[Value], silent: &[&str]) -> (State, String) {
        let mut findings = Findings::default();
        let by_node = answers.iter().map(|answer| (number(&answer["node"]), answer.clone())).collect();
        let silent: Vec<_> = silent.iter().map(|node| (*node).to_owned()).collect();
        judge(&answers[0], &by_node, &silent, &mut findings);
        let bad = findings
            .lines()
            .lines()
            .filter(|line| !line.starts_with("ok") && !line.contains('→'))
            .collect::<Vec<_>>()
            .join("\n");
        (findings.worst(), bad)
    }

    #[test]
    fn a_healthy_cluster_has_no_findings() {
        assert_eq!(found(&[1, 2, 3].map(|node| answer(node, 400)), &[]), (State::Ok, String::new()));
    }

    #[test]
    fn a_node_that_is_gone_is_found_by_its_silence() {
        let (worst, bad) = found(&[answer(1, 400), answer(2, 9_000)], &["node 3: connection refused"]);
        assert_eq!(worst, State::Fail);
        assert!(bad.contains("2 of 3 nodes answer; node 3: connection refused"), "{bad}");
        assert!(bad.contains("2 of 3 voters answer; 0 more may fail"), "{bad}");
        assert!(bad.contains("2 does not hear 1, 2 does not hear 3"), "{bad}");
    }

    #[test]
    fn what_will_be_wrong_soon_is_a_warning() {
        let mut answers = [1, 2, 3].map(|node| answer(node, 400));
        answers[0]["time_ms"] = json!(80 * DAY_MS);
        answers[1]["disk"]["fill"] = json!("filling");
        answers[0]["sessions_in_doubt"] = json!(2);
        let (worst, bad) = found(&answers, &[]);
        assert_eq!(worst, State::Warn);
        assert!(
            bad.contains("good for 10 more days") && bad.contains("filling") && bad.contains("2 dead"),
            "{bad}"
        );
    }
}
