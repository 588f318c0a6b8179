//! What an operator does about a node that did not start, or that stopped: the last column of the table in
//! docs/errors/README.md, in one sentence; and the exit code by which scripts know whose turn it is.

use crate::founding::FileRejected;
use quorate_consensus::{Refusal, RunError, StartError, StoreError};
use quorate_gateway::JournalFailure;
use std::io::{self, ErrorKind};

/// Of sysexits.h.
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;
const LOOK: &str = "look at the log above, and at docs/errors/README.md";
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
    if let Some(RunError::Storage(error)) = error.downcast_ref::<RunError>() {
        return of_store(error);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_system(error.kind());
    }
    if error.downcast_ref::<JournalFailure>().is_some() { WRITE } else { LOOK }
}

fn of_system(kind: ErrorKind) -> &'static str {
    let known = OF_SYSTEM.iter().find(|(of, _)| *of == kind);
    known.map_or("mend what the system names, then start the node again", |(_, step)| step)
}

const fn of_start(error: &StartError) -> &'static str {
    match error {
        StartError::Store(error) => of_store(error),
        StartError::Listen { .. } => "choose another cluster.peer_listen, or stop the process that has it",
        StartError::Refused { refusal, .. } => of_refusal(refusal),
        StartError::NotJoined { .. } => {
            "check that the seeds are peer addresses of running nodes that this machine can reach"
        }
        StartError::NoIdentity => "run `quorate cluster init` or `quorate cluster join`",
        StartError::Settings(_) => "correct what is named in the configuration file",
        StartError::Random(_) | StartError::Raft(_) => LOOK,
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
            "remove the node from the cluster and let it join again with an empty directory"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_cause_is_found_behind_what_was_being_done() {
        let full = || StoreError::DiskFull { dir: "d".into() };
        let of = |result: anyhow::Result<()>| next_step(&result.expect_err("it is an error"));
        assert_eq!(of(Err(full()).context("open the journal")), WRITE);
        assert_eq!(of(Err(StartError::Store(full()).into())), WRITE);
        assert_eq!(of(Err(RunError::Storage(full())).context("raft failed")), WRITE);
        assert_eq!(of(Err(JournalFailure("the disk is full".to_owned())).context("treasurer failed")), WRITE);
        assert_eq!(of(Err(io::Error::from(ErrorKind::StorageFull)).context("write the key")), WRITE);
        assert_eq!(of(Err(anyhow!("something else"))), LOOK);
    }
}
