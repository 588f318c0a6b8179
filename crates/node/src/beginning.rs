//! What the catalogue and the ledger begin with, as the configuration file says it. The file is tried out on an empty
//! catalogue when it is read, so that the cluster refuses nothing of it later but what contradicts later changes.

use crate::declared::{self, Config};
use crate::problems::Problems;
use crate::reference;
use quorate_catalog::{
    Actor, AllowedModels, ApiKeyText, Apply, Catalog, Change, Command, Expected, Founding, KeySpec, NewKey,
    ObjectId, Outcome, Owner, Pepper, Role, Text,
};
use quorate_domain::{ClusterId, KeyId, LogTime, NodeId, Secret};
use quorate_gateway::admin::Wanted;

/// What the catalogue and the ledger begin with.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// Everything but keys and budgets, in an order in which it can be written.
    pub changes: Vec<Change>,
    /// Keys, by their text.
    pub keys: Vec<(ApiKeyText, KeySpec)>,
    /// Budgets.
    pub budgets: Vec<Wanted>,
}

/// A change and where it stands in the file.
type Placed = (String, Change);

impl Beginning {
    /// Reads it from a file, and tries it out.
    pub(crate) fn read(config: Config, problems: &mut Problems) -> Self {
        let mut trial = founded();
        let mut beginning = Self::default();
        let (declared_keys, budgets) = (config.keys.clone(), config.budgets.clone());
        for (place, change) in changes(config) {
            problems.take(&place, try_out(&mut trial, change.clone()));
            beginning.changes.push(change);
        }
        for (number, declared) in declared_keys.iter().enumerate() {
            let place = format!("keys[{number}]");
            let Some((text, spec)) = key(&place, declared, problems) else { continue };
            if let Some(change) = new_key(&trial, &text, &spec) {
                problems.take(&place, try_out(&mut trial, change));
            }
            beginning.keys.push((text, spec));
        }
        for (number, declared) in budgets.iter().enumerate() {
            let place = format!("budgets[{number}]");
            let checked = declared.wanted().and_then(|wanted| beginning.check_budget(&trial, wanted));
            beginning.budgets.extend(problems.take(&place, checked));
        }
        beginning.check_size(problems);
        beginning
    }

    /// Whether the file begins with nothing at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.keys.is_empty() && self.budgets.is_empty()
    }

    /// The changes that write what the catalogue does not have.
    pub(crate) fn missing_in(&self, catalog: &Catalog) -> Vec<Change> {
        let changes = self.changes.iter().cloned();
        let keys = self.keys.iter().filter_map(|(text, spec)| new_key(catalog, text, spec));
        changes.chain(keys).filter(|change| existing(catalog, change).is_none()).collect()
    }

    fn check_budget(&self, trial: &Catalog, wanted: Wanted) -> Result<Wanted, String> {
        let spec = &wanted.spec;
        let same = |other: &Wanted| {
            (&other.spec.subject, other.spec.unit, &other.spec.kind) == (&spec.subject, spec.unit, &spec.kind)
        };
        if !trial.has_subject(&spec.subject) {
            return Err(format!("{} does not exist, so a budget would limit nobody", spec.subject));
        }
        if self.budgets.iter().any(same) {
            return Err(format!("{} has a budget of this unit and window already", spec.subject));
        }
        Ok(wanted)
    }

    fn check_size(&self, problems: &mut Problems) {
        let count = self.changes.len() + self.keys.len();
        if count > Catalog::CHANGES_MAX {
            let max = Catalog::CHANGES_MAX;
            problems
                .add("the file", format_args!("has {count} objects and keys, at most {max} are possible"));
        }
    }
}

fn changes(config: Config) -> impl Iterator<Item = Placed> {
    use Expected::Any;
    placed("organisations", config.organisations, |spec| Change::PutOrganisation { expected: Any, spec })
        .chain(placed("teams", config.teams, |spec| Change::PutTeam { expected: Any, spec }))
        .chain(placed("users", config.users, |spec| Change::PutUser { expected: Any, spec }))
        .chain(placed("providers", config.providers, |spec| Change::PutProvider { expected: Any, spec }))
        .chain(placed("models", config.models, |spec| Change::PutModel { expected: Any, spec }))
        .chain(placed("routes", config.routes, |spec| Change::PutRoute { expected: Any, spec }))
}

fn placed<S>(table: &'static str, specs: Vec<S>, change: fn(S) -> Change) -> impl Iterator<Item = Placed> {
    let specs = specs.into_iter().enumerate();
    specs.map(move |(number, spec)| (format!("{table}[{number}]"), change(spec)))
}

fn key(place: &str, declared: &declared::Key, problems: &mut Problems) -> Option<(ApiKeyText, KeySpec)> {
    let label = problems.take(&format!("{place}.label"), Text::parse(&declared.label));
    let secret = problems.take(&format!("{place}.secret"), reference::resolve(&declared.secret))?;
    let text = problems.take(&format!("{place}.secret"), ApiKeyText::parse(secret.expose()))?;
    let spec = KeySpec {
        label,
        owner: Owner {
            organisation: declared.organisation.clone(),
            team: declared.team.clone(),
            user: declared.user.clone(),
        },
        allowed_models: match &declared.allowed_models {
            Some(routes) => AllowedModels::Only(routes.iter().cloned().collect()),
            None => AllowedModels::All,
        },
        expires_at: None,
        without_quorum: declared.without_quorum,
        on_revocation: declared.on_revocation,
        tags: declared.tags.clone(),
        request_tags: declared.request_tags.clone(),
        end_user: declared.end_user,
    };
    Some((text, spec))
}

fn new_key(catalog: &Catalog, text: &ApiKeyText, spec: &KeySpec) -> Option<Change> {
    let digest = catalog.digest(text.expose())?;
    Some(Change::CreateKey(NewKey { id: text.id(), role: Role::Client, spec: spec.clone(), digest }))
}

/// A cluster with nothing in it but somebody who may change it.
fn founded() -> Catalog {
    let pepper = Secret::new([0; 32]);
    let admin_digest = Pepper::new(pepper.clone()).digest("");
    let founding = Founding { cluster: ClusterId::new(0), admin: KeyId::new(0), admin_digest, pepper };
    let mut catalog = Catalog::default();
    catalog.apply(LogTime::from_millis(0), Command::Found(founding));
    catalog
}

fn try_out(trial: &mut Catalog, change: Change) -> Result<(), String> {
    if let Some(object) = existing(trial, &change) {
        return Err(format!("{object} is there twice"));
    }
    let apply = Apply { actor: Actor::Node(NodeId::new(0)), reason: None, changes: vec![change] };
    match trial.apply(LogTime::from_millis(0), Command::Apply(apply)) {
        Outcome::Applied { .. } => Ok(()),
        Outcome::Rejected(rejection) => Err(rejection.to_string()),
    }
}

/// The object that a change would make, if the catalogue has it.
fn existing(catalog: &Catalog, change: &Change) -> Option<ObjectId> {
    let (object, exists) = match change {
        Change::PutProvider { spec, .. } => {
            (ObjectId::Provider(spec.name.clone()), catalog.providers().contains_key(&spec.name))
        }
        Change::PutModel { spec, .. } => {
            (ObjectId::Model(spec.name.clone()), catalog.models().contains_key(&spec.name))
        }
        Change::PutRoute { spec, .. } => {
            (ObjectId::Route(spec.name.clone()), catalog.routes().contains_key(&spec.name))
        }
        Change::PutOrganisation { spec, .. } => {
            (ObjectId::Organisation(spec.name.clone()), catalog.organisations().contains_key(&spec.name))
        }
        Change::PutTeam { spec, .. } => {
            (ObjectId::Team(spec.name.clone()), catalog.teams().contains_key(&spec.name))
        }
        Change::PutUser { spec, .. } => {
            (ObjectId::User(spec.name.clone()), catalog.users().contains_key(&spec.name))
        }
        Change::CreateKey(new) => (ObjectId::Key(new.id), catalog.keys().contains_key(&new.id)),
        Change::DeleteProvider { .. }
        | Change::DeleteModel { .. }
        | Change::DeleteRoute { .. }
        | Change::DeleteOrganisation { .. }
        | Change::DeleteTeam { .. }
        | Change::DeleteUser { .. }
        | Change::UpdateKey { .. }
        | Change::RotateKey { .. }
        | Change::RevokeKey { .. } => return None,
    };
    exists.then_some(object)
}
