//! What the table takes, and what it refuses.

use super::*;
use crate::{Change, Levels, NewToken, Order, Phase, Progress, Report};
use quorate_domain::Secret;

pub(super) const NOW: LogTime = LogTime::from_millis(1_000);

pub(super) fn root(byte: u8) -> Root {
    let at = LogTime::from_millis;
    Root { certificate: vec![byte; 9], key: Secret::new([byte; 32]), since: at(0), until: at(9_000) }
}

fn profile(name: Option<&str>) -> Profile {
    profile_at(name, 1)
}

fn profile_at(name: Option<&str>, host: u64) -> Profile {
    Profile {
        name: name.map(|name| name.parse().unwrap()),
        zone: None,
        peer_address: format!("10.0.0.{host}:7000"),
        admin_address: format!("10.0.0.{host}:8081"),
        release: "1.0.0".to_owned(),
        levels: Levels::OURS,
    }
}

pub(super) fn founded() -> Membership {
    let mut members = Membership::default();
    let founding = Founding {
        cluster: ClusterId::new(9),
        storage: StorageId::new(100),
        profile: profile(Some("first")),
        root: root(1),
        starts: 1,
        boot: BootId::new(1),
    };
    assert_eq!(members.apply(NOW, Command::Found(founding)), Outcome::Founded(ClusterId::new(9)));
    let new = NewToken {
        token: TokenId::new(1),
        digest: [0; 32],
        until: LogTime::from_millis(2_000),
        uses: 3,
        actor: "ann".to_owned(),
    };
    assert_eq!(members.apply(NOW, Command::CreateToken(new)), Outcome::Done);
    members
}

fn admit_as(members: &mut Membership, storage: u64, name: Option<&str>) -> Outcome {
    let (token, storage, profile) = (TokenId::new(1), StorageId::new(storage), profile_at(name, storage));
    members.apply(NOW, Command::Admit(Admission { token, storage, profile }))
}

pub(super) fn admit(members: &mut Membership, storage: u64) -> Outcome {
    admit_as(members, storage, None)
}

fn introduce(members: &mut Membership, node: u64, storage: u64, (starts, boot): (u64, u64)) -> Outcome {
    let (node, storage, boot) = (NodeId::new(node), StorageId::new(storage), BootId::new(boot));
    let profile = members.get(node).map_or_else(|| profile(None), |record| record.profile.clone());
    members.apply(NOW, Command::Introduce(Introduction { node, storage, starts, boot, profile }))
}

fn by(reason: &str) -> By {
    By { actor: "ann".to_owned(), reason: Some(reason.to_owned()) }
}

fn change(members: &mut Membership, change: Change) -> Outcome {
    let order = Order { expected: members.revision(), by: by("why"), change };
    members.apply(NOW, Command::Change(order))
}

fn remove(members: &mut Membership, node: u64) -> Outcome {
    let (node, mut voters) = (NodeId::new(node), members.voters().clone());
    voters.remove(&node);
    change(members, Change::Remove { node, voters })
}

fn told(members: &Membership) -> Vec<String> {
    members.events().iter().map(|event| event.what.to_string()).collect()
}

#[test]
fn a_storage_is_given_one_id_and_a_removed_one_never_comes_back() {
    let mut members = founded();
    assert_eq!(admit(&mut members, 200), Outcome::Admitted(NodeId::new(2)));
    assert_eq!(admit(&mut members, 200), Outcome::Admitted(NodeId::new(2)));
    assert_eq!(members.get(NodeId::new(2)).unwrap().name.as_str(), "node-2");
    assert_eq!(remove(&mut members, 2), Outcome::Done);
    assert_eq!(admit(&mut members, 200), Outcome::Rejected(Rejection::Removed));
    assert_eq!(introduce(&mut members, 2, 200, (1, 1)), Outcome::Rejected(Rejection::Removed));
    assert_eq!(admit(&mut members, 300), Outcome::Admitted(NodeId::new(3)));
    assert_eq!(members.ever().collect::<Vec<_>>(), [1, 2, 3].map(NodeId::new));
    assert!(members.is_gone(NodeId::new(2)) && !members.is_gone(NodeId::new(4)));
}

#[test]
fn nobody_is_admitted_before_the_cluster_is_founded() {
    assert_eq!(admit(&mut Membership::default(), 1), Outcome::Rejected(Rejection::NotFounded));
}

#[test]
fn a_retry_costs_no_use_of_the_token() {
    let mut members = founded();
    for _ in 0..5 {
        assert_eq!(admit(&mut members, 200), Outcome::Admitted(NodeId::new(2)));
    }
    assert_eq!(admit(&mut members, 300), Outcome::Admitted(NodeId::new(3)));
    assert_eq!(admit(&mut members, 400), Outcome::Admitted(NodeId::new(4)));
    assert_eq!(admit(&mut members, 500), Outcome::Rejected(Rejection::TokenUsedUp));
    assert_eq!(admit(&mut members, 400), Outcome::Admitted(NodeId::new(4)));
}

#[test]
fn a_name_is_that_of_one_member_alone() {
    let mut members = founded();
    assert_eq!(
        admit_as(&mut members, 200, Some("first")),
        Outcome::Rejected(Rejection::NameTaken(NodeId::new(1)))
    );
    assert_eq!(admit_as(&mut members, 200, Some("second")), Outcome::Admitted(NodeId::new(2)));
}

#[test]
fn a_newcomer_that_does_not_know_the_level_is_refused() {
    let mut members = founded();
    let mut profile = profile(None);
    profile.levels = Levels { min: 1, max: 1 };
    let (token, storage) = (TokenId::new(1), StorageId::new(2));
    let admission = Admission { token, storage, profile };
    let refused = Outcome::Rejected(Rejection::Level { level: 2 });
    assert_eq!(members.apply(NOW, Command::Admit(admission)), refused);
}

fn raise(members: &mut Membership, from: u32, to: u32) -> Outcome {
    let (actor, reason) = ("ann".to_owned(), None);
    members.apply(NOW, Command::Raise { from, to, actor, reason })
}

fn run_levels(members: &mut Membership, node: u64, (starts, max): (u64, u32)) -> Outcome {
    let (node, boot) = (NodeId::new(node), BootId::new(starts));
    let mut profile = members.get(node).unwrap().profile.clone();
    profile.levels = Levels { min: 1, max };
    let storage = members.get(node).unwrap().storage;
    members.apply(NOW, Command::Introduce(Introduction { node, storage, starts, boot, profile }))
}

#[test]
fn the_level_rises_one_by_one_once_every_member_knows_the_next() {
    let mut members = founded();
    admit(&mut members, 200);
    assert_eq!(members.level(), Levels::OURS.max);
    let refused = |rejection| Outcome::Rejected(rejection);
    assert_eq!(raise(&mut members, 1, 3), refused(Rejection::LevelMoved { level: 2 }));
    assert_eq!(raise(&mut members, 2, 4), refused(Rejection::LevelSkipped { level: 2, to: 4 }));
    assert_eq!(run_levels(&mut members, 1, (2, 3)), Outcome::Done);
    let unfit = Rejection::LevelUnknown { node: NodeId::new(2), release: "1.0.0".to_owned(), to: 3 };
    assert_eq!(raise(&mut members, 2, 3), refused(unfit));
    assert_eq!(run_levels(&mut members, 2, (1, 3)), Outcome::Done);
    assert_eq!(raise(&mut members, 2, 3), Outcome::Done);
    assert_eq!(raise(&mut members, 2, 3), Outcome::Done);
    assert_eq!(members.level(), 3);
    assert_eq!(told(&members).iter().filter(|what| *what == "level 2 → 3").count(), 1);
}

#[test]
fn a_copy_and_an_old_copy_of_a_directory_are_told_from_a_restart() {
    let mut members = founded();
    admit(&mut members, 200);
    assert_eq!(introduce(&mut members, 2, 200, (1, 7)), Outcome::Done);
    assert_eq!(introduce(&mut members, 2, 200, (1, 7)), Outcome::Done);
    assert_eq!(introduce(&mut members, 2, 200, (2, 8)), Outcome::Done);
    assert_eq!(introduce(&mut members, 2, 200, (2, 9)), Outcome::Rejected(Rejection::Cloned));
    let old = Rejection::RolledBack { starts: 1, known: 2 };
    assert_eq!(introduce(&mut members, 2, 200, (1, 9)), Outcome::Rejected(old));
    let other = Rejection::OtherStorage { node: NodeId::new(2), storage: StorageId::new(200) };
    assert_eq!(introduce(&mut members, 2, 201, (3, 9)), Outcome::Rejected(other));
    let unknown = Rejection::Unknown(NodeId::new(3));
    assert_eq!(introduce(&mut members, 3, 201, (3, 9)), Outcome::Rejected(unknown));
}

fn certify(members: &mut Membership, node: u64, by: &Root) {
    let certificate = Certificate { root: by.id(), since: by.since, until: by.until };
    members.apply(NOW, Command::Certify { node: NodeId::new(node), certificate });
}

fn trust(members: &mut Membership, node: u64, root: &Root) {
    members.apply(NOW, Command::Trust { node: NodeId::new(node), root: root.id() });
}

#[test]
fn a_root_is_replaced_step_by_step_when_the_last_node_is_there() {
    let (mut members, old, new) = (founded(), root(1), root(2));
    admit(&mut members, 200);
    admit(&mut members, 300);
    [1, 2, 3].into_iter().for_each(|node| certify(&mut members, node, &old));
    assert_eq!(members.apply(NOW, Command::Rotate { root: new.clone() }), Outcome::Done);
    let another = members.apply(NOW, Command::Rotate { root: root(3) });
    assert_eq!(another, Outcome::Rejected(Rejection::RotationUnderWay));
    let seen = |members: &Membership| {
        let authority = members.authority().unwrap();
        (authority.signer().id(), authority.trusted().count(), authority.next().map(|next| next.phase))
    };
    trust(&mut members, 1, &new);
    trust(&mut members, 2, &new);
    assert_eq!(seen(&members), (old.id(), 2, Some(Phase::Trusting)));
    trust(&mut members, 3, &new);
    assert_eq!(seen(&members), (new.id(), 2, Some(Phase::Signing)));
    certify(&mut members, 1, &new);
    certify(&mut members, 2, &new);
    assert_eq!(seen(&members), (new.id(), 2, Some(Phase::Signing)));
    // The one that is silent is removed: nobody waits for it.
    remove(&mut members, 3);
    assert_eq!(seen(&members), (new.id(), 1, None));
    assert_eq!(members.apply(NOW, Command::Rotate { root: new.clone() }), Outcome::Done);
    assert_eq!(seen(&members), (new.id(), 1, None));
}

#[test]
fn what_was_planned_for_another_state_is_refused_and_what_changes_nothing_leaves_plans_true() {
    let mut members = founded();
    let (node, stale) = (NodeId::new(1), members.revision());
    admit(&mut members, 200);
    let drain = Change::Drain { node, within: None };
    let order = Order { expected: stale, by: by("late"), change: drain.clone() };
    let conflict = Rejection::Conflict { expected: stale, revision: members.revision() };
    assert_eq!(members.apply(NOW, Command::Change(order)), Outcome::Rejected(conflict));
    assert_eq!(change(&mut members, drain.clone()), Outcome::Done);
    let revision = members.revision();
    assert_eq!(change(&mut members, drain), Outcome::Done);
    assert_eq!(members.revision(), revision);
}

#[test]
fn a_drain_goes_on_as_the_node_reports_and_ends_with_its_process() {
    let mut members = founded();
    admit(&mut members, 200);
    introduce(&mut members, 2, 200, (1, 7));
    let node = NodeId::new(2);
    let report = |members: &mut Membership, boot, report| {
        members.apply(NOW, Command::Report { node, boot: BootId::new(boot), report });
        members.get(node).unwrap().standing.clone()
    };
    let unready = Report::Progress(Progress::Unready);
    assert_eq!(report(&mut members, 7, unready), Standing::Serving, "nobody asked it to");
    change(&mut members, Change::Drain { node, within: None });
    assert!(
        matches!(report(&mut members, 6, unready), Standing::Draining(drain) if drain.progress == Progress::Asked)
    );
    assert!(
        matches!(report(&mut members, 7, unready), Standing::Draining(drain) if drain.progress == Progress::Unready)
    );
    let drained = Standing::Drained { since: NOW, by: by("why") };
    assert_eq!(report(&mut members, 7, Report::Drained), drained);
    introduce(&mut members, 2, 200, (1, 7));
    assert_eq!(members.get(node).unwrap().standing, drained, "it moved, and did not start again");
    introduce(&mut members, 2, 200, (2, 8));
    assert_eq!(members.get(node).unwrap().standing, Standing::Serving);
    change(&mut members, Change::Drain { node, within: None });
    change(&mut members, Change::Undrain { node });
    assert_eq!(report(&mut members, 8, Report::Drained), Standing::Serving);
    let name = "node-2 (node 2)";
    let since_admission = &told(&members)[2..];
    let expected = [
        "is to be drained",
        "is drained",
        "started again and serves",
        "is to be drained",
        "is not to be drained any more",
    ];
    assert_eq!(since_admission, expected.map(|what| format!("{name} {what}")));
}

#[test]
fn a_wiped_directory_gets_its_place_back_only_by_replacement() {
    let mut members = founded();
    assert_eq!(admit_as(&mut members, 200, Some("second")), Outcome::Admitted(NodeId::new(2)));
    let again = |members: &mut Membership, storage, name: Option<&str>| {
        let (token, storage) = (TokenId::new(1), StorageId::new(storage));
        let profile = profile_at(name, 200);
        members.apply(NOW, Command::Admit(Admission { token, storage, profile }))
    };
    let old = NodeId::new(2);
    assert_eq!(again(&mut members, 201, Some("second")), Outcome::Rejected(Rejection::NameTaken(old)));
    assert_eq!(again(&mut members, 201, Some("other")), Outcome::Rejected(Rejection::AddressTaken(old)));
    change(&mut members, Change::Replace { node: old, successor: Successor::Namesake });
    let new = NodeId::new(3);
    assert_eq!(again(&mut members, 201, Some("second")), Outcome::Admitted(new));
    let record = members.get(new).unwrap();
    assert_eq!((record.name.as_str(), record.replaces), ("second", Some(old)));
    assert_eq!(members.get(old).unwrap().name.as_str(), "node-2");
    let other = again(&mut members, 202, Some("second"));
    assert_eq!(other, Outcome::Rejected(Rejection::NameTaken(new)), "a place is given once");
    // The old one is not as dead as it was thought to be, and calls itself what it always did.
    let (storage, boot) = (StorageId::new(200), BootId::new(5));
    let profile = profile_at(Some("second"), 200);
    let introduction = Introduction { node: old, storage, starts: 1, boot, profile };
    assert_eq!(members.apply(NOW, Command::Introduce(introduction)), Outcome::Done);
    assert_eq!(members.get(old).unwrap().name.as_str(), "node-2");
    assert_eq!(remove(&mut members, 2), Outcome::Done);
    assert_eq!(members.get(new).unwrap().replaces, None);
    assert!(
        told(&members)
            .contains(&"second (node 3) was let in to take the place of second (node 2)".to_owned())
    );
}

#[test]
fn a_place_for_anyone_goes_to_the_next_that_comes() {
    let mut members = founded();
    admit(&mut members, 200);
    change(&mut members, Change::Replace { node: NodeId::new(2), successor: Successor::Anyone });
    assert_eq!(admit_as(&mut members, 300, Some("new")), Outcome::Admitted(NodeId::new(3)));
    assert_eq!(members.get(NodeId::new(3)).unwrap().replaces, Some(NodeId::new(2)));
    assert_eq!(admit_as(&mut members, 400, Some("next")), Outcome::Admitted(NodeId::new(4)));
    assert_eq!(members.get(NodeId::new(4)).unwrap().replaces, None);
}

#[test]
fn seats_go_to_members_alone_and_to_seven_at_most() {
    let mut members = founded();
    let voters = |ids: std::ops::RangeInclusive<u64>| ids.map(NodeId::new).collect::<BTreeSet<_>>();
    for (wanted, count) in [(voters(1..=2), 2), (BTreeSet::new(), 0)] {
        let refused = Outcome::Rejected(Rejection::Voters(count, 7));
        assert_eq!(change(&mut members, Change::Seat { voters: wanted }), refused);
    }
    admit(&mut members, 200);
    let node = NodeId::new(2);
    let stays = Change::Remove { node, voters: voters(1..=2) };
    assert_eq!(change(&mut members, stays), Outcome::Rejected(Rejection::Voters(2, 7)));
    assert_eq!(change(&mut members, Change::Seat { voters: voters(1..=2) }), Outcome::Done);
    assert_eq!(change(&mut members, Change::Demote { node, voters: voters(1..=1) }), Outcome::Done);
    assert_eq!(members.get(node).unwrap().ballot, Ballot::KeptOut);
    assert_eq!(members.voters(), &voters(1..=1));
}
