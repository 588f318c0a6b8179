//! The log: one JSON object a line on standard error, its level changeable while the node runs.

use anyhow::{Context, Result};
use quorate_gateway::LogLevel;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The filter in force, and the way to change it.
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

/// Starts the log of this process.
pub(crate) fn start(level: &str) -> Result<Filter> {
    let filter = EnvFilter::try_new(level).with_context(|| format!("log.level: {level:?} is no filter"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_writer(std::io::stderr))
        .try_init()
        .context("start the log")?;
    Ok(Filter(handle))
}

impl LogLevel for Filter {
    fn set(&self, level: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }

    fn get(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}
