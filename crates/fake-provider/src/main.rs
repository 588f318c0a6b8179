//! `quorate-fake-provider [--listen ADDRESS] [--behaviour JSON] [--ready-file FILE]`: the provider as a process.
//!
//! Prints `{"url": "http://…"}` once it serves, and writes the same to the file.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

use quorate_fake_provider::{Behaviour, FakeProvider};
use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the command line says.
struct Arguments {
    listen: SocketAddr,
    behaviour: Behaviour,
    ready_file: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut arguments = Self { listen, behaviour: Behaviour::default(), ready_file: None };
        while let Some(option) = words.next() {
            let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--listen" => arguments.listen = value.parse()?,
                "--behaviour" => arguments.behaviour = serde_json::from_str(&value)?,
                "--ready-file" => arguments.ready_file = Some(value.into()),
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        Ok(arguments)
    }
}

// One thread: what is measured is the gateway, and a fake that wakes fewer cores disturbs less.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let (address, provider) = FakeProvider::bind(arguments.listen, arguments.behaviour).await?;
    let ready = format!("{{\"url\": \"http://{address}\"}}");
    println!("{ready}");
    if let Some(file) = arguments.ready_file {
        write_at_once(&file, &ready)?;
    }
    provider.await;
    Ok(())
}

/// Whoever waits for the file never sees half of it.
fn write_at_once(file: &Path, text: &str) -> std::io::Result<()> {
    let scratch = file.with_extension("writing");
    fs::write(&scratch, text)?;
    fs::rename(scratch, file)
}
