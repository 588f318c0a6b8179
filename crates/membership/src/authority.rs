//! The certificate authority of a cluster, and how its root is replaced while everybody goes on.

use crate::command::Rejection;
use crate::node::NodeRecord;
use crate::token::hex;
use quorate_domain::{LogTime, Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A root by its certificate: SHA-256 of it. The pin in a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootId([u8; 32]);

impl RootId {
    /// Names the root with this digest.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// The root with this certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A root: what everybody trusts, and what signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// The seed of its Ed25519 key.
    pub key: Secret<[u8; 32]>,
    /// When it was made.
    pub since: LogTime,
    /// Until when it can be used.
    pub until: LogTime,
}

impl Root {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> RootId {
        RootId::of(&self.certificate)
    }
}

/// What a node holds, as far as the cluster knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Which root signed it.
    pub root: RootId,
    /// From when on.
    pub since: LogTime,
    /// Until when.
    pub until: LogTime,
}

/// The authority of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    current: Root,
    next: Option<Next>,
}

/// A root that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The root.
    pub root: Root,
    /// How far it is.
    pub phase: Phase,
}

/// How far the change to another root is. Each phase ends by itself when the last node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nodes begin to trust it; the old one signs.
    Trusting,
    /// It signs; nodes fetch certificates of it. Both are trusted.
    Signing,
}

impl Authority {
    pub(crate) const fn new(root: Root) -> Self {
        Self { current: root, next: None }
    }

    /// The root that signs now.
    #[must_use]
    pub fn signer(&self) -> &Root {
        match &self.next {
            Some(Next { root, phase: Phase::Signing }) => root,
            Some(Next { phase: Phase::Trusting, .. }) | None => &self.current,
        }
    }

    /// All that are trusted, the newest last.
    pub fn trusted(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.current).chain(self.next.as_ref().map(|next| &next.root))
    }

    /// The newest that is trusted.
    #[must_use]
    pub fn newest(&self) -> &Root {
        self.next.as_ref().map_or(&self.current, |next| &next.root)
    }

    /// The root that comes, while it does.
    #[must_use]
    pub const fn next(&self) -> Option<&Next> {
        self.next.as_ref()
    }

    pub(crate) fn begin(&mut self, root: Root) -> Result<(), Rejection> {
        // The same command again, also after all was done.
        if self.newest().id() == root.id() {
            return Ok(());
        }
        if self.next.is_some() {
            return Err(Rejection::RotationUnderWay);
        }
        self.next = Some(Next { root, phase: Phase::Trusting });
        Ok(())
    }

    /// Whether a change to another root waits for this node.
    #[must_use]
    pub fn awaits(&self, node: &NodeRecord) -> bool {
        let Some(Next { root, phase }) = &self.next else { return false };
        let id = root.id();
        match phase {
            Phase::Trusting => node.trusts != Some(id),
            // Who brings certificates of its own is not waited for.
            Phase::Signing => node.certificate.is_some_and(|certificate| certificate.root != id),
        }
    }

    /// Takes the next step if the last node is there.
    pub(crate) fn advance<'a>(&mut self, mut nodes: impl Iterator<Item = &'a NodeRecord>) {
        let awaits_somebody = nodes.any(|node| self.awaits(node));
        let Some(next) = self.next.take_if(|_| !awaits_somebody) else { return };
        match next.phase {
            Phase::Trusting => self.next = Some(Next { phase: Phase::Signing, ..next }),
            Phase::Signing => self.current = next.root,
        }
    }
}
