//! What the provider does with a request: settable at start, at run time, by a request's header and by its prompt.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that can be set. As JSON every field may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Two providers with the same seed and the same requests answer the same.
    pub seed: u64,
    /// Answers at once with bytes rendered beforehand and keeps totals only: for benchmarks. Faults do not apply.
    pub instant: bool,
    /// The models that exist; with none listed, every model does.
    pub models: Vec<String>,
    /// The only key that is let in; with none set, every key is.
    pub accepts_key: Option<String>,
    /// The time before the first byte of an answer.
    pub latency_ms: u64,
    /// The time before each further chunk of a stream.
    pub chunk_delay_ms: u64,
    /// How many chunks with text a stream has.
    pub chunks: u64,
    /// How many tokens an answer has, unless the request's limit is lower.
    pub completion_tokens: u64,
    /// Generates `completion_tokens` whatever the request's limit is.
    pub ignores_max_tokens: bool,
    /// The share of requests that fail, from 0 to 1. Which ones is decided by the seed.
    pub error_rate: f64,
    /// The status of a failure.
    pub error_status: u16,
    /// The `retry-after` of a failure, in seconds.
    pub retry_after_s: Option<u64>,
    /// Takes the request and never answers.
    pub hang: bool,
    /// A stream says nothing more after this many chunks, but stays open.
    pub stall_after_chunks: Option<u64>,
    /// The connection breaks after this many chunks; an answer in one piece breaks in its middle.
    pub cut_after_chunks: Option<u64>,
    /// What the answer says about tokens. The bill always says the truth.
    pub usage: UsageReport,
    /// The tier that answers say served them; with none set, they say nothing of it.
    pub service_tier: Option<String>,
    /// What becomes of a stream whose client has left.
    pub on_disconnect: OnDisconnect,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            seed: 1,
            instant: false,
            models: Vec::new(),
            accepts_key: None,
            latency_ms: 0,
            chunk_delay_ms: 0,
            chunks: 5,
            completion_tokens: 20,
            ignores_max_tokens: false,
            error_rate: 0.0,
            error_status: 500,
            retry_after_s: None,
            hang: false,
            stall_after_chunks: None,
            cut_after_chunks: None,
            usage: UsageReport::Right,
            service_tier: None,
            on_disconnect: OnDisconnect::Stop,
        }
    }
}

/// What an answer says about its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageReport {
    /// What was billed.
    Right,
    /// Nothing.
    Missing,
    /// These numbers.
    Lie {
        /// Claimed tokens of the prompt.
        prompt_tokens: u64,
        /// Claimed tokens of the answer.
        completion_tokens: u64,
        /// How many of the prompt's are claimed to be sound.
        #[serde(default)]
        audio_prompt_tokens: u64,
        /// How many of the prompt's are claimed to have been written into the cache.
        #[serde(default)]
        cache_write_tokens: u64,
    },
}

/// What becomes of a stream whose client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Generation stops; what was generated is billed.
    Stop,
    /// Generation goes on unseen; the whole answer is billed.
    Finish,
}

impl Behaviour {
    /// This behaviour with the fields that `changes` names replaced.
    ///
    /// # Errors
    /// Says which field is unknown or has the wrong type.
    pub fn with(&self, changes: &Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        let (Value::Object(fields), Value::Object(changes)) = (&mut whole, changes) else {
            return Err(serde::de::Error::custom("a behaviour is an object"));
        };
        fields.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
        serde_json::from_value(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_touches_only_what_it_names() {
        let behaviour = Behaviour { chunks: 9, ..Behaviour::default() };
        let lie = json!({"usage": {"lie": {"prompt_tokens": 1, "completion_tokens": 2}}, "hang": true});
        let changed = behaviour.with(&lie).expect("known fields");
        assert_eq!(
            changed.usage,
            UsageReport::Lie {
                prompt_tokens: 1,
                completion_tokens: 2,
                audio_prompt_tokens: 0,
                cache_write_tokens: 0
            }
        );
        assert_eq!((changed.chunks, changed.hang), (9, true));
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let refusal = Behaviour::default().with(&json!({"chunk": 1})).expect_err("no such field");
        assert!(refusal.to_string().contains("chunk"), "{refusal}");
        assert!(Behaviour::default().with(&json!([1])).is_err());
    }
}
