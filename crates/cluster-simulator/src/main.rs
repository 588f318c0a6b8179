//! `quorate-cluster-simulator`: runs seeds, or tells the story of one.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

use quorate_cluster_simulator::{IS_REPEATABLE, Plan, Report, outcome_of, report_of, run};
use quorate_simulator::{Campaign, FailingRun, SHRINKS_FOR, Violation, shrink_within};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

const HELP: &str = "\
usage: quorate-cluster-simulator [--seeds N] [--start N] [--workers N] [--stop-at-first] [--any-coverage] [--into FOLDER | --brief]
       quorate-cluster-simulator (--seed N | --plan FILE) [--shrink | --report [--story]]

  --seeds N         how many seeds to run (1000)
  --start N         the first of them (0)
  --workers N       in how many processes at once (one a core)
  --stop-at-first   end with the first broken promise
  --any-coverage    pass although a state that matters was not reached
  --into FOLDER     where plan and story of the first broken seed are written (`broken`, beside this program)
  --brief           write none: say only which seed breaks what
  --seed N          run one seed and tell its story, event by event
  --plan FILE       the same for a plan in JSON, as it is written into the folder
  --shrink          write the smallest plan found in ten minutes that breaks the same promise, and its story
  --report          report on the one run in JSON
  --story           with its story

exit code: 0 all promises held and every state was reached, 1 a promise was broken, 2 wrong usage,
           3 unknown: a state that matters was not reached";

/// So long `--shrink` takes at most.
const PATIENCE: Duration = Duration::from_mins(10);

/// What panicked first: in a simulated node as much as in the simulation, it is a broken promise.
static PANICKED: Mutex<Option<String>> = Mutex::new(None);

struct Arguments {
    campaign: Campaign,
    any_coverage: bool,
    into: PathBuf,
    is_brief: bool,
    seed: Option<u64>,
    plan: Option<String>,
    shrinks: bool,
    reports: bool,
    tells: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let campaign = Campaign { start: 0, seeds: 1_000, workers, stops_at_first: false };
        let mut arguments = Self {
            campaign,
            any_coverage: false,
            into: std::env::current_exe()?.with_file_name("broken"),
            is_brief: false,
            seed: None,
            plan: None,
            shrinks: false,
            reports: false,
            tells: false,
        };
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--seeds" => arguments.campaign.seeds = value()?.parse()?,
                "--start" => arguments.campaign.start = value()?.parse()?,
                "--workers" => arguments.campaign.workers = value()?.parse()?,
                "--stop-at-first" => arguments.campaign.stops_at_first = true,
                "--any-coverage" => arguments.any_coverage = true,
                "--into" => arguments.into = value()?.into(),
                "--brief" => arguments.is_brief = true,
                "--seed" => arguments.seed = Some(value()?.parse()?),
                "--plan" => arguments.plan = Some(value()?),
                "--shrink" => arguments.shrinks = true,
                "--report" => arguments.reports = true,
                "--story" => arguments.tells = true,
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
        Some(plan) if arguments.shrinks => show(plan, PATIENCE, &arguments).map(|()| ExitCode::FAILURE),
        Some(plan) if arguments.reports => print_report(&run_watched(&plan, arguments.tells)),
        Some(plan) => Ok(tell(&plan, &run_watched(&plan, true))),
        None => judge(&arguments),
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

/// Makes a plan small that breaks a promise, and tells what happens then.
fn show(plan: Plan, limit: Duration, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let seed = plan.seed;
    let shrunk = shrink_within(plan, limit, |plan| report_of(plan).violation.map(|violation| violation.id))?;
    let Report { violation, story, .. } = report_of(shrunk.plan());
    let violation = violation.ok_or("the plan made small breaks nothing when it is run again")?;
    let failing = FailingRun { program: "quorate-cluster-simulator", seed, shrunk, violation, story };
    print!("{}", failing.keep(&arguments.into)?);
    Ok(())
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

fn judge(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let campaign = arguments.campaign;
    if !IS_REPEATABLE {
        eprintln!("built without --cfg tokio_unstable: runs cannot be repeated (make sim-cluster sets it)");
    }
    let progress = |done: u64| {
        if done.is_multiple_of(200) {
            eprintln!("cluster simulator: {done} of {} seeds", campaign.seeds);
        }
    };
    let findings = campaign.run(&outcome_of, &progress);
    findings.conclude(&mut std::io::stdout(), arguments.any_coverage, |seed| {
        if arguments.is_brief { Ok(()) } else { show(Plan::of(seed), SHRINKS_FOR, arguments) }
    })
}
