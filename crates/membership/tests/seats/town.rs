//! A table of nodes and what its leader sees of them, both made of words.

use quorate_domain::{BootId, ClusterId, LogTime, NodeId, Secret, Span};
use quorate_membership::{
    Admission, Ask, AutopilotSettings, By, CAUGHT_UP, Change, Command, Founding, Levels, Membership,
    NewToken, Order, Outcome, Plan, Profile, Rejection, Root, Seen, Sight, StorageId, TokenId, Wish, wish,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const NOW: LogTime = LogTime::from_millis(1_000);
const HOUR: u64 = 3_600_000;

pub(crate) struct Town {
    pub(crate) table: Membership,
    pub(crate) sight: Sight,
}

pub(crate) fn id(node: u64) -> NodeId {
    NodeId::new(node)
}

pub(crate) fn set<const N: usize>(nodes: [u64; N]) -> BTreeSet<NodeId> {
    nodes.map(NodeId::new).into()
}

fn profile(storage: u64, zone: Option<&str>) -> Profile {
    Profile {
        name: None,
        zone: zone.map(|zone| zone.parse().unwrap()),
        peer_address: format!("10.0.0.{storage}:7000"),
        admin_address: format!("10.0.0.{storage}:8081"),
        release: "1".to_owned(),
        levels: Levels::OURS,
    }
}

impl Town {
    /// Node 1 alone.
    pub(crate) fn new() -> Self {
        let root = Root { certificate: vec![1], key: Secret::new([1; 32]), since: NOW, until: NOW };
        let (cluster, storage) = (ClusterId::new(9), StorageId::new(1));
        let (profile, boot) = (profile(1, None), BootId::new(1));
        let mut table = Membership::default();
        table.apply(NOW, Command::Found(Founding { cluster, storage, profile, root, starts: 1, boot }));
        let (token, until, actor) = (TokenId::new(1), LogTime::from_millis(u64::MAX), "ann".to_owned());
        table.apply(NOW, Command::CreateToken(NewToken { token, digest: [0; 32], until, uses: 999, actor }));
        let mut sight = Sight { leader: id(1), voters: set([1]), nodes: BTreeMap::new() };
        sight.nodes.insert(id(1), well());
        Self { table, sight }
    }

    /// So many nodes, of which the first so many vote.
    pub(crate) fn of(nodes: u64, voters: u64) -> Self {
        let mut town = Self::new();
        (2..=nodes).for_each(|_| town.admit(None));
        town.seat((1..=voters).map(id).collect());
        town
    }

    /// The next node comes, is caught up and well.
    pub(crate) fn admit(&mut self, zone: Option<&str>) {
        let storage = self.table.ever().count() as u64 + 1;
        let (token, profile) = (TokenId::new(1), profile(storage, zone));
        let admission = Admission { token, storage: StorageId::new(storage), profile };
        let Outcome::Admitted(node) = self.table.apply(NOW, Command::Admit(admission)) else { return };
        self.sight.nodes.insert(node, well());
    }

    pub(crate) fn change(&mut self, change: Change) -> Outcome {
        let by = By { actor: "ann".to_owned(), reason: None };
        let order = Order { expected: self.table.revision(), by, change };
        self.table.apply(NOW, Command::Change(order))
    }

    /// Raft's membership has followed the table.
    pub(crate) fn follow(&mut self) {
        self.sight.voters = self.table.voters().clone();
    }

    pub(crate) fn seat(&mut self, voters: BTreeSet<NodeId>) {
        assert_eq!(self.change(Change::Seat { voters }), Outcome::Done);
        self.follow();
    }

    pub(crate) fn set_autopilot(&mut self, change: impl FnOnce(&mut AutopilotSettings)) {
        let mut settings = *self.table.autopilot();
        change(&mut settings);
        assert_eq!(self.change(Change::Autopilot(settings)), Outcome::Done);
    }

    pub(crate) fn silence(&mut self, node: u64, hours: u64) {
        let silent = Span::from_millis(hours * HOUR);
        self.sight.nodes.insert(id(node), Seen { lag: Some(9_999), silent, caught_up: None });
    }

    pub(crate) fn mark_catching_up(&mut self, node: u64) {
        let seen = Seen { lag: Some(CAUGHT_UP), silent: Span::default(), caught_up: None };
        self.sight.nodes.insert(id(node), seen);
    }

    pub(crate) fn wish(&self) -> Option<Wish> {
        wish(&self.table, &self.sight)
    }

    /// Does what the autopilot wishes for, until it wishes for nothing; says which voters there were on the way.
    pub(crate) fn fly(&mut self) -> Vec<BTreeSet<NodeId>> {
        let mut seen = Vec::new();
        while let Some(Wish { change, .. }) = self.wish() {
            assert_eq!(self.change(change), Outcome::Done);
            self.follow();
            seen.push(self.table.voters().clone());
            assert!(seen.len() < 20, "the autopilot comes to rest: {seen:?}");
        }
        seen
    }

    pub(crate) fn plan(&self, ask: &Ask) -> Result<Plan, Rejection> {
        Plan::of(&self.table, &self.sight, ask)
    }
}

fn well() -> Seen {
    Seen { lag: Some(0), silent: Span::default(), caught_up: Some(Span::from_millis(10_000)) }
}
