//! `quorate-bench`: what the gateway costs, measured side by side with nginx and with the least a gateway must do.
//!
//! Absolute figures drift with the machine and its neighbours; ratios within one round do not. So every round
//! measures every target once, and what is compared are medians of ratios. The same program also plays the
//! instant provider (`provider`) and the bare pass-through (`bare`), each as a process of its own.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

mod arguments;
mod bare;
mod clock;
mod http;
mod load;
mod machine;
mod process;
mod quorate;
mod report;
mod rounds;
mod statistics;
mod target;
mod writes;

use anyhow::Result;
use arguments::{Arguments, Role};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    match Arguments::parse(std::env::args().skip(1))?.role {
        Role::Provider => serving()?.block_on(target::provide()),
        Role::Bare { upstream } => serving()?.block_on(bare::serve(upstream)),
        Role::Measure(plan) => measuring()?.block_on(rounds::measure(&plan)),
    }
}

/// As the gateway's: a worker for each core that it is given.
fn serving() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// One thread, which stays on the core that is not measured.
fn measuring() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
