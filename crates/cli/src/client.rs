//! Asks the admin API. One request at a time, of the first node that can be reached.

use crate::arguments::Connection;
use crate::error::CliError;
use futures_util::future::join_all;
use quorate_domain::Secret;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// An agreement takes up to five seconds, and a new leader may have to be found first.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Whoever probes gives up sooner than whoever changes something.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// A node asks its seeds for half a minute, and the last one may take seconds more to say nothing.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

/// The admin API of a cluster.
pub(crate) struct Client {
    http: reqwest::Client,
    servers: Vec<String>,
    token: Option<Secret<String>>,
    reason: Option<String>,
}

impl Client {
    pub(crate) fn new(connection: Connection) -> Result<Self, CliError> {
        // Only the first call counts, and all of them install the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let http = built.map_err(|error| CliError::Usage(error.to_string()))?;
        let token = token(&connection)?;
        let servers =
            connection.server.iter().map(|server| server.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, servers, token, reason: connection.reason })
    }

    /// A client of one node.
    pub(crate) fn of(server: String, token: Option<String>) -> Result<Self, CliError> {
        Self::new(Connection { server: vec![server], token, token_file: None, reason: None })
    }

    /// The same client for another node.
    pub(crate) fn elsewhere(&self, server: &str) -> Self {
        let (http, token, reason) = (self.http.clone(), self.token.clone(), self.reason.clone());
        Self { http, servers: vec![server.to_owned()], token, reason }
    }

    /// Whether a reason goes with its changes.
    pub(crate) fn says_why(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty())
    }

    /// Whether the first node serves requests.
    pub(crate) async fn is_ready(&self) -> bool {
        let Some(server) = self.servers.first() else { return false };
        self.http
            .get(format!("{server}/readyz"))
            .timeout(ANSWER_LIMIT)
            .send()
            .await
            .is_ok_and(|response| response.status().is_success())
    }

    /// Whether the node at this admin address serves requests.
    pub(crate) async fn is_ready_at(&self, address: &str) -> bool {
        let asked = self.http.get(format!("{}{address}/readyz", self.scheme())).timeout(CONNECT_LIMIT);
        asked.send().await.is_ok_and(|response| response.status().is_success())
    }

    /// Asks nodes at the same time, each at its own admin address. Who does not answer is left out.
    pub(crate) async fn ask_each(
        &self,
        nodes: impl Iterator<Item = (u64, String)>,
        path: &str,
    ) -> BTreeMap<u64, Value> {
        let asked = nodes.map(|(id, address)| async move {
            let url = format!("{}{address}/admin/v1{path}", self.scheme());
            let request = self.dress(self.http.request(Method::GET, url), None).timeout(CONNECT_LIMIT);
            let answered = answer(&address, request.send().await.ok()?).await.ok()?;
            Some((id, answered))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// That of the first server that was given: the others are like it.
    fn scheme(&self) -> &'static str {
        if self.servers.first().is_some_and(|server| server.starts_with("https://")) {
            "https://"
        } else {
            "http://"
        }
    }

    /// What the first node says to a probe, which needs no key.
    pub(crate) async fn probe(&self, path: &str) -> Result<String, CliError> {
        let server = self.servers.first().cloned().unwrap_or_default();
        let asked = self.http.get(format!("{server}{path}")).timeout(PROBE_LIMIT).send().await;
        let answer = asked.map_err(|error| match error.is_timeout() && !error.is_connect() {
            true => CliError::TimedOut { server: server.clone() },
            false => CliError::NoNode { servers: server.clone(), cause: innermost(&error) },
        })?;
        let status = answer.status();
        let text = answer.text().await.map_err(|_| CliError::TimedOut { server: server.clone() })?;
        match status.as_u16() {
            200 => Ok(text),
            503 => Err(CliError::NotReady { said: text.trim_end().to_owned() }),
            status => Err(CliError::NotANode { server, status }),
        }
    }

    /// The nodes that were named.
    pub(crate) fn servers(&self) -> &[String] {
        &self.servers
    }

    /// What the first node says on a path that needs no key, whatever the status.
    pub(crate) async fn text(&self, path: &str) -> Result<String, CliError> {
        let server = self.servers.first().cloned().unwrap_or_default();
        let asked = self.http.get(format!("{server}{path}")).timeout(PROBE_LIMIT).send().await;
        let failed =
            |error: &reqwest::Error| CliError::NoNode { servers: server.clone(), cause: innermost(error) };
        asked.map_err(|error| failed(&error))?.text().await.map_err(|error| failed(&error))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Begins to read what is too large to be read at once. How long all of it takes is up to the network.
    pub(crate) async fn download(&self, path: &str) -> Result<Download, CliError> {
        let mut cause = "no address was given".to_owned();
        for server in &self.servers {
            let request = self.dress(self.http.get(format!("{server}/admin/v1{path}")), None);
            let timed_out = || CliError::TimedOut { server: server.clone() };
            let sent = tokio::time::timeout(ANSWER_LIMIT, request.send()).await.map_err(|_| timed_out())?;
            match sent {
                Ok(response) if response.status().is_success() => {
                    return Ok(Download { response, server: server.clone() });
                }
                Ok(response) => return Err(refusal(server, response).await),
                Err(error) if error.is_connect() || error.is_builder() => cause = innermost(&error),
                Err(_) => return Err(timed_out()),
            }
        }
        Err(CliError::NoNode { servers: self.servers.join(", "), cause })
    }

    /// Lets a node join a cluster, which takes as long as its seeds do.
    pub(crate) async fn join(&self, token: &str) -> Result<Value, CliError> {
        let body = json!({ "token": token });
        self.send_within(JOIN_LIMIT, Method::POST, "/cluster/join", Some(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        self.send_within(ANSWER_LIMIT, method, path, body).await
    }

    /// Goes on to the next node only where the one before was never reached, so that nothing is asked twice.
    async fn send_within(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let mut cause = "no address was given".to_owned();
        for server in &self.servers {
            let request = self.http.request(method.clone(), format!("{server}/admin/v1{path}"));
            match self.dress(request, body).timeout(limit).send().await {
                Ok(response) => return answer(server, response).await,
                Err(error) if error.is_connect() || error.is_builder() => cause = innermost(&error),
                Err(_) => return Err(CliError::TimedOut { server: server.clone() }),
            }
        }
        Err(CliError::NoNode { servers: self.servers.join(", "), cause })
    }

    fn dress(&self, mut request: RequestBuilder, body: Option<&Value>) -> RequestBuilder {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(reason) = &self.reason {
            request = request.header("x-quorate-reason", reason.as_bytes());
        }
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }
}

/// What is read piece by piece.
pub(crate) struct Download {
    response: reqwest::Response,
    server: String,
}

impl Download {
    /// How many bytes there are in all, as far as the node said.
    pub(crate) fn size(&self) -> u64 {
        self.response.content_length().unwrap_or_default()
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let piece = tokio::time::timeout(ANSWER_LIMIT, self.response.chunk()).await;
        match piece {
            Ok(Ok(piece)) => Ok(piece.map(Into::into)),
            Ok(Err(_)) | Err(_) => Err(CliError::CutOff { server: self.server.clone() }),
        }
    }
}

fn token(connection: &Connection) -> Result<Option<Secret<String>>, CliError> {
    if let Some(token) = &connection.token {
        return Ok(Some(Secret::new(token.clone())));
    }
    let Some(path) = &connection.token_file else { return Ok(None) };
    let what = || format!("read the token file {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|cause| CliError::Io { what: what(), cause })?;
    Ok(Some(Secret::new(text.trim().to_owned())))
}

/// What an answer that is not a success says.
async fn refusal(server: &str, response: reqwest::Response) -> CliError {
    let status = response.status().as_u16();
    let foreign = || CliError::NotANode { server: server.to_owned(), status };
    answer(server, response).await.err().unwrap_or_else(foreign)
}

async fn answer(server: &str, response: reqwest::Response) -> Result<Value, CliError> {
    let status = response.status();
    let bytes = response.bytes().await.map_err(|_| CliError::TimedOut { server: server.to_owned() })?;
    let foreign = || CliError::NotANode { server: server.to_owned(), status: status.as_u16() };
    if status.is_success() {
        let text = if bytes.is_empty() { b"null" } else { bytes.as_ref() };
        return serde_json::from_slice(text).map_err(|_| foreign());
    }
    let body: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
    let part = |name: &str| body["error"][name].as_str().map(str::to_owned).ok_or_else(foreign);
    let (code, message, next) = (part("code")?, part("message")?, part("next")?);
    Err(CliError::Refused { status: status.as_u16(), code, message, next })
}

/// The outer causes only repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
