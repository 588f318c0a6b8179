//! `quorate-bench`: what the gateway costs, measured side by side with nginx and with the least a gateway must do.
//!
//! Absolute figures drift with the machine and its neighbours; ratios within one round do not. So every round
//! measures every target once, and what is compared are medians of ratios. The same program also plays the
//! instant provider (`provider`), the bare pass-through (`bare`) and a node that only agrees (`replica`), each as a
//! process of its own; `admission` times what needs no network, and `edge` the same while the windows of many keys end.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

mod admission;
mod agreement;
mod arguments;
mod bare;
mod clock;
mod edge;
mod http;
mod load;
mod local;
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

/// The gateway's own, so that the bare pass-through is not beaten by an allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
        Role::Replica { folder, leader } => serving()?.block_on(agreement::play(folder, leader)),
        Role::Admission => serving()?.block_on(admission::measure()),
        Role::Edge { keys, nodes } => edge::measure(keys, nodes, &serving()?),
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
