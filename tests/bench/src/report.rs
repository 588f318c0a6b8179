//! The figures as a page: medians over the rounds, ratios within each round.

use crate::arguments::Plan;
use crate::rounds::{BODIES, Sample};
use crate::statistics::median;
use crate::writes::WriteTimes;
use std::fmt::Write as _;
use std::time::Duration;

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) machine: String,
    pub(crate) plan: &'a Plan,
    pub(crate) samples: Vec<Sample>,
    pub(crate) writes: Vec<(&'static str, WriteTimes)>,
}

const METHOD: &str = "\
Written by `make bench`; do not edit. Measured side by side: every round runs every target once with every body, and
what is compared are medians of the ratios within a round, since absolute figures drift with the machine's neighbours.

- Targets run on core 0, the instant provider and the load generator on core 1. The load is a closed loop on kept
  connections. CPU is user and system time of the target's whole process tree, from `/proc`.
- *direct* is the provider without anything between. *nginx* is Debian's, one worker, comparing the key. *bare* is the
  least a gateway must do on hyper: parse the model, look the key up, reserve and settle one counter in memory.
- *quorate* has everything on: authentication, budgets on key, team and organisation, durable settlement. Three nodes
  share the one core, so their throughput says nothing about three machines; their CPU per request does.
";

/// The page.
pub(crate) fn write(report: &Report<'_>) -> String {
    let mut page = format!("# Performance\n\n{METHOD}\n");
    line(&mut page, &format!("Machine: {}.", report.machine));
    let (rounds, seconds, connections) =
        (report.plan.rounds, report.plan.slice.as_secs_f64(), report.plan.connections);
    line(&mut page, &format!("Run: {rounds} rounds of {seconds} s, {connections} connections."));
    for (number, body) in BODIES.iter().enumerate() {
        line(&mut page, &format!("\n## {}\n", body.name));
        line(
            &mut page,
            "| target | answers/s | p50 ms | p99 ms | CPU s per 1,000 | CPU vs bare | CPU vs nginx | errors |",
        );
        line(&mut page, "|---|---|---|---|---|---|---|---|");
        for target in targets(&report.samples) {
            line(&mut page, &row(&report.samples, number, target));
        }
    }
    if !report.writes.is_empty() {
        line(&mut page, "\n## One agreed change at a time, over the admin API of the leader\n");
        line(&mut page, "| cluster | p50 ms | p99 ms |\n|---|---|---|");
        for (name, times) in &report.writes {
            line(&mut page, &format!("| {name} | {:.2} | {:.2} |", millis(times.p50), millis(times.p99)));
        }
    }
    page
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a text cannot fail");
}

/// The targets in the order in which they were measured.
fn targets(samples: &[Sample]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for sample in samples {
        if !names.contains(&sample.target) {
            names.push(sample.target);
        }
    }
    names
}

fn row(samples: &[Sample], body: usize, target: &str) -> String {
    let own: Vec<&Sample> = samples.iter().filter(|s| s.body == body && s.target == target).collect();
    let of = |figure: fn(&Sample) -> f64| median(own.iter().map(|sample| figure(sample)));
    let errors: u64 = own.iter().map(|sample| sample.found.errors).sum();
    format!(
        "| {target} | {:.0} | {:.2} | {:.2} | {:.3} | {:.2} | {:.2} | {errors} |",
        of(|s| s.found.per_second),
        of(|s| millis(s.found.p50)),
        of(|s| millis(s.found.p99)),
        of(|s| s.cpu),
        cpu_ratio(samples, body, target, "bare"),
        cpu_ratio(samples, body, target, "nginx"),
    )
}

/// The median over the rounds of CPU to CPU within the round.
fn cpu_ratio(samples: &[Sample], body: usize, target: &str, to: &str) -> f64 {
    let cpu = |round: usize, target: &str| {
        samples.iter().find(|s| s.round == round && s.body == body && s.target == target).map(|s| s.cpu)
    };
    let rounds = samples.iter().filter(|s| s.body == body && s.target == target).map(|s| s.round);
    median(
        rounds
            .filter_map(|round| Some(cpu(round, target)? / cpu(round, to)?))
            .filter(|ratio| ratio.is_finite()),
    )
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Found;

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let sample = |round, target, cpu| Sample { round, body: 0, target, found: Found::default(), cpu };
        let slow_round = [sample(1, "bare", 1.0), sample(1, "quorate", 2.0)];
        let fast_round = [sample(2, "bare", 0.1), sample(2, "quorate", 0.2)];
        let samples: Vec<Sample> = slow_round.into_iter().chain(fast_round).collect();
        assert!((cpu_ratio(&samples, 0, "quorate", "bare") - 2.0).abs() < 1e-9);
        assert_eq!(targets(&samples), ["bare", "quorate"]);
    }
}
