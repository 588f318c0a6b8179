//! What requests are expected to use, as this node has learned it of each model from the answers it has seen. Only budgets that go
//! by estimates are reserved by it: nothing is promised of how good it is ([ADR 22](../../../../docs/adr/0022-estimates.md)).

use super::stream::Extent;
use parking_lot::{Mutex, RwLock};
use quorate_catalog::Model;
use quorate_dialect::openai::Usage;
use quorate_domain::{Name, Revision, Tokens};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many of the latest answers are kept of each model.
const KEPT: usize = 512;
/// Fewer say nothing of one in a hundred.
const KNOWN_MIN: usize = 100;
/// It is worked out anew after so many answers, in some tens of microseconds.
const WORKED_OUT_EVERY: u64 = 16;
/// Of a hundred answers, one may be longer than is expected; with what adding up fractions leaves.
const MAY_BE_LONGER: f64 = 0.01 + 1e-9;
/// Tokens of a prompt are counted for so many bytes of its bound.
const BYTES: u64 = 1_024;
/// Nothing is known: the bound is expected.
const UNKNOWN: u64 = u64::MAX;

/// What a request is expected to use, if that is less than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Of its prompt.
    pub(super) prompt: Tokens,
    /// Of each choice of its answer.
    pub(super) choice: Tokens,
}

impl Expected {
    /// The bound, whatever it is.
    pub(super) const BOUND: Self = Self { prompt: Tokens::new(UNKNOWN), choice: Tokens::new(UNKNOWN) };
}

/// How much an attempt could have used: by that its usage is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The bound of its prompt by bytes.
    pub(super) prompt: Tokens,
    pub(super) extent: Extent,
}

/// What is known of all models.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    models: RwLock<HashMap<Name, Arc<Learned>>>,
}

impl Estimates {
    /// What a request with this bound of its prompt is expected to use of a model.
    pub(super) fn expected(&self, model: &Model, prompt: Tokens) -> Expected {
        self.learned(model).map_or(Expected::BOUND, |learned| learned.expected(prompt))
    }

    /// Learns from an answer. `is_there` tells whether a model is in the catalogue still: what is not is forgotten, at the
    /// latest when another is met.
    pub(super) fn learn(
        &self,
        model: &Model,
        asked: &Asked,
        usage: &Usage,
        is_there: impl Fn(&Name) -> bool,
    ) {
        let learned = self.learned(model).or_else(|| self.meet(model, is_there));
        learned.into_iter().for_each(|learned| learned.learn(Answer::new(asked, usage)));
    }

    fn learned(&self, model: &Model) -> Option<Arc<Learned>> {
        let models = self.models.read();
        models.get(&model.spec.name).filter(|learned| learned.revision == model.revision).cloned()
    }

    /// Begins to learn of a model, or anew of one that was changed; of an earlier version no more.
    fn meet(&self, model: &Model, is_there: impl Fn(&Name) -> bool) -> Option<Arc<Learned>> {
        let mut models = self.models.write();
        models.retain(|name, _| is_there(name));
        let is_old = |learned: &Arc<Learned>| learned.revision > model.revision;
        if !is_there(&model.spec.name) || models.get(&model.spec.name).is_some_and(is_old) {
            return None;
        }
        let learned = Arc::new(Learned::new(model.revision));
        models.insert(model.spec.name.clone(), Arc::clone(&learned));
        Some(learned)
    }
}

/// What is known of one version of a model.
#[derive(Debug)]
struct Learned {
    revision: Revision,
    /// Of prompts, tokens for [`BYTES`] of the bound. What a request reads.
    prompt: AtomicU64,
    /// Tokens of a choice.
    choice: AtomicU64,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    latest: VecDeque<Answer>,
    noted: u64,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// Tokens for [`BYTES`] of the prompt's bound.
    prompt: u64,
    choice: Length,
}

/// How long the choices of an answer were, in tokens. Their order is that of the product-limit estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Length {
    tokens: u64,
    /// It would have been longer without its limit.
    was_limited: bool,
}

impl Answer {
    fn new(asked: &Asked, usage: &Usage) -> Self {
        let tokens = usage.completion.get().div_ceil(asked.extent.n_choices.max(1));
        let is_text = asked.extent.n_choices > 0;
        Self {
            prompt: usage.prompt.get().saturating_mul(BYTES).div_ceil(asked.prompt.get().max(1)),
            choice: Length { tokens, was_limited: is_text && tokens >= asked.extent.limit.get() },
        }
    }
}

impl Learned {
    const fn new(revision: Revision) -> Self {
        let answers = Answers { latest: VecDeque::new(), noted: 0 };
        Self {
            revision,
            prompt: AtomicU64::new(UNKNOWN),
            choice: AtomicU64::new(UNKNOWN),
            answers: Mutex::new(answers),
        }
    }

    fn expected(&self, prompt: Tokens) -> Expected {
        let prompt = match self.prompt.load(Ordering::Relaxed) {
            UNKNOWN => Tokens::new(UNKNOWN),
            each => Tokens::new(prompt.get().saturating_mul(each).div_ceil(BYTES)),
        };
        Expected { prompt, choice: Tokens::new(self.choice.load(Ordering::Relaxed)) }
    }

    fn learn(&self, answer: Answer) {
        let mut answers = self.answers.lock();
        if answers.latest.len() == KEPT {
            answers.latest.pop_front();
        }
        answers.latest.push_back(answer);
        answers.noted += 1;
        let is_first = answers.latest.len() == KNOWN_MIN;
        if answers.latest.len() < KNOWN_MIN || !(is_first || answers.noted.is_multiple_of(WORKED_OUT_EVERY)) {
            return;
        }
        let whole = |answer: &Answer| Length { tokens: answer.prompt, was_limited: false };
        let prompt = percentile(answers.latest.iter().map(whole).collect());
        let choice = percentile(answers.latest.iter().map(|answer| answer.choice).collect());
        self.prompt.store(prompt.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.choice.store(choice.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

/// What all but one in a hundred do not exceed, by the product-limit estimate (Kaplan and Meier 1958): of those that were limited it is
/// known only that they would have been longer. `None` if too few were not.
fn percentile(mut lengths: Vec<Length>) -> Option<u64> {
    lengths.sort_unstable();
    let mut longer = 1.0;
    let at_least_as_long = (1..=u32::try_from(lengths.len()).ok()?).rev();
    lengths.into_iter().zip(at_least_as_long).find_map(|(length, count)| {
        if !length.was_limited {
            longer *= 1.0 - 1.0 / f64::from(count);
        }
        (!length.was_limited && longer <= MAY_BE_LONGER).then_some(length.tokens)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::LogTime;

    fn model(name: &str, revision: u64) -> Model {
        let spec = serde_json::from_value(serde_json::json!({
            "name": name, "provider": "p", "upstream_model": "m", "context_tokens": 9_000, "output_tokens_max": 8_000,
            "price": {"input": "1", "output": "1"},
        }));
        let now = LogTime::from_millis(1);
        Model { spec: spec.unwrap(), revision: Revision::new(revision), created_at: now, updated_at: now }
    }

    /// A prompt that is bound to a thousand.
    fn asked(limit: u64, n_choices: u64) -> Asked {
        Asked { prompt: Tokens::new(1_000), extent: Extent { limit: Tokens::new(limit), n_choices } }
    }

    fn usage(prompt: u64, completion: u64) -> Usage {
        Usage { prompt: Tokens::new(prompt), completion: Tokens::new(completion), ..Usage::default() }
    }

    /// What a prompt that is bound to a thousand, and a choice, are expected to have.
    fn expected(estimates: &Estimates, model: &Model) -> Option<(u64, u64)> {
        let expected = estimates.expected(model, Tokens::new(1_000));
        (expected != Expected::BOUND).then_some((expected.prompt.get(), expected.choice.get()))
    }

    fn lengths(ended: impl Iterator<Item = u64>, limited: impl Iterator<Item = u64>) -> Vec<Length> {
        let length = |was_limited| move |tokens| Length { tokens, was_limited };
        ended.map(length(false)).chain(limited.map(length(true))).collect()
    }

    #[test]
    fn one_in_a_hundred_is_longer() {
        assert_eq!(percentile(lengths(1..=100, 0..0)), Some(99));
        assert_eq!(percentile(lengths((1..=500).rev(), 0..0)), Some(495));
        assert_eq!(percentile(lengths(std::iter::repeat_n(7, 512), 0..0)), Some(7));
        assert_eq!(percentile(vec![]), None);
    }

    #[test]
    fn those_that_were_limited_count_as_long_as_the_longer_ones_are() {
        // Half are cut at ten; of the others one in a hundred is longer than 990.
        assert_eq!(percentile(lengths((1..=100).map(|n| n * 10), std::iter::repeat_n(9, 100))), Some(990));
        // All but three were cut, and those three may be the shortest.
        assert_eq!(percentile(lengths(1..=3, std::iter::repeat_n(10, 100))), None);
        // The longest were: how much longer they would have been nobody knows.
        assert_eq!(percentile(lengths(1..=98, std::iter::repeat_n(8_000, 2))), None);
    }

    #[test]
    fn nothing_is_expected_of_a_model_before_a_hundred_answers_are_known() {
        let (estimates, model) = (Estimates::default(), model("m", 1));
        for n in 0..100 {
            assert_eq!(expected(&estimates, &model), None, "after {n}");
            estimates.learn(&model, &asked(8_000, 1), &usage(250, 300), |_| true);
        }
        assert_eq!(expected(&estimates, &model), Some((250, 300)));
    }

    #[test]
    fn what_is_expected_follows_the_latest_answers_and_a_choice_is_one_of_several() {
        let (estimates, model) = (Estimates::default(), model("m", 1));
        let learn = |count, prompt, completion, n_choices| {
            for _ in 0..count {
                estimates.learn(&model, &asked(8_000, n_choices), &usage(prompt, completion), |_| true);
            }
        };
        learn(512, 100, 1_000, 1);
        assert_eq!(expected(&estimates, &model), Some((101, 1_000)), "parts of a token are one");
        learn(512, 500, 1_201, 4);
        assert_eq!(expected(&estimates, &model), Some((500, 301)));
    }

    #[test]
    fn an_answer_of_embeddings_has_no_choices_that_a_limit_could_end() {
        let answer = Answer::new(&asked(0, 0), &usage(500, 0));
        assert_eq!(answer, Answer { prompt: 512, choice: Length { tokens: 0, was_limited: false } });
        assert!(Answer::new(&asked(10, 1), &usage(500, 10)).choice.was_limited);
        assert!(!Answer::new(&asked(11, 1), &usage(500, 10)).choice.was_limited);
    }

    #[test]
    fn a_model_is_learned_anew_when_it_is_changed_and_forgotten_when_it_is_gone() {
        let estimates = Estimates::default();
        let (old, new, other) = (model("m", 1), model("m", 2), model("n", 3));
        let learn = |model: &Model| {
            for _ in 0..100 {
                estimates.learn(model, &asked(8_000, 1), &usage(250, 300), |_| true);
            }
        };
        learn(&old);
        assert!(expected(&estimates, &old).is_some() && expected(&estimates, &new).is_none());
        learn(&new);
        learn(&old);
        assert!(expected(&estimates, &new).is_some(), "what ends late is of a version that is gone");
        estimates.learn(&other, &asked(8_000, 1), &usage(250, 300), |name| name.as_str() == "n");
        let known: Vec<_> = estimates.models.read().keys().map(ToString::to_string).collect();
        assert_eq!(known, ["n"]);
        estimates.learn(&old, &asked(8_000, 1), &usage(250, 300), |name| name.as_str() == "n");
        assert_eq!(estimates.models.read().len(), 1);
    }
}
