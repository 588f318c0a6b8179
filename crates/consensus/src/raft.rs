//! openraft with our types filled in. Everything else in the crate names openraft's types through here.

use crate::machine::{Batch, Outcome};
use crate::raft_runtime::Runtime;
use openraft::impls::{InlineBatch, OneshotResponder};
use openraft::{EntryPayload, OptionalSend};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of Raft this program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

/// Where a member listens for its peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) address: String,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl openraft::RaftTypeConfig for Types {
    type D = Batch;
    type R = Vec<Outcome>;
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = EntryPayload<Batch, u64, Peer>;
    type Entry = Entry;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Entry = openraft::Entry<LeaderId, EntryPayload<Batch, u64, Peer>>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Peer>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Peer>;
