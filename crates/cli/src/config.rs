//! `quorate config`.

use crate::error::CliError;
use crate::output::Output;
use clap::Subcommand;
use quorate_node::Settings;
use serde_json::json;
use std::path::PathBuf;

/// What can be done with configuration files.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with a configuration file.
    Validate {
        /// The file.
        file: PathBuf,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), CliError> {
        let Self::Validate { file } = self;
        Settings::load(&file).map_err(|error| CliError::Config(error.to_string()))?;
        output.sentence(&format!("{} can be used", file.display()), &json!({ "file": file, "valid": true }));
        Ok(())
    }
}
