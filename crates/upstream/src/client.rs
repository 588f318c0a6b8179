//! All providers of a node: one pool of connections for each address, one prepared provider for each version.

use crate::error::TransportError;
use crate::{Credentials, Provider, ProviderSettings, ProviderUnusable};
use parking_lot::RwLock;
use quorate_domain::{Clock, Name, Revision};
use reqwest::{Client, Url};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections kept for each provider. More may be open: a request never waits for one.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept.
    pub idle_connection_time: Duration,
}

impl Default for PoolSettings {
    /// Load balancers of providers close idle connections after a minute or more; ours are gone before.
    fn default() -> Self {
        Self { idle_connections_max: 512, idle_connection_time: Duration::from_secs(30) }
    }
}

/// A node's connections to all providers.
pub struct Upstream {
    pool: PoolSettings,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    clients: RwLock<BTreeMap<ClientKey, Client>>,
    /// Bounded by the number of providers in the catalogue.
    providers: RwLock<BTreeMap<Name, (Revision, Arc<Provider>)>>,
}

/// What a pool of connections depends on: a change of anything else keeps the connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKey {
    base_url: Url,
    connect_timeout: Duration,
}

impl Upstream {
    /// An upstream without connections yet.
    #[must_use]
    pub fn new(pool: PoolSettings, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        install_cryptography();
        Self { pool, credentials, clock, clients: RwLock::default(), providers: RwLock::default() }
    }

    /// The provider, prepared for sending. Prepared anew when its revision is another than last time.
    ///
    /// # Errors
    /// When the provider cannot be used from this node; another target may be.
    pub fn provider(
        &self,
        name: &Name,
        revision: Revision,
        settings: impl FnOnce() -> ProviderSettings,
    ) -> Result<Arc<Provider>, ProviderUnusable> {
        if let Some((prepared, provider)) = self.providers.read().get(name)
            && *prepared == revision
        {
            return Ok(Arc::clone(provider));
        }
        let provider = Arc::new(self.prepare(name, &settings())?);
        self.providers.write().insert(name.clone(), (revision, Arc::clone(&provider)));
        Ok(provider)
    }

    /// Forgets what was prepared for the provider, so that its credential is read again: after a change of its file,
    /// a refusal by the provider, or the provider's removal.
    pub fn forget(&self, name: &Name) {
        self.providers.write().remove(name);
    }

    fn prepare(&self, name: &Name, settings: &ProviderSettings) -> Result<Provider, ProviderUnusable> {
        let base_url = settings.base_url(name)?;
        let key = ClientKey { base_url, connect_timeout: settings.timeouts.connect };
        let headers = settings.request_headers(name, &self.credentials)?;
        let client = self.client(&key).map_err(|error| ProviderUnusable::Client {
            provider: name.clone(),
            source: TransportError::new(error),
        })?;
        Ok(Provider::new(name.clone(), settings, &key.base_url, headers, (client, Arc::clone(&self.clock))))
    }

    fn client(&self, key: &ClientKey) -> Result<Client, reqwest::Error> {
        if let Some(client) = self.clients.read().get(key) {
            return Ok(client.clone());
        }
        let client = self.build_client(key)?;
        Ok(self.clients.write().entry(key.clone()).or_insert(client).clone())
    }

    fn build_client(&self, key: &ClientKey) -> Result<Client, reqwest::Error> {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(key.connect_timeout)
            .pool_max_idle_per_host(self.pool.idle_connections_max)
            .pool_idle_timeout(self.pool.idle_connection_time)
            // What a provider refused unread is sent again by `attempt`, which asks for leave each time.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")));
        match key.base_url.scheme() {
            // Without TLS the machine's certificates are not even looked for: it need not have any.
            "http" => builder.tls_certs_only([]).build(),
            _ => builder.build(),
        }
    }
}

/// Makes *ring* the process's cryptography. Whoever was first wins; both are good.
fn install_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("pool", &self.pool).finish_non_exhaustive()
    }
}
