//! The membership itself: one table, changed by commands alone.

use crate::command::{Admission, Command, Founding, Introduction, Outcome, Rejection};
use crate::{Authority, Certificate, NodeRecord, Profile, Root, RootId, StorageId, TokenId, Tokens};
use quorate_domain::{BootId, ClusterId, LogTime, Name, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The lineage of a cluster that was never recovered.
const FIRST_LINEAGE: u32 = 1;
/// The level of a cluster before it is founded: then it is the highest that its founder knows.
const FIRST_LEVEL: u32 = 1;

/// Who belongs to the cluster, and who may come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    cluster: Option<ClusterId>,
    lineage: u32,
    level: u32,
    last_id: u64,
    nodes: BTreeMap<NodeId, NodeRecord>,
    /// Storages of nodes that were removed.
    retired: BTreeSet<StorageId>,
    tokens: Tokens,
    authority: Option<Authority>,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            cluster: None,
            lineage: FIRST_LINEAGE,
            level: FIRST_LEVEL,
            last_id: 0,
            nodes: BTreeMap::new(),
            retired: BTreeSet::new(),
            tokens: Tokens::default(),
            authority: None,
        }
    }
}

impl Membership {
    /// The cluster, once it is founded.
    #[must_use]
    pub const fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// How often the cluster was recovered from the loss of its quorum, and one: whoever is of an older lineage is out.
    #[must_use]
    pub const fn lineage(&self) -> u32 {
        self.lineage
    }

    /// The level of what is written (docs/adr/0025-levels.md).
    #[must_use]
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// The member with this id.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&node)
    }

    /// Whether the id was given, and its node is no member any more.
    #[must_use]
    pub fn is_gone(&self, node: NodeId) -> bool {
        node.get() <= self.last_id && !self.nodes.contains_key(&node)
    }

    /// All ids that were ever given, also to nodes that have left.
    pub fn ever(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.last_id).map(NodeId::new)
    }

    /// All members, by id.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &NodeRecord)> {
        self.nodes.iter().map(|(id, record)| (*id, record))
    }

    /// The join tokens.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The certificate authority, once the cluster is founded.
    #[must_use]
    pub const fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Applies a command. Total and deterministic.
    pub fn apply(&mut self, at: LogTime, command: Command) -> Outcome {
        let done = match command {
            Command::Found(founding) => return self.found(at, founding),
            Command::Admit(admission) => match self.admit(at, admission) {
                Ok(node) => return Outcome::Admitted(node),
                Err(rejection) => Err(rejection),
            },
            Command::Introduce(introduction) => self.introduce(introduction),
            Command::Remove { node } => self.remove(node),
            Command::CreateToken(new) => self.tokens.create(at, new),
            Command::WithdrawToken { token } => self.tokens.withdraw(token),
            Command::Certify { node, certificate } => self.certify(node, certificate),
            Command::Trust { node, root } => self.trust(node, root),
            Command::Rotate { root } => self.rotate(root),
            Command::Raise { from, to, actor: _, reason: _ } => self.raise(from, to),
        };
        self.advance();
        done.map_or_else(Outcome::Rejected, |()| Outcome::Done)
    }

    fn found(&mut self, at: LogTime, founding: Founding) -> Outcome {
        if let Some(existing) = self.cluster {
            return Outcome::Founded(existing);
        }
        let Founding { cluster, storage, profile, root, starts, boot } = founding;
        self.cluster = Some(cluster);
        self.level = profile.levels.max;
        self.authority = Some(Authority::new(root));
        let node = self.enter(at, (storage, None), profile);
        if let Some(record) = self.nodes.get_mut(&node) {
            (record.starts, record.boot) = (starts, boot);
        }
        Outcome::Founded(cluster)
    }

    fn admit(&mut self, at: LogTime, admission: Admission) -> Result<NodeId, Rejection> {
        let Admission { token, storage, profile } = admission;
        if self.cluster.is_none() {
            return Err(Rejection::NotFounded);
        }
        if self.retired.contains(&storage) {
            return Err(Rejection::Removed);
        }
        if !profile.levels.know(self.level) {
            return Err(Rejection::Level { level: self.level });
        }
        let known = self.nodes.iter().find(|(_, record)| record.storage == storage).map(|(id, _)| *id);
        self.check_name(known, profile.name.as_ref())?;
        if let Some(id) = known {
            // Its first answer was lost, or its certificate has run out: it costs no use.
            self.tokens.check(at, token)?;
            self.note_profile(id, profile);
            return Ok(id);
        }
        self.tokens.spend(at, token)?;
        Ok(self.enter(at, (storage, Some(token)), profile))
    }

    fn enter(
        &mut self,
        since: LogTime,
        (storage, token): (StorageId, Option<TokenId>),
        profile: Profile,
    ) -> NodeId {
        self.last_id += 1;
        let id = NodeId::new(self.last_id);
        let record = NodeRecord {
            storage,
            name: name_of(id, &profile),
            profile,
            since,
            token,
            starts: 0,
            boot: BootId::default(),
            certificate: None,
            trusts: None,
        };
        self.nodes.insert(id, record);
        id
    }

    fn introduce(&mut self, introduction: Introduction) -> Result<(), Rejection> {
        let Introduction { node, storage, starts, boot, profile } = introduction;
        if self.is_gone(node) {
            return Err(Rejection::Removed);
        }
        let record = self.nodes.get(&node).ok_or(Rejection::Unknown(node))?;
        if record.storage != storage {
            return Err(Rejection::OtherStorage { node, storage: record.storage });
        }
        if starts < record.starts {
            return Err(Rejection::RolledBack { starts, known: record.starts });
        }
        if starts == record.starts && boot != record.boot {
            return Err(Rejection::Cloned);
        }
        self.check_name(Some(node), profile.name.as_ref())?;
        self.note_profile(node, profile);
        if let Some(record) = self.nodes.get_mut(&node) {
            (record.starts, record.boot) = (starts, boot);
        }
        Ok(())
    }

    fn check_name(&self, own: Option<NodeId>, name: Option<&Name>) -> Result<(), Rejection> {
        let Some(name) = name else { return Ok(()) };
        let other = self.nodes.iter().find(|(id, record)| record.name == *name && Some(**id) != own);
        other.map_or(Ok(()), |(id, _)| Err(Rejection::NameTaken(*id)))
    }

    fn note_profile(&mut self, id: NodeId, profile: Profile) {
        if let Some(record) = self.nodes.get_mut(&id) {
            record.name = name_of(id, &profile);
            record.profile = profile;
        }
    }

    fn remove(&mut self, node: NodeId) -> Result<(), Rejection> {
        let record = self.nodes.remove(&node).ok_or(Rejection::Unknown(node))?;
        self.retired.insert(record.storage);
        Ok(())
    }

    fn certify(&mut self, node: NodeId, certificate: Certificate) -> Result<(), Rejection> {
        let record = self.nodes.get_mut(&node).ok_or(Rejection::Unknown(node))?;
        record.certificate = Some(certificate);
        Ok(())
    }

    fn trust(&mut self, node: NodeId, root: RootId) -> Result<(), Rejection> {
        let record = self.nodes.get_mut(&node).ok_or(Rejection::Unknown(node))?;
        record.trusts = Some(root);
        Ok(())
    }

    fn rotate(&mut self, root: Root) -> Result<(), Rejection> {
        self.authority.as_mut().ok_or(Rejection::NotFounded)?.begin(root)
    }

    fn raise(&mut self, from: u32, to: u32) -> Result<(), Rejection> {
        let level = self.level;
        // The same command again: its first answer was lost.
        if to == level && from < level {
            return Ok(());
        }
        if from != level {
            return Err(Rejection::LevelMoved { level });
        }
        if to != level + 1 {
            return Err(Rejection::LevelSkipped { level, to });
        }
        let unfit = self.nodes.iter().find(|(_, record)| !record.profile.levels.know(to));
        if let Some((node, record)) = unfit {
            let (node, release) = (*node, record.profile.release.clone());
            return Err(Rejection::LevelUnknown { node, release, to });
        }
        self.level = to;
        Ok(())
    }

    fn advance(&mut self) {
        if let Some(authority) = &mut self.authority {
            authority.advance(self.nodes.values());
        }
    }
}

/// What people call the node: what it says, or its number.
fn name_of(id: NodeId, profile: &Profile) -> Name {
    let numbered = || format!("node-{id}").parse().expect("a word and a number are a name");
    profile.name.clone().unwrap_or_else(numbered)
}

#[cfg(test)]
mod tests;
