//! What is asked of the membership, and what comes of it.

use crate::machine::{Command as AnyCommand, Outcome as AnyOutcome};
use quorate_domain::{BootId, ClusterId, LogTime, NodeId, Secret};
use quorate_membership::{
    Admission, Certificate, Command, Founding, Introduction, Levels, Membership, NewToken, Outcome, Profile,
    Rejection, Root, RootId, StorageId, TokenId,
};

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
    let profile = Profile { name: None, zone: None, ..profile() };
    Command::Admit(Admission { token, storage, profile })
}

fn raise() -> Command {
    Command::Raise { from: 1, to: 2, actor: "key 17".to_owned(), reason: Some("all is well".to_owned()) }
}

/// A cluster whose root is being replaced, at each phase of it.
pub(super) fn memberships() -> Vec<Membership> {
    let mut members = Membership::default();
    let mut apply = |command| {
        members.apply(LogTime::from_millis(1_800_000_000_000), command);
        members.clone()
    };
    for command in [founding(), token(), admission()] {
        apply(command);
    }
    let (next, node) = (root(2), NodeId::new(1));
    let gone = apply(Command::Remove { node: NodeId::new(2) });
    let trusting = apply(Command::Rotate { root: next.clone() });
    let (since, until) = (next.since, next.until);
    apply(Command::Certify { node, certificate: Certificate { root: root(1).id(), since, until } });
    let signing = apply(Command::Trust { node, root: next.id() });
    vec![Membership::default(), gone, trusting, signing]
}

pub(super) fn commands() -> Vec<(&'static str, AnyCommand)> {
    let (storage, node) = (StorageId::new(0x5707), NodeId::new(4));
    let (since, until) = (LogTime::from_millis(1_800_000_000_000), LogTime::from_millis(1_807_776_000_000));
    let certificate = Certificate { root: RootId::new([9; 32]), since, until };
    let introduction =
        Introduction { node, storage, starts: 3, boot: BootId::new(0xB007), profile: profile() };
    [
        ("node_found", founding()),
        ("node_admit", admission()),
        ("node_introduce", Command::Introduce(introduction)),
        ("node_remove", Command::Remove { node }),
        ("node_create_token", token()),
        ("node_withdraw_token", Command::WithdrawToken { token: TokenId::new(0x70C) }),
        ("node_certify", Command::Certify { node, certificate }),
        ("node_trust", Command::Trust { node, root: RootId::new([9; 32]) }),
        ("node_rotate", Command::Rotate { root: root(2) }),
        ("node_raise", raise()),
    ]
    .map(|(name, command)| (name, AnyCommand::Membership(command)))
    .into()
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
