//! The provider's own account of what it generated, in the order in which requests came.

use crate::clock;
use hyper::HeaderMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Headers of this family are kept with the entry and totalled.
const LABEL_PREFIX: &str = "x-quorate-";

/// One request that was let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `x-request-id` of the request, or a number of the provider's own.
    pub request_id: String,
    /// The bearer token the request came with.
    pub key: String,
    /// The model asked for.
    pub model: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens generated so far.
    pub completion_tokens: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// When it came, in milliseconds since 1970.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// The `x-quorate-*` headers of the request.
    pub labels: BTreeMap<String, String>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    Open,
    /// The last byte was handed to the connection.
    Finished,
    /// The provider broke the connection.
    Cut,
    /// The client left.
    Disconnected,
}

/// What some entries add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many entries.
    pub requests: u64,
    /// Tokens of their prompts.
    pub prompt_tokens: u64,
    /// Tokens generated for them.
    pub completion_tokens: u64,
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        self.requests += 1;
        self.prompt_tokens += entry.prompt_tokens;
        self.completion_tokens += entry.completion_tokens;
    }
}

/// The bill as it is shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Statement {
    entries: Vec<Entry>,
    totals: Totals,
    by_key: BTreeMap<String, Totals>,
    by_model: BTreeMap<String, Totals>,
    /// Header name, then value.
    by_label: BTreeMap<String, BTreeMap<String, Totals>>,
}

/// All entries since the start or since they were last cleared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// Set anew by every clearing, so that an open entry of before changes nothing after.
    volume: u64,
    /// Requests seen ever, for ids of our own.
    seen: u64,
    entries: Vec<Entry>,
}

impl Bill {
    /// Opens an entry; the prompt is billed from here on.
    pub(crate) fn open(&self, headers: &HeaderMap, model: &str, prompt_tokens: u64) -> OpenEntry {
        let mut book = self.0.lock();
        book.seen += 1;
        let request_id = text(headers, "x-request-id").unwrap_or_else(|| format!("fake-{}", book.seen));
        book.entries.push(Entry {
            request_id: request_id.clone(),
            key: bearer(headers),
            model: model.to_owned(),
            prompt_tokens,
            completion_tokens: 0,
            outcome: Outcome::Open,
            started_at: clock::now_ms(),
            ended_at: None,
            labels: labels(headers),
        });
        let (volume, index) = (book.volume, book.entries.len() - 1);
        OpenEntry { bill: self.clone(), volume, index, request_id, ending: Some(Ending::default()) }
    }

    /// All of it.
    pub(crate) fn statement(&self) -> Statement {
        let mut statement = Statement { entries: self.0.lock().entries.clone(), ..Statement::default() };
        for entry in &statement.entries {
            statement.totals.add(entry);
            statement.by_key.entry(entry.key.clone()).or_default().add(entry);
            statement.by_model.entry(entry.model.clone()).or_default().add(entry);
            for (name, value) in &entry.labels {
                statement
                    .by_label
                    .entry(name.clone())
                    .or_default()
                    .entry(value.clone())
                    .or_default()
                    .add(entry);
            }
        }
        statement
    }

    /// Starts anew.
    pub(crate) fn clear(&self) {
        let mut book = self.0.lock();
        book.volume += 1;
        book.entries.clear();
    }
}

/// An entry that is being written. Dropping it means that the client has left.
#[derive(Debug)]
pub(crate) struct OpenEntry {
    bill: Bill,
    volume: u64,
    index: usize,
    request_id: String,
    /// What a client that leaves owes; `None` once the entry is closed.
    ending: Option<Ending>,
}

/// What is still to come if the client leaves.
#[derive(Debug, Default)]
struct Ending {
    unseen_tokens: u64,
}

impl OpenEntry {
    /// The id on the bill.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Bills tokens as they are generated.
    pub(crate) fn generate(&mut self, tokens: u64) {
        self.change(|entry| entry.completion_tokens += tokens);
    }

    /// Says how many tokens will be generated, and billed, even if the client leaves now.
    pub(crate) fn owe_on_disconnect(&mut self, tokens: u64) {
        self.ending = Some(Ending { unseen_tokens: tokens });
    }

    /// Closes the entry.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.ending = None;
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        self.change(|entry| {
            entry.outcome = outcome;
            entry.ended_at = Some(clock::now_ms());
        });
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        let mut book = self.bill.0.lock();
        if book.volume == self.volume
            && let Some(entry) = book.entries.get_mut(self.index)
        {
            change(entry);
        }
    }
}

impl Drop for OpenEntry {
    fn drop(&mut self) {
        if let Some(ending) = self.ending.take() {
            self.generate(ending.unseen_tokens);
            self.end(Outcome::Disconnected);
        }
    }
}

/// The bearer token of a request, empty if it has none.
pub(crate) fn bearer(headers: &HeaderMap) -> String {
    let authorization = text(headers, "authorization").unwrap_or_default();
    authorization.strip_prefix("Bearer ").unwrap_or(&authorization).to_owned()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn labels(headers: &HeaderMap) -> BTreeMap<String, String> {
    let labels = headers.iter().filter(|(name, _)| name.as_str().starts_with(LABEL_PREFIX));
    labels
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn a_client_that_leaves_pays_for_what_was_generated() {
        let bill = Bill::default();
        let mut entry =
            bill.open(&headers(&[("x-request-id", "r1"), ("authorization", "Bearer k1")]), "m", 7);
        entry.generate(3);
        drop(entry);
        let statement = bill.statement();
        assert_eq!(statement.entries[0].outcome, Outcome::Disconnected);
        assert_eq!(statement.by_key["k1"], Totals { requests: 1, prompt_tokens: 7, completion_tokens: 3 });
    }

    #[test]
    fn a_provider_that_goes_on_bills_the_rest_too() {
        let bill = Bill::default();
        let mut entry = bill.open(&HeaderMap::new(), "m", 7);
        entry.generate(3);
        entry.owe_on_disconnect(17);
        drop(entry);
        assert_eq!(bill.statement().totals.completion_tokens, 20);
    }

    #[test]
    fn totals_are_kept_by_label() {
        let bill = Bill::default();
        for key in ["a", "b", "a"] {
            let mut entry = bill.open(&headers(&[("x-quorate-key", key)]), "m", 1);
            entry.generate(1);
            entry.close(Outcome::Finished);
        }
        assert_eq!(bill.statement().by_label["x-quorate-key"]["a"].requests, 2);
    }

    #[test]
    fn an_entry_of_a_cleared_bill_changes_nothing() {
        let bill = Bill::default();
        let entry = bill.open(&HeaderMap::new(), "m", 1);
        bill.clear();
        let _other = bill.open(&HeaderMap::new(), "m", 2);
        entry.close(Outcome::Finished);
        assert_eq!(bill.statement().entries[0].outcome, Outcome::Open);
    }
}
