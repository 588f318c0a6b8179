//! `quorate provider`.

use crate::object::{Fields, Parts};
use crate::output::Column;
use crate::span;
use clap::Args;
use serde_json::{Map, Value, json};

/// The parts of a provider.
#[derive(Args)]
pub(crate) struct ProviderFields {
    /// Where it is reached, such as `https://api.openai.com/v1`.
    #[arg(long)]
    base_url: Option<String>,
    /// The wire format it speaks: openai.
    #[arg(long)]
    dialect: Option<String>,
    /// Its key: `${env:NAME}` or `${file:/path}` to be read on every node, or the key itself.
    #[arg(long)]
    credential: Option<String>,
    /// A header to send along, NAME=VALUE; the value may be a reference like a credential. Can be repeated.
    #[arg(long, value_parser = header)]
    header: Vec<(String, String)>,
    /// How long connecting may take.
    #[arg(long, value_parser = span::millis)]
    connect_timeout: Option<u64>,
    /// How long the first byte of an answer may take.
    #[arg(long, value_parser = span::millis)]
    first_byte_timeout: Option<u64>,
    /// How long an answer may pause.
    #[arg(long, value_parser = span::millis)]
    idle_timeout: Option<u64>,
    /// How long one attempt may take.
    #[arg(long, value_parser = span::millis)]
    total_timeout: Option<u64>,
    /// When the client of a stream hangs up: cancel, or how long to read on for the usage.
    #[arg(long, value_parser = leaving)]
    when_client_leaves: Option<Value>,
}

fn leaving(text: &str) -> Result<Value, String> {
    match text {
        "cancel" => Ok(json!("cancel")),
        span => span::millis(span).map(|millis| json!({ "read_on_ms": millis })),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

impl Fields for ProviderFields {
    const PATH: &'static str = "/providers";
    const KIND: &'static str = "provider";
    const COLUMNS: &'static [Column] = &[
        ("NAME", "/name"),
        ("DIALECT", "/dialect"),
        ("BASE URL", "/base_url"),
        ("CREDENTIAL", "/credential"),
        ("REVISION", "/revision"),
    ];

    fn given(&self) -> Parts {
        let headers: Map<String, Value> =
            self.header.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let timeouts = Parts::default()
            .with("connect_ms", self.connect_timeout)
            .with("first_byte_ms", self.first_byte_timeout)
            .with("idle_ms", self.idle_timeout)
            .with("total_ms", self.total_timeout);
        Parts::default()
            .with("base_url", self.base_url.clone())
            .with("dialect", self.dialect.clone())
            .with("credential", self.credential.clone())
            .with("headers", (!headers.is_empty()).then_some(headers))
            .within("timeouts", timeouts)
            .with("when_client_leaves", self.when_client_leaves.clone())
    }
}
