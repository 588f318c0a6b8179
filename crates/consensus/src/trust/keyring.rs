//! The key and the certificate of this node, and whom it trusts: on its disk, and ready for TLS.

use super::mint::{self, KeySeed};
use super::verify::{ChainVerifier, Trusted};
use crate::codec::{self, Kind};
use crate::host::Disk;
use crate::store::StoreError;
use parking_lot::RwLock;
use quorate_domain::{Clock, LogTime};
use quorate_membership::{Root, RootId};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const FILE: &str = "certificate";
const DRAFT: &str = "certificate.tmp";

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Its key.
    pub(crate) key: KeySeed,
    /// Its certificate.
    pub(crate) certificate: Vec<u8>,
    /// The root that signed it.
    pub(crate) issuer: Vec<u8>,
    /// From when it is good.
    pub(crate) since: LogTime,
    /// Until when.
    pub(crate) until: LogTime,
    /// The roots it trusts, the newest last.
    pub(crate) roots: Vec<Vec<u8>>,
    /// The root that it founds its cluster with, until the cluster has it.
    pub(crate) founding: Option<Root>,
}

impl Held {
    /// Whether it trusts this root.
    pub(crate) fn trusts(&self, root: RootId) -> bool {
        self.roots.iter().any(|trusted| RootId::of(trusted) == root)
    }

    /// The root that signed its certificate.
    pub(crate) fn issued_by(&self) -> RootId {
        RootId::of(&self.issuer)
    }
}

/// The same, ready for TLS. Cheap to hand out; replaced as a whole.
#[derive(Debug)]
struct Armed {
    held: Held,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// The keyring of a node.
pub(crate) struct Keyring {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    armed: RwLock<Arc<Armed>>,
    changes: watch::Sender<u64>,
}

impl Keyring {
    /// Reads what a data directory holds; `None` if it holds nothing yet.
    pub(crate) fn load(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        let held = match disk.open(&path).and_then(|file| file.read(0, file.size()?)) {
            Ok(bytes) => codec::decode(Kind::Certificate, &bytes)
                .map_err(|error| StoreError::from_own(&path, &error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::from_io(&path, &error)),
        };
        let armed = arm(held, clock).map_err(|error| damaged(&path, &error))?;
        Ok(Some(Self::of(armed, (disk, dir, clock))))
    }

    /// Keeps what a node was given, durably.
    pub(crate) fn create(
        held: Held,
        (disk, dir, clock): (&Arc<dyn Disk>, &Path, &Arc<dyn Clock>),
    ) -> Result<Self, StoreError> {
        write(&**disk, dir, &held)?;
        let armed = arm(held, clock).map_err(|error| damaged(&dir.join(FILE), &error))?;
        Ok(Self::of(armed, (disk, dir, clock)))
    }

    fn of(armed: Armed, (disk, dir, clock): (&Arc<dyn Disk>, &Path, &Arc<dyn Clock>)) -> Self {
        let (disk, dir, clock) = (Arc::clone(disk), dir.to_owned(), Arc::clone(clock));
        let armed = RwLock::new(Arc::new(armed));
        Self { disk, dir, clock, armed, changes: watch::Sender::new(0) }
    }

    /// What the node holds now.
    pub(crate) fn held(&self) -> Held {
        self.armed.read().held.clone()
    }

    /// Changes whenever the node holds something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.armed.read().server.clone()
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.armed.read().client.clone()
    }

    /// Holds something else from now on, once it is on the disk. Blocks.
    pub(crate) fn replace(&self, held: Held) -> Result<(), StoreError> {
        let armed = arm(held, &self.clock).map_err(|error| damaged(&self.dir.join(FILE), &error))?;
        write(&*self.disk, &self.dir, &armed.held)?;
        *self.armed.write() = Arc::new(armed);
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What a node calls with that has no certificate yet: it knows the root that its token names, and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Stranger {
    pub(crate) client: Arc<ClientConfig>,
}

impl Stranger {
    pub(crate) fn new(root: RootId, clock: &Arc<dyn Clock>) -> Result<Self, rustls::Error> {
        let provider = provider();
        let verifier = ChainVerifier::new(Trusted::Pinned(root), &provider);
        let mut client = ClientConfig::builder_with_details(provider, time(clock))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Ok(Self { client: Arc::new(client) })
    }
}

fn arm(held: Held, clock: &Arc<dyn Clock>) -> Result<Armed, rustls::Error> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    for root in &held.roots {
        roots.add(CertificateDer::from(root.as_slice()).into_owned())?;
    }
    let chain: Vec<_> =
        [&held.certificate, &held.issuer].map(|der| CertificateDer::from(der.as_slice()).into_owned()).into();
    let key = || PrivatePkcs8KeyDer::from(mint::pkcs8(&held.key)).into();
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider))
        // Who has no certificate may ask for a place, and nothing else.
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut server = ServerConfig::builder_with_details(Arc::clone(&provider), time(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(callers)
        .with_single_cert(chain.clone(), key())?;
    // Every connection shows its certificates: who is trusted no more gets no other in by an old session.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let verifier = ChainVerifier::new(Trusted::Roots(roots), &provider);
    let mut client = ClientConfig::builder_with_details(provider, time(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key())?;
    client.resumption = Resumption::disabled();
    Ok(Armed { held, server: Arc::new(server), client: Arc::new(client) })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn write(disk: &dyn Disk, dir: &Path, held: &Held) -> Result<(), StoreError> {
    let draft = dir.join(DRAFT);
    let write = || -> io::Result<()> {
        let mut file = disk.create(&draft)?;
        file.append(&codec::encode(Kind::Certificate, held))?;
        file.sync()?;
        disk.rename(&draft, &dir.join(FILE))?;
        disk.sync_dir(dir)
    };
    write().map_err(|error| StoreError::from_io(&draft, &error))
}

fn damaged(path: &Path, error: &rustls::Error) -> StoreError {
    StoreError::Corrupt { dir: path.to_owned(), cause: error.to_string() }
}

/// The node's clock, for TLS.
struct TlsClock(Arc<dyn Clock>);

fn time(clock: &Arc<dyn Clock>) -> Arc<dyn TimeProvider> {
    Arc::new(TlsClock(Arc::clone(clock)))
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.wall().millis())))
    }
}

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}
