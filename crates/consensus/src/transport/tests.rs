//! Who is let in, in which order requests travel, and what a snapshot must look like on arrival.

use super::frame::{FRAME_MAX, FrameError, Frames};
use super::handshake::{self, HandshakeError, Local, Refusal};
use super::link::{Caller, Lane, LinkError, Links};
use super::message::{Piece, Request, Response};
use super::session::Arrival;
use crate::codec::{self, CodecError, HEADER_LEN, Kind};
use crate::host::{Host, Socket, Stream};
use crate::store::Snapshots;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use quorate_domain::{ClusterId, NodeId, Secret};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::{Decoder as _, FramedRead};

const PATIENCE: Duration = Duration::from_secs(20);

fn local(node: u64, cluster: u64, secret: &str) -> Local {
    let secret = Arc::new(Secret::new(secret.as_bytes().to_vec()));
    Local { cluster: Some(ClusterId::new(cluster)), node: Some(NodeId::new(node)), secret }
}

fn caller(local: Local) -> Caller {
    Caller { local, network: Host::machine().network }
}

async fn socket() -> (Box<dyn Socket>, String) {
    let socket = Host::machine().network.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = socket.address().unwrap().to_string();
    (socket, address)
}

/// Both ends of a handshake.
async fn meet(
    caller: &Local,
    answerer: &Local,
    expects: u64,
) -> (Result<(), HandshakeError>, Result<handshake::Peer, HandshakeError>) {
    let (socket, address) = socket().await;
    let call = async {
        let mut stream = Host::machine().network.dial(&address).await.unwrap();
        handshake::call(&mut stream, caller, Some(NodeId::new(expects))).await
    };
    let answer = async {
        let mut stream = socket.accept().await.unwrap();
        handshake::answer(&mut stream, answerer).await
    };
    tokio::join!(call, answer)
}

#[tokio::test]
async fn peers_that_share_cluster_and_secret_meet() {
    let (called, answered) = meet(&local(1, 9, "s"), &local(2, 9, "s"), 2).await;
    called.unwrap();
    assert_eq!(answered.unwrap().node, Some(NodeId::new(1)));
}

#[tokio::test]
async fn another_secret_cluster_or_node_is_refused_by_name() {
    let cluster = Refusal::Cluster { expected: ClusterId::new(8), actual: ClusterId::new(9) };
    let node = Refusal::Node { expected: NodeId::new(3), actual: NodeId::new(2) };
    let cases = [
        (local(1, 9, "guess"), 2, Refusal::Secret),
        // Who does not know the secret learns nothing of the cluster.
        (local(1, 8, "guess"), 3, Refusal::Secret),
        (local(1, 8, "s"), 2, cluster),
        (local(1, 9, "s"), 3, node),
    ];
    for (caller, expects, refusal) in cases {
        let (called, answered) = meet(&caller, &local(2, 9, "s"), expects).await;
        assert!(matches!(called, Err(HandshakeError::Refused(told)) if told == refusal));
        assert!(matches!(answered, Err(HandshakeError::Refuses(known)) if known == refusal));
    }
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
    let (links, mut tasks) = Links::new(caller(local(1, 9, "s")));
    let link = links.to(NodeId::new(2), &address);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.recv().await.unwrap().run());

    let chunk = |offset| Request::SnapshotChunk { transfer: 1, offset, piece: Piece(vec![7; 256 << 10]) };
    let mut answers = Vec::new();
    for offset in 0..100 {
        answers.push(link.send(Lane::Snapshot, &chunk(offset)).await.unwrap());
    }
    let mut stream = socket.accept().await.unwrap();
    handshake::answer(&mut stream, &local(2, 9, "s")).await.unwrap();
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
    let (links, mut tasks) = Links::new(caller(local(1, 9, "s")));
    let link = links.to(NodeId::new(2), &address);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(tasks.recv().await.unwrap().run());
    for _ in 0..2 {
        let hang_up = async {
            let mut stream = socket.accept().await.unwrap();
            handshake::answer(&mut stream, &local(2, 9, "s")).await.unwrap();
        };
        let asked = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE);
        let ((), answer) = tokio::join!(hang_up, asked);
        assert!(matches!(answer, Err(LinkError::Broken { .. })), "{answer:?}");
    }
    drop(socket);
    let answer = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE).await;
    assert!(matches!(answer, Err(LinkError::Unreachable { .. })), "{answer:?}");
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
