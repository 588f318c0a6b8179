//! Everything that is wrong with a configuration file, collected before the first of it is told.

use std::fmt;

/// What is wrong, each with its place in the file.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl Problems {
    pub(crate) fn add(&mut self, place: &str, problem: impl fmt::Display) {
        self.0.push(format!("{place}: {problem}"));
    }

    /// The value, or nothing and one problem more.
    pub(crate) fn take<T, E: fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(place, problem)).ok()
    }
}
