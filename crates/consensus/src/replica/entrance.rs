//! The node's place in a cluster: found again on its disk, made, or asked for.

use super::error::StartError;
use super::identity::{Identity, Place};
use super::join::{self, Newcomer};
use super::settings::{Settings, Start};
use crate::host::{self, Host};
use crate::store::{LogStore, StoreError};
use crate::transport::Joined;
use crate::trust::{self, Held, Keyring, Lifetime};
use quorate_domain::{Clock, ClusterId, NodeId};
use quorate_membership::{FIRST_LINEAGE, JoinToken, Profile, StorageId};
use std::sync::Arc;

/// The first node of a cluster.
const FOUNDER: NodeId = NodeId::new(1);

/// Where a node belongs, and what proves it.
pub(super) struct Settled {
    pub(super) storage: StorageId,
    pub(super) starts: u64,
    pub(super) place: Place,
    pub(super) keyring: Keyring,
}

/// Who enters.
pub(super) struct Entrant<'a> {
    pub(super) host: &'a Host,
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) profile: &'a Profile,
    pub(super) log: &'a LogStore,
}

impl Entrant<'_> {
    /// Finds or makes the node's place in a cluster, and counts this start.
    pub(super) async fn settle(self, start: Start) -> Result<Settled, StartError> {
        let identity = self.begin()?;
        let Identity { storage, place, starts } = identity;
        let (place, keyring) = match (place, start) {
            (Some(place), Start::Join(token)) if token.cluster != place.cluster => {
                let (own, other) = (place.cluster, token.cluster);
                return Err(StartError::OtherCluster { own, other });
            }
            (Some(place), Start::Join(token)) => self.resume_with(place, storage, &token).await?,
            (Some(place), Start::Found | Start::Resume) => (place, self.keyring()?),
            (None, Start::Resume) => return Err(StartError::NoIdentity),
            (None, Start::Found) => self.found()?,
            (None, Start::Join(token)) => self.join(storage, &token).await?,
        };
        self.keep(&Identity { storage, place: Some(place), starts })?;
        Ok(Settled { storage, starts, place, keyring })
    }

    /// Counts the start of a directory, also of one that is used for the first time.
    fn begin(&self) -> Result<Identity, StartError> {
        let known = Identity::load_from(&*self.host.disk, &self.settings.dir)?;
        let mut identity = match known {
            Some(identity) => {
                self.log.must_be_old()?;
                identity
            }
            None => Identity { storage: StorageId::new(random()?), place: None, starts: 0 },
        };
        identity.starts += 1;
        self.keep(&identity)?;
        Ok(identity)
    }

    fn keep(&self, identity: &Identity) -> Result<(), StartError> {
        Ok(identity.store(&*self.host.disk, &self.settings.dir)?)
    }

    fn keyring(&self) -> Result<Keyring, StartError> {
        let dir = &self.settings.dir;
        let missing =
            || StoreError::Corrupt { dir: dir.clone(), cause: "its certificate is missing".to_owned() };
        Ok(Keyring::load(&self.host.disk, dir, self.clock)?.ok_or_else(missing)?)
    }

    /// Goes on with what the node holds, unless that has run out while it was away: then the token gets it another certificate.
    async fn resume_with(
        &self,
        place: Place,
        storage: StorageId,
        token: &JoinToken,
    ) -> Result<(Place, Keyring), StartError> {
        let keyring = self.keyring()?;
        let held = keyring.held();
        let is_good = held.until > self.clock.wall() && held.trusts(token.root);
        if is_good {
            return Ok((place, keyring));
        }
        let (joined, keyring) = self.join(storage, token).await?;
        Ok((Place { founder: place.founder, ..joined }, keyring))
    }

    fn found(&self) -> Result<(Place, Keyring), StartError> {
        let now = self.clock.wall();
        let cluster = ClusterId::new(random()?);
        let root = trust::root(cluster, draw()?, now)?;
        let key = draw()?;
        let life = Lifetime { since: now, until: now.plus(self.settings.certificates) };
        let certificate = trust::sign(&root, (cluster, FOUNDER), trust::public(&key)?, life)?;
        let held = Held {
            key,
            certificate,
            issuer: root.certificate.clone(),
            since: life.since,
            until: life.until,
            roots: vec![root.certificate.clone()],
            founding: Some(root),
        };
        Ok((Place { cluster, node: FOUNDER, founder: true, lineage: FIRST_LINEAGE }, self.hold(held)?))
    }

    async fn join(&self, storage: StorageId, token: &JoinToken) -> Result<(Place, Keyring), StartError> {
        let key = draw()?;
        let newcomer = Newcomer { storage, profile: self.profile.clone(), key: trust::public(&key)? };
        let network = Arc::clone(&self.host.network);
        let (clock, max) = (self.clock, self.settings.machine.clock_skew_max);
        let joined = join::join(network, token, newcomer, (clock, max)).await?;
        let Joined { node, certified, roots, wall: _, lineage } = joined;
        let held = Held {
            key,
            certificate: certified.certificate,
            issuer: certified.issuer,
            since: certified.since,
            until: certified.until,
            roots,
            founding: None,
        };
        Ok((Place { cluster: token.cluster, node, founder: false, lineage }, self.hold(held)?))
    }

    fn hold(&self, held: Held) -> Result<Keyring, StartError> {
        Ok(Keyring::create(held, (&self.host.disk, &self.settings.dir, self.clock))?)
    }
}

/// What the node says of itself.
pub(super) fn profile(settings: &Settings, address: String) -> Profile {
    Profile {
        name: settings.name.clone(),
        zone: settings.zone.clone(),
        peer_address: address,
        admin_address: settings.admin_address.clone(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        levels: settings.levels,
    }
}

fn draw() -> Result<trust::KeySeed, StartError> {
    trust::draw().map_err(|error| StartError::Random(error.to_string()))
}

fn random() -> Result<u64, StartError> {
    host::random().map_err(|error| StartError::Random(error.to_string()))
}
