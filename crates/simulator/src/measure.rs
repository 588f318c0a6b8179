//! What the protocol costs and what it leaves unused: one budget, many nodes, a steady load until it is spent.

use crate::plan::{BudgetPlan, KindPlan, Making, Plan, RequestPlan, Timing};
use crate::world::{Report, run};
use quorate_domain::Unit;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;

/// Requests a second, over all nodes, each to a node drawn at random.
const RATE: u64 = 100;
/// What a request may cost at most: a prompt of some hundred bytes and a thousand tokens of output.
const BOUND: u64 = 1_424;
/// A prompt of 424 tokens and 64 of an answer.
const CUT_TO: u64 = 424 + 64;
/// What requests cost on average.
const MEAN: u64 = 650;
/// How long a provider works on one, on average.
const TAKES_US: u64 = 5_000_000;
/// How long a request may wait.
const PATIENCE_US: u64 = 3_000_000;
/// After the budget is spent, the load goes on for so long.
const AFTER_US: u64 = 30_000_000;

/// One cell of the table.
struct Cell {
    nodes: usize,
    headroom: u64,
    report: Report,
}

impl Cell {
    fn of(nodes: usize, headroom: u64) -> Self {
        Self { nodes, headroom, report: run(&plan(nodes, headroom), false) }
    }

    fn row(&self) -> String {
        let report = &self.report;
        let limit = self.headroom * BOUND;
        let admitted = report.admitted.max(1);
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let charged = report.charged.first().copied().unwrap_or(0);
        let broken = report.violation.as_ref().map_or("none", |violation| violation.id);
        format!(
            "| {} | {} | {} | {:.2} % | {:.4} | {:.3} % | {} | {broken} |",
            self.nodes,
            self.headroom,
            report.admitted,
            percent(report.local, admitted),
            report.items as f64 / admitted as f64,
            percent(charged, limit),
            report.denied,
        )
    }
}

/// The table of `docs/quotas.md`. `tells` is called with each row as it is found.
#[must_use]
pub fn table(nodes: &[usize], headrooms: &[u64], tells: &dyn Fn(&str)) -> String {
    let mut text = String::from(
        "| nodes | headroom, requests | admitted | decided locally | items for the log per admitted | charged of the limit | denied | promises broken |\n|---|---|---|---|---|---|---|---|\n",
    );
    for count in nodes {
        for headroom in headrooms {
            let row = Cell::of(*count, *headroom).row();
            tells(&row);
            // Writing to a text does not fail.
            let _written = writeln!(text, "{row}");
        }
    }
    text
}

fn plan(nodes: usize, headroom: u64) -> Plan {
    let seed = headroom ^ nodes as u64;
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let limit = headroom * BOUND;
    let length_us = limit / MEAN * 1_000_000 / RATE + AFTER_US;
    let count = length_us / 1_000_000 * RATE;
    let mut requests: Vec<_> = (0..count)
        .map(|_| RequestPlan {
            at_us: draw.random_range(0..length_us),
            node: draw.random_range(0..nodes),
            path: vec![0],
            bound: BOUND,
            cut_to: Some(CUT_TO),
            expected: BOUND,
            actual: Some(draw.random_range(100..=2 * MEAN - 100)),
            takes_us: draw.random_range(TAKES_US / 2..=TAKES_US * 3 / 2),
            patience_us: PATIENCE_US,
            leaves_after_us: None,
            may_overspend: false,
        })
        .collect();
    requests.sort_by_key(|request| request.at_us);
    Plan {
        seed,
        nodes,
        starts_at_ms: 0,
        budgets: vec![BudgetPlan {
            kind: KindPlan::Lifetime,
            unit: Unit::Tokens,
            limit,
            reserve: quorate_ledger::Reserve::Bound,
            making: Making::Written,
        }],
        timing: Timing { message_us: 1_000, sync_us: 1_000, lost: 0, doubled: 0, late: 0 },
        requests,
        faults: Vec::new(),
        drift_ppm: Vec::new(),
    }
}
