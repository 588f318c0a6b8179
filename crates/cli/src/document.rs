//! `quorate apply`.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Output, tell};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file of objects.
#[derive(Args)]
pub(crate) struct ApplyDocument {
    /// TOML or JSON, by its ending, with providers, models, routes, organisations, teams and users.
    file: PathBuf,
}

impl ApplyDocument {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let done = client.post("/apply", &read(&self.file)?).await?;
        output.show(&done);
        tell("all objects of the file are in force; those that were so already have not changed");
        Ok(())
    }
}

fn read(path: &Path) -> Result<Value, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|cause| CliError::Io { what: format!("read {shown}"), cause })?;
    let parsed = if path.extension().is_some_and(|ending| ending == "json") {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    parsed.map_err(|problem| CliError::Usage(format!("{shown} is not understood: {problem}")))
}
