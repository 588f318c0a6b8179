//! The network: streams of bytes that take their time, stand still while a way is cut, and break. As TCP does, it loses and
//! doubles nothing inside a connection; what was on its way when one breaks is lost, and whoever asked asks again.

use crate::chance::Chance;
use crate::clock::now;
use crate::life::{Death, Life};
use crate::story::Story;
use crate::trip::Tripwire;
use parking_lot::Mutex;
use quorate_consensus::host::{BoxedFuture, Network, Socket, Stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Sleep};

/// What a connection takes before its writer has to wait, as the kernel does.
const IN_FLIGHT_MAX: usize = 512 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;
const PEER_PORT: u16 = 7_000;

/// How long bytes take.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Usually up to so long, in microseconds.
    pub(crate) usual_us: u64,
    /// So many pieces in a thousand are lost once and sent again.
    pub(crate) late: u64,
    /// Which takes up to so long.
    pub(crate) late_us: u64,
}

/// All of the network.
pub(crate) struct Hub {
    latency: Latency,
    chance: Chance,
    story: Arc<Story>,
    /// Of each node.
    wires: Vec<Arc<Tripwire>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Stream>>,
    /// From whom to whom nothing gets through.
    cut: BTreeSet<(usize, usize)>,
    /// Whose machine stands still.
    frozen: BTreeSet<usize>,
    /// Whose machine is gone: it does not even refuse.
    vanished: BTreeSet<usize>,
    pipes: Vec<Weak<Pipe>>,
}

/// Where a node listens for its peers.
pub(crate) fn address(node: usize) -> SocketAddr {
    let last = u8::try_from(node + 1).expect("a simulated cluster has a few nodes");
    SocketAddr::from(([10, 0, 0, last], PEER_PORT))
}

fn node_at(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(v4) => usize::from(v4.ip().octets()[3]).saturating_sub(1),
        SocketAddr::V6(_) => usize::MAX,
    }
}

impl Hub {
    pub(crate) fn new(
        latency: Latency,
        (chance, story): (Chance, Arc<Story>),
        wires: Vec<Arc<Tripwire>>,
    ) -> Self {
        Self { latency, chance, story, wires, state: Mutex::default(), changed: Notify::new() }
    }

    /// From now on nothing gets from one to the other.
    pub(crate) fn cut(&self, ways: &BTreeSet<(usize, usize)>) {
        self.state.lock().cut.extend(ways.iter().copied());
    }

    pub(crate) fn heal(&self, ways: &BTreeSet<(usize, usize)>) {
        self.state.lock().cut.retain(|way| !ways.contains(way));
        self.wake();
    }

    pub(crate) fn heal_all(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.frozen.clear();
        drop(state);
        self.wake();
    }

    pub(crate) fn freeze(&self, node: usize) {
        self.state.lock().frozen.insert(node);
    }

    pub(crate) fn thaw(&self, node: usize) {
        self.state.lock().frozen.remove(&node);
        self.wake();
    }

    /// All connections between two nodes break.
    pub(crate) fn reset(&self, one: usize, other: usize) {
        self.break_where(|pipe| (pipe.from, pipe.to) == (one, other) || (pipe.from, pipe.to) == (other, one));
    }

    /// Whether the node can exchange anything with so many of these others.
    pub(crate) fn reaches(&self, node: usize, nodes: usize) -> usize {
        let state = self.state.lock();
        let is_open =
            |other: &usize| !state.cut.contains(&(node, *other)) && !state.cut.contains(&(*other, node));
        (0..nodes).filter(|other| *other != node).filter(is_open).count()
    }

    pub(crate) fn died(&self, node: usize, death: Death) {
        {
            let mut state = self.state.lock();
            state.listeners.remove(&address(node));
            match death {
                Death::Killed => state.vanished.remove(&node),
                Death::Vanished => state.vanished.insert(node),
            };
            state.frozen.remove(&node);
        }
        if death == Death::Killed {
            self.break_where(|pipe| pipe.from == node || pipe.to == node);
        }
    }

    /// The machine is there again. Connections of before are unknown to it.
    pub(crate) fn revived(&self, node: usize) {
        self.state.lock().vanished.remove(&node);
        self.break_where(|pipe| pipe.from == node || pipe.to == node);
        self.wake();
    }

    /// Resolves when the node's machine does not stand still.
    pub(crate) async fn thawed(&self, node: usize) {
        while self.state.lock().frozen.contains(&node) {
            self.changed.notified().await;
        }
    }

    fn break_where(&self, breaks: impl Fn(&Pipe) -> bool) {
        let pipes: Vec<_> = self.state.lock().pipes.iter().filter_map(Weak::upgrade).collect();
        for pipe in pipes.into_iter().filter(|pipe| breaks(pipe)) {
            pipe.state.lock().is_broken = true;
            pipe.wake();
        }
    }

    fn wake(&self) {
        let pipes: Vec<_> = {
            let mut state = self.state.lock();
            state.pipes.retain(|pipe| pipe.strong_count() > 0);
            state.pipes.iter().filter_map(Weak::upgrade).collect()
        };
        pipes.iter().for_each(|pipe| pipe.wake());
        self.changed.notify_waiters();
    }

    fn is_open(&self, from: usize, to: usize) -> bool {
        let state = self.state.lock();
        !state.cut.contains(&(from, to)) && !state.frozen.contains(&to)
    }

    /// Whether any way is cut.
    pub(crate) fn is_cut(&self) -> bool {
        !self.state.lock().cut.is_empty()
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.state.lock().frozen.contains(&node)
    }

    fn delay(&self) -> Duration {
        if self.chance.per_mille(self.latency.late) {
            return self.chance.micros(self.latency.usual_us..self.latency.late_us);
        }
        self.chance.micros(30..self.latency.usual_us)
    }

    fn pipe(self: &Arc<Self>, from: usize, to: usize) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe { from, to, hub: self.clone(), state: Mutex::default() });
        self.state.lock().pipes.push(Arc::downgrade(&pipe));
        pipe
    }

    async fn dial(self: &Arc<Self>, life: &Arc<Life>, to: SocketAddr) -> io::Result<Stream> {
        let (from, at) = (life.node, node_at(to));
        tokio::time::sleep(self.delay() + self.delay()).await;
        loop {
            let is_free = {
                let state = self.state.lock();
                let is_cut = state.cut.contains(&(from, at)) || state.cut.contains(&(at, from));
                let stands = state.frozen.contains(&from) || state.frozen.contains(&at);
                !is_cut && !stands && !state.vanished.contains(&at)
            };
            if is_free {
                break;
            }
            self.changed.notified().await;
        }
        if !life.lives() {
            return std::future::pending().await;
        }
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = self.state.lock().listeners.get(&to).cloned().ok_or_else(refused)?;
        let (there, back) = (self.pipe(from, at), self.pipe(at, from));
        listener.try_send(ends(&back, &there, address(from))).map_err(|_| refused())?;
        Ok(ends(&there, &back, to))
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

fn ends(write: &Arc<Pipe>, read: &Arc<Pipe>, peer: SocketAddr) -> Stream {
    Stream {
        read: Box::new(ReadEnd { pipe: read.clone(), timer: None }),
        write: Box::new(WriteEnd(write.clone())),
        peer: peer.to_string(),
    }
}

/// One direction of a connection.
struct Pipe {
    from: usize,
    to: usize,
    hub: Arc<Hub>,
    state: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    is_closed: bool,
    is_broken: bool,
    has_reader_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn wake(&self) {
        let mut flow = self.state.lock();
        let (reader, writer) = (flow.reader.take(), flow.writer.take());
        drop(flow);
        [reader, writer].into_iter().flatten().for_each(Waker::wake);
    }
}

struct ReadEnd {
    pipe: Arc<Pipe>,
    timer: Option<Pin<Box<Sleep>>>,
}

struct WriteEnd(Arc<Pipe>);

impl AsyncRead for ReadEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let is_open = this.pipe.hub.is_open(this.pipe.from, this.pipe.to);
        let mut flow = this.pipe.state.lock();
        if flow.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        flow.reader = Some(cx.waker().clone());
        if !is_open {
            return Poll::Pending;
        }
        let Some((at, piece)) = flow.pieces.front_mut() else {
            return if flow.is_closed { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        if *at > now() {
            let mut timer = Box::pin(tokio::time::sleep_until(*at));
            let polled = timer.as_mut().poll(cx);
            this.timer = Some(timer);
            if polled.is_pending() {
                return Poll::Pending;
            }
        }
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            flow.pieces.pop_front();
        }
        flow.bytes -= length;
        if let Some(writer) = flow.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WriteEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self(pipe) = &*self;
        let is_frozen = pipe.hub.is_frozen(pipe.from);
        let mut flow = pipe.state.lock();
        if flow.is_broken || flow.has_reader_left {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if is_frozen || flow.bytes >= IN_FLIGHT_MAX {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let earliest = flow.pieces.back().map_or_else(now, |(at, _)| *at);
        let at = earliest.max(now() + pipe.hub.delay());
        flow.bytes += bytes.len();
        flow.pieces.push_back((at, bytes.to_vec()));
        pipe.hub.wires[pipe.from].said();
        pipe.hub.story.mix(&[pipe.from as u64, pipe.to as u64, bytes.len() as u64]);
        if let Some(reader) = flow.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.state.lock().is_closed = true;
        self.0.wake();
        Poll::Ready(Ok(()))
    }
}

impl Pipe {
    /// A machine that is gone closes nothing.
    fn can_tell(&self, end: usize) -> bool {
        !self.hub.state.lock().vanished.contains(&end)
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        if self.0.can_tell(self.0.from) {
            self.0.state.lock().is_closed = true;
            self.0.wake();
        }
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        if self.pipe.can_tell(self.pipe.to) {
            self.pipe.state.lock().has_reader_left = true;
            self.pipe.wake();
        }
    }
}

/// The network as one life of one node sees it.
#[derive(Debug)]
pub(crate) struct NodeNetwork(pub(crate) Arc<Life>);

/// Where one life of one node listens.
#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    accepted: tokio::sync::Mutex<mpsc::Receiver<Stream>>,
}

impl Network for NodeNetwork {
    fn listen(&self, address: SocketAddr) -> BoxedFuture<'_, io::Result<Box<dyn Socket>>> {
        Box::pin(async move {
            let (sender, accepted) = mpsc::channel(BACKLOG);
            self.0.hub.state.lock().listeners.insert(address, sender);
            let accepted = tokio::sync::Mutex::new(accepted);
            Ok(Box::new(Listening { address, accepted }) as Box<dyn Socket>)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> BoxedFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let to = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            self.0.hub.dial(&self.0, to).await
        })
    }
}

impl Socket for Listening {
    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn accept(&self) -> BoxedFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            match self.accepted.lock().await.recv().await {
                Some(stream) => Ok(stream),
                None => std::future::pending().await,
            }
        })
    }
}
