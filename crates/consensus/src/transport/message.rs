//! What peers ask and answer. The order of variants and fields is a wire format: add at the end, never reorder.

use crate::codec::{EntryV1, LogIdV1, VoteV1};
use crate::machine::{Fingerprint, Outcome, Proposal};
use crate::raft::{self, Types};
use crate::replica::Pulse;
use crate::trust::PublicKey;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
};
use quorate_domain::{LogTime, NodeId, Secret, Span};
use quorate_membership::{Profile, Rejection, Sight, StorageId, TokenId};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A question to a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Entries, or none for a heartbeat. Requests of one stream are taken in order; those of stream 0 stand alone.
    Append { stream: u64, append: AppendV1 },
    /// A vote is asked for.
    Vote(BallotV1),
    /// A vote would be asked for: would it be given?
    PreVote(BallotV1),
    /// Leadership is handed over.
    TransferLeader { from: VoteV1, to: u64, last: Option<LogIdV1> },
    /// A snapshot follows.
    SnapshotBegin { transfer: u64, size: u64 },
    /// The next piece of it.
    SnapshotChunk { transfer: u64, offset: u64, piece: Piece },
    /// That was all; install it.
    SnapshotEnd { transfer: u64, vote: VoteV1, checksum: u32 },
    /// To the leader: write these.
    Propose(Vec<Proposal>),
    /// To the leader: up to which entry must be applied to have read everything acknowledged before now?
    ReadIndex,
    /// A fresh node asks for a place. All that somebody without a certificate may say.
    Join { token: TokenId, secret: Secret<[u8; 32]>, storage: StorageId, profile: Profile, key: PublicKey },
    /// To the leader: what is committed? It answers once a majority has confirmed it. The bound is the asker's.
    Renew { node: NodeId, bound: Span },
    /// Answered once this node has applied the log up to there.
    Applied { index: u64 },
    /// What is the digest of the history up to there, as programs of that version make it?
    History { version: u32, index: u64 },
    /// To the leader: a certificate for whoever asks, and this key of it.
    Certify { key: PublicKey },
    /// To the leader: what does it see of the members?
    Sight,
    /// To the leader: that it leave the lead to this voter, or to the one that is furthest.
    HandOver { to: Option<NodeId> },
    /// What is the peer's machine like?
    Pulse,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    Append(AppendedV1),
    Vote(VotedV1),
    TransferLeader {
        accepted: bool,
    },
    SnapshotProgress,
    SnapshotInstalled {
        vote: VoteV1,
    },
    Proposed(Vec<Outcome>),
    ReadIndex(u64),
    Joined(Joined),
    /// Ask the leader instead. Nothing was done.
    NotLeader(Option<LeaderHint>),
    /// It was tried; whether it happened is not known.
    Unknown,
    /// It was not done, for this reason.
    Failed(String),
    /// Everything up to there was committed after the question came. The bound is the leader's.
    Renewed {
        index: u64,
        bound: Span,
    },
    Applied,
    /// `None` if it is not remembered, not known yet, or of another version.
    History(Option<Fingerprint>),
    Certified(Certified),
    /// The newcomer has no place here, for this reason.
    NotAdmitted(Rejection),
    Sight(Sight),
    HandedOver,
    Pulse(Pulse),
}

/// What a newcomer is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub(crate) node: NodeId,
    pub(crate) certified: Certified,
    /// Whom it is to trust, the newest last.
    pub(crate) roots: Vec<Vec<u8>>,
    /// What time it is, by the leader's clock.
    pub(crate) wall: LogTime,
    /// The cluster's lineage, which its replica does not know until it has caught up.
    pub(crate) lineage: u32,
}

/// A certificate, and who signed it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certified {
    pub(crate) certificate: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) since: LogTime,
    pub(crate) until: LogTime,
}

/// Where the leader is believed to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaderHint {
    pub(crate) node: NodeId,
    pub(crate) address: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppendV1 {
    vote: VoteV1,
    previous: Option<LogIdV1>,
    committed: Option<LogIdV1>,
    entries: Vec<EntryV1>,
}

/// How far the logs agree now, or why not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum AppendedV1 {
    Matching(Option<LogIdV1>),
    Conflict(LogIdV1),
    HigherVote(VoteV1),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BallotV1 {
    vote: VoteV1,
    last: Option<LogIdV1>,
    transfer: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VotedV1 {
    vote: VoteV1,
    granted: bool,
    last: Option<LogIdV1>,
}

impl From<&AppendEntriesRequest<Types>> for AppendV1 {
    fn from(request: &AppendEntriesRequest<Types>) -> Self {
        Self {
            vote: (&request.vote).into(),
            previous: request.prev_log_id.as_ref().map(Into::into),
            committed: request.leader_commit.as_ref().map(Into::into),
            entries: request.entries.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<AppendV1> for AppendEntriesRequest<Types> {
    type Error = std::io::Error;

    fn try_from(append: AppendV1) -> Result<Self, std::io::Error> {
        let entries: Result<_, _> = append.entries.into_iter().map(raft::Entry::try_from).collect();
        Ok(Self {
            vote: append.vote.into(),
            prev_log_id: append.previous.map(Into::into),
            leader_commit: append.committed.map(Into::into),
            entries: entries?,
        })
    }
}

impl From<StreamAppendResult<Types>> for AppendedV1 {
    fn from(result: StreamAppendResult<Types>) -> Self {
        match result {
            Ok(matching) => Self::Matching(matching.as_ref().map(Into::into)),
            Err(StreamAppendError::Conflict(at)) => Self::Conflict((&at).into()),
            Err(StreamAppendError::HigherVote(vote)) => Self::HigherVote((&vote).into()),
        }
    }
}

impl From<AppendedV1> for StreamAppendResult<Types> {
    fn from(appended: AppendedV1) -> Self {
        match appended {
            AppendedV1::Matching(matching) => Ok(matching.map(Into::into)),
            AppendedV1::Conflict(at) => Err(StreamAppendError::Conflict(at.into())),
            AppendedV1::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
        }
    }
}

impl From<&VoteRequest<Types>> for BallotV1 {
    fn from(request: &VoteRequest<Types>) -> Self {
        Self {
            vote: (&request.vote).into(),
            last: request.last_log_id.as_ref().map(Into::into),
            transfer: request.leadership_transfer,
        }
    }
}

impl From<BallotV1> for VoteRequest<Types> {
    fn from(ballot: BallotV1) -> Self {
        let mut request = Self::new(ballot.vote.into(), ballot.last.map(Into::into));
        request.leadership_transfer = ballot.transfer;
        request
    }
}

impl From<&VoteResponse<Types>> for VotedV1 {
    fn from(response: &VoteResponse<Types>) -> Self {
        Self {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(Into::into),
        }
    }
}

impl From<VotedV1> for VoteResponse<Types> {
    fn from(voted: VotedV1) -> Self {
        Self::new(raft::Vote::from(voted.vote), voted.last.map(Into::into), voted.granted)
    }
}

/// Bytes that are copied as a whole. A plain vector would be written byte by byte, into the same bytes.
#[derive(Clone)]
pub(crate) struct Piece(pub(crate) Vec<u8>);

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(PieceVisitor)
    }
}

struct PieceVisitor;

impl<'de> Visitor<'de> for PieceVisitor {
    type Value = Piece;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Piece, E> {
        Ok(Piece(bytes.to_owned()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Piece, E> {
        Ok(Piece(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Piece, A::Error> {
        let mut piece = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            piece.push(byte);
        }
        Ok(Piece(piece))
    }
}
