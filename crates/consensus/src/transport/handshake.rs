//! How two peers make sure of each other before anything else is said: TLS 1.3 with certificates on both sides, then cards.
//!
//! Hello (who calls, whom it expects) → verdict (the other card, or a refusal) → assent (or a refusal). A caller without a certificate
//! learns the version, the card, and may ask for a place. docs/adr/0023-identity-and-trust.md.

use crate::codec::{self, CodecError, HEADER_LEN, Kind};
use crate::host::Stream;
use crate::trust::{self, Keyring, OnDisks, Register, Stranger};
use quorate_domain::{ClusterId, GroupId, NodeId};
use quorate_membership::{Card, Mismatch};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const PROTOCOL: u16 = 2;
/// A handshake's records are far smaller; a stranger must not make us reserve more.
const RECORD_MAX: usize = 1_024;
/// A few messages on a network where a heartbeat takes a tenth of that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who this node is at a handshake.
#[derive(Clone, Debug)]
pub(crate) enum Local {
    /// It asks for a place in this cluster.
    Stranger(Stranger, ClusterId),
    /// It has one.
    Member(Arc<Keyring>, Arc<Register>),
}

/// Whom a connection reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Somebody who asks for a place.
    Stranger,
    /// A member.
    Member(NodeId),
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
    /// The certificate is not one that is trusted.
    #[error("the certificate is not of this cluster, or not valid now: {cause}")]
    Certificate {
        /// What is wrong with it.
        cause: String,
    },
    /// It is another node than was looked for.
    #[error("it is node {actual}, not node {expected}")]
    Node {
        /// The node the caller looked for.
        expected: NodeId,
        /// Which one it is.
        actual: NodeId,
    },
    /// Who it says it is does not fit what is known.
    #[error(transparent)]
    Card(#[from] Mismatch),
}

impl Refusal {
    /// Whether a node that is told this has no part in its cluster any more, or never had with what it has.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::Card(mismatch) => match mismatch {
                Mismatch::Lineage { .. }
                | Mismatch::Removed(_)
                | Mismatch::OtherStorage { .. }
                | Mismatch::Cloned(_)
                | Mismatch::RolledBack(_)
                | Mismatch::Level { .. } => true,
                // Somebody else's node at a member's address.
                Mismatch::Cluster { .. } => false,
            },
            Self::Version { .. } | Self::Certificate { .. } | Self::Node { .. } => false,
        }
    }
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
    Codec(#[from] CodecError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u16,
    group: GroupId,
    expects: Option<NodeId>,
    /// `None` of who asks for a place.
    card: Option<Card>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Verdict {
    Welcome(Card),
    Refused(Refusal),
}

/// Calls a peer. `expects` names the node that must answer, if the caller knows. What is said afterwards goes over the stream that is
/// given back.
pub(super) async fn call(
    stream: Stream,
    local: &Local,
    expects: Option<NodeId>,
) -> Result<Stream, HandshakeError> {
    let called = tokio::time::timeout(PATIENCE, call_in_time(stream, local, expects));
    called.await.unwrap_or(Err(HandshakeError::TooSlow))
}

/// Answers a caller, as a member.
pub(super) async fn answer(
    stream: Stream,
    keyring: &Keyring,
    register: &Register,
) -> Result<(Stream, Peer), HandshakeError> {
    let answered = tokio::time::timeout(PATIENCE, answer_in_time(stream, keyring, register));
    answered.await.unwrap_or(Err(HandshakeError::TooSlow))
}

async fn call_in_time(
    stream: Stream,
    local: &Local,
    expects: Option<NodeId>,
) -> Result<Stream, HandshakeError> {
    let (client, cluster) = match local {
        Local::Stranger(stranger, cluster) => (stranger.client.clone(), *cluster),
        Local::Member(keyring, register) => (keyring.client(), register.myself.cluster),
    };
    let (mut stream, certificate) = secure_call(stream, client, cluster).await?;
    let (card, noted) = match local {
        Local::Stranger(..) => (None, OnDisks::default()),
        Local::Member(_, register) => (Some(register.card()), register.on_disks()),
    };
    send(&mut stream, &Hello { protocol: PROTOCOL, group: GroupId::default(), expects, card }).await?;
    let card = match receive(&mut stream).await.map_err(by_alert)? {
        Verdict::Welcome(card) => card,
        Verdict::Refused(refusal) => return Err(HandshakeError::Refused(refusal)),
    };
    let assent = assent(local, (cluster, expects), (&card, &noted), &certificate);
    send(&mut stream, &assent).await?;
    assent.map(|()| stream).map_err(HandshakeError::Refuses)
}

async fn answer_in_time(
    stream: Stream,
    keyring: &Keyring,
    register: &Register,
) -> Result<(Stream, Peer), HandshakeError> {
    // Before the caller can have made its card.
    let noted = register.on_disks();
    let (mut stream, certificate) = secure_answer(stream, keyring).await?;
    let hello: Hello = receive(&mut stream).await?;
    if let Err(refusal) = admit((register, &noted), &hello, certificate.as_deref()) {
        send(&mut stream, &Verdict::Refused(refusal.clone())).await?;
        return Err(HandshakeError::Refuses(refusal));
    }
    send(&mut stream, &Verdict::Welcome(register.card())).await?;
    let assent: Result<(), Refusal> = receive(&mut stream).await?;
    assent.map_err(HandshakeError::Refused)?;
    Ok((stream, hello.card.map_or(Peer::Stranger, |card| Peer::Member(card.node))))
}

/// TLS as the one who calls. Which node it must be, the certificate is asked once it has shown its card.
async fn secure_call(
    stream: Stream,
    client: Arc<ClientConfig>,
    cluster: ClusterId,
) -> Result<(Stream, Vec<u8>), HandshakeError> {
    let Stream { read, write, peer } = stream;
    let name = ServerName::try_from("quorate.internal").expect("it is a name");
    let connected = TlsConnector::from(client).connect(name, tokio::io::join(read, write)).await;
    let tls = connected.map_err(|error| untrusted(error, cluster))?;
    let certificate = shown(tls.get_ref().1.peer_certificates()).unwrap_or_default();
    let (read, write) = tokio::io::split(tls);
    Ok((Stream { read: Box::new(read), write: Box::new(write), peer }, certificate))
}

/// TLS as the one who answers. A caller may have no certificate.
async fn secure_answer(
    stream: Stream,
    keyring: &Keyring,
) -> Result<(Stream, Option<Vec<u8>>), HandshakeError> {
    let Stream { read, write, peer } = stream;
    let accepted = TlsAcceptor::from(keyring.server()).accept(tokio::io::join(read, write)).await;
    let tls = accepted.map_err(|error| match rustls_error(&error) {
        Some(cause @ rustls::Error::InvalidCertificate(_)) => {
            HandshakeError::Refuses(Refusal::Certificate { cause: cause.to_string() })
        }
        Some(_) | None => HandshakeError::Io(error),
    })?;
    let certificate = shown(tls.get_ref().1.peer_certificates());
    let (read, write) = tokio::io::split(tls);
    Ok((Stream { read: Box::new(read), write: Box::new(write), peer }, certificate))
}

fn shown(chain: Option<&[CertificateDer<'_>]>) -> Option<Vec<u8>> {
    chain.and_then(|chain| chain.first()).map(|der| der.to_vec())
}

/// Whether whoever answered is who was called.
fn assent(
    local: &Local,
    (cluster, expects): (ClusterId, Option<NodeId>),
    (card, noted): (&Card, &OnDisks),
    certificate: &[u8],
) -> Result<(), Refusal> {
    if card.cluster != cluster {
        return Err(Mismatch::Cluster { expected: cluster, actual: card.cluster }.into());
    }
    is_its_own(card, certificate)?;
    if let Some(expected) = expects.filter(|expected| *expected != card.node) {
        return Err(Refusal::Node { expected, actual: card.node });
    }
    match local {
        Local::Stranger(..) => Ok(()),
        Local::Member(_, register) => Ok(register.judge(card, noted)?),
    }
}

/// Whether a caller is let in.
fn admit(
    (register, noted): (&Register, &OnDisks),
    hello: &Hello,
    certificate: Option<&[u8]>,
) -> Result<(), Refusal> {
    if hello.protocol != PROTOCOL {
        return Err(Refusal::Version { supported: PROTOCOL });
    }
    if let Some(card) = &hello.card {
        is_its_own(card, certificate.unwrap_or_default())?;
        register.judge(card, noted)?;
    }
    let actual = register.myself.node;
    match hello.expects.filter(|expected| *expected != actual) {
        Some(expected) => Err(Refusal::Node { expected, actual }),
        None => Ok(()),
    }
}

/// A card counts only with the certificate of the node that it names.
fn is_its_own(card: &Card, certificate: &[u8]) -> Result<(), Refusal> {
    if trust::is_certificate_of(certificate, card.cluster, card.node) {
        return Ok(());
    }
    Err(Refusal::Certificate { cause: format!("it is not that of node {}", card.node) })
}

/// Says what was wrong with the certificate of whoever answered, if that was it.
fn untrusted(error: io::Error, expected: ClusterId) -> HandshakeError {
    let refusal = match rustls_error(&error) {
        Some(rustls::Error::InvalidCertificate(cause)) => match trust::foreign_cluster(cause) {
            Some(actual) if actual != expected => Mismatch::Cluster { expected, actual }.into(),
            Some(_) | None => Refusal::Certificate { cause: cause.to_string() },
        },
        Some(_) | None => return HandshakeError::Io(error),
    };
    HandshakeError::Refuses(refusal)
}

/// In TLS 1.3 a caller hears only when it reads that its certificate was not taken.
fn by_alert(error: HandshakeError) -> HandshakeError {
    let HandshakeError::Io(io) = &error else { return error };
    match rustls_error(io) {
        Some(rustls::Error::AlertReceived(alert)) => {
            HandshakeError::Refused(Refusal::Certificate { cause: format!("{alert:?}") })
        }
        Some(_) | None => error,
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

async fn send<T: Serialize>(stream: &mut Stream, message: &T) -> Result<(), HandshakeError> {
    stream.write.write_all(&codec::encode(Kind::Handshake, message)).await?;
    Ok(stream.write.flush().await?)
}

/// Reads one message and not a byte more: what follows is no handshake.
async fn receive<T: DeserializeOwned>(stream: &mut Stream) -> Result<T, HandshakeError> {
    let ended = |error: io::Error| {
        let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
        if is_end { HandshakeError::Ended } else { HandshakeError::Io(error) }
    };
    let mut record = vec![0; HEADER_LEN];
    stream.read.read_exact(&mut record).await.map_err(ended)?;
    let header = *record.first_chunk::<HEADER_LEN>().expect("it was made so long");
    let length = codec::open_header(Kind::Handshake, header)?;
    if length > RECORD_MAX {
        return Err(CodecError::TooLarge(length as u64).into());
    }
    record.resize(HEADER_LEN + length, 0);
    stream.read.read_exact(&mut record[HEADER_LEN..]).await.map_err(ended)?;
    Ok(codec::decode(Kind::Handshake, &record)?)
}
