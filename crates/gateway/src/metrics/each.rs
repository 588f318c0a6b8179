//! A metric for each value of a label, made at the start: counting needs neither a look-up nor its lock, and every
//! value is shown before anything was counted.

use prometheus_client::metrics::family::Family;
use std::fmt::Debug;
use std::hash::Hash;

/// One metric for each label, in the order in which the labels were given.
#[derive(Debug)]
pub(super) struct Each<L, M> {
    family: Family<L, M, fn() -> M>,
    metrics: Vec<M>,
}

impl<L: Clone + Debug + Eq + Hash, M: Clone> Each<L, M> {
    pub(super) fn new(labels: impl IntoIterator<Item = L>, make: fn() -> M) -> Self {
        let family = Family::new_with_constructor(make);
        let metrics = labels.into_iter().map(|label| family.get_or_create_owned(&label)).collect();
        Self { family, metrics }
    }

    /// The family, to be registered.
    pub(super) fn family(&self) -> Family<L, M, fn() -> M> {
        self.family.clone()
    }

    /// The metric of the label at this place.
    pub(super) fn of(&self, place: usize) -> &M {
        &self.metrics[place]
    }
}
