//! What is asked of the membership, and what comes of it.

use crate::machine::{Command as AnyCommand, Outcome as AnyOutcome};
use quorate_domain::{BootId, ClusterId, LogTime, NodeId, Secret, Span};
use quorate_membership::{
    Admission, AutopilotSettings, By, Certificate, Change, Command, Founding, Introduction, Levels,
    Membership, Mode, NewToken, Order, Outcome, PlanId, Profile, Progress, Recovery, Rejection, Report, Root,
    RootId, StorageId, Successor, TokenId,
};
use std::collections::BTreeSet;

pub(super) fn profile() -> Profile {
    Profile {
        name: Some("gw-4".parse().unwrap()),
        zone: Some("eu-1a".parse().unwrap()),
        peer_address: "10.0.0.4:7001".to_owned(),
        admin_address: "10.0.0.4:8081".to_owned(),
        release: "0.1.0".to_owned(),
        levels: Levels { min: 1, max: 1 },
    }
}

pub(super) fn root(byte: u8) -> Root {
    let (since, until) = (LogTime::from_millis(1_800_000_000_000), LogTime::from_millis(2_100_000_000_000));
    Root { certificate: vec![0x30, 0x82, byte], key: Secret::new([byte; 32]), since, until }
}

pub(super) fn founding() -> Command {
    let (cluster, storage, boot) = (ClusterId::new(0xC1), StorageId::new(0x5707), BootId::new(0xB007));
    Command::Found(Founding { cluster, storage, profile: profile(), root: root(1), starts: 1, boot })
}

fn refounding() -> Command {
    let (cluster, storage, boot) = (ClusterId::new(0xC2), StorageId::new(0x5709), BootId::new(0));
    Command::Refound(Founding { cluster, storage, profile: profile(), root: root(2), starts: 0, boot })
}

fn recovery() -> Command {
    Command::Recover(Recovery { keeper: NodeId::new(1), plan: PlanId::new(0x91A2) })
}

pub(super) fn token() -> Command {
    Command::CreateToken(NewToken {
        token: TokenId::new(0x70C),
        digest: [7; 32],
        until: LogTime::from_millis(1_900_000_000_000),
        uses: 4,
        actor: "key 17".to_owned(),
    })
}

pub(super) fn admission() -> Command {
    let (token, storage) = (TokenId::new(0x70C), StorageId::new(0x5708));
    let profile = Profile { name: None, zone: None, peer_address: "10.0.0.5:7001".to_owned(), ..profile() };
    Command::Admit(Admission { token, storage, profile })
}

fn raise() -> Command {
    Command::Raise { from: 1, to: 2, actor: "key 17".to_owned(), reason: Some("all is well".to_owned()) }
}

/// A cluster whose nodes come, drain and go, whose root is being replaced, at each phase of it, and that is recovered in the end.
pub(super) fn memberships() -> Vec<Membership> {
    let mut members = Membership::default();
    let mut seen = vec![members.clone()];
    let mut apply = |members: &mut Membership, command| {
        let outcome = members.apply(LogTime::from_millis(1_800_000_000_000), command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        seen.push(members.clone());
    };
    let (node, other, boot) = (NodeId::new(1), NodeId::new(2), BootId::new(0xB007));
    let (one, both) = (BTreeSet::from([node]), BTreeSet::from([node, other]));
    for command in [founding(), token(), admission()] {
        apply(&mut members, command);
    }
    let report = |report| Command::Report { node, boot, report };
    let drain = || Change::Drain { node, within: Some(Span::from_millis(600_000)) };
    let settings = AutopilotSettings { mode: Mode::Paused, ..AutopilotSettings::default() };
    change(&mut members, drain(), &mut apply);
    for progress in
        [Progress::Unready, Progress::HandingOver, Progress::Finishing { requests: 4 }, Progress::Returning]
    {
        apply(&mut members, report(Report::Progress(progress)));
    }
    apply(&mut members, report(Report::Drained));
    let knows_more = Profile { levels: Levels { min: 1, max: 2 }, ..profile() };
    let restart =
        Introduction { node, storage: StorageId::new(0x5707), starts: 2, boot, profile: knows_more };
    apply(&mut members, Command::Introduce(restart));
    change(&mut members, drain(), &mut apply);
    for made in [
        Change::Undrain { node },
        Change::Seat { voters: both.clone() },
        Change::Demote { node: other, voters: one.clone() },
        Change::Promote { node: other, voters: both },
        Change::Demote { node: other, voters: one.clone() },
        Change::Autopilot(settings),
        Change::Replace { node: other, successor: Successor::Namesake },
    ] {
        change(&mut members, made, &mut apply);
    }
    let (token, storage, profile) = (TokenId::new(0x70C), StorageId::new(0x5709), profile());
    let profile = Profile { name: None, peer_address: "10.0.0.5:7001".to_owned(), ..profile };
    apply(&mut members, Command::Admit(Admission { token, storage, profile }));
    for node in [other, NodeId::new(3)] {
        change(&mut members, Change::Remove { node, voters: one.clone() }, &mut apply);
    }
    apply(&mut members, raise());
    let next = root(2);
    apply(&mut members, Command::Rotate { root: next.clone() });
    let (since, until) = (next.since, next.until);
    let certificate = Certificate { root: root(1).id(), since, until };
    apply(&mut members, Command::Certify { node, certificate });
    apply(&mut members, Command::Trust { node, root: next.id() });
    let levels = Levels { min: 1, max: 2 };
    let late = Profile { name: None, peer_address: "10.0.0.6:7001".to_owned(), levels, ..self::profile() };
    let storage = StorageId::new(0x5710);
    apply(&mut members, Command::Admit(Admission { token, storage, profile: late }));
    apply(&mut members, recovery());
    seen
}

fn change(members: &mut Membership, change: Change, apply: &mut impl FnMut(&mut Membership, Command)) {
    let order = order(members.revision(), change);
    apply(members, order);
}

fn order(expected: u64, change: Change) -> Command {
    let by = By { actor: "key 17".to_owned(), reason: Some("kernel patch".to_owned()) };
    Command::Change(Order { expected, by, change })
}

fn changes() -> [(&'static str, Command); 8] {
    let (node, voters) = (NodeId::new(4), BTreeSet::from([NodeId::new(1), NodeId::new(5)]));
    let settings = AutopilotSettings { mode: Mode::Paused, target: 3, ..AutopilotSettings::default() };
    [
        ("node_drain", Change::Drain { node, within: Some(Span::from_millis(600_000)) }),
        ("node_undrain", Change::Undrain { node }),
        ("node_remove", Change::Remove { node, voters: voters.clone() }),
        ("node_replace", Change::Replace { node, successor: Successor::Anyone }),
        ("node_seat", Change::Seat { voters: voters.clone() }),
        ("node_promote", Change::Promote { node, voters: voters.clone() }),
        ("node_demote", Change::Demote { node, voters }),
        ("node_autopilot", Change::Autopilot(settings)),
    ]
    .map(|(name, change)| (name, order(12, change)))
}

pub(super) fn commands() -> Vec<(&'static str, AnyCommand)> {
    let (storage, node) = (StorageId::new(0x5707), NodeId::new(4));
    let (since, until) = (LogTime::from_millis(1_800_000_000_000), LogTime::from_millis(1_807_776_000_000));
    let certificate = Certificate { root: RootId::new([9; 32]), since, until };
    let progress = Report::Progress(Progress::Finishing { requests: 4 });
    let progress = Command::Report { node, boot: BootId::new(0xB007), report: progress };
    let introduction =
        Introduction { node, storage, starts: 3, boot: BootId::new(0xB007), profile: profile() };
    [
        ("node_found", founding()),
        ("node_admit", admission()),
        ("node_introduce", Command::Introduce(introduction)),
        ("node_create_token", token()),
        ("node_withdraw_token", Command::WithdrawToken { token: TokenId::new(0x70C) }),
        ("node_certify", Command::Certify { node, certificate }),
        ("node_trust", Command::Trust { node, root: RootId::new([9; 32]) }),
        ("node_rotate", Command::Rotate { root: root(2) }),
        ("node_raise", raise()),
        ("node_progress", progress),
        ("node_report", Command::Report { node, boot: BootId::new(0xB007), report: Report::Drained }),
        ("node_recover", recovery()),
        ("node_refound", refounding()),
    ]
    .into_iter()
    .chain(changes())
    .map(|(name, command)| (name, AnyCommand::Membership(command)))
    .collect()
}

pub(super) fn outcomes() -> Vec<(&'static str, Vec<AnyOutcome>)> {
    let node = NodeId::new(5);
    let rejected = [
        Rejection::Unknown(node),
        Rejection::NotFounded,
        Rejection::Removed,
        Rejection::OtherStorage { node, storage: StorageId::new(0x5707) },
        Rejection::Cloned,
        Rejection::RolledBack { starts: 2, known: 3 },
        Rejection::TokenUnknown,
        Rejection::TokenExpired,
        Rejection::TokenUsedUp,
        Rejection::TooManyTokens(256),
        Rejection::NameTaken(node),
        Rejection::AddressTaken(node),
        Rejection::Conflict { expected: 3, revision: 4 },
        Rejection::Voters(8, 7),
        Rejection::RotationUnderWay,
        Rejection::LevelMoved { level: 2 },
        Rejection::LevelSkipped { level: 1, to: 3 },
        Rejection::LevelUnknown { node, release: "0.1.0".to_owned(), to: 2 },
        Rejection::Level { level: 2 },
    ];
    let done = [Outcome::Founded(ClusterId::new(0xC1)), Outcome::Admitted(NodeId::new(4)), Outcome::Done];
    let of_nodes = done.into_iter().chain(rejected.map(Outcome::Rejected));
    vec![
        ("nodes", of_nodes.map(AnyOutcome::Membership).collect()),
        ("forgotten", vec![AnyOutcome::Forgotten]),
    ]
}
