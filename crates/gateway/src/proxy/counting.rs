//! Counting the tokens of prompts, for requests whose bytes no grant at hand covers (docs/adr/0014-exact-prompts.md).
//!
//! A prompt of a megabyte takes tens of milliseconds: it is counted off the threads that serve requests, and so few at a
//! time that those keep their cores.

use super::inference::Inference;
use crate::metrics::Metrics;
use quorate_catalog::{Model, Tokenizer};
use quorate_domain::Tokens;
use quorate_tokenizer::Encoding;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

/// So many prompts are counted at the same time.
const AT_ONCE_MAX: usize = 2;
/// The longest body that is counted: some 60 ms, if its text is the worst there is.
const BODY_BYTES_MAX: usize = 1 << 20;
/// A count that takes longer, with the wait for its turn, is not worth the wait: the request could have stood in line.
const COUNT_LIMIT: Duration = Duration::from_millis(500);

/// The longest body that is counted for whoever does not wait: some 0.2 ms.
const AT_ONCE_BYTES_MAX: usize = 4 << 10;

/// Until when a count is worth waiting for: a request waits for it and in line with the same patience.
pub(super) struct Until<'a> {
    /// What is left of it.
    pub(super) patience: Duration,
    /// Cancelled when nobody may wait any longer.
    pub(super) closing: &'a CancellationToken,
}

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
        until: &Until<'_>,
        metrics: &Metrics,
    ) -> Option<Tokens> {
        let encoding = encoding(model.spec.tokenizer?);
        if inference.body().len() > BODY_BYTES_MAX {
            return None;
        }
        let counted = if until.patience.is_zero() {
            self.count_at_once(inference, model, encoding)
        } else {
            until.wait_for(self.count_in_turn(inference, model, encoding)).await
        };
        counted.inspect(|_| metrics.prompt_counted())
    }

    /// For whoever does not wait at all: only what takes no time.
    fn count_at_once(&self, inference: &Inference, model: &Model, encoding: Encoding) -> Option<Tokens> {
        if inference.body().len() > AT_ONCE_BYTES_MAX || !self.loaded(encoding).initialized() {
            return None;
        }
        let _turn = self.turns.try_acquire().ok()?;
        inference.prompt_counted(&model.spec, encoding).ok()
    }

    async fn count_in_turn(
        &self,
        inference: &Inference,
        model: &Arc<Model>,
        encoding: Encoding,
    ) -> Option<Tokens> {
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
        tokio::time::timeout(COUNT_LIMIT, counted).await.ok()?
    }

    /// Waits until an encoding is loaded, which is so once in the life of a node: it does not count as time for a prompt.
    async fn load(&self, encoding: Encoding) {
        let load = async || drop(tokio::task::spawn_blocking(move || encoding.load()).await);
        self.loaded(encoding).get_or_init(load).await;
    }

    const fn loaded(&self, encoding: Encoding) -> &OnceCell<()> {
        match encoding {
            Encoding::O200kBase => &self.o200k_base,
            Encoding::Cl100kBase => &self.cl100k_base,
        }
    }
}

impl Until<'_> {
    async fn wait_for(&self, counted: impl Future<Output = Option<Tokens>>) -> Option<Tokens> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            counted = tokio::time::timeout(self.patience, counted) => counted.ok()?,
        }
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

    /// Longer than any count.
    const PATIENCE: Duration = Duration::from_secs(60);

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

    fn metrics() -> Metrics {
        Metrics::new(&mut Registry::default())
    }

    /// How one counts who has this much patience on a node that goes on.
    async fn within(counting: &Counting, millis: u64, text: &str) -> Option<u64> {
        let (model, closing) = (model(Some("o200k_base")), CancellationToken::new());
        let until = Until { patience: Duration::from_millis(millis), closing: &closing };
        counting.count(&saying(text), &model, &until, &metrics()).await.map(Tokens::get)
    }

    async fn count(text: &str, tokenizer: Option<&str>) -> Option<u64> {
        let until = Until { patience: PATIENCE, closing: &CancellationToken::new() };
        let counted = Counting::new().count(&saying(text), &model(tokenizer), &until, &metrics()).await;
        counted.map(Tokens::get)
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
    async fn bytes_must_do_for_whoever_does_not_get_a_turn_in_time_or_within_its_patience() {
        let counting = Counting::new();
        counting.load(Encoding::O200kBase).await;
        let turns = counting.turns.acquire_many(2).await.unwrap();
        for (patience_ms, waits_ms) in [(2_000, 500), (300, 300), (0, 0)] {
            let limit = Duration::from_millis(waits_ms + 1);
            let counted = tokio::time::timeout(limit, within(&counting, patience_ms, "hello")).await;
            assert_eq!(counted, Ok(None), "with a patience of {patience_ms} ms");
        }
        drop(turns);
        assert_eq!(within(&counting, 2_000, "hello").await, Some(17));
    }

    #[tokio::test]
    async fn for_whoever_does_not_wait_a_short_prompt_is_counted_if_the_vocabulary_is_there() {
        let counting = Counting::new();
        assert_eq!(within(&counting, 0, "hello").await, None, "it would have to be loaded");
        counting.load(Encoding::O200kBase).await;
        assert_eq!(within(&counting, 0, "hello").await, Some(17));
        assert_eq!(within(&counting, 0, &"x".repeat(AT_ONCE_BYTES_MAX)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_count_on_a_node_that_clears_its_line() {
        let (counting, closing) = (Counting::new(), CancellationToken::new());
        let _turns = counting.turns.acquire_many(2).await.unwrap();
        closing.cancel();
        let (prompt, model, metrics) = (saying("hello"), model(Some("o200k_base")), metrics());
        let until = Until { patience: PATIENCE, closing: &closing };
        let counted = counting.count(&prompt, &model, &until, &metrics);
        assert_eq!(tokio::time::timeout(Duration::ZERO, counted).await, Ok(None));
    }
}
