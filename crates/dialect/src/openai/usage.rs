//! What a provider says an answer cost in tokens.

use quorate_domain::Tokens;
use serde::Deserialize;

/// More tokens of one class than any answer has. The longest contexts are some ten million tokens, and the most choices
/// a request can ask for are 128: together a third of this. Whoever says more counts something else, or lies.
const TOKENS_MAX: u64 = 1 << 32;

/// The tokens of one answer, made consistent: no part is larger than what it is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt: Tokens,
    /// Prompt tokens that the provider took from its cache.
    pub cached: Tokens,
    /// Prompt tokens that it wrote into its cache.
    pub written: Tokens,
    /// Prompt tokens that were audio.
    pub audio_prompt: Tokens,
    /// Tokens of the output, reasoning and rejected predictions included.
    pub completion: Tokens,
    /// Output tokens that were spent on reasoning.
    pub reasoning: Tokens,
    /// Output tokens that were audio.
    pub audio_completion: Tokens,
    /// At which prices they are billed.
    pub tier: ServedTier,
}

/// How a provider served an answer, as far as its prices go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServedTier {
    /// At its published prices, or below them.
    #[default]
    Ordinary,
    /// At a tier with prices of its own, or of a name nobody told us.
    Other,
}

impl Usage {
    /// Everything together: what a token budget is charged.
    #[must_use]
    pub const fn total(&self) -> Tokens {
        self.prompt.saturating_add(self.completion)
    }

    /// Prompt tokens that were neither sound nor cached nor written to the cache: what the other classes leave of the prompt. Never below zero,
    /// whatever the provider says.
    #[must_use]
    pub fn uncached(&self) -> Tokens {
        self.text().saturating_sub(self.written_text()).saturating_sub(self.cached)
    }

    /// Prompt tokens from the cache that were no sound. Which of the two the cached ones were is not said: sound counts as read anew. What is said to
    /// be written as well counts as written: it costs more.
    #[must_use]
    pub fn cached_text(&self) -> Tokens {
        self.cached.min(self.text().saturating_sub(self.written_text()))
    }

    /// Prompt tokens into the cache that were no sound.
    #[must_use]
    pub fn written_text(&self) -> Tokens {
        self.written.min(self.text())
    }

    /// Prompt tokens that were no sound.
    const fn text(&self) -> Tokens {
        self.prompt.saturating_sub(self.audio_prompt)
    }

    /// Output tokens that were neither sound nor thought.
    #[must_use]
    pub const fn shown(&self) -> Tokens {
        self.completion.saturating_sub(self.audio_completion).saturating_sub(self.reasoning)
    }

    /// Whether a model could have produced it. Its parts are no larger than the whole they belong to.
    fn is_possible(&self) -> bool {
        self.prompt.max(self.completion) <= Tokens::new(TOKENS_MAX)
    }
}

/// What an answer says about its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportedUsage {
    /// Nothing.
    #[default]
    Absent,
    /// Something that is no usage: negative, broken, or of the wrong type.
    Unreadable,
    /// More tokens than any model can produce.
    Impossible,
    /// This.
    Found(Usage),
}

/// A `usage` object as providers write it. Every field may be missing or null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    /// As Anthropic calls what was written into the cache. LiteLLM says it so, beside a prompt that includes it.
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    /// What was written into the cache, as OpenAI (for models that bill it) and OpenRouter say it.
    cache_write_tokens: Option<u64>,
    /// The same, as LiteLLM and the gateways after it say it.
    cache_creation_tokens: Option<u64>,
}

impl ServedTier {
    /// The tiers that cost no more than the published price, as they stand in JSON: what OpenAI, Google and Groq call
    /// the ordinary one, what is cheaper, and what is paid in advance.
    const ORDINARY: [&'static str; 7] = [
        r#""default""#,
        r#""standard""#,
        r#""on_demand""#,
        r#""auto""#,
        r#""flex""#,
        r#""batch""#,
        r#""scale""#,
    ];

    /// Reads the text of a `service_tier` value.
    pub(super) fn read(value: &str) -> Self {
        if value == "null" || Self::ORDINARY.contains(&value) { Self::Ordinary } else { Self::Other }
    }
}

impl ReportedUsage {
    /// Reads the text of a `usage` value.
    pub(super) fn read(value: &str) -> Self {
        match serde_json::from_str::<Option<Written>>(value) {
            Ok(None) => Self::Absent,
            Ok(Some(written)) => match written.consistent() {
                Some(usage) if usage.is_possible() => Self::Found(usage),
                Some(_) => Self::Impossible,
                None => Self::Unreadable,
            },
            Err(_) => Self::Unreadable,
        }
    }

    /// The same, served at this tier.
    pub(super) fn at(self, tier: ServedTier) -> Self {
        match self {
            Self::Found(usage) => Self::Found(Usage { tier, ..usage }),
            Self::Absent | Self::Unreadable | Self::Impossible => self,
        }
    }

    /// The usage, if it was said, could be read and can be believed.
    #[must_use]
    pub const fn found(self) -> Option<Usage> {
        match self {
            Self::Found(usage) => Some(usage),
            Self::Absent | Self::Unreadable | Self::Impossible => None,
        }
    }
}

impl Written {
    fn consistent(self) -> Option<Usage> {
        if self.prompt_tokens.is_none() && self.total_tokens.is_none() {
            return None;
        }
        let prompt = self.prompt_tokens.unwrap_or(0);
        // Some providers count reasoning in the total alone. What is in neither part is output: it costs more.
        let rest = self.total_tokens.unwrap_or(0).saturating_sub(prompt);
        let completion = self.completion_tokens.unwrap_or(0).max(rest);
        let of_prompt = self.prompt_tokens_details.unwrap_or_default();
        let of_completion = self.completion_tokens_details.unwrap_or_default();
        let part = |part: Option<u64>, whole: u64| Tokens::new(part.unwrap_or(0).min(whole));
        // Names of one number: whoever says several of them says it several times.
        let written = of_prompt.cache_write_tokens.max(of_prompt.cache_creation_tokens);
        let written = written.max(self.cache_creation_input_tokens);
        Some(Usage {
            prompt: Tokens::new(prompt),
            cached: part(of_prompt.cached_tokens, prompt),
            written: part(written, prompt),
            audio_prompt: part(of_prompt.audio_tokens, prompt),
            completion: Tokens::new(completion),
            reasoning: part(of_completion.reasoning_tokens, completion),
            audio_completion: part(of_completion.audio_tokens, completion),
            tier: ServedTier::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(value: &str) -> Usage {
        ReportedUsage::read(value).found().unwrap()
    }

    #[test]
    fn every_class_of_token_is_read() {
        let read = usage(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"x":[1],
                "prompt_tokens_details":{"cached_tokens":60,"audio_tokens":5},
                "completion_tokens_details":{"reasoning_tokens":40,"audio_tokens":3,"rejected_prediction_tokens":0}}"#,
        );
        assert_eq!(read.total(), Tokens::new(150));
        assert_eq!((read.uncached(), read.cached_text()), (Tokens::new(35), Tokens::new(60)));
        assert_eq!((read.reasoning, read.audio_prompt), (Tokens::new(40), Tokens::new(5)));
        assert_eq!((read.audio_completion, read.shown()), (Tokens::new(3), Tokens::new(7)));
    }

    #[test]
    fn more_cached_than_prompted_never_becomes_a_credit() {
        let read = usage(
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":99}}"#,
        );
        assert_eq!((read.uncached(), read.cached_text()), (Tokens::ZERO, Tokens::new(10)));
        let read = usage(
            r#"{"prompt_tokens":10,"completion_tokens":4,
                "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":7},
                "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":3}}"#,
        );
        assert_eq!(
            (read.uncached(), read.cached_text()),
            (Tokens::ZERO, Tokens::new(3)),
            "sound is read anew"
        );
        assert_eq!(read.shown(), Tokens::ZERO);
    }

    #[test]
    fn what_was_written_into_the_cache_is_read_under_each_of_its_names_and_once() {
        let written = |details: &str, beside: &str| {
            let read = usage(&format!(
                r#"{{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{{{details}}}{beside}}}"#
            ));
            assert_eq!(read.prompt, Tokens::new(100), "it is part of the prompt");
            [read.written_text(), read.cached_text(), read.uncached()].map(Tokens::get)
        };
        assert_eq!(written(r#""cached_tokens":60,"cache_write_tokens":30"#, ""), [30, 60, 10]);
        assert_eq!(written(r#""cache_creation_tokens":30"#, ""), [30, 0, 70]);
        assert_eq!(written(r#""cached_tokens":60"#, r#","cache_creation_input_tokens":30"#), [30, 60, 10]);
        let twice = r#""cache_write_tokens":30,"cache_creation_tokens":30"#;
        assert_eq!(written(twice, r#","cache_creation_input_tokens":30"#), [30, 0, 70]);
        assert_eq!(written(r#""cache_write_tokens":null"#, ""), [0, 0, 100]);
        let of = |cached: u64, written_tokens: u64, sound: u64| {
            written(
                &format!(
                    r#""cached_tokens":{cached},"cache_write_tokens":{written_tokens},"audio_tokens":{sound}"#
                ),
                "",
            )
        };
        assert_eq!(of(60, 70, 0), [70, 30, 0], "the dearer of the two counts first");
        assert_eq!(of(60, 70, 50), [50, 0, 0], "sound is read anew");
        assert_eq!(of(20, 10, 50), [10, 20, 20]);
        assert_eq!(of(u64::MAX, u64::MAX, u64::MAX), [0, 0, 0]);
        assert_eq!(of(u64::MAX, u64::MAX, 0), [100, 0, 0]);
    }

    #[test]
    fn what_only_the_total_counts_is_output() {
        let read = usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":40}"#);
        assert_eq!(read.completion, Tokens::new(30));
        let read = usage(r#"{"prompt_tokens":10,"total_tokens":10,"completion_tokens":null}"#);
        assert_eq!((read.prompt, read.completion), (Tokens::new(10), Tokens::ZERO));
    }

    #[test]
    fn nonsense_is_told_from_silence() {
        assert_eq!(ReportedUsage::read("null"), ReportedUsage::Absent);
        for value in
            ["{}", "3", r#"{"prompt_tokens":-1}"#, r#"{"prompt_tokens":"1"}"#, r#"{"prompt_tokens":1.5}"#]
        {
            assert_eq!(ReportedUsage::read(value), ReportedUsage::Unreadable, "{value}");
        }
    }

    #[test]
    fn more_tokens_than_any_model_has_are_not_believed() {
        let most = TOKENS_MAX;
        let read = |prompt: u64, completion: u64, total: u64| {
            ReportedUsage::read(&format!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#
            ))
        };
        assert_eq!(read(most, most, 2 * most).found().unwrap().total(), Tokens::new(2 * most));
        for (prompt, completion, total) in [
            (most + 1, 1, most + 2),
            (1, most + 1, most + 2),
            (1, 1, u64::MAX),
            (u64::MAX, u64::MAX, 1),
            (u64::MAX, 0, u64::MAX),
        ] {
            assert_eq!(read(prompt, completion, total), ReportedUsage::Impossible);
        }
        let beyond_64_bits = r#"{"prompt_tokens":99999999999999999999}"#;
        assert_eq!(ReportedUsage::read(beyond_64_bits), ReportedUsage::Unreadable);
    }

    #[test]
    fn a_total_below_its_parts_does_not_lower_them() {
        let read = usage(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":3}"#);
        assert_eq!(read.total(), Tokens::new(15));
    }
}
