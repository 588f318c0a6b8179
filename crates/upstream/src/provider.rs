//! One provider, prepared: its URLs parsed, its headers made, its connections pooled.

use crate::{CredentialError, Credentials, ProviderUnusable};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use quorate_dialect::{Dialect, Operation};
use quorate_domain::{Clock, Name, Secret};
use reqwest::{Client, Url};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long we wait for a provider in each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, with its TLS handshake.
    pub connect: Duration,
    /// From the sent request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// For one attempt from beginning to end.
    pub total: Duration,
}

/// What the catalogue says about a provider. Credentials are as they are written: references or values.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The wire format it speaks.
    pub dialect: Dialect,
    /// Where it is reached: an http or https URL, below which the dialect's paths lie.
    pub base_url: String,
    /// What authenticates us.
    pub credential: Option<Secret<String>>,
    /// Headers sent along with every request.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long we wait.
    pub timeouts: Timeouts,
}

/// A provider ready to be sent to.
pub struct Provider {
    pub(crate) name: Name,
    pub(crate) timeouts: Timeouts,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) headers: HeaderMap,
    chat: Url,
    embeddings: Url,
}

impl Provider {
    pub(crate) fn new(
        name: Name,
        settings: &ProviderSettings,
        base_url: &Url,
        headers: HeaderMap,
        (client, clock): (Client, Arc<dyn Clock>),
    ) -> Self {
        let url = |operation| below(base_url, settings.dialect.path(operation));
        Self {
            name,
            timeouts: settings.timeouts,
            client,
            clock,
            headers,
            chat: url(Operation::Chat),
            embeddings: url(Operation::Embeddings),
        }
    }

    /// Its name in the catalogue.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) const fn url(&self, operation: Operation) -> &Url {
        match operation {
            Operation::Chat => &self.chat,
            Operation::Embeddings => &self.embeddings,
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ProviderSettings {
    pub(crate) fn base_url(&self, provider: &Name) -> Result<Url, ProviderUnusable> {
        let parsed = Url::parse(&self.base_url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        parsed.ok_or_else(|| ProviderUnusable::BaseUrl {
            provider: provider.clone(),
            // A password in the address must not be told on.
            url: self.base_url.rsplit('@').next().unwrap_or_default().to_owned(),
        })
    }

    /// Every header that does not depend on the request.
    pub(crate) fn request_headers(
        &self,
        provider: &Name,
        credentials: &Credentials,
    ) -> Result<HeaderMap, ProviderUnusable> {
        let unusable = |source| ProviderUnusable::Credential { provider: provider.clone(), source };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(credential) = &self.credential {
            let value = credentials.resolve(credential).map_err(unusable)?;
            let bearer = Secret::new(format!("Bearer {}", value.expose()));
            headers.insert(AUTHORIZATION, secret_value(&bearer).map_err(unusable)?);
        }
        for (name, value) in &self.headers {
            let header = name
                .parse::<HeaderName>()
                .map_err(|_| ProviderUnusable::Header { provider: provider.clone(), header: name.clone() })?;
            let value = credentials.resolve(value).map_err(unusable)?;
            headers.insert(header, secret_value(&value).map_err(unusable)?);
        }
        Ok(headers)
    }
}

/// A value that `Debug` does not print and HTTP/2 does not index.
fn secret_value(value: &Secret<String>) -> Result<HeaderValue, CredentialError> {
    let mut header = HeaderValue::from_str(value.expose()).map_err(|_| CredentialError::NotAHeaderValue)?;
    header.set_sensitive(true);
    Ok(header)
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}
