//! What an operator does about a node that did not start, or that stopped: the last column of the table in
//! docs/errors/README.md, in one sentence; and the exit code by which scripts know whose turn it is.

use crate::founding::FileRejected;
use quorate_consensus::{Refusal, RunError, StartError, StoreError};
use quorate_gateway::JournalFailure;
use std::io::{self, ErrorKind};

/// Of sysexits.h.
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;
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

/// The exit code for an error of [`serve`](crate::serve): 78 if the configuration file is to be corrected, 70 else.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<FileRejected>() { EX_CONFIG } else { EX_SOFTWARE }
}

/// What to do about an error of [`serve`](crate::serve).
#[must_use]
pub fn next_step(error: &anyhow::Error) -> &'static str {
    if error.is::<FileRejected>() {
        return "correct the file, or what was changed in the cluster since: they contradict each other";
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
        StartError::NoIdentity => "run `quorate cluster init` or `quorate cluster join`",
        StartError::Settings(_) => "correct what is named in the configuration file",
        StartError::Random(_) => "mend the machine: its operating system gives no random numbers",
        StartError::Raft(_) => AGAIN,
    }
}

const fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Secret => "give all nodes of the cluster one cluster.secret",
        Refusal::Cluster { .. } => "correct the seeds or node.data_dir: one of them is of another cluster",
        Refusal::Version { .. } => "run versions of quorate that follow each other on all nodes",
        Refusal::Node { .. } => "correct the addresses: another node has this one's",
        Refusal::NotReady => "wait until that node has joined, or name another seed",
    }
}

const fn of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Locked { .. } => "stop that process, or give this node a data directory of its own",
        StoreError::DiskFull { .. } | StoreError::Io { .. } | StoreError::Stopped { .. } => WRITE,
        StoreError::Foreign { .. } => "correct node.data_dir: it is the directory of something else",
        StoreError::Newer { .. } => "run the version of quorate that wrote it, or a later one",
        StoreError::Corrupt { .. } => {
            "put the directory aside and start with an empty one: docs/configuration.md says what becomes of the old node"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use quorate_domain::{ClusterId, NodeId};
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
            StartError::Settings(_) => "raft settings",
            StartError::Random(_) => "no random numbers",
            StartError::Raft(_) => "raft did not start",
        }
    }

    fn shown_of_refusal(refusal: &Refusal) -> &'static str {
        match refusal {
            Refusal::Version { .. } => "node at ADDRESS refuses: it speaks peer protocol N only",
            Refusal::Secret => "node at ADDRESS refuses: the cluster secret differs",
            Refusal::Cluster { .. } => "node at ADDRESS refuses: it belongs to cluster A, not to B",
            Refusal::Node { .. } => "node at ADDRESS refuses: it is node N, not node M",
            Refusal::NotReady => "node at ADDRESS refuses: it has not joined a cluster yet",
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
            refused(Refusal::Secret),
            refused(Refusal::Cluster { expected, actual }),
            refused(Refusal::Node { expected: one, actual: two }),
            refused(Refusal::NotReady),
            StartError::NotJoined { within: Duration::from_secs(30), seed: "a:1".to_owned(), cause: cause() },
            StartError::Settings(text()),
            StartError::Random(text()),
            StartError::Raft(text()),
        ]);
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
