//! What is true of every catalogue, after every command.

use crate::{Catalog, ObjectId};
use quorate_domain::{Name, Revision};

/// An invariant that does not hold: a fault in this program, never in a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invariant {id} is broken: {what}")]
pub struct BrokenInvariant {
    /// The invariant's id in `docs/INVARIANTS.md`.
    pub id: &'static str,
    /// What is wrong, and with which object.
    pub what: String,
}

impl Catalog {
    /// Checks everything. Takes time in proportion to the catalogue: for tests, simulation and after a restore.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn validate(&self) -> Result<(), BrokenInvariant> {
        let broken = |id, what: String| Err(BrokenInvariant { id, what });
        for object in self.ids() {
            if let Err(rejection) = self.check_object(&object) {
                return broken("C1", rejection.to_string());
            }
        }
        if let Some((object, revision)) = self.revisions().find(|(_, revision)| *revision > self.revision) {
            return broken("C3", format!("{object} is at {revision}, the catalogue at {}", self.revision));
        }
        if self.foundation.is_some() != self.has_lasting_admin() {
            return broken("C4", "a founded cluster without a lasting admin key".to_owned());
        }
        match self.misfiled() {
            Some(place) => broken("C6", format!("the object kept as {place} bears another name")),
            None => Ok(()),
        }
    }

    fn revisions(&self) -> impl Iterator<Item = (ObjectId, Revision)> + '_ {
        let named = |id: fn(Name) -> ObjectId| {
            move |(name, revision): (&Name, Revision)| (id(name.clone()), revision)
        };
        let providers =
            self.providers.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::Provider));
        let models = self.models.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::Model));
        let routes = self.routes.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::Route));
        let teams = self.teams.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::Team));
        let users = self.users.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::User));
        let organisations =
            self.organisations.iter().map(|(name, o)| (name, o.revision)).map(named(ObjectId::Organisation));
        let keys = self.keys.iter().map(|(id, key)| (ObjectId::Key(*id), key.revision));
        providers.chain(models).chain(routes).chain(organisations).chain(teams).chain(users).chain(keys)
    }

    /// The place of an object that is not kept under its own name.
    fn misfiled(&self) -> Option<String> {
        let mut names = (self.providers.iter().map(|(name, o)| (name, &o.spec.name)))
            .chain(self.models.iter().map(|(name, o)| (name, &o.spec.name)))
            .chain(self.routes.iter().map(|(name, o)| (name, &o.spec.name)))
            .chain(self.organisations.iter().map(|(name, o)| (name, &o.spec.name)))
            .chain(self.teams.iter().map(|(name, o)| (name, &o.spec.name)))
            .chain(self.users.iter().map(|(name, o)| (name, &o.spec.name)));
        let named = names.find(|(place, own)| place != own).map(|(place, _)| place.to_string());
        let mut keys = self.keys.iter().map(|(id, key)| (*id, key.id));
        named.or_else(|| keys.find(|(place, own)| place != own).map(|(place, _)| place.to_string()))
    }
}
