//! Who is let in, in which order requests travel, and what a snapshot must look like on arrival.

use super::frame::{FRAME_MAX, FrameError, Frames};
use super::handshake::{self, HandshakeError, Local, Peer, Refusal};
use super::link::{Caller, Lane, LinkError, Links};
use super::message::{Piece, Request, Response};
use super::session::Arrival;
use super::told::Told;
use crate::codec::{self, CodecError, HEADER_LEN, Kind};
use crate::host::{Host, Socket, Stream};
use crate::store::Snapshots;
use crate::trust::tests::{DAY, Hand, NOW, held, member, root_of};
use crate::trust::{Held, Stranger};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use quorate_domain::{Clock, ClusterId, NodeId};
use quorate_membership::{Mismatch, Root};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::{Decoder as _, FramedRead};

const PATIENCE: Duration = Duration::from_secs(20);

/// A member of cluster 9, and where its files are.
struct Node {
    local: Local,
    _dir: TempDir,
}

impl Node {
    fn of(root: &Root, cluster: u64, node: u64) -> Self {
        Self::by(Hand::at(NOW), held(root, cluster, node), (cluster, node))
    }

    fn by(clock: Arc<Hand>, held: Held, who: (u64, u64)) -> Self {
        let dir = TempDir::new().unwrap();
        let (keyring, register) = member(dir.path(), clock, held, who);
        Self { local: Local::Member(keyring, register), _dir: dir }
    }

    fn caller(&self) -> Caller {
        Caller { local: self.local.clone(), told: Told::default(), network: Host::machine().network }
    }

    async fn answer(&self, socket: &dyn Socket) -> Result<(Stream, Peer), HandshakeError> {
        let Local::Member(keyring, register) = &self.local else { unreachable!("it is a member") };
        let stream = socket.accept().await.unwrap();
        handshake::answer(stream, keyring, register).await
    }
}

async fn socket() -> (Box<dyn Socket>, String) {
    let socket = Host::machine().network.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = socket.address().unwrap().to_string();
    (socket, address)
}

/// Both ends of a handshake.
async fn meet(
    caller: &Local,
    answerer: &Node,
    expects: Option<u64>,
) -> (Result<Stream, HandshakeError>, Result<(Stream, Peer), HandshakeError>) {
    let (socket, address) = socket().await;
    let call = async {
        let stream = Host::machine().network.dial(&address).await.unwrap();
        handshake::call(stream, caller, expects.map(NodeId::new)).await
    };
    tokio::join!(call, answerer.answer(&*socket))
}

#[tokio::test]
async fn members_of_one_cluster_meet_and_know_who_the_other_is() {
    let root = root_of(9);
    let (one, two) = (Node::of(&root, 9, 1), Node::of(&root, 9, 2));
    let (called, answered) = meet(&one.local, &two, Some(2)).await;
    called.unwrap();
    assert_eq!(answered.unwrap().1, Peer::Member(NodeId::new(1)));
}

#[tokio::test]
async fn a_stranger_finds_the_cluster_of_its_token_and_no_other() {
    let (root, other) = (root_of(9), root_of(8));
    let node = Node::of(&root, 9, 2);
    let stranger = |root: &Root, cluster| {
        let clock: Arc<dyn Clock> = Hand::at(NOW);
        Local::Stranger(Stranger::new(root.id(), &clock).unwrap(), ClusterId::new(cluster))
    };
    let (called, answered) = meet(&stranger(&root, 9), &node, None).await;
    called.unwrap();
    assert_eq!(answered.unwrap().1, Peer::Stranger);
    let (called, _) = meet(&stranger(&other, 8), &node, None).await;
    let foreign = Mismatch::Cluster { expected: ClusterId::new(8), actual: ClusterId::new(9) };
    assert!(matches!(called, Err(HandshakeError::Refuses(Refusal::Card(told))) if told == foreign));
}

#[tokio::test]
async fn another_cluster_node_or_certificate_is_refused_by_name() {
    let (root, other) = (root_of(9), root_of(9));
    let two = Node::of(&root, 9, 2);
    let (called, answered) = meet(&Node::of(&root, 9, 1).local, &two, Some(3)).await;
    let node = Refusal::Node { expected: NodeId::new(3), actual: NodeId::new(2) };
    assert!(matches!(called, Err(HandshakeError::Refused(told)) if told == node));
    assert!(matches!(answered, Err(HandshakeError::Refuses(known)) if known == node));

    let (called, _) = meet(&Node::of(&root_of(8), 8, 1).local, &two, Some(2)).await;
    let foreign = Mismatch::Cluster { expected: ClusterId::new(8), actual: ClusterId::new(9) };
    assert!(matches!(called, Err(HandshakeError::Refuses(Refusal::Card(told))) if told == foreign));

    // It trusts the cluster, but nobody there signed what it shows.
    let forged = Held { roots: vec![root.certificate.clone()], ..held(&other, 9, 1) };
    let forger = Node::by(Hand::at(NOW), forged, (9, 1));
    let (called, answered) = meet(&forger.local, &two, Some(2)).await;
    assert!(matches!(called, Err(HandshakeError::Refused(Refusal::Certificate { .. }))), "{called:?}");
    assert!(matches!(answered, Err(HandshakeError::Refuses(Refusal::Certificate { .. }))));

    // A certificate of node 1 does not make it node 3.
    let posing = Node::by(Hand::at(NOW), held(&root, 9, 1), (9, 3));
    let (called, _) = meet(&posing.local, &two, Some(2)).await;
    assert!(matches!(called, Err(HandshakeError::Refused(Refusal::Certificate { .. }))), "{called:?}");
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_refused() {
    let root = root_of(9);
    let clock = Hand::at(NOW);
    let two = Node::by(clock.clone(), held(&root, 9, 2), (9, 2));
    let one = Node::by(clock.clone(), held(&root, 9, 1), (9, 1));
    let (called, _) = meet(&one.local, &two, Some(2)).await;
    called.unwrap();
    clock.set(NOW + 11 * DAY);
    let (called, _) = meet(&one.local, &two, Some(2)).await;
    assert!(matches!(called, Err(HandshakeError::Refuses(Refusal::Certificate { .. }))), "{called:?}");
}

#[tokio::test]
async fn who_speaks_no_tls_gets_nothing() {
    let root = root_of(9);
    let node = Node::of(&root, 9, 2);
    let (socket, address) = socket().await;
    let talk = async {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
        answer
    };
    let (answer, answered) = tokio::join!(talk, node.answer(&*socket));
    assert!(answered.is_err());
    // A TLS alert, and not a byte more.
    assert!(answer.len() <= 7, "{answer:?}");
}

#[test]
fn a_frame_that_claims_too_much_is_refused_by_its_header() {
    let mut frames = Frames::<(u64, Response)>::new(Kind::Frame, FRAME_MAX);
    let honest = codec::encode(Kind::Frame, &(1_u64, Response::ReadIndex(5)));
    let mut bytes = BytesMut::from(&honest[..honest.len() - 1]);
    assert!(frames.decode(&mut bytes).unwrap().is_none());
    bytes.extend_from_slice(&honest[honest.len() - 1..]);
    assert!(matches!(frames.decode(&mut bytes), Ok(Some((1, Response::ReadIndex(5))))));
    assert!(bytes.is_empty());

    let mut header = honest[..HEADER_LEN].to_vec();
    header[4..8].copy_from_slice(&(9_u32 << 20).to_le_bytes());
    let refused = frames.decode(&mut BytesMut::from(&header[..]));
    assert!(matches!(refused, Err(FrameError::Codec(CodecError::TooLarge(_)))));
    let foreign = frames.decode(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..]));
    assert!(matches!(foreign, Err(FrameError::Codec(CodecError::Foreign(b'G')))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_overtakes_a_snapshot_that_waits_for_the_network() {
    let (socket, address) = socket().await;
    let root = root_of(9);
    let (one, two) = (Node::of(&root, 9, 1), Node::of(&root, 9, 2));
    let (links, mut tasks) = Links::new(one.caller());
    let link = links.to(NodeId::new(2), &address);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.recv().await.unwrap().run());

    let chunk = |offset| Request::SnapshotChunk { transfer: 1, offset, piece: Piece(vec![7; 256 << 10]) };
    let mut answers = Vec::new();
    for offset in 0..100 {
        answers.push(link.send(Lane::Snapshot, &chunk(offset)).await.unwrap());
    }
    let (stream, _) = two.answer(&*socket).await.unwrap();
    answers.push(link.send(Lane::Control, &Request::ReadIndex).await.unwrap());

    let Stream { read, mut write, peer: _ } = stream;
    let mut questions = FramedRead::new(read, Frames::<(u64, Request)>::new(Kind::Frame, FRAME_MAX));
    let mut order = Vec::new();
    while order.len() < 101 {
        let (id, request) = questions.next().await.unwrap().unwrap();
        order.push(matches!(request, Request::ReadIndex));
        write.write_all(&codec::encode(Kind::Frame, &(id, Response::ReadIndex(id)))).await.unwrap();
    }
    let overtaken = order.iter().position(|is_control| *is_control).unwrap();
    assert!(overtaken < 90, "the heartbeat came as number {overtaken} of 101");
    for answer in answers {
        tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_broken_connection_fails_what_waits_and_the_next_question_connects_again() {
    let (socket, address) = socket().await;
    let root = root_of(9);
    let (one, two) = (Node::of(&root, 9, 1), Node::of(&root, 9, 2));
    let (links, mut tasks) = Links::new(one.caller());
    let link = links.to(NodeId::new(2), &address);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.recv().await.unwrap().run());
    for _ in 0..2 {
        let hang_up = async {
            two.answer(&*socket).await.unwrap();
        };
        let asked = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE);
        let ((), answer) = tokio::join!(hang_up, asked);
        assert!(matches!(answer, Err(LinkError::Broken { .. })), "{answer:?}");
    }
    drop(socket);
    let answer = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE).await;
    assert!(matches!(answer, Err(LinkError::Unreachable { .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_makes_a_new_connection_and_no_question_is_lost() {
    let (socket, address) = socket().await;
    let root = root_of(9);
    let (one, two) = (Node::of(&root, 9, 1), Node::of(&root, 9, 2));
    let (links, mut tasks) = Links::new(one.caller());
    let link = links.to(NodeId::new(2), &address);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.recv().await.unwrap().run());
    let answerer = async {
        let mut connections = 0_u64;
        loop {
            let (stream, _) = two.answer(&*socket).await.unwrap();
            connections += 1;
            let Stream { read, mut write, peer: _ } = stream;
            let mut questions = FramedRead::new(read, Frames::<(u64, Request)>::new(Kind::Frame, FRAME_MAX));
            while let Some(Ok((id, _))) = questions.next().await {
                tokio::task::yield_now().await;
                let answer = codec::encode(Kind::Frame, &(id, Response::ReadIndex(connections)));
                write.write_all(&answer).await.unwrap();
                write.flush().await.unwrap();
            }
        }
    };
    let Local::Member(keyring, _) = &one.local else { unreachable!("it is a member") };
    let asker = async {
        let mut connections = 0;
        while connections < 5 {
            let asked = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE).await;
            let Ok(Response::ReadIndex(connection)) = asked else { unreachable!("{asked:?}") };
            if connection > connections {
                connections = connection;
                keyring.replace(held(&root, 9, 1)).unwrap();
            }
        }
    };
    let asked = async {
        tokio::select! {
            () = asker => {}
            () = answerer => {}
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}

#[test]
fn a_snapshot_must_arrive_whole_and_in_order() {
    let dir = TempDir::new().unwrap();
    let mut arrival = Arrival::new(Arc::new(Snapshots::open(Host::machine().disk, dir.path()).unwrap()));
    let accepted = |response| matches!(response, Response::SnapshotProgress);
    assert!(!accepted(arrival.add(1, 0, b"nothing began")));
    assert!(accepted(arrival.begin(1, 6)));
    assert!(accepted(arrival.add(1, 0, b"abc")));
    assert!(!accepted(arrival.add(1, 0, b"abc")), "a piece twice");
    assert!(!accepted(arrival.add(2, 3, b"def")), "a piece of another snapshot");
    assert!(!accepted(arrival.add(1, 3, b"defg")), "more than was announced");
    assert!(accepted(arrival.add(1, 3, b"def")));
    assert!(arrival.end(1, crc32fast::hash(b"abcdef")).is_ok());

    assert!(accepted(arrival.begin(3, 6)));
    assert!(accepted(arrival.add(3, 0, b"abc")));
    assert!(arrival.end(3, crc32fast::hash(b"abc")).is_err(), "half of it");
    assert!(accepted(arrival.begin(4, 3)));
    assert!(accepted(arrival.add(4, 0, b"abc")));
    assert!(arrival.end(4, crc32fast::hash(b"abd")).is_err(), "damaged on the way");
}
