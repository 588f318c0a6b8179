//! The answering side: accepts peers, checks who they are, and answers what they ask.

use super::frame::{FRAME_MAX, FrameError, Frames};
use super::handshake::{self, Peer};
use super::message::{Request, Response};
use super::session::{Appends, Arrival, install};
use super::told::Told;
use crate::codec::{self, Kind};
use crate::host::{Socket, Stream};
use crate::raft::Types;
use crate::replica::Service;
use crate::store::{Snapshots, StateStore};
use crate::trust::{Keyring, Register};
use futures_util::StreamExt as _;
use openraft::Raft;
use openraft::raft::TransferLeaderRequest;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::codec::FramedRead;

/// Answers that may wait for the network: as many as there can be questions under way.
const ANSWERS_MAX: usize = 1_024;
/// Questions of one peer that are worked on at once; more wait in its connection.
const QUESTIONS_MAX: usize = 1_024;
/// Strangers and peers together: each node calls each other once, and again when a connection breaks.
const CONNECTIONS_MAX: usize = 256;
/// Whoever asks for a place says no more than this.
const STRANGER_MAX: usize = 4_096;

/// Accepts peers.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) register: Arc<Register>,
    pub(crate) told: Told,
    pub(crate) raft: Raft<Types, StateStore>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) service: Service,
}

impl Listener {
    /// Runs until it is dropped.
    pub(crate) async fn run(self, socket: Box<dyn Socket>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        while let Ok(place) = places.clone().acquire_owned().await {
            while connections.try_join_next().is_some() {}
            match socket.accept().await {
                Ok(stream) => {
                    let listener = self.clone();
                    connections.spawn(async move {
                        listener.serve(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a peer's connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self, stream: Stream) {
        let from = stream.peer.clone();
        let (stream, peer) = match handshake::answer(stream, &self.keyring, &self.register).await {
            Ok(met) => met,
            Err(error) => {
                self.told.note(&error);
                tracing::warn!(from, %error, "a peer was not let in");
                return;
            }
        };
        if let Err(error) = self.converse(stream, peer).await {
            tracing::debug!(?peer, %error, "a peer's connection failed");
        }
    }

    async fn converse(self, stream: Stream, peer: Peer) -> Result<(), FrameError> {
        let Stream { read, write, peer: _ } = stream;
        let (queue, answers) = mpsc::channel(ANSWERS_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(write_answers(write, answers));
        let mut conversation = Conversation {
            arrival: Arrival::new(self.snapshots.clone()),
            peer,
            listener: Arc::new(self),
            appends: Appends::default(),
            answers: Answers(queue),
            slots: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            tasks,
        };
        let largest = if peer == Peer::Stranger { STRANGER_MAX } else { FRAME_MAX };
        let mut questions = FramedRead::new(read, Frames::<(u64, Request)>::new(Kind::Frame, largest));
        while let Some(question) = questions.next().await {
            let (id, request) = question?;
            if !conversation.may_ask(&request) {
                tracing::warn!(?peer, "a peer asked for what it may not have; the connection is closed");
                return Ok(());
            }
            conversation.take(id, request).await?;
        }
        Ok(())
    }

    /// Answers what can be answered in any order.
    async fn answer(&self, peer: Peer, request: Request) -> Response {
        let failed = |error: &dyn std::fmt::Display| Response::Failed(error.to_string());
        match request {
            Request::Vote(ballot) => match self.raft.vote(ballot.into()).await {
                Ok(voted) => Response::Vote((&voted).into()),
                Err(error) => failed(&error),
            },
            Request::PreVote(ballot) => match self.raft.pre_vote(ballot.into()).await {
                Ok(voted) => Response::Vote((&voted).into()),
                Err(error) => failed(&error),
            },
            Request::TransferLeader { from, to, last } => {
                let transfer = TransferLeaderRequest::new(from.into(), to, last.map(Into::into));
                match self.raft.handle_transfer_leader(transfer).await {
                    Ok(answer) => Response::TransferLeader { accepted: answer.is_ok() },
                    Err(error) => failed(&error),
                }
            }
            Request::Propose(proposals) => self.service.propose(proposals).await,
            Request::ReadIndex => self.service.read_index().await,
            Request::Join { token, secret, storage, profile, key } => {
                self.service.join((token, secret), (storage, profile), key).await
            }
            Request::Certify { key } => match peer {
                Peer::Member(node) => self.service.certify(node, key).await,
                Peer::Stranger => failed(&"members alone renew certificates"),
            },
            Request::Renew { node, bound } => self.service.renew(node, bound).await,
            Request::Sight => self.service.sight(),
            Request::HandOver { to } => self.service.hand_over(to).await,
            Request::Pulse => self.service.pulse(),
            Request::Applied { index } => self.service.applied(index).await,
            Request::History { version, index } => self.service.history(version, index).await,
            Request::Append { append, .. } => self.heartbeat(append).await,
            Request::SnapshotBegin { .. } | Request::SnapshotChunk { .. } | Request::SnapshotEnd { .. } => {
                failed(&"pieces of a snapshot come in order")
            }
        }
    }

    async fn heartbeat(&self, append: super::message::AppendV1) -> Response {
        let Ok(request) = append.try_into() else {
            return Response::Failed("an entry cannot be read".to_owned());
        };
        let alone = futures_util::stream::once(std::future::ready(request));
        let mut results = std::pin::pin!(self.raft.stream_append(alone));
        match results.next().await {
            Some(Ok(result)) => Response::Append(result.into()),
            Some(Err(fatal)) => Response::Failed(fatal.to_string()),
            None => Response::Failed("raft has stopped".to_owned()),
        }
    }
}

/// One peer's questions.
struct Conversation {
    peer: Peer,
    listener: Arc<Listener>,
    appends: Appends,
    arrival: Arrival,
    answers: Answers,
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Conversation {
    /// Whether the peer may ask this: a stranger for a place, a member anything, until it has left.
    fn may_ask(&self, request: &Request) -> bool {
        match self.peer {
            Peer::Stranger => matches!(request, Request::Join { .. }),
            Peer::Member(node) => !self.listener.service.is_gone(node),
        }
    }

    /// Takes a question: in order what must be in order, the rest side by side.
    async fn take(&mut self, id: u64, request: Request) -> Result<(), FrameError> {
        while self.tasks.try_join_next().is_some() {}
        match request {
            Request::Append { stream, append } if stream > 0 => {
                let raft = &self.listener.raft;
                self.appends.take((stream, id), append, raft, (&self.answers, &mut self.tasks)).await?;
            }
            Request::SnapshotBegin { transfer, size } => {
                self.answers.send(id, &self.arrival.begin(transfer, size)).await;
            }
            Request::SnapshotChunk { transfer, offset, piece } => {
                self.answers.send(id, &self.arrival.add(transfer, offset, &piece.0)).await;
            }
            Request::SnapshotEnd { transfer, vote, checksum } => match self.arrival.end(transfer, checksum) {
                Ok(incoming) => {
                    let (listener, answers) = (self.listener.clone(), self.answers.clone());
                    self.tasks.spawn(async move {
                        let disk = &*listener.snapshots.disk;
                        let response = install(&listener.raft, disk, vote.into(), incoming).await;
                        answers.send(id, &response).await;
                    });
                }
                Err(response) => self.answers.send(id, &response).await,
            },
            other @ (Request::Append { .. }
            | Request::Vote(_)
            | Request::PreVote(_)
            | Request::TransferLeader { .. }
            | Request::Propose(_)
            | Request::ReadIndex
            | Request::Join { .. }
            | Request::Renew { .. }
            | Request::Applied { .. }
            | Request::Certify { .. }
            | Request::Sight
            | Request::HandOver { .. }
            | Request::Pulse
            | Request::History { .. }) => self.answer_aside(id, other).await,
        }
        Ok(())
    }

    async fn answer_aside(&mut self, id: u64, request: Request) {
        let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
        let (listener, answers, peer) = (self.listener.clone(), self.answers.clone(), self.peer);
        self.tasks.spawn(async move {
            answers.send(id, &listener.answer(peer, request).await).await;
            drop(slot);
        });
    }
}

/// Where answers wait for the network.
#[derive(Clone, Debug)]
pub(crate) struct Answers(mpsc::Sender<Vec<u8>>);

impl Answers {
    /// Sends an answer. If the connection is gone, so is the one who asked.
    pub(super) async fn send(&self, id: u64, response: &Response) {
        let _ = self.0.send(codec::encode(Kind::Frame, &(id, response))).await;
    }
}

async fn write_answers(write: impl AsyncWrite + Unpin, mut answers: mpsc::Receiver<Vec<u8>>) {
    let mut write = BufWriter::new(write);
    while let Some(answer) = answers.recv().await {
        let mut next = Some(answer);
        while let Some(answer) = next {
            if write.write_all(&answer).await.is_err() {
                return;
            }
            next = answers.try_recv().ok();
        }
        if write.flush().await.is_err() {
            return;
        }
    }
}
