//! The figures as a page: medians over the rounds, ratios within each round.

use crate::admission::AdmissionTimes;
use crate::agreement::{Point, Scheduling};
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
    pub(crate) admission: AdmissionTimes,
    pub(crate) agreement: Vec<(Scheduling, Vec<Point>)>,
}

const METHOD: &str = "\
Written by `make bench`, from what it measures and from texts in tests/bench/src: edit those. Measured side by side:
every round runs every target once with every body, and
what is compared are medians of the ratios within a round, since absolute figures drift with the machine's neighbours.

- Targets run on core 0, the instant provider and the load generator on core 1. The load is a closed loop on kept
  connections. CPU is user and system time of the target's whole process tree, from `/proc`.
- *direct* is the provider without anything between. *nginx* is Debian's, one worker, comparing the key. *bare* is the
  least a gateway must do on hyper: parse the model, look the key up, reserve and settle one counter in memory, with
  the allocator of Quorate.
- *quorate* has everything on: authentication, budgets on key, team and organisation, durable settlement. Three nodes
  share the one core, so their throughput says nothing about three machines; their CPU per request does.
";

const ADMISSION: &str = "\
In process, on the measured core: authenticate the key's text, find its budgets (key, team, organisation), reserve on
all three, settle. The treasurer of the gateway raises watermarks and renews grants at the same time on the same core;
ledger and journal are in memory. Requests that no grant covers stand in line and are counted apart.";

const AGREEMENT: &str = "\
Three processes over loopback on both cores, their logs on one disk, synced; the callers are inside the leader's process
and each waits for its write to be applied. The prototype is the throw-away program with which the library was chosen
(openraft, raw TCP, a counter as its state, writes in batches; no operation ids, no metrics, no ledger), on another
machine of the same size. *real-time* is SCHED_RR, which keeps the neighbours out; *ordinary* shares the cores with
whatever else runs, for the prototype a load of 9 to 12. The goals are judged by the first of the two. The second cannot
tell the program from its neighbours: where its ratio is above 2, the goal is not shown to hold on a crowded machine.";

/// What no run finds out by itself.
const PROFILE: &str = include_str!("profile.md");

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
    write_goals(&mut page, report);
    write_admission(&mut page, &report.admission);
    write_agreement(&mut page, &report.agreement);
    if !report.writes.is_empty() {
        line(&mut page, "\n## One agreed change at a time, over the admin API of the leader\n");
        line(&mut page, "| cluster | p50 ms | p99 ms |\n|---|---|---|");
        for (name, times) in &report.writes {
            line(&mut page, &format!("| {name} | {:.2} | {:.2} |", millis(times.p50), millis(times.p99)));
        }
    }
    page.push_str(PROFILE);
    page
}

/// What the project wants of itself, and whether this run shows it.
fn write_goals(page: &mut String, report: &Report<'_>) {
    line(page, "\n## Goals\n\n| goal | limit | found | reached |\n|---|---|---|---|");
    let mut goal = |what: &str, limit: f64, found: f64| {
        let reached = if found <= limit { "yes" } else { "**no**" };
        line(page, &format!("| {what} | {limit:.1} | {found:.2} | {reached} |"));
    };
    for target in targets(&report.samples).into_iter().filter(|name| name.starts_with("quorate")) {
        let ratio = cpu_ratio(&report.samples, 0, target, "bare");
        goal(&format!("CPU per small request, {target}, against bare"), 2.0, ratio);
    }
    goal("admission covered by a grant, p99, µs", 20.0, f64::from(report.admission.p99) / 1_000.0);
    // Of the two, the first is the one that the neighbours disturb less.
    for (scheduling, points) in report.agreement.iter().take(1) {
        for (point, before) in points.iter().zip(scheduling.prototype()) {
            let (callers, name) = (point.callers, scheduling.name());
            let what =
                format!("one write, {callers} at a time, p50 against the prototype, {name} scheduling");
            goal(&what, 2.0, f64::from(point.p50_micros) / 1_000.0 / before.p50);
        }
    }
}

fn write_admission(page: &mut String, times: &AdmissionTimes) {
    let micros = |nanos: u32| f64::from(nanos) / 1_000.0;
    line(page, "\n## Admission covered by a grant\n\n| p50 µs | p99 µs | p999 µs | covered | not covered |");
    line(page, "|---|---|---|---|---|");
    let (p50, p99, p999) = (micros(times.p50), micros(times.p99), micros(times.p999));
    line(page, &format!("| {p50:.2} | {p99:.2} | {p999:.2} | {} | {} |", times.covered, times.waited));
    line(page, &format!("\n{ADMISSION}"));
}

fn write_agreement(page: &mut String, found: &[(Scheduling, Vec<Point>)]) {
    line(page, "\n## One agreed write, three nodes\n");
    line(
        page,
        "| scheduling | callers | writes/s | p50 ms | p99 ms | prototype: writes/s | p50 ms | p99 ms | p50 ratio |",
    );
    line(page, "|---|---|---|---|---|---|---|---|---|");
    for (scheduling, points) in found {
        for (point, before) in points.iter().zip(scheduling.prototype()) {
            let (name, callers, rate) = (scheduling.name(), point.callers, point.per_second);
            let [p50, p99] = [point.p50_micros, point.p99_micros].map(|micros| f64::from(micros) / 1_000.0);
            let (its_rate, its_p50, its_p99) = (before.per_second, before.p50, before.p99);
            let ratio = p50 / its_p50;
            line(
                page,
                &format!(
                    "| {name} | {callers} | {rate:.0} | {p50:.2} | {p99:.2} | {its_rate:.0} | {its_p50:.2} | {its_p99:.2} | {ratio:.2} |"
                ),
            );
        }
    }
    line(page, &format!("\n{AGREEMENT}"));
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
