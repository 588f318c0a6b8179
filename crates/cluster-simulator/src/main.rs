//! `quorate-cluster-simulator`: runs seeds, or tells the story of one.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

use quorate_cluster_simulator::{Campaign, Findings, IS_REPEATABLE, Plan, Report, Violation, run, shrink};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;

const HELP: &str = "\
usage: quorate-cluster-simulator [--seeds N] [--start N] [--workers N] [--stop-at-first] [--any-coverage]
       quorate-cluster-simulator (--seed N | --plan FILE) [--shrink | --report]

  --seeds N         how many seeds to run (1000)
  --start N         the first of them (0)
  --workers N       in how many processes at once (one a core)
  --stop-at-first   end with the first broken promise
  --any-coverage    pass although a state that matters was not reached
  --seed N          run one seed and tell its story, event by event
  --plan FILE       the same for a plan in JSON
  --shrink          print, in JSON, a small plan that breaks the same promise
  --report          report on the one run in JSON

exit code: 0 all promises held and every state was reached, 1 a promise was broken, 2 wrong usage,
           3 unknown: a state that matters was not reached";

/// What panicked first: in a simulated node as much as in the simulation, it is a broken promise.
static PANICKED: Mutex<Option<String>> = Mutex::new(None);

struct Arguments {
    campaign: Campaign,
    any_coverage: bool,
    seed: Option<u64>,
    plan: Option<String>,
    shrinks: bool,
    reports: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let campaign = Campaign { start: 0, seeds: 1_000, workers, stops_at_first: false };
        let mut arguments =
            Self { campaign, any_coverage: false, seed: None, plan: None, shrinks: false, reports: false };
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--seeds" => arguments.campaign.seeds = value()?.parse()?,
                "--start" => arguments.campaign.start = value()?.parse()?,
                "--workers" => arguments.campaign.workers = value()?.parse()?,
                "--stop-at-first" => arguments.campaign.stops_at_first = true,
                "--any-coverage" => arguments.any_coverage = true,
                "--seed" => arguments.seed = Some(value()?.parse()?),
                "--plan" => arguments.plan = Some(value()?),
                "--shrink" => arguments.shrinks = true,
                "--report" => arguments.reports = true,
                _ => return Err(format!("unknown option {option}\n{HELP}").into()),
            }
        }
        Ok(arguments)
    }

    /// The one plan to look at, if there is one.
    fn plan(&self) -> Result<Option<Plan>, Box<dyn Error>> {
        match (&self.plan, self.seed) {
            (Some(file), _) => Ok(Some(serde_json::from_slice(&std::fs::read(file)?)?)),
            (None, Some(seed)) => Ok(Some(Plan::of(seed))),
            (None, None) => Ok(None),
        }
    }
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| match arguments.plan()? {
        Some(plan) if arguments.shrinks => print_smallest(&plan),
        Some(plan) if arguments.reports => print_report(&run_watched(&plan, false)),
        Some(plan) => Ok(tell(&plan, &run_watched(&plan, true))),
        None => Ok(judge(&arguments)),
    });
    done.unwrap_or_else(|error| {
        eprintln!("quorate-cluster-simulator: {error}");
        ExitCode::from(2)
    })
}

fn run_watched(plan: &Plan, tells: bool) -> Report {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut first) = PANICKED.lock() {
            first.get_or_insert_with(|| panic.to_string());
        }
    }));
    let mut report = run(plan, tells);
    let panicked = PANICKED.lock().ok().and_then(|mut first| first.take());
    if let Some(what) = panicked {
        report.violation.get_or_insert(Violation { id: "panic".to_owned(), what });
    }
    report
}

fn print_report(report: &Report) -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", serde_json::to_string(report)?);
    Ok(ExitCode::SUCCESS)
}

fn print_smallest(plan: &Plan) -> Result<ExitCode, Box<dyn Error>> {
    let smallest = shrink(plan)?;
    println!("{}", serde_json::to_string_pretty(&smallest)?);
    Ok(ExitCode::SUCCESS)
}

fn tell(plan: &Plan, report: &Report) -> ExitCode {
    println!("{:#?}", plan.summary());
    report.story.iter().for_each(|line| println!("{line}"));
    print!("{}", report.coverage);
    match &report.violation {
        Some(violation) => {
            println!("BROKEN {}: {}", violation.id, violation.what);
            ExitCode::FAILURE
        }
        None => {
            let (admitted, denied) = (report.admitted, report.denied);
            println!("held: {admitted} admitted, {denied} denied, digest {:016x}", report.digest);
            ExitCode::SUCCESS
        }
    }
}

fn judge(arguments: &Arguments) -> ExitCode {
    let campaign = arguments.campaign;
    if !IS_REPEATABLE {
        eprintln!("built without --cfg tokio_unstable: runs cannot be repeated (make sim-cluster sets it)");
    }
    let findings = campaign.run(&|done| {
        if done.is_multiple_of(200) {
            eprintln!("cluster simulator: {done} of {} seeds", campaign.seeds);
        }
    });
    print(&findings);
    let missing = findings.coverage.missing();
    if findings.n_violations > 0 || !findings.unstable.is_empty() {
        return ExitCode::FAILURE;
    }
    if !missing.is_empty() && !arguments.any_coverage {
        println!("UNKNOWN: never reached: {missing:?}");
        return ExitCode::from(3);
    }
    println!("all promises held");
    ExitCode::SUCCESS
}

fn print(findings: &Findings) {
    for (seed, violation) in &findings.violations {
        println!("BROKEN {} by seed {seed}: {}", violation.id, violation.what);
    }
    if findings.n_violations > 0 {
        println!(
            "a seed's story: quorate-cluster-simulator --seed N   its plan made small: the same with --shrink"
        );
    }
    for seed in &findings.unstable {
        println!("UNSTABLE: seed {seed} gave another run the second time");
    }
    print!("{}", findings.coverage);
    println!(
        "{} seeds, {} s of simulated time: {} admitted, {} denied, {} entries of the log, {} promises broken",
        findings.seeds,
        findings.simulated_ms / 1_000,
        findings.admitted,
        findings.denied,
        findings.entries,
        findings.n_violations
    );
}
