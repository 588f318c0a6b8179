//! `quorate cluster status`: a verdict first, a table, and what to do next. Every node that is known is asked at the same time, so that it says
//! something useful also when nobody leads.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const COLUMNS: &[Column] = &[
    ("NODE", "/name"),
    ("ID", "/id"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("ZONE", "/zone"),
    ("LAG", "/lag"),
    ("SEEN", "/seen"),
    ("APPLIED", "/applied"),
    ("BUDGETS", "/budgets_held"),
    ("REQUESTS", "/requests"),
    ("CERT", "/certificate_until"),
    ("RELEASE", "/release"),
];
/// A few heartbeats. The leader itself takes longer to give a node up.
const JUST_NOW_MS: u64 = 1_500;
/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// How the cluster is, by what it means to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Healthy,
    /// Something is missing, and more may fail.
    Degraded,
    /// The next failure of a voter stops changes and grants, though there are nodes enough.
    Unsafe,
    /// Nothing can be agreed on.
    NoQuorum,
}

/// What is known of the cluster.
pub(crate) struct Picture {
    pub(crate) verdict: Verdict,
    sentence: String,
    notes: Vec<String>,
    next: String,
    nodes: Vec<Value>,
    leader: Value,
}

impl Verdict {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Healthy => ("HEALTHY", "healthy"),
            Self::Degraded => ("DEGRADED", "degraded"),
            Self::Unsafe => ("UNSAFE", "unsafe"),
            Self::NoQuorum => ("NO QUORUM", "no_quorum"),
        }
    }

    const fn exit(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 10,
            Self::NoQuorum => 11,
            Self::Unsafe => 12,
        }
    }
}

/// Shows it once, or again and again.
pub(crate) async fn show(client: &Client, output: &Output, again: bool) -> Result<(), CliError> {
    loop {
        let picture = look(client).await?;
        picture.show(output);
        if !again {
            let sentence = picture.sentence;
            return match picture.verdict.exit() {
                0 => Ok(()),
                exit => Err(CliError::Unwell {
                    word: picture.verdict.words().1,
                    sentence,
                    next: picture.next,
                    exit,
                }),
            };
        }
        tokio::time::sleep(EVERY).await;
        tell("");
    }
}

/// Asks a node for the table, and all that are in it for themselves.
pub(crate) async fn look(client: &Client) -> Result<Picture, CliError> {
    let (first, table) = (client.get("/cluster").await?, client.get("/nodes").await?);
    let nodes = table["items"].as_array().cloned().unwrap_or_default();
    let own = |node: &Value| Some((node["id"].as_u64()?, node["admin_address"].as_str()?.to_owned()));
    let mut views: BTreeMap<u64, Value> = client.ask_each(nodes.iter().filter_map(own), "/cluster").await;
    if let Some(id) = first["node"].as_u64() {
        views.entry(id).or_insert(first);
    }
    Ok(Picture::of(nodes, &views))
}

impl Picture {
    /// `nodes` as one node sees them, `views` what each says of itself.
    fn of(mut nodes: Vec<Value>, views: &BTreeMap<u64, Value>) -> Self {
        let leader = views.values().find(|view| !view["leader"].is_null() && view["lease_left_ms"] != 0);
        let leader = leader.map_or(Value::Null, |view| view["leader"].clone());
        nodes.iter_mut().for_each(|node| complete(node, views, &leader));
        let voters: Vec<&Value> = nodes.iter().filter(|node| node["has_seat"] == true).collect();
        let missing: Vec<String> =
            voters.iter().filter(|node| !is_there(node) || !votes(node)).map(|node| name(node)).collect();
        let quorum = voters.len() / 2 + 1;
        let there = voters.len() - missing.len();
        let spare = there.saturating_sub(quorum);
        let absent = nodes.iter().filter(|node| !is_there(node)).count();
        let differs = views.values().any(|view| view["verdict"] == "replicas_differ");
        let verdict = if leader.is_null() || there < quorum {
            Verdict::NoQuorum
        } else if spare == 0 && nodes.len() > 2 {
            Verdict::Unsafe
        } else if absent > 0 || differs {
            Verdict::Degraded
        } else {
            Verdict::Healthy
        };
        let sentence = sentence(
            verdict,
            (there, voters.len(), spare),
            &missing,
            leader_name(&nodes, &leader).as_deref(),
        );
        let mut notes = notes(&nodes);
        if differs {
            notes.push("the same log had other outcomes on different nodes: one of them is broken (see differs_from)".to_owned());
        }
        if nodes.len() <= 2 && verdict == Verdict::Healthy {
            notes.push("no node may fail: with three there would be one that may".to_owned());
        }
        let next = next(verdict, &nodes, &missing);
        Self { verdict, sentence, notes, next, nodes, leader }
    }

    fn show(&self, output: &Output) {
        let (word, code) = self.verdict.words();
        let whole = json!({
            "verdict": code, "sentence": self.sentence, "leader": self.leader, "nodes": self.nodes,
            "notes": self.notes, "next": self.next,
        });
        output.sentence(&format!("{word}  {}", self.sentence), &whole);
        output.rows(&whole["nodes"], COLUMNS);
        self.notes.iter().for_each(|note| tell(&format!("NOTE {note}")));
        // An exit code that is not 0 comes with it.
        if self.verdict == Verdict::Healthy && !self.next.is_empty() {
            tell(&format!("Next: {}", self.next));
        }
    }

    /// Why a node could not be taken away now, if so.
    pub(crate) fn doubt(&self) -> Option<String> {
        let unfit = self.nodes.iter().find(|node| node["state"] != "serving");
        match (self.verdict, unfit) {
            (Verdict::Healthy, None) => None,
            (Verdict::Healthy, Some(node)) => {
                Some(format!("{} is {}", name(node), node["state"].as_str().unwrap_or("?")))
            }
            (verdict, _) => Some(format!("{}: {}", verdict.words().0, self.sentence)),
        }
    }

    /// The nodes, by id.
    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.iter().map(name).collect()
    }
}

/// Adds what the node says of itself, and what is shown of the rest.
fn complete(node: &mut Value, views: &BTreeMap<u64, Value>, leader: &Value) {
    let view = node["id"].as_u64().and_then(|id| views.get(&id));
    node["answers"] = json!(view.is_some());
    if leader.is_null() {
        // What a leader saw that leads no more.
        (node["silent_ms"], node["is_reachable"], node["lag"]) = (Value::Null, Value::Null, Value::Null);
    }
    node["applied"] = view.map_or(Value::Null, |view| view["applied"].clone());
    node["requests"] = view.map_or(Value::Null, |view| view["requests_under_way"].clone());
    node["seen"] = node["silent_ms"].as_u64().map_or(Value::Null, |silent| json!(ago(silent)));
    node["state"] = match (is_there(node), node["standing"]["state"].as_str()) {
        (false, _) => json!("down"),
        (true, Some(state)) => json!(state),
        (true, None) => Value::Null,
    };
    if node["role"] == "leader" && node["id"] != *leader {
        node["role"] = json!("voter");
    }
}

/// It answers, or the leader has heard of it just now; if nobody leads, it answers.
fn is_there(node: &Value) -> bool {
    let is_heard = node["silent_ms"].as_u64().is_some_and(|silent| silent < JUST_NOW_MS);
    node["is_reachable"] != false && (node["answers"] == true || is_heard)
}

fn name(node: &Value) -> String {
    node["name"].as_str().unwrap_or("?").to_owned()
}

fn leader_name(nodes: &[Value], leader: &Value) -> Option<String> {
    nodes.iter().find(|node| !leader.is_null() && node["id"] == *leader).map(name)
}

fn ago(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1_000),
        _ => format!("{} min", millis / 60_000),
    }
}

fn sentence(
    verdict: Verdict,
    (there, voters, spare): (usize, usize, usize),
    missing: &[String],
    leader: Option<&str>,
) -> String {
    let mut text = format!("{there}/{voters} voters");
    match verdict {
        Verdict::NoQuorum => text.push_str(&format!(" reachable (need {})", voters / 2 + 1)),
        Verdict::Healthy | Verdict::Degraded | Verdict::Unsafe => match spare {
            0 => text.push_str(", no more may fail"),
            1 => text.push_str(", 1 more may fail"),
            spare => text.push_str(&format!(", {spare} more may fail")),
        },
    }
    if !missing.is_empty() {
        text.push_str(&format!(" · missing {}", missing.join(", ")));
    }
    match leader {
        Some(leader) => text.push_str(&format!(" · leader {leader}")),
        None => text.push_str(" · no leader: what grants cover is served until leases end, changes wait"),
    }
    text
}

fn notes(nodes: &[Value]) -> Vec<String> {
    let mut notes = Vec::new();
    for node in nodes {
        let (name, standing) = (name(node), &node["standing"]);
        let reason = standing["reason"].as_str().map_or_else(String::new, |reason| format!(" \"{reason}\""));
        let by = standing["by"].as_str().unwrap_or_default();
        match standing["state"].as_str() {
            Some("draining") => {
                let sentence = standing["sentence"].as_str().unwrap_or_default();
                notes.push(format!("{name} draining by {by}{reason}: {sentence}"));
            }
            Some("drained") => notes.push(format!("{name} drained by {by}{reason}: it can be stopped")),
            Some(_) | None => {}
        }
        if node["is_to_be_replaced"] == true {
            notes.push(format!("{name} is to be replaced, and waits for the node that comes"));
        }
        if !node["replaces"].is_null() {
            notes.push(format!("{name} takes the place of node {} when it is caught up", node["replaces"]));
        }
    }
    notes
}

fn next(verdict: Verdict, nodes: &[Value], missing: &[String]) -> String {
    let in_state = |state: &str| nodes.iter().find(|node| node["state"] == state).map(name);
    match verdict {
        Verdict::NoQuorum => {
            "start the nodes that are missing, or mend the network between them; wipe no data directory"
                .to_owned()
        }
        Verdict::Unsafe | Verdict::Degraded => match missing.first().cloned().or_else(|| in_state("down")) {
            Some(node) => format!("start {node}; if it is gone for good: quorate node replace {node}"),
            None => "wait until learners are caught up, or add nodes: quorate token create".to_owned(),
        },
        Verdict::Healthy => match (in_state("draining"), in_state("drained")) {
            (Some(node), _) => format!("quorate node watch {node}"),
            (None, Some(node)) => {
                format!("stop {node}, quorate node remove {node}, or quorate node undrain {node}")
            }
            (None, None) => String::new(),
        },
    }
}

/// Whether a node that has a seat votes already: Raft's own membership follows the seats a moment later.
fn votes(node: &Value) -> bool {
    node["role"] != "learner"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, has_seat: bool, is_reachable: &Value) -> Value {
        json!({
            "id": id, "name": format!("gw-{id}"), "has_seat": has_seat, "role": if has_seat { "voter" } else { "learner" },
            "is_reachable": is_reachable, "silent_ms": 3, "standing": { "state": "serving" },
            "is_to_be_replaced": false, "replaces": null,
        })
    }

    fn view(leader: &Value) -> Value {
        json!({ "leader": leader, "lease_left_ms": 900, "applied": 12, "requests_under_way": 4, "verdict": "healthy" })
    }

    fn picture(nodes: Vec<Value>, leader: &Value) -> Picture {
        let there = nodes.iter().filter(|node| node["is_reachable"] != false);
        let views = there.map(|node| (node["id"].as_u64().unwrap(), view(leader))).collect();
        Picture::of(nodes, &views)
    }

    fn of(voters: u64, down: u64) -> (u8, String) {
        let nodes = (1..=voters).map(|id| node(id, true, &json!(id <= voters - down))).collect();
        let picture = picture(nodes, &json!(1));
        (picture.verdict.exit(), picture.sentence)
    }

    #[test]
    fn a_seat_counts_once_its_node_votes() {
        let mut nodes: Vec<Value> = (1..=3).map(|id| node(id, true, &json!(true))).collect();
        nodes[2]["role"] = json!("learner");
        let picture = picture(nodes, &json!(1));
        let expected = "2/3 voters, no more may fail · missing gw-3 · leader gw-1".to_owned();
        assert_eq!((picture.verdict.exit(), picture.sentence), (12, expected));
    }

    #[test]
    fn the_verdict_says_how_many_more_may_fail() {
        assert_eq!(of(5, 0), (0, "5/5 voters, 2 more may fail · leader gw-1".to_owned()));
        assert_eq!(of(5, 1), (10, "4/5 voters, 1 more may fail · missing gw-5 · leader gw-1".to_owned()));
        assert_eq!(
            of(5, 2),
            (12, "3/5 voters, no more may fail · missing gw-4, gw-5 · leader gw-1".to_owned())
        );
        assert_eq!(of(3, 1).0, 12);
        assert_eq!(of(1, 0), (0, "1/1 voters, no more may fail · leader gw-1".to_owned()));
        let two = picture(vec![node(1, true, &json!(true)), node(2, false, &json!(true))], &json!(1));
        assert_eq!((two.verdict, two.notes.len()), (Verdict::Healthy, 1));
        let lost = picture(vec![node(1, true, &json!(true)), node(2, false, &json!(false))], &json!(1));
        assert_eq!(lost.verdict, Verdict::Degraded);
    }

    #[test]
    fn without_a_leader_who_answers_is_there() {
        let mut nodes: Vec<Value> = (1..=3).map(|id| node(id, true, &Value::Null)).collect();
        nodes[0]["role"] = json!("leader");
        let views = BTreeMap::from([(1, view(&Value::Null))]);
        let picture = Picture::of(nodes, &views);
        assert_eq!(picture.verdict.exit(), 11);
        assert!(
            picture.sentence.starts_with("1/3 voters reachable (need 2) · missing gw-2, gw-3"),
            "{}",
            picture.sentence
        );
        assert_eq!(picture.nodes[0]["role"], "voter", "nobody leads");
        assert_eq!(picture.nodes[0]["applied"], 12);
    }

    #[test]
    fn a_node_that_drains_is_noted_and_the_next_command_follows_it() {
        let mut nodes: Vec<Value> = (1..=3).map(|id| node(id, true, &json!(true))).collect();
        nodes[2]["standing"] =
            json!({ "state": "draining", "by": "key 1", "reason": "kernel", "sentence": "4 requests left" });
        let picture = picture(nodes, &json!(1));
        assert_eq!(picture.notes, ["gw-3 draining by key 1 \"kernel\": 4 requests left"]);
        assert_eq!((picture.verdict.exit(), picture.next.as_str()), (0, "quorate node watch gw-3"));
        assert_eq!(picture.doubt(), Some("gw-3 is draining".to_owned()));
    }
}
