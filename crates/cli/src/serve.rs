//! `quorate serve`.

use crate::error::CliError;
use clap::Args;
use quorate_node::{FirstStart, Settings};
use std::path::PathBuf;

/// Runs a node until it is told to stop (SIGTERM or Ctrl-C), then drains it.
#[derive(Args)]
pub(crate) struct Serve {
    /// The node's configuration file.
    #[arg(long, short)]
    config: PathBuf,
    /// A file that holds a join token, or will: the node joins the cluster that the token names, unless it belongs to it already.
    /// Instead of `cluster.join_token_file`.
    #[arg(long, value_name = "FILE")]
    join_token_file: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let mut settings =
            Settings::load(&self.config).map_err(|error| CliError::Config(error.to_string()))?;
        if let Some(file) = self.join_token_file {
            settings.cluster.first_start = FirstStart::Join(file);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| CliError::Io { what: "start a runtime".to_owned(), cause })?;
        runtime.block_on(quorate_node::serve(settings)).map_err(|error| CliError::Node {
            message: format!("{error:#}"),
            next: quorate_node::next_step(&error),
            exit: quorate_node::exit_code(&error).number(),
        })
    }
}
