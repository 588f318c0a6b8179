//! `quorate model`.

use crate::object::{Fields, Parts};
use crate::output::Column;
use clap::Args;
use quorate_domain::Name;
use serde_json::{Map, Value};

/// The parts of a model. Prices are in US dollars per million tokens, as providers publish them.
#[derive(Args)]
pub(crate) struct ModelFields {
    /// The provider that serves it.
    #[arg(long)]
    provider: Option<Name>,
    /// What the provider calls it; by default the part of the name after the first slash.
    #[arg(long)]
    upstream_model: Option<String>,
    /// Dollars per million prompt tokens.
    #[arg(long)]
    input_price: Option<String>,
    /// Dollars per million prompt tokens found in the provider's cache; by default the input price.
    #[arg(long)]
    cached_input_price: Option<String>,
    /// Dollars per million prompt tokens written into the provider's cache; by default the input price.
    #[arg(long)]
    cache_write_price: Option<String>,
    /// Dollars per million tokens of the answer.
    #[arg(long)]
    output_price: Option<String>,
    /// Dollars per million tokens thought; by default the output price.
    #[arg(long)]
    reasoning_price: Option<String>,
    /// Dollars per million prompt tokens that are sound; by default the input price.
    #[arg(long)]
    audio_input_price: Option<String>,
    /// Dollars per million tokens of the answer that are sound; by default the output price.
    #[arg(long)]
    audio_output_price: Option<String>,
    /// The most tokens that prompt and answer may have together.
    #[arg(long)]
    context_tokens: Option<u64>,
    /// The most tokens that an answer may have.
    #[arg(long)]
    output_tokens_max: Option<u64>,
    /// Tokens the provider bills for every request beyond its text.
    #[arg(long)]
    overhead_per_request: Option<u64>,
    /// Tokens the provider bills for every message beyond its text.
    #[arg(long)]
    overhead_per_message: Option<u64>,
    /// How it cuts texts into tokens: o200k_base or cl100k_base; unknown, if it is not said.
    #[arg(long, value_parser = ["o200k_base", "cl100k_base", "-"])]
    tokenizer: Option<String>,
    /// The parameter in which it takes the limit of an answer: max_tokens (the default) or max_completion_tokens.
    #[arg(long, value_parser = ["max_tokens", "max_completion_tokens"])]
    output_limit_parameter: Option<String>,
    /// The most tokens that an image of a prompt can cost; without it images are refused on hard budgets.
    #[arg(long)]
    image_tokens_max: Option<u64>,
    /// The most tokens that an audio clip of a prompt can cost; without it audio is refused on hard budgets.
    #[arg(long)]
    audio_tokens_max: Option<u64>,
    /// The most tokens that a file of a prompt can cost; without it files are refused on hard budgets.
    #[arg(long)]
    file_tokens_max: Option<u64>,
}

impl Fields for ModelFields {
    const PATH: &'static str = "/models";
    const KIND: &'static str = "model";
    const COLUMNS: &'static [Column] = &[
        ("NAME", "/name"),
        ("PROVIDER", "/provider"),
        ("UPSTREAM", "/upstream_model"),
        ("INPUT $/M", "/price/input"),
        ("OUTPUT $/M", "/price/output"),
        ("CONTEXT", "/context_tokens"),
        ("REVISION", "/revision"),
    ];

    fn given(&self) -> Parts {
        let price = Parts::default()
            .with("input", self.input_price.clone())
            .with("cached_input", self.cached_input_price.clone())
            .with("cache_write", self.cache_write_price.clone())
            .with("output", self.output_price.clone())
            .with("reasoning", self.reasoning_price.clone())
            .with("audio_input", self.audio_input_price.clone())
            .with("audio_output", self.audio_output_price.clone());
        let overhead = Parts::default()
            .with("per_request", self.overhead_per_request)
            .with("per_message", self.overhead_per_message);
        let media = Parts::default()
            .with("image", self.image_tokens_max)
            .with("audio", self.audio_tokens_max)
            .with("file", self.file_tokens_max);
        Parts::default()
            .with("provider", self.provider.as_ref().map(ToString::to_string))
            .with("upstream_model", self.upstream_model.clone())
            .within("price", price)
            .with("context_tokens", self.context_tokens)
            .with("output_tokens_max", self.output_tokens_max)
            .within("prompt_overhead", overhead)
            .with("tokenizer", self.tokenizer.clone())
            .with("output_limit_parameter", self.output_limit_parameter.clone())
            .within("media_tokens_max", media)
    }

    fn complete(name: &Name, parts: &mut Map<String, Value>) {
        let name = name.as_str();
        let upstream = name.split_once('/').map_or(name, |(_, rest)| rest);
        parts.entry("upstream_model").or_insert_with(|| Value::String(upstream.to_owned()));
    }
}
