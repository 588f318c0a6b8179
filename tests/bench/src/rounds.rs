//! The measurement: every round measures every target with every body once, in turn.

use crate::admission;
use crate::agreement::{self, Scheduling};
use crate::arguments::Plan;
use crate::http::request;
use crate::load::{self, Found};
use crate::machine;
use crate::process::{self, OTHER_CORE};
use crate::quorate::{self, Cluster};
use crate::report::{self, Report};
use crate::target::{self, Target};
use crate::writes;
use anyhow::Result;
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Before anything counts, each target has run this long with each body.
const WARM_UP: Duration = Duration::from_millis(500);

/// A request body and what the report calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    pub(crate) name: &'static str,
    prompt_bytes: usize,
    stream: bool,
}

/// The bodies of the published comparisons.
pub(crate) const BODIES: [Body; 3] = [
    Body { name: "small: 300 B prompt, one answer", prompt_bytes: 300, stream: false },
    Body { name: "large: 32 KiB prompt, one answer", prompt_bytes: 32 * 1024, stream: false },
    Body { name: "stream: 300 B prompt, 30 chunks", prompt_bytes: 300, stream: true },
];

/// One target with one body in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) round: usize,
    pub(crate) body: usize,
    pub(crate) target: &'static str,
    pub(crate) found: Found,
    /// CPU seconds of the target's processes per 1,000 answers.
    pub(crate) cpu: f64,
}

/// Measures and writes the report.
pub(crate) async fn measure(plan: &Plan) -> Result<()> {
    let machine = machine::describe();
    process::stay_on(OTHER_CORE)?;
    let folder = tempfile::tempdir()?;
    let (upstream, _upstream) = target::upstream(folder.path()).await?;
    let mut clusters = start_clusters(plan, folder.path(), upstream).await?;
    let mut times = Vec::new();
    for cluster in &mut clusters {
        times.push((cluster.target.name, writes::measure(&mut cluster.leader).await?));
    }
    let admission = admission::of_a_process()?;
    let mut agreement = Vec::new();
    for scheduling in Scheduling::allowed() {
        agreement.push((scheduling, agreement::measure(folder.path(), scheduling).await?));
    }
    let mut targets = vec![
        target::direct(folder.path()).await?,
        target::nginx(folder.path(), upstream).await?,
        target::bare(folder.path(), upstream).await?,
    ];
    targets.extend(clusters.into_iter().map(|cluster| cluster.target));
    let samples = sample_all(plan, &targets).await?;
    let text = report::write(&Report { machine, plan, samples, writes: times, admission, agreement });
    match &plan.report {
        Some(path) => fs::write(path, text)?,
        None => println!("{text}"),
    }
    Ok(())
}

async fn start_clusters(plan: &Plan, folder: &Path, upstream: SocketAddr) -> Result<Vec<Cluster>> {
    let Some(binary) = &plan.quorate else { return Ok(Vec::new()) };
    let one = quorate::start("quorate 1 node", 1, binary, folder, upstream).await?;
    Ok(vec![one, quorate::start("quorate 3 nodes", 3, binary, folder, upstream).await?])
}

async fn sample_all(plan: &Plan, targets: &[Target]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..=plan.rounds {
        for (number, body) in BODIES.iter().enumerate() {
            if !body.name.starts_with(&plan.body) {
                continue;
            }
            for target in targets.iter().filter(|target| target.name.contains(&plan.only)) {
                // Round 0 warms up and does not count.
                let slice = if round == 0 { WARM_UP } else { plan.slice };
                let (found, cpu) = sample(target, body, plan.connections, slice).await?;
                if round > 0 {
                    samples.push(Sample { round, body: number, target: target.name, found, cpu });
                }
            }
        }
        eprintln!("bench: round {round} of {}", plan.rounds);
    }
    Ok(samples)
}

async fn sample(target: &Target, body: &Body, connections: usize, slice: Duration) -> Result<(Found, f64)> {
    let bytes = request("POST", "/v1/chat/completions", &target.key, &body.text());
    let before = process::cpu_seconds(target.process.id());
    let found = load::run(&target.addresses, &bytes, connections, slice).await?;
    let used = process::cpu_seconds(target.process.id()) - before;
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53 answers")]
    let thousands = found.answers.max(1) as f64 / 1_000.0;
    Ok((found, used / thousands))
}

impl Body {
    fn text(&self) -> String {
        let prompt =
            "The quick brown fox reads budgets. ".chars().cycle().take(self.prompt_bytes).collect::<String>();
        let mut body =
            json!({"model": "bench", "messages": [{"role": "user", "content": prompt}], "max_tokens": 100});
        if self.stream {
            body["stream"] = json!(true);
        }
        body.to_string()
    }
}
