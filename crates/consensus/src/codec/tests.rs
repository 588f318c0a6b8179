//! The bytes are a promise: frozen samples must decode, and today's encoder must still write them.

mod catalogue;
mod idempotency;
mod ledger;
mod nodes;
mod reader;
mod samples;
mod state;

use super::record::MembershipV1;
use super::*;
use crate::machine::{Batch, Command, OpId, Proposal};
use crate::raft;
use openraft::EntryPayload;
use quorate_domain::{BootId, LogTime};
use samples::Samples;
pub(crate) use samples::frozen;
use std::collections::{BTreeMap, BTreeSet};

fn log_id() -> raft::LogId {
    raft::LogId::new(raft::LeaderId { term: 7, node_id: 3 }, 1_234)
}

fn membership() -> raft::Membership {
    let peers: BTreeMap<u64, raft::Peer> =
        [1, 2, 3, 4].map(|id| (id, raft::Peer { address: format!("10.0.0.{id}:7001") })).into();
    raft::Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 3])], peers).unwrap()
}

fn batch() -> Batch {
    let withdraw = quorate_membership::Command::WithdrawToken { token: quorate_membership::TokenId::new(4) };
    let proposals = vec![
        Proposal {
            origin: Some(OpId { boot: BootId::new(0xB007), sequence: 42 }),
            command: Command::Membership(nodes::admission()),
        },
        Proposal { origin: None, command: Command::Membership(withdraw) },
    ];
    Batch { at: LogTime::from_millis(1_800_000_000_000), proposals: proposals.into() }
}

fn entry(payload: EntryPayload<Batch, u64, raft::Peer>) -> raft::Entry {
    raft::Entry { log_id: log_id(), payload }
}

fn rafts_notions(samples: &mut Samples) {
    samples.check("v1_vote", Kind::Vote, &VoteV1 { term: 7, node: 3, committed: true });
    samples.check("v1_log_id", Kind::LogId, &LogIdV1::from(&log_id()));
    samples.check("v1_entry_blank", Kind::Entry, &EntryV1::from(&entry(EntryPayload::Blank)));
    samples.check("v1_entry_batch", Kind::Entry, &EntryV1::from(&entry(EntryPayload::Normal(batch()))));
    let membership_entry = EntryV1::from(&entry(EntryPayload::Membership(membership())));
    samples.check("v1_entry_membership", Kind::Entry, &membership_entry);
    let meta = raft::SnapshotMeta {
        last_log_id: Some(log_id()),
        last_membership: raft::StoredMembership::new(Some(log_id()), membership()),
    };
    samples.check("v1_snapshot_meta", Kind::SnapshotMeta, &SnapshotMetaV1::from(&meta));
}

fn journal(samples: &mut Samples) {
    samples.check("v1_mark", Kind::Mark, &MarkV1 { spent_bound: 5_000, settled: 4_000 });
    samples.check("v2_mark", Kind::MarkV2, &MarkV2 { spent_bound: 5_000, settled: 4_000, overrun: 300 });
    samples.check("v1_overspent", Kind::Overspent, &700_u64);
    samples.check("v1_generation", Kind::Generation, &7_u64);
    samples.check("v1_begun", Kind::Begun, &BegunV1 { session: 9, upto: 1_800_000_000_000 });
}

/// Each command as the log stores it: an entry that carries it alone.
fn commands(samples: &mut Samples) {
    let all =
        [ledger::commands(), catalogue::commands(), nodes::commands(), idempotency::commands()].concat();
    for (name, command) in all {
        let origin = Some(OpId { boot: BootId::new(0xB007), sequence: 42 });
        let proposals = vec![Proposal { origin, command }].into();
        let batch = Batch { at: LogTime::from_millis(1_800_000_000_000), proposals };
        let stored = EntryV1::from(&entry(EntryPayload::Normal(batch)));
        samples.check(&format!("v1_command_{name}"), Kind::Entry, &stored);
    }
}

/// Outcomes as the state stores them, which answers retries from them.
fn outcomes(samples: &mut Samples) {
    let all =
        [ledger::outcomes(), catalogue::outcomes(), nodes::outcomes(), idempotency::outcomes()].concat();
    for (name, outcomes) in all {
        samples.check(&format!("v1_outcome_{name}"), Kind::State, &outcomes);
    }
}

#[test]
fn what_any_version_stored_is_read_and_written_for_ever_and_every_variant_has_a_sample() {
    let mut samples = Samples::default();
    rafts_notions(&mut samples);
    journal(&mut samples);
    commands(&mut samples);
    outcomes(&mut samples);
    samples.check("v1_membership", Kind::State, &nodes::memberships());
    state::check(&mut samples);
    samples.check_that_none_is_missing();
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
