//! Peers as openraft sees them.

use super::link::{Lane, Link, LinkError, Links};
use super::message::{Piece, Request, Response};
use crate::raft::{self, Types};
use crate::store::SnapshotFile;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use openraft::alias::SnapshotOf;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetworkFactory, RaftNetworkV2};
use quorate_domain::NodeId;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Appends under way at once: enough for a round trip of some milliseconds, few enough to fit into memory.
const APPENDS_MAX: usize = 32;
/// An append waits for the follower's disk, not for the network alone: openraft's own limit, one heartbeat, is too
/// short for it. Replication has a task per follower, so nothing else waits meanwhile.
const APPEND_PATIENCE: Duration = Duration::from_secs(2);
/// Per piece of a snapshot. The end of a snapshot has as long as openraft gives the whole.
const CHUNK_PATIENCE: Duration = Duration::from_secs(10);
/// A heartbeat waits behind one piece at most.
const CHUNK_BYTES: u64 = 256 << 10;

/// Makes the ways that openraft asks for.
#[derive(Clone, Debug)]
pub(crate) struct Network(pub(crate) Arc<Links>);

/// A lane of the way to a peer.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    link: Arc<Link>,
    lane: Lane,
}

type Failure = RPCError<Types>;

impl Network {
    fn way(&self, target: u64, peer: &raft::Peer, lane: Lane) -> Way {
        Way { link: self.0.to(NodeId::new(target), &peer.address), lane }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u64, peer: &raft::Peer) -> Way {
        self.way(target, peer, Lane::Bulk)
    }

    async fn new_heartbeat_client(&mut self, target: u64, peer: &raft::Peer) -> Way {
        self.way(target, peer, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, peer: &raft::Peer) -> Way {
        self.way(target, peer, Lane::Snapshot)
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unreachable { .. } => Self::Unreachable(Unreachable::new(&error)),
            LinkError::Broken { .. } | LinkError::TimedOut { .. } => Self::Network(NetworkError::new(&error)),
        }
    }
}

fn unexpected(response: &Response) -> Failure {
    Failure::Network(NetworkError::from_string(format!("an answer to another question: {response:?}")))
}

fn appended(response: Result<Response, LinkError>) -> Result<StreamAppendResult<Types>, Failure> {
    let response = response?;
    let Response::Append(appended) = response else { return Err(unexpected(&response)) };
    Ok(appended.into())
}

impl Way {
    async fn ballot(&self, request: Request, within: Duration) -> Result<VoteResponse<Types>, Failure> {
        let response = self.link.ask(Lane::Control, &request, within).await?;
        let Response::Vote(voted) = response else { return Err(unexpected(&response)) };
        Ok(voted.into())
    }

    /// Sends an append now; the answer comes with the future.
    async fn append(
        link: Arc<Link>,
        lane: Lane,
        stream: u64,
        request: AppendEntriesRequest<Types>,
    ) -> impl Future<Output = Result<StreamAppendResult<Types>, Failure>> {
        let node = link.node();
        let sent = link.send(lane, &Request::Append { stream, append: (&request).into() }).await;
        async move {
            let answer = tokio::time::timeout(APPEND_PATIENCE, sent?).await;
            let answer = answer.map_err(|_| LinkError::TimedOut { node, within: APPEND_PATIENCE })?;
            appended(answer.unwrap_or(Err(LinkError::Broken { node })))
        }
    }

    async fn send_snapshot(
        &self,
        vote: &raft::Vote,
        file: &SnapshotFile,
        within: Duration,
    ) -> Result<SnapshotResponse<Types>, Failure> {
        let transfer = self.link.next_id();
        self.progress(&Request::SnapshotBegin { transfer, size: file.size }).await?;
        let mut sum = crc32fast::Hasher::new();
        let mut offset = 0;
        while offset < file.size {
            let piece = file
                .bytes(offset, CHUNK_BYTES)
                .map_err(|error| Failure::Network(NetworkError::new(&error)))?;
            sum.update(&piece);
            let length = piece.len() as u64;
            self.progress(&Request::SnapshotChunk { transfer, offset, piece: Piece(piece) }).await?;
            offset += length;
        }
        let end = Request::SnapshotEnd { transfer, vote: vote.into(), checksum: sum.finalize() };
        let response = self.link.ask(Lane::Snapshot, &end, within).await?;
        let Response::SnapshotInstalled { vote } = response else { return Err(unexpected(&response)) };
        Ok(SnapshotResponse::new(vote.into()))
    }

    async fn progress(&self, request: &Request) -> Result<(), Failure> {
        let response = self.link.ask(Lane::Snapshot, request, CHUNK_PATIENCE).await?;
        if matches!(response, Response::SnapshotProgress) { Ok(()) } else { Err(unexpected(&response)) }
    }
}

impl RaftNetworkV2<Types> for Way {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Failure> {
        let answer = Self::append(self.link.clone(), self.lane, 0, request).await;
        Ok(answer.await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> openraft::base::BoxFuture<
        's,
        Result<openraft::base::BoxStream<'s, Result<StreamAppendResult<Types>, Failure>>, Failure>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let (link, lane) = (self.link.clone(), self.lane);
        // Heartbeats stand alone, so that they overtake entries at the other end too.
        let stream = if lane == Lane::Control { 0 } else { link.next_id() };
        // `then` sends in order, one after another; only the answers are awaited together.
        let answers: BoxStream<'s, _> = input
            .then(move |request| Self::append(link.clone(), lane, stream, request))
            .buffered(APPENDS_MAX)
            .boxed();
        let until_failure = futures_util::stream::unfold(Some(answers), |answers| async move {
            let mut answers = answers?;
            let answer = answers.next().await?;
            let more = matches!(answer, Ok(Ok(_)));
            Some((answer, more.then_some(answers)))
        });
        async move { Ok(until_failure.boxed() as openraft::base::BoxStream<'s, _>) }.boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ballot(Request::Vote((&request).into()), option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ballot(Request::PreVote((&request).into()), option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: raft::Vote,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(&vote, &snapshot.snapshot, option.soft_ttl()) => Ok(sent?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, Failure> {
        let from = *request.from_leader();
        let last = request.last_log_id().map(Into::into);
        let transfer = Request::TransferLeader { from: (&from).into(), to: *request.to_node_id(), last };
        let response = self.link.ask(Lane::Control, &transfer, option.soft_ttl()).await?;
        let Response::TransferLeader { accepted } = response else { return Err(unexpected(&response)) };
        let refused = TransferLeaderError::VoteChanged { expected: from, actual: from };
        Ok(if accepted { Ok(()) } else { Err(refused) })
    }
}
