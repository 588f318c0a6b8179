//! Directories of nodes that ran nowhere, and files of their states.

use super::backup::{Backup, BackupFile};
use super::beyond::Beyond;
use super::copy::Copy;
use super::*;
use crate::codec::VoteV1;
use crate::host::Host;
use crate::machine::{Batch, Command, Proposal, State};
use crate::raft::{self, Peer};
use crate::replica::{Identity, Place};
use crate::store::{Database, LOG, META, StoreError, StoredLog};
use openraft::EntryPayload;
use quorate_catalog::{ApiKeyText, Founding as CatalogFounding};
use quorate_domain::{
    Amount, BootId, BudgetId, Clock, ClusterId, KeyId, LogTime, MonoTime, NodeId, PlaceId, Secret, SessionId,
    Subject, Unit, WindowId,
};
use quorate_ledger::{
    Ask, AutoResolve, BudgetSpec, Command as OfLedger, Evidence, Expected, Kind, Mark, OpenSession,
    PutBudget, Reserve, SessionState, Sync, Urgency,
};
use quorate_membership::{
    Admission, Command as OfMembers, Founding, Levels, NewToken, Profile, Root, StorageId, TokenId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const CLUSTER: ClusterId = ClusterId::new(0xC1);
const BUDGET: BudgetId = BudgetId::new(1);

struct Noon;

impl Clock for Noon {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> LogTime {
        LogTime::from_millis(1_800_000_000_000)
    }
}

fn profile(node: u64) -> Profile {
    Profile {
        name: Some(format!("gw-{node}").parse().unwrap()),
        zone: None,
        peer_address: format!("10.0.0.{node}:7000"),
        admin_address: String::new(),
        release: String::new(),
        levels: Levels::OURS,
    }
}

fn at(term: u64, index: u64) -> raft::LogId {
    raft::LogId::new(raft::LeaderId { term, node_id: 1 }, index)
}

fn batch(id: raft::LogId, commands: Vec<Command>) -> raft::Entry {
    let proposals = commands.into_iter().map(|command| Proposal { origin: None, command }).collect();
    let batch = Batch { at: LogTime::from_millis(1_000 * id.index), proposals };
    raft::Entry { log_id: id, payload: EntryPayload::Normal(batch) }
}

fn voters(id: raft::LogId) -> raft::Entry {
    let peers: BTreeMap<u64, Peer> =
        [1, 2, 3].map(|node| (node, Peer { address: format!("10.0.0.{node}:7000") })).into();
    let membership = raft::Membership::new(vec![BTreeSet::from([1, 2, 3])], peers).unwrap();
    raft::Entry { log_id: id, payload: EntryPayload::Membership(membership) }
}

fn members() -> Vec<Command> {
    let root = Root {
        certificate: vec![1],
        key: Secret::new([1; 32]),
        since: LogTime::default(),
        until: LogTime::from_millis(9),
    };
    let (storage, boot) = (StorageId::new(1), BootId::new(1));
    let token = TokenId::new(7);
    let new = NewToken {
        token,
        digest: [0; 32],
        until: LogTime::from_millis(1_000_000),
        uses: 9,
        actor: String::new(),
    };
    let founding = Founding { cluster: CLUSTER, storage, profile: profile(1), root, starts: 1, boot };
    let admit = |node| Admission { token, storage: StorageId::new(node), profile: profile(node) };
    [
        OfMembers::Found(founding),
        OfMembers::CreateToken(new),
        OfMembers::Admit(admit(2)),
        OfMembers::Admit(admit(3)),
    ]
    .map(Command::Membership)
    .into()
}

fn catalogue() -> Command {
    let admin = ApiKeyText::mint(KeyId::new(1), &[3; 32]);
    let founding = CatalogFounding::new(CLUSTER, Secret::new([42; 32]), &admin);
    Command::Catalog(quorate_catalog::Command::Found(founding))
}

fn budget() -> Command {
    let spec = BudgetSpec {
        subject: Subject::Key(KeyId::new(1)),
        unit: Unit::Tokens,
        kind: Kind::Lifetime,
        limit: Amount::new(100),
        auto_resolve: AutoResolve::Never,
        reserve: Reserve::Bound,
    };
    Command::Ledger(OfLedger::PutBudget(PutBudget { spec, expected: Expected::Absent }))
}

fn session_of(node: u64) -> Command {
    let (boot, previous, evidence) = (BootId::new(node), SessionId::default(), Evidence::Lost);
    Command::Ledger(OfLedger::OpenSession(OpenSession { node: NodeId::new(node), boot, previous, evidence }))
}

/// The session asks for so much, and is granted it.
fn ask(session: u64, sequence: u64, need: u64) -> Command {
    let place = quorate_ledger::Place {
        id: PlaceId::new(sequence),
        need: Amount::new(need),
        most: Amount::new(need),
        is_last_call: false,
    };
    let (want, urgency) = (Amount::new(need), Urgency::CanWait);
    let asks = vec![Ask { budget: BUDGET, window: None, places: vec![place], want, urgency }];
    Command::Ledger(OfLedger::Sync(Sync {
        session: SessionId::new(session),
        sequence,
        generation: 0,
        reports: vec![],
        asks,
        overspent: vec![],
    }))
}

/// A cluster of three, a budget of 100, of which each node holds something.
fn log() -> Vec<raft::Entry> {
    vec![
        voters(at(1, 0)),
        batch(at(1, 1), members()),
        batch(at(1, 2), vec![catalogue(), budget()]),
        batch(at(1, 3), vec![session_of(1), session_of(2), session_of(3)]),
        batch(at(1, 4), vec![ask(1, 1, 10), ask(2, 1, 20), ask(3, 1, 30)]),
    ]
}

/// A data directory that holds this log.
struct Town {
    root: TempDir,
}

impl Town {
    fn new() -> Self {
        Self { root: TempDir::new().unwrap() }
    }

    fn node(&self, node: u64, entries: Vec<raft::Entry>, committed: u64) -> PathBuf {
        let dir = self.root.path().join(format!("node-{node}"));
        self.write(&dir, node, entries, committed);
        dir
    }

    fn write(&self, dir: &Path, node: u64, entries: Vec<raft::Entry>, committed: u64) {
        assert!(dir.starts_with(self.root.path()));
        std::fs::create_dir_all(dir).unwrap();
        let disk = Host::machine().disk;
        let committed = entries.iter().map(|entry| entry.log_id).find(|id| id.index == committed);
        let vote = Some(VoteV1 { term: 3, node: 2, committed: true });
        let log = StoredLog { vote, committed, purged: None, entries };
        let database = Database::open(&*disk, &dir.join("raft"), StoredLog::PURPOSE, &[LOG, META]).unwrap();
        database.write_synced(log.writes()).unwrap();
        let place = Some(Place { cluster: CLUSTER, node: NodeId::new(node), founder: node == 1, lineage: 1 });
        Identity { storage: StorageId::new(node), place, starts: 1 }.store(&*disk, dir).unwrap();
    }
}

/// Every file below a directory, with what it holds.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for item in std::fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn sessions(state: &State) -> Vec<(u64, SessionState)> {
    state.ledger.read().sessions().map(|(id, life)| (id.get(), life.state)).collect()
}

#[test]
fn a_plan_tells_what_is_proven_and_what_is_not_and_changes_nothing() {
    let town = Town::new();
    let longer = [log(), vec![batch(at(1, 5), vec![ask(2, 2, 5)]), batch(at(1, 6), vec![budget()])]].concat();
    let (one, two) = (town.node(1, longer, 3), town.node(2, log(), 4));
    let before = (files(&one), files(&two));
    assert!(matches!(
        plan(&[two.clone(), one.clone()]),
        Err(RecoveryError::Majority { given: 2, voters: 3 })
    ));
    let plan = plan(std::slice::from_ref(&one)).unwrap();
    assert_eq!((files(&one), files(&two)), before);
    assert_eq!((plan.proven, plan.keeper.last), (At { term: 1, index: 3 }, At { term: 1, index: 6 }));
    let uncertain: Vec<_> = plan.uncertain.iter().map(|entry| (entry.at.index, entry.asks.len())).collect();
    assert_eq!(uncertain, [(4, 3), (5, 1), (6, 1)]);
    let left: Vec<_> =
        plan.left_behind.iter().map(|left| (left.node.get(), left.is_voter, left.was_read)).collect();
    assert_eq!(left, [(2, true, false), (3, true, false)]);
    let charged: u64 = plan.charged.iter().map(|charged| charged.amount).sum();
    let state = Copy::look(&one).unwrap().state;
    let report = state.ledger.read().report(BUDGET).unwrap();
    let own = report.holdings.iter().find(|holding| holding.node == NodeId::new(1)).unwrap();
    assert_eq!(charged, report.outstanding.get() - own.outstanding.get());
    let told = plan.told();
    for sentence in [
        "PROVEN: everything up to entry 1/3",
        "entry 1/6",
        "put budget of key:1: 100 tokens",
        "nodes 2, 3 are a majority",
    ] {
        assert!(told.contains(sentence), "{told}");
    }
}

#[test]
fn two_of_five_are_compared_and_what_either_knows_is_proven() {
    let town = Town::new();
    let five = |mut entries: Vec<raft::Entry>| {
        let peers: BTreeMap<u64, Peer> = (1..=5).map(|node| (node, Peer::default())).collect();
        let membership = raft::Membership::new(vec![(1..=5).collect()], peers).unwrap();
        entries[0].payload = EntryPayload::Membership(membership);
        entries
    };
    let longer = [log(), vec![batch(at(2, 5), vec![])]].concat();
    let dirs = [town.node(1, five(log()), 4), town.node(2, five(longer), 2)];
    let made = plan(&dirs).unwrap();
    assert_eq!((made.keeper.node, made.proven), (NodeId::new(2), At { term: 1, index: 4 }));
    assert_eq!(made.why, "no other ends so far");
    assert_eq!(made.others.len(), 1);
    assert!(matches!(made.unknowable, Unknowable::Later { after: At { term: 2, index: 5 }, .. }));
    let refused = apply(&made, &dirs[0]).unwrap_err();
    assert!(matches!(refused, RecoveryError::NotAsPlanned { .. }), "{refused}");
    assert_eq!(apply(&made, &dirs[1]).unwrap(), Applied::Now);
    assert!(matches!(plan(&dirs), Err(RecoveryError::LeftBehind { found: 1, newest: 2, .. })));
}

#[test]
fn what_was_planned_is_done_once_and_the_dead_count() {
    let town = Town::new();
    let dir = town.node(1, log(), 2);
    let made = plan(std::slice::from_ref(&dir)).unwrap();
    let was = Copy::look(&dir).unwrap();
    let (free, revision) = {
        let report = was.state.ledger.read().report(BUDGET).unwrap();
        (report.free, was.state.catalog.read().revision())
    };
    assert_eq!(apply(&made, &dir).unwrap(), Applied::Now);
    let now = Copy::look(&dir).unwrap();
    assert_eq!(now.committed, Some(now.last), "all of it is agreed on");
    assert!(now.last > at(3, 6), "it goes on beyond every term that it voted in");
    let is_state = sessions(&now.state);
    assert_eq!(is_state, [(1, SessionState::Live), (2, SessionState::InDoubt), (3, SessionState::InDoubt)]);
    let report = now.state.ledger.read().report(BUDGET).unwrap();
    let charged: u64 = made.charged.iter().map(|charged| charged.amount).sum();
    assert_eq!((report.free, report.in_doubt.get()), (free, charged));
    assert!(now.state.catalog.read().revision().get() >= revision.get() + 1_000_000);
    assert_eq!(now.state.progress().1.membership().voter_ids().collect::<Vec<_>>(), [1]);

    let checked = verify(&dir).unwrap();
    assert_eq!((checked.lineage, checked.fenced), (2, vec![NodeId::new(2), NodeId::new(3)]));
    assert_eq!((checked.members, checked.in_doubt), (vec![NodeId::new(1)], vec![BUDGET]));
    assert_eq!(Identity::load(&dir).unwrap().unwrap().place.unwrap().lineage, 2);
    let before = now.digest;
    assert_eq!(apply(&made, &dir).unwrap(), Applied::Before);
    assert_eq!(Copy::look(&dir).unwrap().digest, before);
}

#[test]
fn what_the_node_spent_of_grants_that_its_copy_lacks_is_counted() {
    let state = furnished();
    let held = |session| {
        let ledger = state.ledger.read();
        let holding = ledger.budget(BUDGET).unwrap().current().holding(SessionId::new(session)).unwrap();
        holding.granted.get()
    };
    let (own, window) = (NodeId::new(1), WindowId::LIFETIME);
    let mark = |session, spent| Mark {
        session: SessionId::new(session),
        budget: BUDGET,
        window,
        spent_bound: Amount::new(spent),
        settled: Amount::ZERO,
        overrun: Amount::ZERO,
    };
    let beyond = |marks: &[Mark]| Beyond::of(&state, own, marks);
    assert_eq!(beyond(&[mark(1, held(1))]), Beyond::default(), "all of it is in the copy");
    let more = beyond(&[mark(1, held(1) + 5)]);
    assert_eq!(more.0, BTreeMap::from([(BUDGET, Amount::new(5))]));
    assert_eq!(
        beyond(&[mark(4, 7)]).0,
        BTreeMap::from([(BUDGET, Amount::new(7))]),
        "a session that it lacks"
    );
    assert_eq!(
        Beyond::of(&state, NodeId::new(9), &[mark(1, 99)]),
        Beyond::default(),
        "a node without a session"
    );

    let before = state.ledger.read().report(BUDGET).unwrap();
    let told = more.told(&state, own).unwrap();
    for _ in ["once", "and again"] {
        state.ledger.write().apply(state.time(), told.clone());
    }
    let after = state.ledger.read().report(BUDGET).unwrap();
    assert_eq!((after.overspend, before.free.get() - after.free.get()), (Amount::new(5), 5));
}

#[test]
fn a_plan_is_refused_when_anything_has_changed_since() {
    let town = Town::new();
    let dir = town.node(1, log(), 2);
    let made = plan(std::slice::from_ref(&dir)).unwrap();
    let refused = |why: &str| {
        let error = apply(&made, &dir).unwrap_err();
        assert!(matches!(error, RecoveryError::NotAsPlanned { .. }), "{why}: {error}");
    };
    let identity = Identity::load(&dir).unwrap().unwrap();
    let disk = Host::machine().disk;
    Identity { starts: 2, ..identity }.store(&*disk, &dir).unwrap();
    refused("it was started");
    identity.store(&*disk, &dir).unwrap();
    town.write(&dir, 1, [log(), vec![batch(at(1, 5), vec![])]].concat(), 2);
    refused("an entry came");
    let other = Plan { format: 2, ..made.clone() };
    assert!(matches!(apply(&other, &dir), Err(RecoveryError::Plan(_))));
}

#[test]
fn directories_that_do_not_belong_together_are_told_apart() {
    let town = Town::new();
    let one = town.node(1, log(), 2);
    let copy = town.root.path().join("copy");
    town.write(&copy, 1, log(), 2);
    assert!(matches!(plan(&[one.clone(), copy]), Err(RecoveryError::Twice { .. })));
    let empty = town.root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(plan(std::slice::from_ref(&empty)), Err(RecoveryError::NoNode { .. })));
    assert_eq!(files(&empty).len(), 0, "what is no node's is not made one");
    std::fs::remove_dir_all(one.join("raft")).unwrap();
    assert!(matches!(plan(&[one]), Err(RecoveryError::Store(StoreError::Corrupt { .. }))));
}

fn furnished() -> State {
    let state = State::default();
    log().into_iter().for_each(|entry| drop(state.take(entry)));
    state
}

fn written(state: &State, path: &Path) -> Vec<u8> {
    let bytes = BackupFile::of(state).pieces().concat();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_file_holds_all_of_the_state_and_damage_anywhere_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.snapshot");
    let state = furnished();
    let bytes = written(&state, &path);
    assert_eq!(Backup::read(&path).unwrap().state.hash(), state.hash());
    let contents = inspect(&path).unwrap();
    assert_eq!((contents.index, contents.budgets, contents.nodes, contents.sessions), (4, 1, 3, 3));
    for place in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let told = inspect(&path).unwrap_err();
        assert!(
            matches!(told, StoreError::Corrupt { .. } | StoreError::Foreign { .. }),
            "byte {place}: {told}"
        );
    }
    for length in (0..bytes.len()).step_by(7) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let told = inspect(&path).unwrap_err();
        assert!(
            matches!(told, StoreError::Corrupt { .. } | StoreError::Foreign { .. }),
            "{length} bytes: {told}"
        );
    }
}

#[test]
fn a_new_cluster_begins_with_a_file_and_has_nothing_of_the_old_one_but_its_state() {
    let root = TempDir::new().unwrap();
    let (file, dir) = (root.path().join("a.snapshot"), root.path().join("data"));
    written(&furnished(), &file);
    let clock: Arc<dyn Clock> = Arc::new(Noon);
    let wanted = || Wanted { name: "new".parse().unwrap(), peer_address: "10.9.9.9:7000".to_owned() };
    std::fs::create_dir(&dir).unwrap();
    let restored = restore(&file, &dir, wanted(), &clock).unwrap();
    assert!(restored.node > NodeId::new(3) && restored.cluster != restored.from_cluster);
    assert!(matches!(restore(&file, &dir, wanted(), &clock), Err(RecoveryError::NotEmpty { .. })));
    let copy = Copy::look(&dir).unwrap();
    assert!(copy.place.founder && copy.place.node == restored.node);
    assert_eq!(copy.committed, Some(copy.last));
    assert!(sessions(&copy.state).iter().all(|(_, state)| *state == SessionState::InDoubt));
    let catalog = copy.state.catalog.read();
    assert_eq!(catalog.foundation().unwrap().cluster, copy.place.cluster);
    assert!(catalog.revision().get() > 1_000_000);
    let admin = ApiKeyText::mint(KeyId::new(1), &[3; 32]);
    assert!(catalog.authenticate(admin.expose(), LogTime::default()).is_ok(), "keys still work");
    let checked = verify(&dir).unwrap();
    assert_eq!((checked.lineage, checked.members), (1, vec![restored.node]));
    assert_eq!(checked.address, "10.9.9.9:7000");
    assert!(!root.path().join("data.restoring").exists());
}

#[test]
fn log_time_is_told_in_utc() {
    assert_eq!(told::time(LogTime::from_millis(0)), "1970-01-01T00:00:00Z");
    assert_eq!(told::time(LogTime::from_millis(1_800_000_000_999)), "2027-01-15T08:00:00Z");
}
