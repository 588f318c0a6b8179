//! Chores of this repository: `cargo xtask rocksdb`, `layers`, `tidy`, `mutants`.
//!
//! Nothing here depends on RocksDB, so that it can run before RocksDB is built.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on its standard streams"
)]

mod layers;
mod mutants;
mod rocksdb;
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <chore>

  rocksdb   build librocksdb.a once per machine (about 6 CPU-minutes) and link it into this clone
  layers    hold the dependencies between our crates against the table in crates/xtask/src/layers.rs
  tidy      hold the sources against docs/STYLE.md: size, docs, banned words, invariants, error pages
  mutants   hold the simulator against wrong versions of the quota protocol: it must find each of them wrong
            (--cluster: the cluster simulator against wrong versions of the nodes; --seeds N; parts of names pick
            some of them)";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let chore = words.next();
    let done = match chore.as_deref() {
        Some("rocksdb") => rocksdb::build_once(),
        Some("tidy") => tidy::check(),
        Some("layers") => layers::check(),
        Some("mutants") => mutants::check(words),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
