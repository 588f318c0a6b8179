//! Follows what a node does, and says each step when it is done.

use crate::client::Client;
use crate::error::CliError;
use crate::output::tell;
use quorate_domain::{Clock, MonoTime};
use quorate_node::SystemClock;
use serde_json::Value;
use std::time::Duration;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(250);
/// What a drain may take beside its requests: load balancers, the hand-over, the return of grants.
const SLACK: Duration = Duration::from_secs(120);

/// Until when is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it has drained.
    Drained,
    /// Until it serves or has drained.
    Rest,
}

/// Follows a node.
pub(crate) async fn follow(
    client: &Client,
    node: &str,
    until: Until,
    deadline: Option<Duration>,
) -> Result<(), CliError> {
    let begun = Stopwatch::start();
    let (mut last, mut finishing) = (String::new(), None);
    loop {
        let standing = client.get(&format!("/nodes/{node}")).await?["standing"].take();
        let step = step(&standing);
        if step != last {
            tell(&step);
            last = step;
        }
        match (standing["state"].as_str(), until) {
            (Some("drained"), _) => {
                tell(&format!("DRAINED {node} in {}. Safe to stop", seconds(begun.elapsed())));
                return Ok(());
            }
            (Some("serving"), Until::Rest) => return Ok(()),
            (Some("serving"), Until::Drained) => return Err(CliError::TakenBack { node: node.to_owned() }),
            (_, Until::Drained | Until::Rest) => {}
        }
        if standing["progress"] == "finishing" && finishing.is_none() {
            finishing = Some(Stopwatch::start());
        }
        let waited = finishing.as_ref().map_or(Duration::ZERO, Stopwatch::elapsed);
        if deadline.is_some_and(|deadline| waited > deadline || begun.elapsed() > deadline + SLACK) {
            return Err(CliError::StillDraining { node: node.to_owned(), step: last });
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Waits until a node is out of the table and of Raft's membership.
pub(crate) async fn until_gone(client: &Client, id: u64, within: Duration) -> Result<(), CliError> {
    let begun = Stopwatch::start();
    loop {
        let members = client.get("/cluster").await?["members"].take();
        let is_there = members.as_array().into_iter().flatten().any(|member| member["node"] == id);
        if !is_there {
            return Ok(());
        }
        if begun.elapsed() > within {
            return Err(CliError::NotYet { what: format!("node {id} is on its way out"), within });
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Runs from when it is started.
pub(crate) struct Stopwatch {
    clock: SystemClock,
    begun: MonoTime,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let clock = SystemClock::start();
        let begun = clock.mono();
        Self { clock, begun }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.mono().since(self.begun)
    }
}

fn step(standing: &Value) -> String {
    let text = |name: &str| standing[name].as_str().unwrap_or_default();
    match text("state") {
        "draining" => {
            let sign = if text("progress") == "asked" { "·" } else { "✓" };
            format!("{sign} draining: {}", text("sentence"))
        }
        state => format!("✓ {state}"),
    }
}

fn seconds(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs => format!("{}m{:02}s", secs / 60, secs % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_step_of_a_drain_has_its_line() {
        let draining = |progress: &str, sentence: &str| {
            step(&json!({ "state": "draining", "progress": progress, "sentence": sentence }))
        };
        assert_eq!(draining("asked", "asked"), "· draining: asked");
        assert_eq!(draining("finishing", "4 requests left"), "✓ draining: 4 requests left");
        assert_eq!(step(&json!({ "state": "serving" })), "✓ serving");
        assert_eq!([7, 61, 470].map(|secs| seconds(Duration::from_secs(secs))), ["7s", "1m01s", "7m50s"]);
    }
}
