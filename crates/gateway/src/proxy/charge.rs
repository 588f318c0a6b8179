//! What an answer is charged, and what is said when its usage cannot be taken at its word.

use super::Proxy;
use quorate_catalog::{ModelSpec, TokenClass};
use quorate_dialect::openai::{ReportedUsage, ServedTier, Usage};
use quorate_domain::PicoUsdPerToken;
use quorate_wallet::Cost;

/// What a tier with prices of its own is taken to cost, as a multiple of the model's. The dearest that is published,
/// OpenAI's priority, costs two and a half times the ordinary price.
const OTHER_TIER_TIMES: u64 = 3;

/// What an answer cost at a model's prices; a multiple of them, if it was served at a tier whose prices nobody told us.
/// Its tokens are what they are.
pub(super) fn cost(usage: &Usage, model: &ModelSpec) -> Cost {
    let price = model.price;
    let shown = usage.completion.saturating_sub(usage.reasoning);
    let times = match usage.tier {
        ServedTier::Ordinary => 1,
        ServedTier::Other => OTHER_TIER_TIMES,
    };
    let money = PicoUsdPerToken::cost_of(&[
        (usage.uncached().saturating_mul(times), price.of(TokenClass::Input)),
        (usage.cached.saturating_mul(times), price.of(TokenClass::CachedInput)),
        (shown.saturating_mul(times), price.of(TokenClass::Output)),
        (usage.reasoning.saturating_mul(times), price.of(TokenClass::Reasoning)),
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

    /// Counts an answer that was served at a tier with prices of its own.
    pub(super) fn watch_tier(&self, usage: &Usage, model: &ModelSpec) {
        match usage.tier {
            ServedTier::Ordinary => {}
            ServedTier::Other => {
                self.parts.metrics.served_at_other_tier();
                let (provider, model) = (model.provider.as_str(), model.name.as_str());
                tracing::warn!(
                    provider,
                    model,
                    "served at a tier without prices: its money is charged threefold"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::{NanoUsd, Tokens};

    fn model(input: &str, output: &str) -> ModelSpec {
        serde_json::from_value(serde_json::json!({
            "name": "m", "provider": "p", "upstream_model": "m", "context_tokens": 1, "output_tokens_max": 1,
            "price": {"input": input, "output": output},
        }))
        .unwrap()
    }

    fn usage(prompt: u64, completion: u64, tier: ServedTier) -> Usage {
        let (prompt, completion) = (Tokens::new(prompt), Tokens::new(completion));
        Usage { prompt, completion, tier, ..Usage::default() }
    }

    #[test]
    fn another_tier_is_charged_threefold_in_money_and_as_it_is_in_tokens() {
        let model = model("1", "2");
        let ordinary = cost(&usage(100, 10, ServedTier::Ordinary), &model);
        let other = cost(&usage(100, 10, ServedTier::Other), &model);
        assert_eq!((ordinary.tokens, ordinary.money), (Tokens::new(110), NanoUsd::new(120_000)));
        assert_eq!((other.tokens, other.money), (Tokens::new(110), NanoUsd::new(360_000)));
    }

    #[test]
    fn the_largest_usage_that_is_believed_saturates_nothing_at_any_price_ever_published() {
        let dearest = cost(&usage(1 << 32, 1 << 32, ServedTier::Other), &model("1000", "1000"));
        assert!(dearest.money < NanoUsd::new(u64::MAX / 100), "{}", dearest.money);
    }
}
