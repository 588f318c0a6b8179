//! How two peers make sure of each other before anything else is said.
//!
//! Hello (with a nonce) → challenge (with a nonce) → proof → verdict (with the other side's proof). What a stranger
//! without the secret learns is the protocol version and that the secret is wrong.

use super::frame::{FrameError, Frames};
use crate::codec::{self, Kind};
use crate::host::{self, Stream};
use futures_util::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quorate_domain::{ClusterId, GroupId, NodeId, Secret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio_util::codec::FramedRead;

const PROTOCOL: u16 = 1;
/// A handshake's records are far smaller; a stranger must not make us reserve more.
const RECORD_MAX: usize = 1_024;
/// Four messages on a network where a heartbeat takes a tenth of that.
const PATIENCE: Duration = Duration::from_secs(2);
const CLIENT: &[u8] = b"quorate peer proof: client";
const SERVER: &[u8] = b"quorate peer proof: server";

type Nonce = [u8; 32];
type Proof = [u8; 32];

/// Who this node is, as far as it knows: a node that joins has neither cluster nor id yet.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) node: Option<NodeId>,
    pub(crate) secret: Arc<Secret<Vec<u8>>>,
}

/// Whom a connection reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) node: Option<NodeId>,
}

/// Why a peer will not talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The versions do not meet.
    #[error("it speaks peer protocol {supported} only")]
    Version {
        /// The version it speaks.
        supported: u16,
    },
    /// The secrets differ.
    #[error("the cluster secret differs")]
    Secret,
    /// It belongs to another cluster.
    #[error("it belongs to cluster {actual}, not to {expected}")]
    Cluster {
        /// The cluster the caller belongs to.
        expected: ClusterId,
        /// Its own.
        actual: ClusterId,
    },
    /// It is another node.
    #[error("it is node {actual}, not node {expected}")]
    Node {
        /// The node the caller looked for.
        expected: NodeId,
        /// Which one it is.
        actual: NodeId,
    },
    /// It has no place in a cluster itself yet.
    #[error("it has not joined a cluster yet")]
    NotReady,
}

/// Why a handshake did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The other side refused.
    #[error("the peer refuses: {0}")]
    Refused(Refusal),
    /// This side refused.
    #[error("the peer was refused: {0}")]
    Refuses(Refusal),
    /// The connection ended too early.
    #[error("the connection ended during the handshake")]
    Ended,
    /// It took too long.
    #[error("the handshake took longer than {} s", PATIENCE.as_secs())]
    TooSlow,
    /// What was received is no handshake.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The machine has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u16,
    group: GroupId,
    cluster: Option<ClusterId>,
    node: Option<NodeId>,
    expects: Option<NodeId>,
    nonce: Nonce,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Challenge {
    protocol: u16,
    nonce: Nonce,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Verdict {
    Welcome { proof: Proof },
    Refused(Refusal),
}

/// Calls a peer. `expects` names the node that must answer, if the caller knows.
pub(super) async fn call(
    stream: &mut Stream,
    local: &Local,
    expects: Option<NodeId>,
) -> Result<(), HandshakeError> {
    tokio::time::timeout(PATIENCE, call_in_time(stream, local, expects))
        .await
        .unwrap_or(Err(HandshakeError::TooSlow))
}

/// Answers a caller.
pub(super) async fn answer(stream: &mut Stream, local: &Local) -> Result<Peer, HandshakeError> {
    tokio::time::timeout(PATIENCE, answer_in_time(stream, local))
        .await
        .unwrap_or(Err(HandshakeError::TooSlow))
}

async fn call_in_time(
    stream: &mut Stream,
    local: &Local,
    expects: Option<NodeId>,
) -> Result<(), HandshakeError> {
    let (cluster, node) = (local.cluster, local.node);
    let hello =
        Hello { protocol: PROTOCOL, group: GroupId::default(), cluster, node, expects, nonce: nonce()? };
    send(stream, &hello).await?;
    let challenge: Challenge = receive(stream).await?;
    if challenge.protocol != PROTOCOL {
        return Err(HandshakeError::Refuses(Refusal::Version { supported: challenge.protocol }));
    }
    send(stream, &prove(local, CLIENT, &hello, &challenge)).await?;
    match receive(stream).await? {
        Verdict::Welcome { proof } if is_proof(local, SERVER, (&hello, &challenge), &proof) => Ok(()),
        Verdict::Welcome { .. } => Err(HandshakeError::Refuses(Refusal::Secret)),
        Verdict::Refused(refusal) => Err(HandshakeError::Refused(refusal)),
    }
}

async fn answer_in_time(stream: &mut Stream, local: &Local) -> Result<Peer, HandshakeError> {
    let hello: Hello = receive(stream).await?;
    let challenge = Challenge { protocol: PROTOCOL, nonce: nonce()? };
    send(stream, &challenge).await?;
    let proof: Proof = receive(stream).await?;
    if let Err(refusal) = judge(local, &hello, &challenge, &proof) {
        send(stream, &Verdict::Refused(refusal.clone())).await?;
        return Err(HandshakeError::Refuses(refusal));
    }
    send(stream, &Verdict::Welcome { proof: prove(local, SERVER, &hello, &challenge) }).await?;
    Ok(Peer { node: hello.node })
}

/// The secret comes first: who does not know it learns nothing else.
fn judge(local: &Local, hello: &Hello, challenge: &Challenge, proof: &Proof) -> Result<(), Refusal> {
    if hello.protocol != PROTOCOL {
        return Err(Refusal::Version { supported: PROTOCOL });
    }
    if !is_proof(local, CLIENT, (hello, challenge), proof) {
        return Err(Refusal::Secret);
    }
    let (Some(cluster), Some(node)) = (local.cluster, local.node) else { return Err(Refusal::NotReady) };
    if let Some(expected) = hello.cluster.filter(|expected| *expected != cluster) {
        return Err(Refusal::Cluster { expected, actual: cluster });
    }
    if let Some(expected) = hello.expects.filter(|expected| *expected != node) {
        return Err(Refusal::Node { expected, actual: node });
    }
    Ok(())
}

fn mac(local: &Local, side: &[u8], (hello, challenge): (&Hello, &Challenge)) -> Hmac<Sha256> {
    let secret = local.secret.expose();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(side);
    mac.update(&codec::encode(Kind::Handshake, hello));
    mac.update(&codec::encode(Kind::Handshake, challenge));
    mac
}

fn prove(local: &Local, side: &[u8], hello: &Hello, challenge: &Challenge) -> Proof {
    mac(local, side, (hello, challenge)).finalize().into_bytes().into()
}

fn is_proof(local: &Local, side: &[u8], said: (&Hello, &Challenge), proof: &Proof) -> bool {
    mac(local, side, said).verify_slice(proof).is_ok()
}

fn nonce() -> Result<Nonce, HandshakeError> {
    let mut nonce = Nonce::default();
    host::fill(&mut nonce).map_err(HandshakeError::Random)?;
    Ok(nonce)
}

async fn send<T: Serialize>(stream: &mut Stream, message: &T) -> Result<(), HandshakeError> {
    stream.write.write_all(&codec::encode(Kind::Handshake, message)).await?;
    Ok(stream.write.flush().await?)
}

/// The other side says nothing beyond this message before it is answered, so nothing is read too far.
async fn receive<T: DeserializeOwned>(stream: &mut Stream) -> Result<T, HandshakeError> {
    let mut frames = FramedRead::new(&mut stream.read, Frames::new(Kind::Handshake, RECORD_MAX));
    Ok(frames.next().await.ok_or(HandshakeError::Ended)??)
}
