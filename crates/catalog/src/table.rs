//! What the six kinds of named objects have in common, so that putting and deleting is written once.

use crate::{
    ApiKey, Catalog, ModelSpec, Object, ObjectId, OrganisationSpec, ProviderSpec, Rejection, RouteSpec,
    TeamSpec, UserSpec,
};
use quorate_domain::{KeyId, Name};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All objects of one kind.
pub(crate) type Table<S> = BTreeMap<Name, Arc<Object<S>>>;

/// A kind of named object.
pub(crate) trait Spec: Clone + PartialEq {
    fn name(&self) -> &Name;
    fn id(name: Name) -> ObjectId;
    fn table(catalog: &Catalog) -> &Table<Self>;
    fn table_mut(catalog: &mut Catalog) -> &mut Table<Self>;
    fn before(name: Name, object: Option<Arc<Object<Self>>>) -> Before;

    /// The rules that need nothing but the object itself.
    fn check(&self) -> Result<(), Rejection> {
        Ok(())
    }

    /// The object with what it keeps of the version before.
    fn keeping(self, _before: Option<&Self>) -> Result<Self, Rejection> {
        Ok(self)
    }
}

/// An object as it was before a command touched it: what undoing the command puts back.
pub(crate) enum Before {
    Provider(Name, Option<Arc<Object<ProviderSpec>>>),
    Model(Name, Option<Arc<Object<ModelSpec>>>),
    Route(Name, Option<Arc<Object<RouteSpec>>>),
    Organisation(Name, Option<Arc<Object<OrganisationSpec>>>),
    Team(Name, Option<Arc<Object<TeamSpec>>>),
    User(Name, Option<Arc<Object<UserSpec>>>),
    Key(KeyId, Option<Arc<ApiKey>>),
}

impl Before {
    /// Which object it was.
    pub(crate) fn id(&self) -> ObjectId {
        match self {
            Self::Provider(name, _) => ObjectId::Provider(name.clone()),
            Self::Model(name, _) => ObjectId::Model(name.clone()),
            Self::Route(name, _) => ObjectId::Route(name.clone()),
            Self::Organisation(name, _) => ObjectId::Organisation(name.clone()),
            Self::Team(name, _) => ObjectId::Team(name.clone()),
            Self::User(name, _) => ObjectId::User(name.clone()),
            Self::Key(id, _) => ObjectId::Key(*id),
        }
    }

    /// Puts the object back.
    pub(crate) fn restore(self, catalog: &mut Catalog) {
        match self {
            Self::Provider(name, object) => put_back(&mut catalog.providers, name, object),
            Self::Model(name, object) => put_back(&mut catalog.models, name, object),
            Self::Route(name, object) => put_back(&mut catalog.routes, name, object),
            Self::Organisation(name, object) => put_back(&mut catalog.organisations, name, object),
            Self::Team(name, object) => put_back(&mut catalog.teams, name, object),
            Self::User(name, object) => put_back(&mut catalog.users, name, object),
            Self::Key(id, key) => put_back(&mut catalog.keys, id, key),
        }
    }
}

fn put_back<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
}

/// The parts of [`Spec`] that are the same for every kind, and after them those that are not.
macro_rules! spec {
    ($spec:ty, $variant:ident, $table:ident $(, $own:item)*) => {
        impl Spec for $spec {
            fn name(&self) -> &Name {
                &self.name
            }

            fn id(name: Name) -> ObjectId {
                ObjectId::$variant(name)
            }

            fn table(catalog: &Catalog) -> &Table<Self> {
                &catalog.$table
            }

            fn table_mut(catalog: &mut Catalog) -> &mut Table<Self> {
                &mut catalog.$table
            }

            fn before(name: Name, object: Option<Arc<Object<Self>>>) -> Before {
                Before::$variant(name, object)
            }

            $($own)*
        }
    };
}

spec!(
    ProviderSpec,
    Provider,
    providers,
    fn check(&self) -> Result<(), Rejection> {
        self.check()
    },
    fn keeping(self, before: Option<&Self>) -> Result<Self, Rejection> {
        self.unmasked(before)
    }
);
spec!(
    ModelSpec,
    Model,
    models,
    fn check(&self) -> Result<(), Rejection> {
        self.check()
    }
);
spec!(
    RouteSpec,
    Route,
    routes,
    fn check(&self) -> Result<(), Rejection> {
        self.check()
    }
);
spec!(OrganisationSpec, Organisation, organisations);
spec!(TeamSpec, Team, teams);
spec!(UserSpec, User, users);
