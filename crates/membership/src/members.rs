//! The membership itself: one table, changed by commands alone.

use crate::command::{Admission, Command, Founding, Introduction, Outcome, Rejection};
use crate::seats::Ballot;
use crate::{
    Authority, AutopilotSettings, By, Certificate, Events, Fence, Named, NodeRecord, Profile, Root, RootId,
    Standing, StorageId, Successor, TokenId, Tokens, What,
};
use quorate_domain::{BootId, ClusterId, LogTime, Name, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The lineage of a cluster that was never recovered.
pub const FIRST_LINEAGE: u32 = 1;
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
    /// Raised by whatever could make a plan untrue.
    revision: u64,
    /// Who should vote. Raft's membership follows.
    voters: BTreeSet<NodeId>,
    autopilot: AutopilotSettings,
    events: Events,
    fence: Fence,
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
            revision: 0,
            voters: BTreeSet::new(),
            autopilot: AutopilotSettings::default(),
            events: Events::default(),
            fence: Fence::default(),
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

    /// The member that is called so.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().find(|(_, record)| record.name.as_str() == name).map(|(id, _)| *id)
    }

    /// What plans are made at: raised by each change of standing, seats, members or settings.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Who should vote.
    #[must_use]
    pub const fn voters(&self) -> &BTreeSet<NodeId> {
        &self.voters
    }

    /// What the autopilot goes by.
    #[must_use]
    pub const fn autopilot(&self) -> &AutopilotSettings {
        &self.autopilot
    }

    /// The latest changes.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
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

    /// Who was left behind when the cluster was recovered.
    #[must_use]
    pub const fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Applies a command. Total and deterministic.
    pub fn apply(&mut self, at: LogTime, command: Command) -> Outcome {
        let done = match command {
            Command::Found(founding) => return self.found(at, founding),
            Command::Admit(admission) => match self.admit(at, admission) {
                Ok(node) => return Outcome::Admitted(node),
                Err(rejection) => Err(rejection),
            },
            Command::Introduce(introduction) => self.introduce(at, introduction),
            Command::CreateToken(new) => self.tokens.create(at, new),
            Command::WithdrawToken { token } => self.tokens.withdraw(token),
            Command::Certify { node, certificate } => self.certify(node, certificate),
            Command::Trust { node, root } => self.trust(node, root),
            Command::Rotate { root } => self.rotate(root),
            Command::Raise { from, to, actor, reason } => self.raise((at, By { actor, reason }), from, to),
            Command::Change(order) => self.order(at, order),
            Command::Report { node, boot, report } => self.report(at, (node, boot), report),
            Command::Recover(recovery) => self.recover(at, recovery),
            Command::Refound(founding) => return self.refound(at, founding),
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
        self.voters.insert(node);
        self.note_own(at, node, What::Founded);
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
        if let Some(id) = known {
            // Its first answer was lost, or its certificate has run out: it costs no use.
            self.check_name(Some(id), profile.name.as_ref())?;
            self.tokens.check(at, token)?;
            self.note_profile(id, profile);
            return Ok(id);
        }
        let old = self.place_for(&profile);
        self.check_fresh(old, &profile)?;
        self.tokens.spend(at, token)?;
        Ok(self.settle(at, (storage, token), profile, old))
    }

    /// Enters a newcomer, in the place of another if it comes for that.
    fn settle(
        &mut self,
        at: LogTime,
        (storage, token): (StorageId, TokenId),
        profile: Profile,
        old: Option<NodeId>,
    ) -> NodeId {
        self.revision += 1;
        let before = old.and_then(|old| self.named(old));
        // The name goes over at once: whoever asks for it means the machine that works.
        if let Some(old) = old
            && let Some(record) =
                self.nodes.get_mut(&old).filter(|record| profile.name.as_ref() == Some(&record.name))
        {
            record.name = numbered(old);
        }
        let node = self.enter(at, (storage, Some(token)), profile);
        if let Some(record) = self.nodes.get_mut(&node) {
            record.replaces = old;
        }
        match before {
            Some(before) => self.note_own(at, node, |node| What::AdmittedFor(node, before)),
            None => self.note_own(at, node, What::Admitted),
        }
        node
    }

    /// The member whose place this newcomer comes for: one that is to be replaced, and that nobody replaces yet.
    fn place_for(&self, profile: &Profile) -> Option<NodeId> {
        let is_free = |old: &NodeId| !self.nodes.values().any(|record| record.replaces == Some(*old));
        let places = || self.nodes.iter().filter(|(id, record)| record.replaced.is_some() && is_free(id));
        let is_same = |record: &NodeRecord| {
            profile.name.as_ref() == Some(&record.name) || profile.peer_address == record.profile.peer_address
        };
        let namesake = places().find(|(_, record)| is_same(record));
        let any = || places().find(|(_, record)| record.replaced == Some(Successor::Anyone));
        namesake.or_else(any).map(|(id, _)| *id)
    }

    /// A fresh directory under the name or at the address of a member was wiped: that member's place is not given away in silence.
    fn check_fresh(&self, old: Option<NodeId>, profile: &Profile) -> Result<(), Rejection> {
        self.check_name(old, profile.name.as_ref())?;
        let is_there = |record: &NodeRecord| record.profile.peer_address == profile.peer_address;
        let taken = self.nodes.iter().find(|(id, record)| Some(**id) != old && is_there(record));
        taken.map_or(Ok(()), |(id, _)| Err(Rejection::AddressTaken(*id)))
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
            standing: Standing::Serving,
            ballot: Ballot::Free,
            replaced: None,
            replaces: None,
        };
        self.nodes.insert(id, record);
        id
    }

    fn introduce(&mut self, at: LogTime, introduction: Introduction) -> Result<(), Rejection> {
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
        let (is_new_start, was_serving) = (starts > record.starts, record.standing.is_serving());
        if !self.gave_its_name_away(node, profile.name.as_ref()) {
            self.check_name(Some(node), profile.name.as_ref())?;
            self.note_profile(node, profile);
        }
        if let Some(record) = self.nodes.get_mut(&node) {
            (record.starts, record.boot) = (starts, boot);
            if is_new_start {
                record.standing = Standing::Serving;
            }
        }
        if is_new_start && !was_serving {
            self.revision += 1;
            self.note_own(at, node, What::Restarted);
        }
        Ok(())
    }

    /// Whether the node goes on calling itself what its successor is called.
    fn gave_its_name_away(&self, node: NodeId, name: Option<&Name>) -> bool {
        self.nodes.values().any(|other| other.replaces == Some(node) && Some(&other.name) == name)
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

    fn raise(&mut self, (at, by): (LogTime, By), from: u32, to: u32) -> Result<(), Rejection> {
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
        self.revision += 1;
        self.events.note(at, by, What::Raised { from, to });
        Ok(())
    }

    /// Notes what a node did by itself.
    fn note_own(&mut self, at: LogTime, node: NodeId, what: impl FnOnce(Named) -> What) {
        let Some(named) = self.named(node) else { return };
        let by = By { actor: named.name.to_string(), reason: None };
        self.events.note(at, by, what(named));
    }

    fn named(&self, node: NodeId) -> Option<Named> {
        self.nodes.get(&node).map(|record| Named { id: node, name: record.name.clone() })
    }

    fn advance(&mut self) {
        if let Some(authority) = &mut self.authority {
            authority.advance(self.nodes.values());
        }
    }
}

/// What people call the node: what it says, or its number.
fn name_of(id: NodeId, profile: &Profile) -> Name {
    profile.name.clone().unwrap_or_else(|| numbered(id))
}

fn numbered(id: NodeId) -> Name {
    format!("node-{id}").parse().expect("a word and a number are a name")
}

mod orders;
mod rebirth;
#[cfg(test)]
mod tests;
