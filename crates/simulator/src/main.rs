//! `quorate-simulator`: runs seeds, tells the story of one, makes a failing plan small.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

use quorate_simulator::{Campaign, FailingRun, Measured, Plan, Report, SHRINKS_FOR, run, shrink_within};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

const HELP: &str = "\
usage: quorate-simulator [--seeds N] [--start N] [--threads N] [--stop-at-first] [--any-coverage] [--into FOLDER | --brief]
       quorate-simulator --seed N | --plan FILE [--shrink]
       quorate-simulator --table [--nodes N,N…] [--headrooms N,N…] [--figure FILE]

  --seeds N         how many seeds to run (1000)
  --start N         the first of them (0)
  --threads N       on how many threads (one a core)
  --stop-at-first   end with the first broken promise
  --any-coverage    pass although a state that matters was not reached
  --into FOLDER     where plan and story of the first broken seed are written (`broken`, beside this program)
  --brief           write none: say only which seed breaks what
  --seed N          run one seed and tell its story, event by event
  --plan FILE       the same for a plan in JSON, as it is written into the folder
  --shrink          write the smallest plan found in ten minutes that breaks the same promise, and its story
  --table           print what the protocol costs and leaves unused, for docs/quotas.md
  --nodes N,N…      only for so many nodes (3,10,30,100)
  --headrooms N,N…  only for limits of so many requests (300,3000,30000,100000)
  --figure FILE     write the same as a figure, too

exit code: 0 all promises held and every state was reached, 1 a promise was broken, 2 wrong usage,
           3 unknown: a state that matters was not reached";

/// So long `--shrink` takes at most.
const PATIENCE: Duration = Duration::from_mins(10);

/// What the command line says.
struct Arguments {
    campaign: Campaign,
    any_coverage: bool,
    into: PathBuf,
    is_brief: bool,
    seed: Option<u64>,
    plan: Option<String>,
    shrinks: bool,
    table: bool,
    nodes: Vec<usize>,
    headrooms: Vec<u64>,
    figure: Option<String>,
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
            table: false,
            nodes: vec![3, 10, 30, 100],
            headrooms: vec![300, 3_000, 30_000, 100_000],
            figure: None,
        };
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--seeds" => arguments.campaign.seeds = value()?.parse()?,
                "--start" => arguments.campaign.start = value()?.parse()?,
                "--threads" => arguments.campaign.workers = value()?.parse()?,
                "--stop-at-first" => arguments.campaign.stops_at_first = true,
                "--any-coverage" => arguments.any_coverage = true,
                "--into" => arguments.into = value()?.into(),
                "--brief" => arguments.is_brief = true,
                "--seed" => arguments.seed = Some(value()?.parse()?),
                "--plan" => arguments.plan = Some(value()?),
                "--shrink" => arguments.shrinks = true,
                "--table" => arguments.table = true,
                "--nodes" => arguments.nodes = numbers(&value()?)?,
                "--headrooms" => arguments.headrooms = numbers(&value()?)?,
                "--figure" => arguments.figure = Some(value()?),
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

fn numbers<T: FromStr>(list: &str) -> Result<Vec<T>, T::Err> {
    list.split(',').map(str::parse).collect()
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = Arguments::parse(std::env::args().skip(1)).and_then(|arguments| match arguments.plan()? {
        Some(plan) if arguments.shrinks => show(plan, PATIENCE, &arguments).map(|()| ExitCode::FAILURE),
        Some(plan) => Ok(tell(&run(&plan, true))),
        None if arguments.table => print_table(&arguments),
        None => judge(&arguments),
    });
    done.unwrap_or_else(|error| {
        eprintln!("quorate-simulator: {error}");
        ExitCode::from(2)
    })
}

fn tell(report: &Report) -> ExitCode {
    report.story.iter().for_each(|line| println!("{line}"));
    match &report.violation {
        Some(violation) => {
            println!("BROKEN {}: {}", violation.id, violation.what);
            ExitCode::FAILURE
        }
        None => {
            println!(
                "held: {} admitted, {} denied, trace {:016x}",
                report.admitted, report.denied, report.trace
            );
            ExitCode::SUCCESS
        }
    }
}

/// Makes a plan small that breaks a promise, and tells what happens then.
fn show(plan: Plan, limit: Duration, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let seed = plan.seed;
    let shrunk = shrink_within(plan, limit, |plan| run(plan, false).violation.map(|violation| violation.id))?;
    let Report { violation, story, .. } = run(shrunk.plan(), true);
    let violation = violation.ok_or("the plan made small breaks nothing when it is run again")?;
    let failing = FailingRun { program: "quorate-simulator", seed, shrunk, violation, story };
    print!("{}", failing.keep(&arguments.into)?);
    Ok(())
}

fn print_table(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let workers = arguments.campaign.workers;
    let measured = Measured::of(&arguments.nodes, &arguments.headrooms, workers, &|row| eprintln!("{row}"));
    print!("{}", measured.table());
    if let Some(file) = &arguments.figure {
        std::fs::write(file, measured.figure())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn judge(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let campaign = arguments.campaign;
    let progress = |done: u64| {
        if done.is_multiple_of(5_000) {
            eprintln!("simulator: {done} of {} seeds", campaign.seeds);
        }
    };
    let findings = campaign.run(&|seed| Plan::of(seed).outcome(), &progress);
    findings.conclude(&mut std::io::stdout(), arguments.any_coverage, |seed| {
        if arguments.is_brief { Ok(()) } else { show(Plan::of(seed), SHRINKS_FOR, arguments) }
    })
}
