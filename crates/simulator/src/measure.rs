//! What the protocol costs and what it leaves unused: one budget, many nodes, a steady load until it is spent.

use crate::plan::{BudgetPlan, KindPlan, Making, Plan, RequestPlan, Timing};
use crate::world::{Report, run};
use quorate_domain::Unit;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicUsize, Ordering};

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
const AFTER_US: u64 = 60_000_000;

/// What was measured for each number of nodes and each headroom.
#[derive(Debug)]
pub struct Measured {
    cells: Vec<Cell>,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) nodes: usize,
    pub(crate) headroom: u64,
    report: Report,
}

impl Measured {
    /// Measures for limits of so many requests of full size, on so many threads. `tells` is called with each line of the table
    /// as it is found.
    #[must_use]
    pub fn of(nodes: &[usize], headrooms: &[u64], threads: usize, tells: &(dyn Fn(&str) + Sync)) -> Self {
        let of_each =
            |count: &usize| headrooms.iter().map(|headroom| (*count, *headroom)).collect::<Vec<_>>();
        let wanted: Vec<_> = nodes.iter().flat_map(of_each).collect();
        let next = AtomicUsize::new(wanted.len());
        let work = || {
            let mut found = Vec::new();
            // The longest are the last.
            while let Ok(left) = next.try_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1))
            {
                let (nodes, headroom) = wanted[left - 1];
                let cell = Cell::of(nodes, headroom);
                tells(&cell.row());
                found.push(cell);
            }
            found
        };
        let mut cells: Vec<Cell> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let found =
                threads.into_iter().map(|it| it.join().expect("a run that panics is a bug of the simulator"));
            found.flatten().collect()
        });
        cells.sort_by_key(|cell| (cell.nodes, cell.headroom));
        Self { cells }
    }

    /// The table of `docs/quotas.md`.
    #[must_use]
    pub fn table(&self) -> String {
        let rows: String = self.cells.iter().map(|cell| cell.row() + "\n").collect();
        format!("{HEAD}{rows}")
    }

    /// The figure of `docs/quotas.md`.
    #[must_use]
    pub fn figure(&self) -> String {
        crate::figure::of(&self.cells)
    }
}

const HEAD: &str = "\
| nodes | headroom, requests | admitted | decided locally | items for the log per request | charged of the limit | denied | promises broken |
|---|---|---|---|---|---|---|---|
";

impl Cell {
    fn of(nodes: usize, headroom: u64) -> Self {
        Self { nodes, headroom, report: run(&plan(nodes, headroom), false) }
    }

    /// Of those that were admitted, in percent.
    pub(crate) fn local(&self) -> f64 {
        percent(self.report.local, self.report.admitted)
    }

    /// Charged when the budget was spent, in percent of the limit.
    pub(crate) fn charged(&self) -> f64 {
        percent(self.report.charged.first().copied().unwrap_or(0), self.headroom * BOUND)
    }

    fn row(&self) -> String {
        let Report { admitted, denied, items, .. } = self.report;
        format!(
            "| {} | {} | {admitted} | {:.2} % | {:.4} | {:.3} % | {denied} | {} |",
            self.nodes,
            self.headroom,
            self.local(),
            items as f64 / (admitted + denied).max(1) as f64,
            self.charged(),
            self.report.violation.as_ref().map_or("none", |violation| &violation.id),
        )
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
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
