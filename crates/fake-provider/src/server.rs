//! Accepts connections and takes each request from its bytes to its answer.

use crate::behaviour::{Behaviour, OnDisconnect};
use crate::bill::{self, Bill, OpenEntry};
use crate::chat::{self, ChatRequest};
use crate::control;
use crate::embeddings::EmbeddingsRequest;
use crate::instant::Instant;
use crate::prompt;
use crate::reply::{self, Reply};
use crate::stats::{Inside, Stats};
use crate::text;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request may carry changes to the behaviour in this header, as JSON.
const BEHAVIOUR_HEADER: &str = "x-fake-behaviour";
/// When accepting fails (no file descriptors left), waiting lets connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The provider. It lives as long as the future that [`FakeProvider::bind`] returns.
#[derive(Debug)]
pub struct FakeProvider;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) start: Behaviour,
    behaviour: RwLock<Arc<Behaviour>>,
    pub(crate) bill: Bill,
    pub(crate) stats: Arc<Stats>,
    pub(crate) instant: Instant,
    pub(crate) last_request: Mutex<(HeaderMap, Bytes)>,
    /// How many requests could have failed: the position in the seed's sequence.
    draws: AtomicU64,
}

impl Shared {
    fn new(start: Behaviour) -> Self {
        Self {
            behaviour: RwLock::new(Arc::new(start.clone())),
            bill: Bill::default(),
            stats: Arc::default(),
            instant: Instant::new(start.seed),
            last_request: Mutex::default(),
            draws: AtomicU64::new(0),
            start,
        }
    }

    /// The behaviour now.
    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.read())
    }

    /// Changes the behaviour for the requests to come.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        *self.behaviour.write() = Arc::new(behaviour);
    }
}

impl FakeProvider {
    /// Binds an address (port 0 for any) and returns the real one and what must be run to serve it. Dropping the
    /// future closes every connection.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        behaviour: Behaviour,
    ) -> io::Result<(SocketAddr, impl Future<Output = ()> + Send + use<>)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((address, accept(listener, Arc::new(Shared::new(behaviour)))))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                connections.spawn(serve(socket, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    // Without it a chunk would wait for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    // A connection that breaks is the client's business; the bill has noted it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return reply::refusal(StatusCode::BAD_REQUEST, "incomplete_body", "the body ended too early");
    };
    let path = head.uri.path();
    if path.starts_with("/_") {
        return control::answer(shared, &head.method, path, &body);
    }
    let inside = shared.stats.enter();
    let behaviour = shared.behaviour();
    if behaviour.instant {
        return shared.instant.answer(&body);
    }
    *shared.last_request.lock() = (head.headers.clone(), body.clone());
    if behaviour.accepts_key.as_ref().is_some_and(|key| *key != bill::bearer(&head.headers)) {
        return reply::refusal(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "this provider does not know the key",
        );
    }
    let call = Call { shared, behaviour, headers: &head.headers, inside };
    match (head.method.as_str(), path) {
        ("POST", "/v1/chat/completions") => call.chat(&body).await.unwrap_or_else(|refusal| *refusal),
        ("POST", "/v1/embeddings") => call.embeddings(&body).await.unwrap_or_else(|refusal| *refusal),
        ("GET", "/v1/models") => models(&call.behaviour),
        _ => reply::refusal(StatusCode::NOT_FOUND, "unknown_url", &format!("no such path: {path}")),
    }
}

/// One request to an API path.
struct Call<'a> {
    shared: &'a Shared,
    behaviour: Arc<Behaviour>,
    headers: &'a HeaderMap,
    inside: Inside,
}

impl Call<'_> {
    async fn chat(self, body: &[u8]) -> Result<Reply, Box<Reply>> {
        let request: ChatRequest = parse(body)?;
        let behaviour = self.admit(&request.model, &request.texts())?;
        let generation = request.generation(behaviour);
        let mut entry = self.shared.bill.open(self.headers, &request.model, generation.prompt_tokens);
        let stops = request.stream && generation.behaviour.on_disconnect == OnDisconnect::Stop;
        entry.owe_on_disconnect(if stops { 0 } else { generation.completion_tokens() });
        wait(&generation.behaviour).await;
        Ok(chat::answer(&request, generation, entry, self.inside))
    }

    async fn embeddings(self, body: &[u8]) -> Result<Reply, Box<Reply>> {
        let request: EmbeddingsRequest = parse(body)?;
        let behaviour = self.admit(&request.model, &request.texts())?;
        let entry: OpenEntry = self.shared.bill.open(self.headers, &request.model, request.prompt_tokens());
        wait(&behaviour).await;
        let request_id = entry.request_id().to_owned();
        entry.close(bill::Outcome::Finished);
        let reply = reply::json(StatusCode::OK, &request.answer(behaviour.seed));
        Ok(reply::with_header(reply, "x-request-id", &request_id))
    }

    /// The behaviour for this request, unless it is to fail or asks for a model that does not exist.
    fn admit(&self, model: &str, texts: &[String]) -> Result<Behaviour, Box<Reply>> {
        let behaviour = self.adjusted(texts)?;
        if !behaviour.models.is_empty() && !behaviour.models.iter().any(|known| known == model) {
            let message = format!("The model `{model}` does not exist");
            return Err(Box::new(reply::refusal(StatusCode::NOT_FOUND, "model_not_found", &message)));
        }
        let drawn = text::draw(behaviour.seed, self.shared.draws.fetch_add(1, Ordering::Relaxed));
        if text::falls_into(behaviour.error_rate, drawn) {
            Err(Box::new(failure(&behaviour)))
        } else {
            Ok(behaviour)
        }
    }

    /// The behaviour with the changes of the header, then those of the prompt.
    fn adjusted(&self, texts: &[String]) -> Result<Behaviour, Box<Reply>> {
        let header = self
            .headers
            .get(BEHAVIOUR_HEADER)
            .and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        let changes: Vec<Value> = header.into_iter().chain(prompt::directive(texts)).collect();
        changes
            .iter()
            .try_fold((*self.behaviour).clone(), |behaviour, changes| behaviour.with(changes))
            .map_err(|error| {
                Box::new(reply::refusal(StatusCode::BAD_REQUEST, "bad_behaviour", &error.to_string()))
            })
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Box<Reply>> {
    serde_json::from_slice(body).map_err(|error| {
        Box::new(reply::refusal(StatusCode::BAD_REQUEST, "invalid_request", &error.to_string()))
    })
}

async fn wait(behaviour: &Behaviour) {
    if behaviour.hang {
        pending::<()>().await;
    }
    if behaviour.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.latency_ms)).await;
    }
}

fn failure(behaviour: &Behaviour) -> Reply {
    let status = StatusCode::from_u16(behaviour.error_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reply = reply::refusal(status, "fake_failure", "this provider fails as its behaviour says");
    match behaviour.retry_after_s {
        Some(seconds) => reply::with_header(reply, "retry-after", &seconds.to_string()),
        None => reply,
    }
}

fn models(behaviour: &Behaviour) -> Reply {
    let model =
        |id: &String| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "fake"});
    let models: Vec<Value> = behaviour.models.iter().map(model).collect();
    reply::json(StatusCode::OK, &json!({"object": "list", "data": models}))
}
