//! The time zones that budgets follow, each as a table that came with a command: to look one up here would give replicas
//! with different databases different windows.

use crate::{Kind, Rejection};
use quorate_domain::{LogTime, TimeZone, UtcOffset, Window, ZoneName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All zones that some budget follows or followed. None is ever removed: there are a few hundred in the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Zones(BTreeMap<ZoneName, TimeZone>);

impl Zones {
    /// Takes a table, unless one that is as new is there: nodes with an older database change nothing.
    pub(crate) fn put(&mut self, zone: TimeZone) {
        if self.0.get(&zone.name).is_none_or(|known| zone.is_newer_than(known)) {
            self.0.insert(zone.name.clone(), zone);
        }
    }

    pub(crate) fn get(&self, name: &ZoneName) -> Option<&TimeZone> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TimeZone> {
        self.0.values()
    }

    /// Refuses what follows a zone of which there is no table.
    pub(crate) fn check(&self, kind: &Kind) -> Result<(), Rejection> {
        match kind.zone() {
            Some(name) if !self.0.contains_key(name) => Err(Rejection::UnknownTimeZone(name.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// The window that contains `at`.
    pub(crate) fn window(&self, kind: &Kind, at: LogTime) -> Window {
        match kind {
            Kind::Lifetime | Kind::Bucket(_) => Window::LIFETIME,
            Kind::Fixed(period) => Window::containing(*period, at),
            Kind::Local(calendar) => calendar.window(&self.zone(calendar.zone()).offsets, at),
        }
    }

    /// The offset of local time from UTC at a time.
    pub(crate) fn offset(&self, kind: &Kind, at: LogTime) -> UtcOffset {
        match kind {
            Kind::Lifetime | Kind::Fixed(_) | Kind::Bucket(_) => UtcOffset::ZERO,
            Kind::Local(calendar) => self.zone(calendar.zone()).offsets.at(at),
        }
    }

    fn zone(&self, name: &ZoneName) -> &TimeZone {
        self.0.get(name).expect("a budget is stored only if its zone is there, and no zone is removed")
    }
}
