//! Routes: the model names that clients use, and the models behind them.

use crate::{Object, ObjectId, Rejection};
use quorate_domain::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A route as the catalogue keeps it.
pub type Route = Object<RouteSpec>;

/// A route as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// The model name that clients ask for.
    pub name: Name,
    /// Which target comes first.
    #[serde(default)]
    pub strategy: Strategy,
    /// The models behind the name. After the first choice the others are fallbacks, in this order.
    pub targets: Vec<Target>,
}

/// How the first target of a request is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The first one, always.
    #[default]
    Ordered,
    /// By lot, in proportion to the weights. A target of weight zero is only ever a fallback.
    Weighted,
}

/// A model behind a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The model.
    pub model: Name,
    /// Its share under [`Strategy::Weighted`].
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

impl RouteSpec {
    /// The most targets of a route: each is one more attempt that a client may have to wait for.
    pub const TARGETS_MAX: usize = 16;

    pub(crate) fn check(&self) -> Result<(), Rejection> {
        let route = || self.name.clone();
        if self.targets.is_empty() || self.targets.len() > Self::TARGETS_MAX {
            return Err(Rejection::TargetCount { route: route(), max: Self::TARGETS_MAX as u64 });
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.targets.iter().find(|target| !seen.insert(&target.model)) {
            return Err(Rejection::TargetTwice { route: route(), model: twice.model.clone() });
        }
        if self.strategy == Strategy::Weighted && self.targets.iter().all(|target| target.weight == 0) {
            return Err(Rejection::NoWeight { route: route() });
        }
        Ok(())
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.targets.iter().map(|target| ObjectId::Model(target.model.clone()))
    }
}
