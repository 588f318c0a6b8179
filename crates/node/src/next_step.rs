//! What an operator does about a node that did not start, or that stopped: the last column of the table in
//! docs/errors/README.md, in one sentence; and the exit code by which scripts know whose turn it is.

use crate::ExitCode;
use crate::entrance::TokenFileError;
use crate::founding::FileRejected;
use quorate_consensus::{Refusal, RunError, StartError, StoreError};
use quorate_gateway::JournalFailure;
use quorate_membership::{Mismatch, Rejection};
use std::io::{self, ErrorKind};

const JOIN_ANEW: &str =
    "this data directory can be used no more: put it aside, and start with an empty one and a join token";
const AGAIN: &str = "start the node again; if it ends like this again, report it with its log";
const WRITE: &str = "make room on the disk, or mend it, then start the node again";
const OF_SYSTEM: &[(ErrorKind, &str)] = &[
    (
        ErrorKind::AddrInUse,
        "choose another address in the configuration file, or stop the process that has it",
    ),
    (ErrorKind::AddrNotAvailable, "choose an address of this machine in the configuration file"),
    (ErrorKind::StorageFull, WRITE),
];

/// The exit code for an error of [`serve`](crate::serve), as docs/errors/README.md lists them.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<FileRejected>() || error.is::<TokenFileError>() {
        return ExitCode::Configuration;
    }
    if let Some(error) = error.downcast_ref::<StartError>() {
        return code_of_start(error);
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return code_of_store(error);
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::Expelled(refusal)) => code_of_refusal(refusal),
        Some(RunError::Storage(error)) => code_of_store(error),
        Some(RunError::Raft(_) | RunError::Diverged { .. }) | None => ExitCode::Internal,
    }
}

const fn code_of_start(error: &StartError) -> ExitCode {
    match error {
        StartError::OtherCluster { .. } => ExitCode::OtherCluster,
        StartError::Refused { refusal, .. } => code_of_refusal(refusal),
        StartError::NotAdmitted { rejection, .. } => code_of_rejection(rejection),
        StartError::Store(error) => code_of_store(error),
        StartError::ClockOff { .. } => ExitCode::Clock,
        StartError::Listen { .. }
        | StartError::NotJoined { .. }
        | StartError::NoIdentity
        | StartError::Settings(_)
        | StartError::Random(_)
        | StartError::Certificate(_)
        | StartError::Tls(_)
        | StartError::Raft(_) => ExitCode::Internal,
    }
}

const fn code_of_store(error: &StoreError) -> ExitCode {
    match error {
        StoreError::DiskFull { .. } => ExitCode::DiskFull,
        StoreError::Corrupt { .. } => ExitCode::Damaged,
        StoreError::Foreign { .. } => ExitCode::Configuration,
        StoreError::Newer { .. } => ExitCode::Level,
        StoreError::Locked { .. } | StoreError::Io { .. } | StoreError::Stopped { .. } => ExitCode::Internal,
    }
}

const fn code_of_refusal(refusal: &Refusal) -> ExitCode {
    match refusal {
        Refusal::Card(mismatch) => match mismatch {
            Mismatch::Cluster { .. } | Mismatch::Lineage { .. } => ExitCode::OtherCluster,
            Mismatch::Removed(_) => ExitCode::Removed,
            Mismatch::OtherStorage { .. } | Mismatch::Cloned(_) => ExitCode::Cloned,
            Mismatch::RolledBack(_) => ExitCode::Damaged,
            Mismatch::Level { .. } => ExitCode::Level,
        },
        Refusal::Version { .. } => ExitCode::Level,
        Refusal::Certificate { .. } | Refusal::Node { .. } => ExitCode::Internal,
    }
}

const fn code_of_rejection(rejection: &Rejection) -> ExitCode {
    match rejection {
        Rejection::Removed => ExitCode::Removed,
        Rejection::OtherStorage { .. } | Rejection::Cloned => ExitCode::Cloned,
        Rejection::RolledBack { .. } => ExitCode::Damaged,
        Rejection::Level { .. } => ExitCode::Level,
        Rejection::NameTaken(_) | Rejection::AddressTaken(_) => ExitCode::NameTaken,
        Rejection::TokenUnknown | Rejection::TokenExpired | Rejection::TokenUsedUp => ExitCode::Configuration,
        Rejection::Unknown(_)
        | Rejection::NotFounded
        | Rejection::TooManyTokens(_)
        | Rejection::LevelMoved { .. }
        | Rejection::LevelSkipped { .. }
        | Rejection::LevelUnknown { .. }
        | Rejection::Conflict { .. }
        | Rejection::Voters(..)
        | Rejection::RotationUnderWay => ExitCode::Internal,
    }
}

/// What to do about an error of [`serve`](crate::serve).
#[must_use]
pub fn next_step(error: &anyhow::Error) -> &'static str {
    if error.is::<FileRejected>() {
        return "correct the file, or what was changed in the cluster since: they contradict each other";
    }
    if error.is::<TokenFileError>() {
        return "put a join token into the file: `quorate token create` makes one";
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    if let Some(error) = error.downcast_ref::<StartError>() {
        return of_start(error);
    }
    if let Some(error) = error.downcast_ref::<RunError>() {
        return of_run(error);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_system(error.kind());
    }
    if error.downcast_ref::<JournalFailure>().is_some() { WRITE } else { AGAIN }
}

fn of_system(kind: ErrorKind) -> &'static str {
    let known = OF_SYSTEM.iter().find(|(of, _)| *of == kind);
    known.map_or("mend what the system names, then start the node again", |(_, step)| step)
}

const fn of_run(error: &RunError) -> &'static str {
    match error {
        RunError::Storage(error) => of_store(error),
        RunError::Raft(_) => AGAIN,
        RunError::Expelled(refusal) => of_refusal(refusal),
        RunError::Diverged { .. } => {
            "start the node again: it applies its log anew; if it stops again, remove it from the cluster and let it join with an empty data_dir"
        }
    }
}

pub(crate) const fn of_start(error: &StartError) -> &'static str {
    match error {
        StartError::Store(error) => of_store(error),
        StartError::Listen { .. } => "choose another cluster.peer_listen, or stop the process that has it",
        StartError::Refused { refusal, .. } => of_refusal(refusal),
        StartError::NotJoined { .. } => {
            "check that the seeds are peer addresses of running nodes that this machine can reach"
        }
        StartError::NoIdentity => "run `quorate cluster init`, or start it with a join token",
        StartError::NotAdmitted { rejection, .. } => of_rejection(rejection),
        StartError::OtherCluster { .. } => {
            "correct node.data_dir or the join token: one of them is of another cluster"
        }
        StartError::ClockOff { .. } => "set the clock of this machine, as by NTP, then start the node again",
        StartError::Certificate(_) | StartError::Tls(_) => AGAIN,
        StartError::Settings(_) => "correct what is named in the configuration file",
        StartError::Random(_) => "mend the machine: its operating system gives no random numbers",
        StartError::Raft(_) => AGAIN,
    }
}

const fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Card(mismatch) => of_mismatch(mismatch),
        Refusal::Certificate { .. } => {
            "look at the clocks of both machines; if the certificate has run out, start the node once more with a join token"
        }
        Refusal::Version { .. } => "run versions of quorate that follow each other on all nodes",
        Refusal::Node { .. } => "correct the addresses: another node has this one's",
    }
}

const fn of_mismatch(mismatch: &Mismatch) -> &'static str {
    match mismatch {
        Mismatch::Cluster { .. } => {
            "correct the join token or node.data_dir: one of them is of another cluster"
        }
        Mismatch::Lineage { .. } => JOIN_ANEW,
        Mismatch::Removed(_) => JOIN_ANEW,
        Mismatch::OtherStorage { .. } | Mismatch::Cloned(_) => {
            "stop the process that runs with the other copy of the directory, and keep one of them; to run one more node, start it with an empty data_dir and a join token"
        }
        Mismatch::RolledBack(_) => JOIN_ANEW,
        Mismatch::Level { .. } => "run a release of quorate that knows the level",
    }
}

const fn of_rejection(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::TokenUnknown | Rejection::TokenExpired | Rejection::TokenUsedUp => {
            "make another join token: `quorate token create`"
        }
        Rejection::NameTaken(_) | Rejection::AddressTaken(_) => {
            "if this machine takes that node's place: `quorate node replace NODE`, then start it again; if not, give it a name and an \
             address of its own"
        }
        Rejection::Removed | Rejection::RolledBack { .. } => JOIN_ANEW,
        Rejection::OtherStorage { .. } | Rejection::Cloned => "keep one copy of the data directory",
        Rejection::Level { .. } => "run a release of quorate that knows the level",
        Rejection::NotFounded => "found the cluster first: `quorate cluster init`",
        Rejection::Unknown(_)
        | Rejection::TooManyTokens(_)
        | Rejection::LevelMoved { .. }
        | Rejection::LevelSkipped { .. }
        | Rejection::LevelUnknown { .. }
        | Rejection::Conflict { .. }
        | Rejection::Voters(..)
        | Rejection::RotationUnderWay => AGAIN,
    }
}

const fn of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Locked { .. } => "stop that process, or give this node a data directory of its own",
        StoreError::DiskFull { .. } | StoreError::Io { .. } | StoreError::Stopped { .. } => WRITE,
        StoreError::Foreign { .. } => "correct node.data_dir: it is the directory of something else",
        StoreError::Newer { .. } => "run the version of quorate that wrote it, or a later one",
        StoreError::Corrupt { .. } => {
            "put the directory aside, run `quorate node replace NAME` on another node, and start this one with an empty directory and a join token"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use quorate_domain::{ClusterId, NodeId, Span};
    use quorate_membership::{Levels, StorageId};
    use std::time::Duration;

    #[test]
    fn a_cause_is_found_behind_what_was_being_done() {
        let full = || StoreError::DiskFull { dir: "d".into() };
        let of = |result: anyhow::Result<()>| next_step(&result.expect_err("it is an error"));
        assert_eq!(of(Err(full()).context("open the journal")), WRITE);
        assert_eq!(of(Err(StartError::Store(full()).into())), WRITE);
        assert_eq!(of(Err(RunError::Storage(full())).context("raft failed")), WRITE);
        assert_eq!(of(Err(JournalFailure("the disk is full".to_owned())).context("treasurer failed")), WRITE);
        assert_eq!(of(Err(io::Error::from(ErrorKind::StorageFull)).context("write the key")), WRITE);
        assert_eq!(of(Err(anyhow!("something else"))), AGAIN);
    }

    /// How the page shows a message: what differs from case to case is in capitals.
    fn shown_of_start(error: &StartError) -> &'static str {
        match error {
            StartError::Store(error) => shown_of_store(error),
            StartError::Listen { .. } => "cannot listen for peers on ADDRESS: Address already in use",
            StartError::NoIdentity => "this node has neither founded nor joined a cluster yet",
            StartError::Refused { refusal, .. } => shown_of_refusal(refusal),
            StartError::NotJoined { .. } => "no cluster could be joined in 30s; last asked ADDRESS",
            StartError::NotAdmitted { rejection, .. } => shown_of_rejection(rejection),
            StartError::OtherCluster { .. } => {
                "the data directory belongs to cluster A, the join token to cluster B"
            }
            StartError::ClockOff { .. } => {
                "the clock of this machine is off by N ms from that of the leader at ADDRESS, and may be by M ms"
            }
            StartError::Certificate(_) => "no certificate could be made",
            StartError::Tls(_) => "TLS cannot be set up",
            StartError::Settings(_) => "raft settings",
            StartError::Random(_) => "no random numbers",
            StartError::Raft(_) => "raft did not start",
        }
    }

    fn shown_of_refusal(refusal: &Refusal) -> &'static str {
        match refusal {
            Refusal::Version { .. } => "node at ADDRESS refuses: it speaks peer protocol N only",
            Refusal::Certificate { .. } => {
                "node at ADDRESS refuses: the certificate is not of this cluster, or not valid now"
            }
            Refusal::Card(mismatch) => shown_of_mismatch(mismatch),
            Refusal::Node { .. } => "node at ADDRESS refuses: it is node N, not node M",
        }
    }

    fn shown_of_mismatch(mismatch: &Mismatch) -> &'static str {
        match mismatch {
            Mismatch::Cluster { .. } => "node at ADDRESS refuses: it belongs to cluster A, not to B",
            Mismatch::Lineage { .. } => {
                "node at ADDRESS refuses: the cluster was recovered without this node: it is at lineage N, not at M"
            }
            Mismatch::Removed(_) => "node at ADDRESS refuses: node N was removed from the cluster",
            Mismatch::OtherStorage { .. } => "node at ADDRESS refuses: node N has another data directory: S",
            Mismatch::Cloned(_) => {
                "node at ADDRESS refuses: another process has started with the data directory of node N, or with a copy of it"
            }
            Mismatch::RolledBack(_) => {
                "node at ADDRESS refuses: the data directory of node N is older than what the cluster knows of it: an old copy was put back"
            }
            Mismatch::Level { .. } => {
                "node at ADDRESS refuses: the cluster is at level N, and the program of this node knows A to B"
            }
        }
    }

    /// Those that a newcomer can be told.
    fn shown_of_rejection(rejection: &Rejection) -> &'static str {
        match rejection {
            Rejection::TokenUnknown => {
                "the cluster at ADDRESS does not let this node in: the join token is not known"
            }
            Rejection::TokenExpired => {
                "the cluster at ADDRESS does not let this node in: the join token has expired"
            }
            Rejection::TokenUsedUp => {
                "the cluster at ADDRESS does not let this node in: the join token was used as often as it may be"
            }
            Rejection::NameTaken(_) => {
                "the cluster at ADDRESS does not let this node in: node N has this name"
            }
            Rejection::AddressTaken(_) => {
                "the cluster at ADDRESS does not let this node in: node N listens at this address with another data directory"
            }
            Rejection::Removed => {
                "the cluster at ADDRESS does not let this node in: this data directory belonged to a node that was removed from the cluster"
            }
            Rejection::Level { .. } => {
                "the cluster at ADDRESS does not let this node in: the cluster is at level N, which this program does not know"
            }
            Rejection::Unknown(_)
            | Rejection::NotFounded
            | Rejection::OtherStorage { .. }
            | Rejection::Cloned
            | Rejection::RolledBack { .. }
            | Rejection::TooManyTokens(_)
            | Rejection::LevelMoved { .. }
            | Rejection::LevelSkipped { .. }
            | Rejection::LevelUnknown { .. }
            | Rejection::Conflict { .. }
            | Rejection::Voters(..)
            | Rejection::RotationUnderWay => unreachable!("no newcomer is told {rejection}"),
        }
    }

    fn shown_of_store(error: &StoreError) -> &'static str {
        match error {
            StoreError::Locked { .. } => "DIR is in use by another process",
            StoreError::DiskFull { .. } => "the disk under DIR is full",
            StoreError::Foreign { .. } => "DIR was not written by quorate",
            StoreError::Newer { .. } => "DIR has format N, newer than M",
            StoreError::Corrupt { .. } => "DIR is damaged",
            StoreError::Io { .. } => "DIR: Input/output error",
            StoreError::Stopped { .. } => "storage stopped after a failed write",
        }
    }

    fn every_start_error() -> Vec<StartError> {
        let text = || "t".to_owned();
        let (dir, cause) = (|| "/d".into(), text);
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let refused = |refusal| StartError::Refused { seed: "a:1".to_owned(), refusal };
        let (expected, actual) = (ClusterId::new(1), ClusterId::new(2));
        let mut errors: Vec<_> = [
            StoreError::Locked { dir: dir() },
            StoreError::DiskFull { dir: dir() },
            StoreError::Foreign { dir: dir(), found: text() },
            StoreError::Newer { dir: dir(), found: 2, supported: 1 },
            StoreError::Corrupt { dir: dir(), cause: cause() },
            StoreError::Io { dir: dir(), cause: "Input/output error (os error 5)".to_owned() },
            StoreError::Stopped { cause: cause() },
        ]
        .map(StartError::Store)
        .into();
        errors.extend([
            StartError::Listen { address: "a:1".to_owned(), cause: "Address already in use".to_owned() },
            StartError::NoIdentity,
            refused(Refusal::Version { supported: 1 }),
            refused(Refusal::Certificate { cause: cause() }),
            refused(Refusal::Node { expected: one, actual: two }),
            StartError::OtherCluster { own: expected, other: actual },
            StartError::ClockOff {
                seed: "a:1".to_owned(),
                off: Span::from_millis(5_000),
                max: Span::from_millis(2_000),
            },
            StartError::Certificate(text()),
            StartError::Tls(text()),
            StartError::NotJoined { within: Duration::from_secs(30), seed: "a:1".to_owned(), cause: cause() },
            StartError::Settings(text()),
            StartError::Random(text()),
            StartError::Raft(text()),
        ]);
        let mismatches = [
            Mismatch::Cluster { expected, actual },
            Mismatch::Lineage { expected: 1, actual: 2 },
            Mismatch::Removed(one),
            Mismatch::OtherStorage { node: one, storage: StorageId::new(5) },
            Mismatch::Cloned(one),
            Mismatch::RolledBack(one),
            Mismatch::Level { level: 2, known: Levels { min: 1, max: 1 } },
        ];
        errors.extend(mismatches.map(|mismatch| refused(mismatch.into())));
        let rejections = [
            Rejection::TokenUnknown,
            Rejection::TokenExpired,
            Rejection::TokenUsedUp,
            Rejection::NameTaken(one),
            Rejection::AddressTaken(one),
            Rejection::Removed,
            Rejection::Level { level: 2 },
        ];
        errors.extend(
            rejections.map(|rejection| StartError::NotAdmitted { seed: "a:1".to_owned(), rejection }),
        );
        errors
    }

    fn fits(shown: &str, said: &str) -> bool {
        let bare = |word: &str| word.trim_end_matches([',', ':', ';']).to_owned();
        let is_open = |word: &str| bare(word).chars().all(|letter| letter.is_ascii_uppercase());
        let mut said = said.split(' ');
        shown
            .split(' ')
            .all(|word| said.next().is_some_and(|other| is_open(word) || bare(word) == bare(other)))
    }

    #[test]
    fn what_a_node_says_when_it_does_not_start_is_on_the_page_of_errors() {
        let page = include_str!("../../../docs/errors/README.md");
        for error in every_start_error() {
            let shown = shown_of_start(&error);
            assert!(fits(shown, &error.to_string()), "{shown:?} is not how {error} is shown");
            assert!(page.contains(&format!("`{shown}`")), "docs/errors/README.md does not have `{shown}`");
        }
        assert!(page.contains("`the configuration file cannot be applied`"));
    }
}
