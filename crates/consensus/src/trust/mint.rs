//! Makes keys and certificates: Ed25519, X.509 (RFC 8410, RFC 5280), by rcgen.
//!
//! Everything is derived from what is passed in: under a seeded host the same bytes come out again.

use crate::host;
use quorate_domain::{ClusterId, LogTime, NodeId, Secret, Span};
use quorate_membership::Root;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::time::Duration;
use time::OffsetDateTime;

/// A clock that is behind by less than this takes a certificate that was just made.
const BACKDATED: Span = Span::from_millis(24 * 60 * 60 * 1_000);
/// Roots are replaced by people, not by time.
const ROOT_LIFETIME: Span = Span::from_millis(10 * 365 * 24 * 60 * 60 * 1_000);
/// PKCS#8 in front of the seed of an Ed25519 key (RFC 8410, section 7).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The secret half of an Ed25519 key.
pub(crate) type KeySeed = Secret<[u8; 32]>;
/// The public half.
pub(crate) type PublicKey = [u8; 32];

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) since: LogTime,
    pub(crate) until: LogTime,
}

/// Draws a key.
pub(crate) fn draw() -> Result<KeySeed, getrandom::Error> {
    let mut seed = [0; 32];
    host::fill(&mut seed)?;
    Ok(Secret::new(seed))
}

/// The key in the form that rustls reads.
pub(super) fn pkcs8(seed: &KeySeed) -> Vec<u8> {
    [&PKCS8[..], seed.expose()].concat()
}

/// The public half of a key.
pub(crate) fn public(seed: &KeySeed) -> Result<PublicKey, rcgen::Error> {
    let pair = pair(seed)?;
    pair.public_key_raw().try_into().map_err(|_| rcgen::Error::UnsupportedSignatureAlgorithm)
}

/// The name in a node's certificate.
pub(crate) fn name(cluster: ClusterId, node: NodeId) -> String {
    format!("node-{node}.{:016x}.quorate.internal", cluster.get())
}

/// Makes a new root for a cluster.
pub(crate) fn root(cluster: ClusterId, key: KeySeed, now: LogTime) -> Result<Root, rcgen::Error> {
    let life = Lifetime { since: now, until: now.plus(ROOT_LIFETIME) };
    let certificate = root_params(cluster, life, &key)?.self_signed(&pair(&key)?)?;
    Ok(Root { certificate: certificate.der().to_vec(), key, since: life.since, until: life.until })
}

/// Signs a node's certificate.
pub(crate) fn sign(
    root: &Root,
    (cluster, node): (ClusterId, NodeId),
    key: PublicKey,
    life: Lifetime,
) -> Result<Vec<u8>, rcgen::Error> {
    let issued_by = root_params(cluster, Lifetime { since: root.since, until: root.until }, &root.key)?;
    let issuer = Issuer::new(issued_by, pair(&root.key)?);
    let mut params = params(format!("quorate node {node}"), life, &key)?;
    params.subject_alt_names = vec![rcgen::SanType::DnsName(name(cluster, node).try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params.signed_by(&Subject(key), &issuer)?.der().to_vec())
}

fn root_params(cluster: ClusterId, life: Lifetime, key: &KeySeed) -> Result<CertificateParams, rcgen::Error> {
    let name = format!("quorate {:016x} {}", cluster.get(), life.since.millis());
    let mut params = params(name, life, &public(key)?)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn params(name: String, life: Lifetime, key: &PublicKey) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(LogTime::from_millis(life.since.millis().saturating_sub(BACKDATED.millis())));
    params.not_after = at(life.until);
    // Always as long: a leading byte that is neither zero nor negative.
    let serial = [&[1][..], &key[..8], &life.since.millis().to_be_bytes()[3..]].concat();
    params.serial_number = Some(SerialNumber::from(serial));
    Ok(params)
}

fn at(time: LogTime) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::from_secs(time.millis() / 1_000)
}

fn pair(seed: &KeySeed) -> Result<KeyPair, rcgen::Error> {
    let der = pkcs8(seed);
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
}

/// Somebody else's key, of which the public half is known.
struct Subject(PublicKey);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
