//! Applying a command: every change in turn, then the references of all of them; on a refusal, everything back.

use crate::table::{Before, Spec};
use crate::{
    ApiKey, Apply, Catalog, Change, Command, Digest, Expected, Foundation, Founding, KeySpec, KeyState,
    NewKey, Object, ObjectId, Outcome, Pepper, Rejection, Role,
};
use quorate_domain::{ClusterId, KeyId, LogTime, Name, Revision, Span};
use std::sync::Arc;

impl Catalog {
    /// The most changes of one command, so that a log entry stays small.
    pub const CHANGES_MAX: usize = 1_000;
    /// The longest time for which the text before a rotation may stay valid: 90 days.
    pub const OVERLAP_MAX: Span = Span::from_millis(90 * 24 * 60 * 60 * 1_000);

    /// Applies one committed command. Total and deterministic: the same log gives the same catalogue on every node.
    /// A rejected command leaves the catalogue untouched (invariant C5).
    pub fn apply(&mut self, at: LogTime, command: Command) -> Outcome {
        let done = match command {
            Command::Found(founding) => self.found(at, founding),
            Command::Apply(Apply { actor: _, reason: _, changes }) => self.apply_all(at, changes),
            Command::GoOn { cluster, left_out } => self.go_on(cluster, left_out),
        };
        match done {
            Ok(revision) => Outcome::Applied { revision },
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    fn found(&mut self, at: LogTime, founding: Founding) -> Result<Revision, Rejection> {
        let Founding { cluster, pepper, admin, admin_digest } = founding;
        if let Some(foundation) = &self.foundation {
            let again = foundation.cluster == cluster && self.keys.contains_key(&admin);
            return if again {
                Ok(self.revision)
            } else {
                Err(Rejection::AlreadyFounded { cluster: foundation.cluster })
            };
        }
        self.revision = self.revision.next();
        self.foundation = Some(Foundation { cluster, at, pepper: Pepper::new(pepper) });
        let new = NewKey { id: admin, role: Role::Admin, spec: KeySpec::default(), digest: admin_digest };
        self.keys.insert(admin, Arc::new(new.born(at, self.revision)));
        Ok(self.revision)
    }

    fn go_on(&mut self, cluster: Option<ClusterId>, left_out: u64) -> Result<Revision, Rejection> {
        let foundation = self.foundation.as_mut().ok_or(Rejection::NotFounded)?;
        foundation.cluster = cluster.unwrap_or(foundation.cluster);
        self.revision = Revision::new(self.revision.get().saturating_add(left_out));
        Ok(self.revision)
    }

    fn apply_all(&mut self, at: LogTime, changes: Vec<Change>) -> Result<Revision, Rejection> {
        if self.foundation.is_none() {
            return Err(Rejection::NotFounded);
        }
        if changes.len() > Self::CHANGES_MAX {
            return Err(Rejection::TooManyChanges {
                count: changes.len() as u64,
                max: Self::CHANGES_MAX as u64,
            });
        }
        let revision = self.revision.next();
        let mut attempt = Attempt { catalog: self, at, revision, touched: Vec::new() };
        match attempt.run(changes) {
            Ok(()) => Ok(attempt.keep()),
            Err(rejection) => {
                attempt.undo();
                Err(rejection)
            }
        }
    }
}

impl NewKey {
    fn born(self, at: LogTime, revision: Revision) -> ApiKey {
        let Self { id, role, spec, digest } = self;
        let loosest = spec.without_quorum;
        let state = KeyState::Active;
        ApiKey { id, role, spec, state, digest, loosest, revision, created_at: at, updated_at: at }
    }
}

/// A command under way. Ends in [`Attempt::keep`] or [`Attempt::undo`].
struct Attempt<'a> {
    catalog: &'a mut Catalog,
    at: LogTime,
    revision: Revision,
    touched: Vec<Before>,
}

impl Attempt<'_> {
    fn run(&mut self, changes: Vec<Change>) -> Result<(), Rejection> {
        changes.into_iter().try_for_each(|change| self.change(change))?;
        self.touched.iter().try_for_each(|before| self.catalog.check_touched(before))
    }

    fn keep(self) -> Revision {
        if !self.touched.is_empty() {
            self.catalog.revision = self.revision;
        }
        self.catalog.revision
    }

    fn undo(self) {
        self.touched.into_iter().rev().for_each(|before| before.restore(self.catalog));
    }

    fn change(&mut self, change: Change) -> Result<(), Rejection> {
        match change {
            Change::PutProvider { expected, spec } => self.put(expected, spec),
            Change::DeleteProvider { expected, name } => self.delete::<crate::ProviderSpec>(expected, name),
            Change::PutModel { expected, spec } => self.put(expected, spec),
            Change::DeleteModel { expected, name } => self.delete::<crate::ModelSpec>(expected, name),
            Change::PutRoute { expected, spec } => self.put(expected, spec),
            Change::DeleteRoute { expected, name } => self.delete::<crate::RouteSpec>(expected, name),
            Change::PutOrganisation { expected, spec } => self.put(expected, spec),
            Change::DeleteOrganisation { expected, name } => {
                self.delete::<crate::OrganisationSpec>(expected, name)
            }
            Change::PutTeam { expected, spec } => self.put(expected, spec),
            Change::DeleteTeam { expected, name } => self.delete::<crate::TeamSpec>(expected, name),
            Change::PutUser { expected, spec } => self.put(expected, spec),
            Change::DeleteUser { expected, name } => self.delete::<crate::UserSpec>(expected, name),
            Change::CreateKey(new) => self.create_key(new),
            Change::UpdateKey { id, expected, spec } => self.update_key(id, expected, spec),
            Change::RotateKey { id, expected, digest, overlap } => {
                self.rotate_key(id, expected, digest, overlap)
            }
            Change::RevokeKey { id, expected } => self.revoke_key(id, expected),
        }
    }

    fn put<S: Spec>(&mut self, expected: Expected, spec: S) -> Result<(), Rejection> {
        let name = spec.name().clone();
        let before = S::table(self.catalog).get(&name).cloned();
        expected.check(S::id(name.clone()), before.as_ref().map(|object| object.revision))?;
        spec.check()?;
        let spec = spec.keeping(before.as_ref().map(|object| &object.spec))?;
        if before.as_ref().is_some_and(|object| object.spec == spec) {
            return Ok(());
        }
        let created_at = before.as_ref().map_or(self.at, |object| object.created_at);
        let object = Object { spec, revision: self.revision, created_at, updated_at: self.at };
        S::table_mut(self.catalog).insert(name.clone(), Arc::new(object));
        self.touched.push(S::before(name, before));
        Ok(())
    }

    fn delete<S: Spec>(&mut self, expected: Expected, name: Name) -> Result<(), Rejection> {
        let object = S::id(name.clone());
        let before = S::table(self.catalog).get(&name).cloned();
        let Some(found) = before.as_ref() else { return Err(Rejection::Missing { object }) };
        expected.check(object, Some(found.revision))?;
        S::table_mut(self.catalog).remove(&name);
        self.touched.push(S::before(name, before));
        Ok(())
    }

    fn create_key(&mut self, new: NewKey) -> Result<(), Rejection> {
        let key = new.id;
        if let Some(existing) = self.catalog.keys.get(&key) {
            // The same command twice, as after an answer that was lost: the first one counts.
            let again =
                existing.digest == new.digest && existing.role == new.role && existing.spec == new.spec;
            return if again { Ok(()) } else { Err(Rejection::AlreadyExists { object: ObjectId::Key(key) }) };
        }
        let born = new.born(self.at, self.revision);
        if born.has_expired_at(self.at) {
            return Err(Rejection::ExpiredAtBirth { key });
        }
        self.write_key(born);
        Ok(())
    }

    fn update_key(&mut self, id: KeyId, expected: Expected, spec: KeySpec) -> Result<(), Rejection> {
        let before = self.living_key(id, expected)?;
        if before.spec != spec {
            let loosest = before.loosest.max(spec.without_quorum);
            self.write_key(ApiKey { spec, loosest, ..self.next_version(&before) });
        }
        Ok(())
    }

    fn rotate_key(
        &mut self,
        id: KeyId,
        expected: Expected,
        digest: Digest,
        overlap: Span,
    ) -> Result<(), Rejection> {
        let before = self.catalog.keys.get(&id).cloned();
        if before.is_some_and(|key| key.digest == digest && !key.is_revoked()) {
            return Ok(());
        }
        let before = self.living_key(id, expected)?;
        if overlap > Catalog::OVERLAP_MAX {
            return Err(Rejection::OverlapTooLong { overlap, max: Catalog::OVERLAP_MAX });
        }
        let state = if overlap == Span::from_millis(0) {
            KeyState::Active
        } else {
            KeyState::Rotating { old: before.digest, until: self.at.plus(overlap) }
        };
        self.write_key(ApiKey { digest, state, ..self.next_version(&before) });
        Ok(())
    }

    fn revoke_key(&mut self, id: KeyId, expected: Expected) -> Result<(), Rejection> {
        if self.catalog.keys.get(&id).is_some_and(|key| key.is_revoked()) {
            return Ok(());
        }
        let before = self.living_key(id, expected)?;
        self.write_key(ApiKey { state: KeyState::Revoked { at: self.at }, ..self.next_version(&before) });
        Ok(())
    }

    fn living_key(&self, id: KeyId, expected: Expected) -> Result<Arc<ApiKey>, Rejection> {
        let object = ObjectId::Key(id);
        let Some(key) = self.catalog.keys.get(&id) else { return Err(Rejection::Missing { object }) };
        if key.is_revoked() {
            return Err(Rejection::KeyRevoked { key: id });
        }
        expected.check(object, Some(key.revision))?;
        Ok(Arc::clone(key))
    }

    fn next_version(&self, before: &ApiKey) -> ApiKey {
        ApiKey { revision: self.revision, updated_at: self.at, ..before.clone() }
    }

    fn write_key(&mut self, key: ApiKey) {
        let id = key.id;
        let before = self.catalog.keys.insert(id, Arc::new(key));
        self.touched.push(Before::Key(id, before));
    }
}

#[cfg(test)]
mod tests;
