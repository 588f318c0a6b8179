//! Counting the tokens of prompts, for requests whose bytes no grant at hand covers (docs/adr/0014-exact-prompts.md).
//!
//! A prompt of a megabyte takes tens of milliseconds: it is counted off the threads that serve requests, and so few at a
//! time that those keep their cores.

use super::inference::Inference;
use crate::metrics::Metrics;
use quorate_catalog::{Model, Tokenizer};
use quorate_domain::Tokens;
use quorate_tokenizer::Encoding;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// So many prompts are counted at the same time.
const AT_ONCE_MAX: usize = 2;
/// The longest body that is counted: some 60 ms, if its text is the worst there is.
const BODY_BYTES_MAX: usize = 1 << 20;
/// A count that takes longer, with the wait for its turn, is not worth the wait: the request could have stood in line.
const COUNT_LIMIT: Duration = Duration::from_millis(500);

/// Where prompts are counted.
pub(super) struct Counting {
    turns: Arc<Semaphore>,
    o200k_base: OnceCell<()>,
    cl100k_base: OnceCell<()>,
}

impl Counting {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            o200k_base: OnceCell::new(),
            cl100k_base: OnceCell::new(),
        }
    }

    /// The most tokens of a prompt by its text. `None` where its bytes must do: the model says no tokenizer, the body
    /// is too long, has no bound, or is not counted in time.
    pub(super) async fn count(
        &self,
        inference: &Inference,
        model: &Arc<Model>,
        metrics: &Metrics,
    ) -> Option<Tokens> {
        let encoding = encoding(model.spec.tokenizer?);
        if inference.body().len() > BODY_BYTES_MAX {
            return None;
        }
        self.load(encoding).await;
        let (inference, model) = (inference.clone(), Arc::clone(model));
        let counted = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
            let counting = tokio::task::spawn_blocking(move || {
                // Kept to the end, though whoever asked may have left.
                let _turn = turn;
                inference.prompt_counted(&model.spec, encoding)
            });
            counting.await.ok()?.ok()
        };
        let counted = tokio::time::timeout(COUNT_LIMIT, counted).await.ok()??;
        metrics.prompt_counted();
        Some(counted)
    }

    /// Waits until an encoding is loaded, which is so once in the life of a node: it does not count as time for a prompt.
    async fn load(&self, encoding: Encoding) {
        let loaded = match encoding {
            Encoding::O200kBase => &self.o200k_base,
            Encoding::Cl100kBase => &self.cl100k_base,
        };
        loaded.get_or_init(async || drop(tokio::task::spawn_blocking(move || encoding.load()).await)).await;
    }
}

const fn encoding(tokenizer: Tokenizer) -> Encoding {
    match tokenizer {
        Tokenizer::O200kBase => Encoding::O200kBase,
        Tokenizer::Cl100kBase => Encoding::Cl100kBase,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use prometheus_client::registry::Registry;
    use quorate_dialect::Operation;
    use quorate_domain::{LogTime, Revision};
    use serde_json::json;

    fn model(tokenizer: Option<&str>) -> Arc<Model> {
        let spec = serde_json::from_value(json!({
            "name": "m", "provider": "p", "upstream_model": "m", "context_tokens": 9, "output_tokens_max": 9,
            "price": {"input": "1", "output": "1"}, "tokenizer": tokenizer,
        }));
        let (spec, now) = (spec.unwrap(), LogTime::from_millis(1));
        Arc::new(Model { spec, revision: Revision::new(1), created_at: now, updated_at: now })
    }

    fn saying(text: &str) -> Inference {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        Inference::parse(Operation::Chat, &Bytes::from(body.to_string())).unwrap()
    }

    async fn count(text: &str, tokenizer: Option<&str>) -> Option<u64> {
        let metrics = Metrics::new(&mut Registry::default());
        Counting::new().count(&saying(text), &model(tokenizer), &metrics).await.map(Tokens::get)
    }

    /// Eight for the request and eight for its message.
    #[tokio::test]
    async fn a_prompt_is_counted_in_the_encoding_of_its_model() {
        assert_eq!(count("Grüße aus Köln 你好 🎉", Some("o200k_base")).await, Some(16 + 9));
        assert_eq!(count("Grüße aus Köln 你好 🎉", Some("cl100k_base")).await, Some(16 + 12));
    }

    #[tokio::test]
    async fn bytes_must_do_without_a_tokenizer_and_for_a_body_that_is_too_long() {
        assert_eq!(count("hello", None).await, None);
        assert_eq!(count(&"x".repeat(BODY_BYTES_MAX), Some("o200k_base")).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_must_do_for_whoever_does_not_get_a_turn_in_time() {
        let (counting, metrics) = (Counting::new(), Metrics::new(&mut Registry::default()));
        let turns = counting.turns.acquire_many(2).await.unwrap();
        let (inference, model) = (saying("hello"), model(Some("o200k_base")));
        assert_eq!(counting.count(&inference, &model, &metrics).await, None);
        drop(turns);
        assert_eq!(counting.count(&inference, &model, &metrics).await, Some(Tokens::new(17)));
    }
}
