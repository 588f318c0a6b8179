//! The `quorate` command: a node (`serve`), a cluster on one machine (`dev`), and everything an operator asks of
//! a cluster. What was asked for goes to standard output, everything else to standard error.

mod amount;
mod arguments;
mod authority;
mod autopilot;
mod budget;
mod calendar;
mod client;
mod cluster;
mod config;
mod debug;
mod dev;
mod doctor;
mod document;
mod error;
mod key;
mod model;
mod node;
mod object;
mod output;
mod plan;
mod probe;
mod provider;
mod recover;
mod resolve;
mod rolling;
mod route;
mod serve;
mod snapshot;
mod span;
mod status;
mod tenant;
mod token;
mod upgrade;
mod watch;

use arguments::{Arguments, Command, Question};
use clap::Parser;
use client::Client;
use error::CliError;
use output::Output;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::tell(&error.told());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), CliError> {
    let Arguments { connection, output, command } = arguments;
    let output = Output::new(output);
    match command {
        Command::Serve(serve) => serve.run(),
        Command::Config(config) => config.run(&output),
        Command::Recover(recover) => recover.run(&output),
        Command::Snapshot(snapshot) => on_one_thread(snapshot.run(connection, &output)),
        Command::Dev(dev) => on_one_thread(dev.run()),
        Command::Doctor(doctor) => on_one_thread(doctor.run(connection, &output)),
        Command::Debug(debug) => on_one_thread(debug.run(connection)),
        Command::Ask(question) => on_one_thread(ask(*question, &Client::new(connection)?, &output)),
    }
}

async fn ask(question: Question, client: &Client, output: &Output) -> Result<(), CliError> {
    match question {
        Question::Probe(probe) => probe.run(client, output).await,
        Question::Cluster(verb) => verb.run(client, output).await,
        Question::Node(verb) => verb.run(client, output).await,
        Question::Autopilot(verb) => verb.run(client, output).await,
        Question::Token(verb) => verb.run(client, output).await,
        Question::Authority(verb) => verb.run(client, output).await,
        Question::Upgrade(verb) => verb.run(client, output).await,
        Question::Provider(verb) => verb.run(client, output).await,
        Question::Model(verb) => verb.run(client, output).await,
        Question::Route(verb) => verb.run(client, output).await,
        Question::Org(verb) => verb.run(client, output).await,
        Question::Team(verb) => verb.run(client, output).await,
        Question::User(verb) => verb.run(client, output).await,
        Question::Key(verb) => verb.run(client, output).await,
        Question::Budget(verb) => verb.run(client, output).await,
        Question::Usage(usage) => usage.run(client, output).await,
        Question::Apply(apply) => apply.run(client, output).await,
    }
}

fn on_one_thread(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|cause| CliError::Io { what: "start a runtime".to_owned(), cause })?.block_on(work)
}
