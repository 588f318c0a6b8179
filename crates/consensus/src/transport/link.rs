//! The asking side of a connection: requests in three lanes, answers in any order.

use super::frame::{FRAME_MAX, FrameError, Frames};
use super::handshake::{self, HandshakeError, Local};
use super::message::{Request, Response};
use super::told::Told;
use crate::codec::{self, Kind};
use crate::host::{self, Stream};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use quorate_domain::NodeId;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

/// Requests that may wait per lane. Appends come at most a few dozen at a time; more waiting means a dead peer.
const LANE_MAX: usize = 256;
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// A peer that owes an answer and says nothing for so long is gone, whatever TCP believes.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// A connection that is older is made anew, so that nobody talks by a certificate that has run out.
const CONNECTION_MAX: Duration = Duration::from_secs(60 * 60);

/// Which queue a request stands in. An earlier one always goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Votes, heartbeats, read index: late means an election.
    Control,
    /// Entries and proposals.
    Bulk,
    /// Pieces of snapshots.
    Snapshot,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// There is no connection. The question was not sent.
    #[error("node {node} at {address} cannot be reached: {cause}")]
    Unreachable {
        /// The node.
        node: NodeId,
        /// Where it was looked for.
        address: String,
        /// What went wrong.
        cause: String,
    },
    /// The connection broke before the answer came.
    #[error("the connection to node {node} broke")]
    Broken {
        /// The node.
        node: NodeId,
    },
    /// The answer did not come in time.
    #[error("node {node} did not answer in {within:?}")]
    TimedOut {
        /// The node.
        node: NodeId,
        /// How long it had.
        within: Duration,
    },
}

type Reply = oneshot::Sender<Result<Response, LinkError>>;
/// The answer to a question that was sent.
pub(crate) type Awaited = oneshot::Receiver<Result<Response, LinkError>>;

struct Outgoing {
    id: u64,
    bytes: Vec<u8>,
    reply: Reply,
}

/// The way to one peer. Connects when there is something to ask.
#[derive(Debug)]
pub(crate) struct Link {
    node: NodeId,
    address: Mutex<String>,
    ids: AtomicU64,
    control: mpsc::Sender<Outgoing>,
    bulk: mpsc::Sender<Outgoing>,
    snapshot: mpsc::Sender<Outgoing>,
}

/// Who calls, and over which network.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) local: Local,
    /// Where it is noted that a peer will have nothing to do with this node any more.
    pub(crate) told: Told,
    pub(crate) network: Arc<dyn host::Network>,
}

/// The ways to all peers.
#[derive(Debug)]
pub(crate) struct Links {
    caller: Caller,
    links: Mutex<BTreeMap<NodeId, Arc<Link>>>,
    started: mpsc::Sender<LinkTask>,
}

impl Links {
    /// No links yet. Whoever holds the receiver must run every task that comes out of it.
    pub(crate) fn new(caller: Caller) -> (Self, mpsc::Receiver<LinkTask>) {
        let (started, tasks) = mpsc::channel(LANE_MAX);
        (Self { caller, links: Mutex::default(), started }, tasks)
    }

    /// The way to a node that listens at `address` now.
    pub(crate) fn to(&self, node: NodeId, address: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        let link = links.entry(node).or_insert_with(|| self.start(node, address));
        address.clone_into(&mut link.address.lock());
        link.clone()
    }

    /// Notes that a node listens elsewhere now, if there is a way to it.
    pub(crate) fn readdress(&self, node: NodeId, address: &str) {
        if let Some(link) = self.links.lock().get(&node) {
            address.clone_into(&mut link.address.lock());
        }
    }

    fn start(&self, node: NodeId, address: &str) -> Arc<Link> {
        let (control, control_queue) = mpsc::channel(LANE_MAX);
        let (bulk, bulk_queue) = mpsc::channel(LANE_MAX);
        let (snapshot, snapshot_queue) = mpsc::channel(LANE_MAX);
        let (address, ids) = (Mutex::new(address.to_owned()), AtomicU64::new(1));
        let link = Arc::new(Link { node, address, ids, control, bulk, snapshot });
        let queues = Queues { control: control_queue, bulk: bulk_queue, snapshot: snapshot_queue };
        // The owner stops before the links do: then nobody waits for an answer any more.
        let _ = self.started.try_send(LinkTask {
            link: link.clone(),
            caller: self.caller.clone(),
            queues,
            complained: false,
        });
        link
    }
}

impl Link {
    /// Asks and waits for the answer.
    pub(crate) async fn ask(
        &self,
        lane: Lane,
        request: &Request,
        within: Duration,
    ) -> Result<Response, LinkError> {
        let node = self.node;
        let asked = async {
            let answer = self.send(lane, request).await?;
            answer.await.unwrap_or(Err(LinkError::Broken { node }))
        };
        timeout(within, asked).await.unwrap_or(Err(LinkError::TimedOut { node, within }))
    }

    /// Puts a question into its lane. Waits for a place there, not for the answer.
    pub(crate) async fn send(&self, lane: Lane, request: &Request) -> Result<Awaited, LinkError> {
        let id = self.next_id();
        let bytes = codec::encode(Kind::Frame, &(id, request));
        let (reply, answer) = oneshot::channel();
        let queue = match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
            Lane::Snapshot => &self.snapshot,
        };
        let sent = queue.send(Outgoing { id, bytes, reply }).await;
        sent.map_err(|_| LinkError::Broken { node: self.node })?;
        Ok(answer)
    }

    /// A number that no other request or stream on this link has.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The peer.
    pub(crate) const fn node(&self) -> NodeId {
        self.node
    }
}

/// Asks one question of whoever listens at an address, outside any link. For a node that is not a member yet.
pub(crate) async fn ask_once(
    caller: &Caller,
    address: &str,
    request: &Request,
    within: Duration,
) -> Result<Response, AskError> {
    timeout(within, async {
        let Stream { read, mut write, peer: _ } = connect(address, caller, None).await?;
        write.write_all(&codec::encode(Kind::Frame, &(1_u64, request))).await.map_err(HandshakeError::Io)?;
        write.flush().await.map_err(HandshakeError::Io)?;
        let mut answers = FramedRead::new(read, Frames::<(u64, Response)>::new(Kind::Frame, FRAME_MAX));
        match answers.next().await {
            Some(answer) => Ok(answer?.1),
            None => Err(AskError::Handshake(HandshakeError::Ended)),
        }
    })
    .await
    .unwrap_or(Err(AskError::TooSlow(within)))
}

/// Why a single question got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The peers did not come to talk.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The answer cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// There was no answer in time.
    #[error("no answer in {0:?}")]
    TooSlow(Duration),
}

async fn connect(address: &str, caller: &Caller, expects: Option<NodeId>) -> Result<Stream, HandshakeError> {
    let stream = timeout(CONNECT_PATIENCE, caller.network.dial(address))
        .await
        .map_err(|_| HandshakeError::TooSlow)
        .and_then(|dialled| Ok(dialled?))?;
    handshake::call(stream, &caller.local, expects).await
}

/// The work behind a link: connect, write what waits, hand out answers; again when the connection breaks.
#[derive(Debug)]
pub(crate) struct LinkTask {
    link: Arc<Link>,
    caller: Caller,
    queues: Queues,
    /// Whether people know already that the peer will not talk.
    complained: bool,
}

struct Queues {
    control: mpsc::Receiver<Outgoing>,
    bulk: mpsc::Receiver<Outgoing>,
    snapshot: mpsc::Receiver<Outgoing>,
}

/// Questions that were sent.
#[derive(Default)]
struct Pending {
    /// In the order of asking, so that whoever waits is told in an order.
    replies: Mutex<BTreeMap<u64, Reply>>,
    answered: Notify,
}

impl LinkTask {
    /// Runs until the link's owner stops it.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.queues.next().await {
            let address = self.link.address.lock().clone();
            match connect(&address, &self.caller, Some(self.link.node)).await {
                Ok(stream) => {
                    self.complained = false;
                    self.converse(stream, first).await;
                }
                Err(error) => self.refuse(first, &address, &error),
            }
        }
    }

    async fn converse(&mut self, stream: Stream, first: Outgoing) {
        let pending = Pending::default();
        let Stream { read, write, peer: _ } = stream;
        let stale = stale(&self.caller.local);
        let ended = tokio::select! {
            ended = write_requests((write, first), &mut self.queues, &pending, stale) => ended,
            ended = read_answers(read, &pending) => ended,
        };
        let node = self.link.node;
        tracing::debug!(peer = node.get(), cause = ?ended.err(), "connection to a peer ended");
        for (_, reply) in pending.replies.into_inner() {
            let _ = reply.send(Err(LinkError::Broken { node }));
        }
    }

    /// Whoever waits now waits for a connection that cannot be had.
    fn refuse(&mut self, first: Outgoing, address: &str, error: &HandshakeError) {
        let node = self.link.node;
        self.complain(address, error);
        let mut next = Some(first);
        while let Some(outgoing) = next {
            let (address, cause) = (address.to_owned(), error.to_string());
            let _ = outgoing.reply.send(Err(LinkError::Unreachable { node, address, cause }));
            next = self.queues.ready();
        }
    }
}

impl LinkTask {
    /// A peer that is away comes back; one that refuses needs a person. Told once, not at every attempt.
    fn complain(&mut self, address: &str, error: &HandshakeError) {
        let peer = self.link.node.get();
        self.caller.told.note(error);
        let refused = matches!(error, HandshakeError::Refused(_) | HandshakeError::Refuses(_));
        if refused && !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(peer, address, %error, "a peer will not talk to this node");
        } else {
            tracing::debug!(peer, address, %error, "a peer cannot be reached");
        }
    }
}

impl Queues {
    /// The next request by lane; `None` when the link is dropped.
    async fn next(&mut self) -> Option<Outgoing> {
        tokio::select! {
            biased;
            Some(outgoing) = self.control.recv() => Some(outgoing),
            Some(outgoing) = self.bulk.recv() => Some(outgoing),
            Some(outgoing) = self.snapshot.recv() => Some(outgoing),
            else => None,
        }
    }

    fn ready(&mut self) -> Option<Outgoing> {
        let control = self.control.try_recv();
        control.or_else(|_| self.bulk.try_recv()).or_else(|_| self.snapshot.try_recv()).ok()
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Resolves when a connection is to be made anew: peers show their certificates again within the hour, and at once if this
/// node has another one.
async fn stale(local: &Local) {
    let Local::Member(keyring, _) = local else { return std::future::pending().await };
    let mut changes = keyring.changes();
    let changed = changes.changed();
    let _ = timeout(CONNECTION_MAX, changed).await;
}

/// Writes what is asked, until the connection is stale and owes nothing.
async fn write_requests(
    (write, first): (impl AsyncWrite + Unpin, Outgoing),
    queues: &mut Queues,
    pending: &Pending,
    stale: impl Future<Output = ()>,
) -> Result<(), FrameError> {
    let mut write = BufWriter::new(write);
    let mut stale = std::pin::pin!(stale);
    let mut next = Some(first);
    while let Some(outgoing) = next {
        // Nobody waits for it any more: its deadline passed in the queue.
        if !outgoing.reply.is_closed() {
            pending.replies.lock().insert(outgoing.id, outgoing.reply);
            write.write_all(&outgoing.bytes).await?;
        }
        next = queues.ready();
        if next.is_none() {
            write.flush().await?;
            next = tokio::select! {
                next = queues.next() => next,
                () = &mut stale => break,
            };
        }
    }
    // What waits from now on goes over the next connection.
    while !owes_nothing(pending) {
        let _ = timeout(SILENCE_MAX / 10, pending.answered.notified()).await;
    }
    Ok(())
}

async fn read_answers(read: impl AsyncRead + Unpin, pending: &Pending) -> Result<(), FrameError> {
    let mut answers = FramedRead::new(read, Frames::<(u64, Response)>::new(Kind::Frame, FRAME_MAX));
    loop {
        match timeout(SILENCE_MAX, answers.next()).await {
            Ok(Some(answer)) => {
                let (id, response) = answer?;
                let reply = pending.replies.lock().remove(&id);
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(response));
                }
                pending.answered.notify_one();
            }
            Ok(None) => return Ok(()),
            Err(_) if owes_nothing(pending) => {}
            Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }
}

/// Forgets questions that nobody waits for, and says whether none is left.
fn owes_nothing(pending: &Pending) -> bool {
    let mut replies = pending.replies.lock();
    replies.retain(|_, reply| !reply.is_closed());
    replies.is_empty()
}
