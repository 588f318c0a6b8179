//! Checks the chain of a peer's certificate. Which node it must be is known, and checked, only when the peer has shown its card.

use super::mint;
use quorate_domain::{ClusterId, NodeId};
use quorate_membership::RootId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// Whom a chain must end with.
#[derive(Clone, Debug)]
pub(super) enum Trusted {
    /// One of these.
    Roots(RootCertStore),
    /// The root with this digest, which the peer shows.
    Pinned(RootId),
}

/// Checks the chain of whoever answers a call.
#[derive(Debug)]
pub(super) struct ChainVerifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ChainVerifier {
    pub(super) fn new(trusted: Trusted, provider: &CryptoProvider) -> Self {
        Self { trusted, algorithms: provider.signature_verification_algorithms }
    }

    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let (parsed, roots) = (ParsedCertificate::try_from(end_entity)?, self.roots(intermediates)?);
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, intermediates, now, algorithms)
    }

    fn roots(&self, shown: &[CertificateDer<'_>]) -> Result<RootCertStore, Error> {
        let pinned = match &self.trusted {
            Trusted::Roots(roots) => return Ok(roots.clone()),
            Trusted::Pinned(pinned) => pinned,
        };
        let root = shown.iter().find(|certificate| RootId::of(certificate) == *pinned);
        let mut roots = RootCertStore::empty();
        roots.add(root.ok_or(CertificateError::UnknownIssuer)?.clone().into_owned())?;
        Ok(roots)
    }
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.check(end_entity, intermediates, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Err(CertificateError::Other(OtherError(Arc::new(UnknownIssuer(cluster_in(end_entity)))))
                    .into())
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate, whose chain was checked, is that of a node.
pub(crate) fn is_certificate_of(certificate: &[u8], cluster: ClusterId, node: NodeId) -> bool {
    let der = CertificateDer::from(certificate);
    let name = ServerName::try_from(mint::name(cluster, node));
    let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(&der), name) else { return false };
    verify_server_name(&parsed, &name).is_ok()
}

/// Nobody who is trusted signed it.
#[derive(Debug, thiserror::Error)]
#[error("it was not signed by an authority of this cluster")]
struct UnknownIssuer(Option<ClusterId>);

/// The cluster that is named in a certificate which was not believed: to tell people, not to believe.
pub(crate) fn foreign_cluster(error: &CertificateError) -> Option<ClusterId> {
    let CertificateError::Other(OtherError(cause)) = error else { return None };
    cause.downcast_ref::<UnknownIssuer>()?.0
}

fn cluster_in(certificate: &CertificateDer<'_>) -> Option<ClusterId> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = parsed.valid_dns_names().next()?;
    let cluster = name.strip_suffix(".quorate.internal")?.rsplit('.').next()?;
    u64::from_str_radix(cluster, 16).ok().map(ClusterId::new)
}
