//! What an answer is charged, and what is said when its usage cannot be taken at its word.

use super::Proxy;
use super::attempt::Target;
use super::estimates::Asked;
use super::permits::Permits;
use quorate_catalog::{ModelSpec, TokenClass};
use quorate_dialect::openai::{ReportedUsage, ServedTier, Usage};
use quorate_domain::{Name, PicoUsdPerToken, Tokens};
use quorate_wallet::{Cost, Reservation};

/// What a tier with prices of its own is taken to cost, as a multiple of the model's. The dearest that is published,
/// OpenAI's priority, costs two and a half times the ordinary price.
const OTHER_TIER_TIMES: u64 = 3;

/// What an answer cost at a model's prices; a multiple of them, if it was served at a tier whose prices nobody told us.
/// Its tokens are what they are.
pub(super) fn cost(usage: &Usage, model: &ModelSpec) -> Cost {
    let price = model.price;
    let times = match usage.tier {
        ServedTier::Ordinary => 1,
        ServedTier::Other => OTHER_TIER_TIMES,
    };
    let money = PicoUsdPerToken::cost_of(&[
        (usage.uncached().saturating_mul(times), price.of(TokenClass::Input)),
        (usage.cached_text().saturating_mul(times), price.of(TokenClass::CachedInput)),
        (usage.written_text().saturating_mul(times), price.of(TokenClass::CacheWrite)),
        (usage.audio_prompt.saturating_mul(times), price.of(TokenClass::AudioInput)),
        (usage.shown().saturating_mul(times), price.of(TokenClass::Output)),
        (usage.reasoning.saturating_mul(times), price.of(TokenClass::Reasoning)),
        (usage.audio_completion.saturating_mul(times), price.of(TokenClass::AudioOutput)),
    ]);
    Cost { tokens: usage.total(), money }
}

/// What an attempt has reserved, and the most it can cost. Dropped, it is charged in full.
pub(super) struct Stake {
    pub(super) reservation: Reservation,
    pub(super) bound: Cost,
    /// The budget has no more left than this many tokens of an answer cost, and the provider is told so.
    pub(super) cut_to: Option<Tokens>,
    /// What its usage is measured by.
    pub(super) asked: Option<Asked>,
    /// Held until the attempt is settled, and from attempt to attempt.
    pub(super) permits: Permits,
}

/// What an attempt was charged, or all attempts of a request together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// By the usage that providers reported.
    pub(super) reported: Cost,
    /// In full, because nobody could tell; `None` unless it came to that.
    pub(super) assumed: Option<Cost>,
}

impl Charged {
    pub(super) const NOTHING: Self = Self { reported: Cost::NOTHING, assumed: None };

    pub(super) fn plus(self, more: Self) -> Self {
        let assumed = match (self.assumed, more.assumed) {
            (Some(one), Some(other)) => Some(sum(one, other)),
            (one, other) => one.or(other),
        };
        Self { reported: sum(self.reported, more.reported), assumed }
    }

    pub(super) fn total(&self) -> Cost {
        sum(self.reported, self.assumed.unwrap_or(Cost::NOTHING))
    }
}

fn sum(one: Cost, other: Cost) -> Cost {
    Cost { tokens: one.tokens.saturating_add(other.tokens), money: one.money.saturating_add(other.money) }
}

/// A bound, and so many tokens of output beyond it.
pub(super) fn beyond(bound: Cost, by: Tokens, price: PicoUsdPerToken) -> Cost {
    sum(bound, Cost { tokens: by, money: PicoUsdPerToken::cost_of(&[(by, price)]) })
}

/// The larger of each.
pub(super) fn larger(one: Cost, other: Cost) -> Cost {
    Cost { tokens: one.tokens.max(other.tokens), money: one.money.max(other.money) }
}

/// What an answer without usage is taken to have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assume {
    /// The provider says that it failed.
    Nothing,
    /// It did the work: all that was reserved.
    AllOfIt,
    /// It did the work, and as much is known of it: all that was reserved, and no less than this.
    AtLeast(Cost),
}

impl Proxy {
    /// Charges the most that an attempt can have cost: the provider may have done the work, and nobody can tell what it bills.
    pub(super) async fn charge_in_full(&self, stake: Stake) -> Charged {
        self.watch_estimate(&stake, &stake.bound);
        let Stake { reservation, bound, permits, .. } = stake;
        self.parts.funds.charge_in_full(reservation).await;
        drop(permits);
        Charged { reported: Cost::NOTHING, assumed: Some(bound) }
    }

    /// Charges what the provider reports; what it does not report is assumed.
    pub(super) async fn settle(
        &self,
        stake: Stake,
        usage: ReportedUsage,
        target: &Target,
        otherwise: Assume,
    ) -> Charged {
        match (usage.found(), otherwise) {
            (Some(usage), _) => {
                let reported = cost(&usage, &target.model.spec);
                self.watch_tier(&usage, target);
                self.watch_estimate(&stake, &reported);
                if otherwise != Assume::Nothing {
                    self.learn(&stake, &usage, target);
                }
                self.parts.funds.settle(stake.reservation, &reported).await;
                Charged { reported, assumed: None }
            }
            (None, Assume::Nothing) => {
                self.parts.funds.cancel(stake.reservation);
                Charged::NOTHING
            }
            (None, Assume::AllOfIt) => {
                self.usage_missing(usage, target);
                self.charge_in_full(stake).await
            }
            (None, Assume::AtLeast(least)) => {
                self.usage_missing(usage, target);
                self.charge_at_least(stake, least).await
            }
        }
    }

    /// Charges all that was reserved, and what is known to be beyond it (G1).
    async fn charge_at_least(&self, stake: Stake, least: Cost) -> Charged {
        let charged = larger(stake.bound, least);
        if charged == stake.bound {
            return self.charge_in_full(stake).await;
        }
        self.watch_estimate(&stake, &charged);
        let Stake { reservation, permits, .. } = stake;
        self.parts.funds.settle(reservation, &charged).await;
        drop(permits);
        Charged { reported: Cost::NOTHING, assumed: Some(charged) }
    }

    /// An answer tells how long answers of its model are.
    fn learn(&self, stake: &Stake, usage: &Usage, target: &Target) {
        let Some(asked) = &stake.asked else { return };
        let is_there = |name: &Name| self.parts.replica.catalog().read().model(name.as_str()).is_some();
        self.estimates.learn(&target.model, asked, usage, is_there);
    }

    /// Counts an attempt that is charged more than it had reserved by estimate.
    fn watch_estimate(&self, stake: &Stake, charged: &Cost) {
        let Some(estimated) = stake.reservation.estimated() else { return };
        let debt = charged.tokens.amount().saturating_sub(estimated);
        if !debt.is_zero() {
            self.parts.metrics.estimate_exceeded(debt);
        }
    }

    /// Counts an answer without usage, which is charged in full. Some providers never say any; one that says nonsense
    /// is worth a look.
    fn usage_missing(&self, usage: ReportedUsage, target: &Target) {
        self.parts.metrics.usage_missing(usage);
        let why = match usage {
            ReportedUsage::Absent | ReportedUsage::Found(_) => return,
            ReportedUsage::Unreadable => "it is unreadable",
            ReportedUsage::Impossible => "no model can produce it",
        };
        let Target { model, label, .. } = target;
        tracing::warn!(
            request = label.request(),
            key = label.key(),
            route = label.route(),
            provider = model.spec.provider.as_str(),
            model = model.spec.name.as_str(),
            why,
            "usage is not believed: the answer is charged in full"
        );
    }

    /// Counts an answer that was served at a tier with prices of its own.
    fn watch_tier(&self, usage: &Usage, target: &Target) {
        match usage.tier {
            ServedTier::Ordinary => {}
            ServedTier::Other => {
                self.parts.metrics.served_at_other_tier();
                let Target { model, label, .. } = target;
                tracing::warn!(
                    request = label.request(),
                    key = label.key(),
                    route = label.route(),
                    provider = model.spec.provider.as_str(),
                    model = model.spec.name.as_str(),
                    "served at a tier without prices: its money is charged threefold"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::NanoUsd;

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
    fn sound_is_charged_at_its_own_price() {
        let mut model = model("1", "2");
        let tokens = Tokens::new;
        let heard = Usage {
            audio_prompt: tokens(40),
            audio_completion: tokens(4),
            ..usage(100, 10, ServedTier::Ordinary)
        };
        assert_eq!(cost(&heard, &model).money, NanoUsd::new(120_000), "as text, where no price is said");
        let said = |dollars| Some(PicoUsdPerToken::parse_usd_per_million(dollars).unwrap());
        (model.price.audio_input, model.price.audio_output) = (said("40"), said("80"));
        assert_eq!(cost(&heard, &model).money, NanoUsd::new(60_000 + 1_600_000 + 12_000 + 320_000));
    }

    #[test]
    fn what_is_written_into_the_cache_is_charged_at_its_own_price_and_once() {
        let mut model = model("1", "2");
        let tokens = Tokens::new;
        let written =
            Usage { cached: tokens(20), written: tokens(50), ..usage(100, 10, ServedTier::Ordinary) };
        assert_eq!(
            cost(&written, &model).money,
            NanoUsd::new(120_000),
            "as read anew, where no price is said"
        );
        let said = |dollars| Some(PicoUsdPerToken::parse_usd_per_million(dollars).unwrap());
        (model.price.cached_input, model.price.cache_write) = (said("0.5"), said("4"));
        let charged = cost(&written, &model);
        assert_eq!(charged.money, NanoUsd::new(30_000 + 10_000 + 200_000 + 20_000));
        assert_eq!(charged.tokens, tokens(110));
    }

    #[test]
    fn what_several_attempts_were_charged_adds_up_and_shows_what_was_assumed() {
        let of = |tokens| Cost { tokens: Tokens::new(tokens), money: NanoUsd::new(10 * tokens) };
        let reported = Charged { reported: of(3), assumed: None };
        let assumed = Charged { reported: Cost::NOTHING, assumed: Some(of(5)) };
        let all = Charged::NOTHING.plus(assumed).plus(reported).plus(assumed);
        assert_eq!(all, Charged { reported: of(3), assumed: Some(of(10)) });
        assert_eq!(all.total(), of(13));
        let unbounded = Charged { reported: Cost::NOTHING, assumed: Some(Cost::NOTHING) };
        assert_ne!(Charged::NOTHING.plus(unbounded), Charged::NOTHING, "it may be billed all the same");
    }

    #[test]
    fn what_is_known_to_be_beyond_a_bound_is_charged_with_it_and_never_less_than_the_bound() {
        let of = |tokens, money| Cost { tokens: Tokens::new(tokens), money: NanoUsd::new(money) };
        let price = model("1", "2").price.dearest_output();
        assert_eq!(beyond(of(100, 500), Tokens::new(10), price), of(110, 20_500));
        assert_eq!(beyond(of(100, 500), Tokens::ZERO, price), of(100, 500));
        assert_eq!(larger(of(100, 500), of(90, 600)), of(100, 600));
    }

    #[test]
    fn the_largest_usage_that_is_believed_saturates_nothing_at_any_price_ever_published() {
        let dearest = cost(&usage(1 << 32, 1 << 32, ServedTier::Other), &model("1000", "1000"));
        assert!(dearest.money < NanoUsd::new(u64::MAX / 100), "{}", dearest.money);
    }
}
