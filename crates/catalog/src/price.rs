//! What a model's tokens cost, per class.

use quorate_domain::PicoUsdPerToken;
use serde::{Deserialize, Serialize};

/// What kind of token a provider bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// Prompt tokens read anew.
    Input,
    /// Prompt tokens found in the provider's cache.
    CachedInput,
    /// Prompt tokens written into the provider's cache.
    CacheWrite,
    /// Tokens of the answer.
    Output,
    /// Tokens thought and not shown.
    Reasoning,
    /// Prompt tokens that are sound.
    AudioInput,
    /// Tokens of the answer that are sound.
    AudioOutput,
}

/// The price of each class. For people: a text in US dollars per million tokens, as providers publish it. The
/// version of a price is the revision of its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Prompt tokens.
    #[serde(with = "usd_per_million")]
    pub input: PicoUsdPerToken,
    /// Prompt tokens from the cache; as `input` where none is given.
    #[serde(default, with = "usd_per_million::optional")]
    pub cached_input: Option<PicoUsdPerToken>,
    /// Prompt tokens into the cache; as `input` where none is given.
    #[serde(default, with = "usd_per_million::optional")]
    pub cache_write: Option<PicoUsdPerToken>,
    /// Tokens of the answer.
    #[serde(with = "usd_per_million")]
    pub output: PicoUsdPerToken,
    /// Tokens thought; as `output` where none is given.
    #[serde(default, with = "usd_per_million::optional")]
    pub reasoning: Option<PicoUsdPerToken>,
    /// Prompt tokens that are sound, whether from the cache or not; as `input` where none is given.
    #[serde(default, with = "usd_per_million::optional")]
    pub audio_input: Option<PicoUsdPerToken>,
    /// Tokens of the answer that are sound; as `output` where none is given.
    #[serde(default, with = "usd_per_million::optional")]
    pub audio_output: Option<PicoUsdPerToken>,
}

impl Prices {
    /// The price of one class.
    #[must_use]
    pub fn of(self, class: TokenClass) -> PicoUsdPerToken {
        match class {
            TokenClass::Input => self.input,
            TokenClass::CachedInput => self.cached_input.unwrap_or(self.input),
            TokenClass::CacheWrite => self.cache_write.unwrap_or(self.input),
            TokenClass::Output => self.output,
            TokenClass::Reasoning => self.reasoning.unwrap_or(self.output),
            TokenClass::AudioInput => self.audio_input.unwrap_or(self.input),
            TokenClass::AudioOutput => self.audio_output.unwrap_or(self.output),
        }
    }

    /// The most that one prompt token may cost that is no sound: what a bound is made of.
    #[must_use]
    pub fn dearest_input(self) -> PicoUsdPerToken {
        self.input.max(self.of(TokenClass::CachedInput)).max(self.of(TokenClass::CacheWrite))
    }

    /// The most that one prompt token may cost of a part that may be sound.
    #[must_use]
    pub fn dearest_sound(self) -> PicoUsdPerToken {
        self.dearest_input().max(self.of(TokenClass::AudioInput))
    }

    /// The most that one token of an answer in text may cost: what a bound is made of.
    #[must_use]
    pub fn dearest_output(self) -> PicoUsdPerToken {
        self.output.max(self.of(TokenClass::Reasoning))
    }
}

/// A text for people, an integer for machines.
mod usd_per_million {
    use quorate_domain::PicoUsdPerToken;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(price: &PicoUsdPerToken, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() { price.usd_per_million().serialize(out) } else { price.serialize(out) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<PicoUsdPerToken, D::Error> {
        if !input.is_human_readable() {
            return PicoUsdPerToken::deserialize(input);
        }
        let text = String::deserialize(input)?;
        PicoUsdPerToken::parse_usd_per_million(&text).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, PicoUsdPerToken, Serialize, Serializer};

        #[derive(Serialize, Deserialize)]
        struct Price(#[serde(with = "super")] PicoUsdPerToken);

        pub(in super::super) fn serialize<S: Serializer>(
            price: &Option<PicoUsdPerToken>,
            out: S,
        ) -> Result<S::Ok, S::Error> {
            price.map(Price).serialize(out)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            input: D,
        ) -> Result<Option<PicoUsdPerToken>, D::Error> {
            Ok(Option::<Price>::deserialize(input)?.map(|Price(price)| price))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_dollars_per_million_as_text() {
        let written = r#"{"input":"0.15","cached_input":"0.075","cache_write":null,"output":"0.6","reasoning":null,"audio_input":"10","audio_output":null}"#;
        let prices: Prices = serde_json::from_str(written).unwrap();
        assert_eq!(prices.of(TokenClass::Input).get(), 150_000);
        assert_eq!(prices.of(TokenClass::CachedInput).get(), 75_000);
        assert_eq!(prices.of(TokenClass::Reasoning).get(), 600_000);
        assert_eq!(prices.of(TokenClass::AudioInput).get(), 10_000_000);
        assert_eq!(prices.of(TokenClass::AudioOutput).get(), 600_000);
        assert_eq!(serde_json::to_string(&prices).unwrap(), written);
    }

    #[test]
    fn a_price_that_is_no_exact_text_is_refused() {
        for wrong in
            [r#"{"input":0.1,"output":"1"}"#, r#"{"input":"0.0000001","output":"1"}"#, r#"{"input":"1"}"#]
        {
            assert!(serde_json::from_str::<Prices>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bound_is_made_of_the_dearest_class() {
        let picos = PicoUsdPerToken::new;
        let prices = Prices {
            input: picos(10),
            cached_input: Some(picos(1)),
            cache_write: Some(picos(12)),
            output: picos(40),
            reasoning: Some(picos(50)),
            audio_input: Some(picos(90)),
            audio_output: Some(picos(100)),
        };
        assert_eq!((prices.dearest_input(), prices.dearest_output()), (picos(12), picos(50)));
        assert_eq!(prices.dearest_sound(), picos(90));
        let muffled = Prices { audio_input: Some(picos(9)), ..prices };
        assert_eq!(muffled.dearest_sound(), picos(12), "it may be cheaper than text");
    }
}
