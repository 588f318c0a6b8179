//! The log: one JSON object a line on standard error, each with the node's id; its level changeable while it runs.

use anyhow::{Context, Result};
use quorate_domain::NodeId;
use quorate_gateway::admin::LogLevel;
use std::io::{self, Write};
use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// openraft tells every step of its algorithm at `info`. A filter that names it shows them.
const QUIET: &str = "openraft=warn";

static NODE: OnceLock<NodeId> = OnceLock::new();

/// The filter in force, and the way to change it.
pub(crate) struct Filter(reload::Handle<EnvFilter, Registry>);

/// Starts the log of this process.
pub(crate) fn start(level: &str) -> Result<Filter> {
    let filter = parse(level).with_context(|| format!("log.level: {level:?} is no filter"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_writer(|| Lines(io::stderr())))
        .try_init()
        .context("start the log")?;
    Ok(Filter(handle))
}

/// Whether it could be filtered by this.
pub(crate) fn check(level: &str) -> Result<(), String> {
    parse(level).map(drop).map_err(|error| format!("{level:?} is no filter: {error}"))
}

/// From now on each line tells which node wrote it.
pub(crate) fn name(node: NodeId) {
    NODE.get_or_init(|| node);
}

fn parse(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("{QUIET},{level}"))
}

impl LogLevel for Filter {
    fn set(&self, level: &str) -> Result<(), String> {
        let filter = parse(level).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }

    fn get(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }
}

/// Writes whole lines, as the formatter hands them over, and puts the node in front of their fields.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match (NODE.get(), line.strip_prefix(b"{")) {
            (Some(node), Some(fields)) => {
                let mut named = format!("{{\"node\":{node},").into_bytes();
                named.extend_from_slice(fields);
                self.0.write_all(&named)?;
            }
            (Some(_) | None, _) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_tells_which_node_wrote_it() {
        name(NodeId::new(3));
        let mut written = Vec::new();
        Lines(&mut written).write_all(b"{\"level\":\"INFO\"}\n").unwrap();
        assert_eq!(written, b"{\"node\":3,\"level\":\"INFO\"}\n");
    }

    #[test]
    fn a_filter_that_names_openraft_overrides_its_silence() {
        assert!(parse("info,openraft=debug").unwrap().to_string().contains("openraft=debug"));
        assert!(parse("info").unwrap().to_string().contains("openraft=warn"));
        assert!(parse("info,=").is_err());
    }
}
