//! The bytes are a promise: frozen samples must decode, and today's encoder must still write them.

use super::record::MembershipV1;
use super::*;
use crate::machine::{Batch, Command, NodeCommand, OpId, Proposal, StorageId};
use crate::raft;
use openraft::EntryPayload;
use quorate_domain::{BootId, LogTime, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

fn log_id() -> raft::LogId {
    raft::LogId::new(raft::LeaderId { term: 7, node_id: 3 }, 1_234)
}

fn membership() -> raft::Membership {
    let peers: BTreeMap<u64, raft::Peer> =
        [1, 2, 3, 4].map(|id| (id, raft::Peer { address: format!("10.0.0.{id}:7001") })).into();
    raft::Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 3])], peers).unwrap()
}

fn batch() -> Batch {
    let proposals = vec![
        Proposal {
            origin: Some(OpId { boot: BootId::new(0xB007), sequence: 42 }),
            command: Command::Node(NodeCommand::Admit {
                storage: StorageId::new(0x5707),
                address: "10.0.0.4:7001".to_owned(),
            }),
        },
        Proposal { origin: None, command: Command::Node(NodeCommand::Remove { node: NodeId::new(4) }) },
    ];
    Batch { at: LogTime::from_millis(1_800_000_000_000), proposals: proposals.into() }
}

fn entry(payload: EntryPayload<Batch, u64, raft::Peer>) -> raft::Entry {
    raft::Entry { log_id: log_id(), payload }
}

/// Compares with the frozen sample, which is never edited: a changed structure gets a new name and a new sample.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, kind: Kind, value: &T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(format!("{name}.bin"));
    let frozen = std::fs::read(&path).unwrap();
    assert_eq!(&decode::<T>(kind, &frozen).unwrap(), value, "{name} is read as it was written");
    assert_eq!(encode(kind, value), frozen, "{name} is written as it always was");
}

#[test]
fn bytes_written_by_the_first_version_are_read_and_written_for_ever() {
    check("v1_vote", Kind::Vote, &VoteV1 { term: 7, node: 3, committed: true });
    check("v1_mark", Kind::Mark, &MarkV1 { spent_bound: 5_000, settled: 4_000 });
    check("v2_mark", Kind::MarkV2, &MarkV2 { spent_bound: 5_000, settled: 4_000, overrun: 300 });
    check("v1_generation", Kind::Generation, &7_u64);
    check("v1_log_id", Kind::LogId, &LogIdV1::from(&log_id()));
    check("v1_entry_blank", Kind::Entry, &EntryV1::from(&entry(EntryPayload::Blank)));
    check("v1_entry_batch", Kind::Entry, &EntryV1::from(&entry(EntryPayload::Normal(batch()))));
    check("v1_entry_membership", Kind::Entry, &EntryV1::from(&entry(EntryPayload::Membership(membership()))));
    let meta = raft::SnapshotMeta {
        last_log_id: Some(log_id()),
        last_membership: raft::StoredMembership::new(Some(log_id()), membership()),
    };
    check("v1_snapshot_meta", Kind::SnapshotMeta, &SnapshotMetaV1::from(&meta));
}

#[test]
fn rafts_notions_survive_the_way_to_our_structures_and_back() {
    for payload in
        [EntryPayload::Blank, EntryPayload::Normal(batch()), EntryPayload::Membership(membership())]
    {
        let original = entry(payload);
        assert_eq!(raft::Entry::try_from(EntryV1::from(&original)).unwrap(), original);
    }
    let vote = raft::Vote::new_committed(7, 3);
    assert_eq!(raft::Vote::from(VoteV1::from(&vote)), vote);
    let empty = raft::Membership::default();
    assert_eq!(raft::Membership::try_from(MembershipV1::from(&empty)).unwrap(), empty);
}

#[test]
fn foreign_newer_damaged_cut_and_misplaced_bytes_are_told_apart() {
    let good = encode(Kind::Vote, &VoteV1 { term: 1, node: 2, committed: false });
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode::<VoteV1>(Kind::Vote, &bytes).unwrap_err()
    };
    assert_eq!(with(0, 0x7F), CodecError::Foreign(0x7F));
    assert_eq!(with(1, 2), CodecError::Newer { found: 2, supported: 1 });
    assert_eq!(with(2, 3), CodecError::WrongKind { found: 3, expected: 2 });
    assert_eq!(with(HEADER_LEN, 0xFF), CodecError::Damaged);
    assert_eq!(with(7, 0xFF), CodecError::TooLarge(0xFF00_0011));
    let cut = decode::<VoteV1>(Kind::Vote, &good[..good.len() - 1]).unwrap_err();
    assert_eq!(cut, CodecError::Length { claimed: 17, present: 16 });
    assert!(matches!(decode::<VoteV1>(Kind::Vote, &good[..3]), Err(CodecError::Length { .. })));
}

#[test]
fn a_length_that_lies_does_not_allocate() {
    let lie = encode(Kind::Entry, &(u64::MAX - 1, 0_u8));
    assert!(matches!(decode::<String>(Kind::Entry, &lie), Err(CodecError::Unreadable { .. })));
}

#[test]
fn the_size_of_a_record_is_what_encoding_it_takes() {
    assert_eq!(size_of(&batch()) + HEADER_LEN, encode(Kind::Entry, &batch()).len());
}
