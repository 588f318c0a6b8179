//! Which of the states that matter were really reached. A run of many seeds that misses one has shown nothing about it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// States that matter: all of them can be named.
pub trait Reachable: Copy + Ord + fmt::Debug + 'static {
    /// All of them.
    const ALL: &'static [Self];
}

/// The states that matter to one simulator, as `Reached`.
#[macro_export]
macro_rules! reachable {
    ($($(#[$doc:meta])* $state:ident),* $(,)?) => {
        /// A state that matters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Reached { $($(#[$doc])* $state),* }

        impl $crate::Reachable for Reached {
            const ALL: &'static [Self] = &[$(Self::$state),*];
        }
    };
}

/// How often each state was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage<S: Ord>(BTreeMap<S, u64>);

impl<S: Ord> Default for Coverage<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Reachable> Coverage<S> {
    /// A state was reached once more.
    pub fn reach(&mut self, state: S) {
        self.reach_times(state, 1);
    }

    /// A state was reached so many times more.
    pub fn reach_times(&mut self, state: S, times: u64) {
        *self.0.entry(state).or_default() += times;
    }

    /// How often a state was reached.
    #[must_use]
    pub fn count(&self, state: S) -> u64 {
        self.0.get(&state).copied().unwrap_or(0)
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(state, count)| self.reach_times(*state, *count));
    }

    /// States that were never reached.
    #[must_use]
    pub fn missing(&self) -> Vec<S> {
        S::ALL.iter().copied().filter(|state| self.count(*state) == 0).collect()
    }
}

impl<S: Reachable> fmt::Display for Coverage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for state in S::ALL {
            writeln!(f, "  {:<28}{:>12}", format!("{state:?}"), self.count(*state))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reached::Reached;

    #[test]
    fn what_was_not_reached_is_missing() {
        let mut coverage = Coverage::default();
        let but_one = Reached::ALL.iter().filter(|state| **state != Reached::Clamped);
        but_one.for_each(|state| coverage.reach(*state));
        assert_eq!(coverage.missing(), [Reached::Clamped]);
        coverage.reach(Reached::Clamped);
        assert_eq!(coverage.missing(), []);
    }
}
