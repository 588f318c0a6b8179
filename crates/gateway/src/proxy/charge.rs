//! What an answer is charged, and what is said when its usage cannot be taken at its word.

use super::Proxy;
use quorate_catalog::{ModelSpec, TokenClass};
use quorate_dialect::openai::{ReportedUsage, Usage};
use quorate_domain::PicoUsdPerToken;
use quorate_wallet::Cost;

/// What an answer cost at a model's prices.
pub(super) fn cost(usage: &Usage, model: &ModelSpec) -> Cost {
    let price = model.price;
    let shown = usage.completion.saturating_sub(usage.reasoning);
    let money = PicoUsdPerToken::cost_of(&[
        (usage.uncached(), price.of(TokenClass::Input)),
        (usage.cached, price.of(TokenClass::CachedInput)),
        (shown, price.of(TokenClass::Output)),
        (usage.reasoning, price.of(TokenClass::Reasoning)),
    ]);
    Cost { tokens: usage.total(), money }
}

impl Proxy {
    /// Counts an answer without usage, which is charged in full. Some providers never say any; one that says nonsense
    /// is worth a look.
    pub(super) fn usage_missing(&self, usage: ReportedUsage, model: &ModelSpec) {
        self.parts.metrics.usage_missing(usage);
        let why = match usage {
            ReportedUsage::Absent | ReportedUsage::Found(_) => return,
            ReportedUsage::Unreadable => "it is unreadable",
            ReportedUsage::Impossible => "no model can produce it",
        };
        let (provider, model) = (model.provider.as_str(), model.name.as_str());
        tracing::warn!(provider, model, why, "usage is not believed: the answer is charged in full");
    }
}
