//! The references between objects: that what is named exists, and that everybody is in one organisation.

use crate::table::Before;
use crate::{ApiKey, Catalog, Claim, ObjectId, Owner, Rejection};
use quorate_domain::{Name, Subject};

impl Catalog {
    /// Those whose budgets a request with this key spends: the key, by itself and on the route, its user, team and
    /// organisation, its tags and its end user.
    #[must_use]
    pub fn subjects_of(&self, key: &ApiKey, claim: &Claim) -> Vec<Subject> {
        let owner = &key.spec.owner;
        let mut subjects = Vec::with_capacity(8);
        subjects.push(Subject::Key(key.id));
        subjects.push(Subject::KeyModel(key.id, claim.route.clone()));
        subjects.extend(owner.user.clone().map(Subject::User));
        subjects.extend(self.team_of(owner).cloned().map(Subject::Team));
        subjects.extend(self.organisations_of(owner).next().cloned().map(Subject::Organisation));
        subjects.extend(Self::tags_of(&key.spec, claim));
        subjects.extend(self.end_user_of(key, claim));
        subjects
    }

    /// Whether there is somebody whom a budget for this subject would limit.
    #[must_use]
    pub fn has_subject(&self, subject: &Subject) -> bool {
        match subject {
            // Of an organisation's end users nobody has a list.
            Subject::Organisation(name) | Subject::EndUser(name, _) | Subject::EndUserDefault(name) => {
                self.organisations.contains_key(name)
            }
            Subject::Team(name) => self.teams.contains_key(name),
            Subject::User(name) => self.users.contains_key(name),
            Subject::Key(id) => self.keys.contains_key(id),
            // A tag is there as soon as somebody names it.
            Subject::Tag(_) => true,
            Subject::KeyModel(id, route) => self.keys.contains_key(id) && self.routes.contains_key(route),
        }
    }

    /// Checks an object that a command touched: what it names now, and those that name it.
    pub(crate) fn check_touched(&self, before: &Before) -> Result<(), Rejection> {
        let id = before.id();
        if self.exists(&id) {
            self.check_object(&id)?;
        } else {
            self.check_unused(&id)?;
        }
        match before {
            Before::Team(name, Some(team)) => {
                let moved =
                    self.teams.get(name).is_some_and(|now| now.spec.organisation != team.spec.organisation);
                self.check_members(moved, &id)
            }
            Before::User(name, Some(user)) => {
                let moved = self.users.get(name).is_some_and(|now| now.spec.place() != user.spec.place());
                self.check_members(moved, &id)
            }
            Before::Key(key, Some(former)) if former.is_lasting_admin() && !self.has_lasting_admin() => {
                Err(Rejection::LastAdminKey { key: *key })
            }
            Before::Key(..)
            | Before::Team(..)
            | Before::User(..)
            | Before::Provider(..)
            | Before::Model(..)
            | Before::Route(..)
            | Before::Organisation(..) => Ok(()),
        }
    }

    /// Checks what an object names (invariant C1) and where it belongs (invariant C2).
    pub(crate) fn check_object(&self, id: &ObjectId) -> Result<(), Rejection> {
        if let Some(missing) = self.references_of(id).into_iter().find(|named| !self.exists(named)) {
            return Err(Rejection::Dangling { object: id.clone(), missing });
        }
        self.check_place(id)
    }

    /// Whether anybody could still change the catalogue in a hundred years (invariant C4).
    pub(crate) fn has_lasting_admin(&self) -> bool {
        self.keys.values().any(|key| key.is_lasting_admin())
    }

    /// All objects, in no meaningful order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let providers = self.providers.keys().cloned().map(ObjectId::Provider);
        let models = self.models.keys().cloned().map(ObjectId::Model);
        let routes = self.routes.keys().cloned().map(ObjectId::Route);
        let organisations = self.organisations.keys().cloned().map(ObjectId::Organisation);
        let teams = self.teams.keys().cloned().map(ObjectId::Team);
        let users = self.users.keys().cloned().map(ObjectId::User);
        let keys = self.keys.keys().copied().map(ObjectId::Key);
        providers.chain(models).chain(routes).chain(organisations).chain(teams).chain(users).chain(keys)
    }

    fn exists(&self, id: &ObjectId) -> bool {
        match id {
            ObjectId::Provider(name) => self.providers.contains_key(name),
            ObjectId::Model(name) => self.models.contains_key(name),
            ObjectId::Route(name) => self.routes.contains_key(name),
            ObjectId::Organisation(name) => self.organisations.contains_key(name),
            ObjectId::Team(name) => self.teams.contains_key(name),
            ObjectId::User(name) => self.users.contains_key(name),
            ObjectId::Key(id) => self.keys.contains_key(id),
        }
    }

    fn references_of(&self, id: &ObjectId) -> Vec<ObjectId> {
        match id {
            ObjectId::Provider(_) | ObjectId::Organisation(_) => Vec::new(),
            ObjectId::Model(name) => {
                self.models.get(name).map_or_else(Vec::new, |o| o.spec.references().collect())
            }
            ObjectId::Route(name) => {
                self.routes.get(name).map_or_else(Vec::new, |o| o.spec.references().collect())
            }
            ObjectId::Team(name) => {
                self.teams.get(name).map_or_else(Vec::new, |o| o.spec.references().collect())
            }
            ObjectId::User(name) => {
                self.users.get(name).map_or_else(Vec::new, |o| o.spec.references().collect())
            }
            ObjectId::Key(id) => self.keys.get(id).map_or_else(Vec::new, |key| key.references().collect()),
        }
    }

    fn check_unused(&self, id: &ObjectId) -> Result<(), Rejection> {
        match self.referrers_of(id).next() {
            Some(by) => Err(Rejection::StillUsed { object: id.clone(), by }),
            None => Ok(()),
        }
    }

    /// Checks those who belong to a team or a user that moved to another organisation.
    fn check_members(&self, moved: bool, id: &ObjectId) -> Result<(), Rejection> {
        if !moved {
            return Ok(());
        }
        // A key names its user, and the user a team: the members of a team are two steps away.
        for member in self.referrers_of(id) {
            self.check_place(&member)?;
            self.referrers_of(&member).try_for_each(|key| self.check_place(&key))?;
        }
        Ok(())
    }

    fn referrers_of<'a>(&'a self, id: &'a ObjectId) -> impl Iterator<Item = ObjectId> + 'a {
        let naming = move |mut named: Box<dyn Iterator<Item = ObjectId> + 'a>| named.any(|one| one == *id);
        let models = self.models.iter().filter(move |(_, o)| naming(Box::new(o.spec.references())));
        let routes = self.routes.iter().filter(move |(_, o)| naming(Box::new(o.spec.references())));
        let teams = self.teams.iter().filter(move |(_, o)| naming(Box::new(o.spec.references())));
        let users = self.users.iter().filter(move |(_, o)| naming(Box::new(o.spec.references())));
        let keys = self.keys.iter().filter(move |(_, key)| naming(Box::new(key.references())));
        models
            .map(|(name, _)| ObjectId::Model(name.clone()))
            .chain(routes.map(|(name, _)| ObjectId::Route(name.clone())))
            .chain(teams.map(|(name, _)| ObjectId::Team(name.clone())))
            .chain(users.map(|(name, _)| ObjectId::User(name.clone())))
            .chain(keys.map(|(id, _)| ObjectId::Key(*id)))
    }

    /// Checks that all ways lead to one organisation.
    fn check_place(&self, id: &ObjectId) -> Result<(), Rejection> {
        let place = match id {
            ObjectId::User(name) => self.users.get(name).map(|user| user.spec.place()),
            ObjectId::Key(id) => self.keys.get(id).map(|key| key.spec.owner.clone()),
            ObjectId::Provider(_)
            | ObjectId::Model(_)
            | ObjectId::Route(_)
            | ObjectId::Organisation(_)
            | ObjectId::Team(_) => None,
        };
        let Some(place) = place else { return Ok(()) };
        let mut organisations = self.organisations_of(&place);
        let Some(one) = organisations.next() else { return Ok(()) };
        match organisations.find(|other| *other != one) {
            Some(other) => Err(Rejection::TwoOrganisations {
                object: id.clone(),
                one: one.clone(),
                other: other.clone(),
            }),
            None => Ok(()),
        }
    }

    fn team_of<'a>(&'a self, owner: &'a Owner) -> Option<&'a Name> {
        let of_user = || self.users.get(owner.user.as_ref()?)?.spec.team.as_ref();
        owner.team.as_ref().or_else(of_user)
    }

    /// The organisation by every way there is: the owner's own, the team's, the user's, and the user's team's.
    pub(crate) fn organisations_of<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Name> {
        let of_team = |team: &Name| self.teams.get(team).and_then(|team| team.spec.organisation.as_ref());
        let user = owner.user.as_ref().and_then(|name| self.users.get(name)).map(|user| &user.spec);
        let by_team = self.team_of(owner).and_then(of_team);
        let by_user = user.and_then(|user| user.organisation.as_ref());
        let by_users_team = user.and_then(|user| user.team.as_ref()).and_then(of_team);
        [owner.organisation.as_ref(), by_team, by_user, by_users_team].into_iter().flatten()
    }
}
