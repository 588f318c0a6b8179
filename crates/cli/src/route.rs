//! `quorate route`.

use crate::object::{Fields, Parts};
use crate::output::Column;
use clap::{Args, ValueEnum};
use quorate_domain::Name;
use serde_json::{Value, json};

/// The parts of a route.
#[derive(Args)]
pub(crate) struct RouteFields {
    /// A model behind the name, MODEL or MODEL=WEIGHT. Can be repeated: later ones are fallbacks.
    #[arg(long, value_parser = target)]
    target: Vec<(Name, u32)>,
    /// Which target comes first.
    #[arg(long, value_enum)]
    strategy: Option<Strategy>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Strategy {
    /// The first one, always.
    Ordered,
    /// By lot, in proportion to the weights.
    Weighted,
}

fn target(text: &str) -> Result<(Name, u32), String> {
    let (model, weight) = text.split_once('=').unwrap_or((text, "1"));
    let weight = weight.parse().map_err(|_| format!("{weight:?} is not a weight: write a whole number"))?;
    Ok((Name::parse(model).map_err(|error| error.to_string())?, weight))
}

impl Fields for RouteFields {
    const PATH: &'static str = "/routes";
    const KIND: &'static str = "route";
    const COLUMNS: &'static [Column] =
        &[("NAME", "/name"), ("STRATEGY", "/strategy"), ("TARGETS", "/targets"), ("REVISION", "/revision")];

    fn given(&self) -> Parts {
        let targets: Vec<Value> =
            self.target.iter().map(|(model, weight)| json!({ "model": model, "weight": weight })).collect();
        let strategy = self.strategy.map(|strategy| match strategy {
            Strategy::Ordered => "ordered",
            Strategy::Weighted => "weighted",
        });
        Parts::default().with("strategy", strategy).with("targets", (!targets.is_empty()).then_some(targets))
    }
}
