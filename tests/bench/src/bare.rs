//! The least a gateway must do: parse the model, look the key up, reserve one counter, pass on, settle from `usage`.
//!
//! No cluster, no journal, no routes. What Quorate costs beyond this is the price of what it promises.

use anyhow::Result;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use memchr::memmem;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The key that is let in.
pub(crate) const KEY: &str = "bench-key";
const BUDGET: i64 = i64::MAX / 2;
const ANSWER_TOKENS_MAX: i64 = 4_096;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What all requests share.
struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: SocketAddr,
    /// What each key may still spend, in tokens.
    keys: HashMap<String, Arc<AtomicI64>>,
    models: Vec<String>,
}

/// The part of a request that decides.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(default)]
    #[serde(rename = "stream")]
    _stream: bool,
}

/// A reservation; dropped without `settle` it stays charged.
struct Reserved {
    counter: Arc<AtomicI64>,
    amount: i64,
}

impl Reserved {
    fn settle(&self, used: i64) {
        self.counter.fetch_add(self.amount - used, Ordering::AcqRel);
    }
}

/// Prints its address and serves until it is ended.
pub(crate) async fn serve(upstream: SocketAddr) -> Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let gateway = Arc::new(Gateway {
        client: Client::builder(TokioExecutor::new()).build(connector),
        upstream,
        keys: HashMap::from([(KEY.to_owned(), Arc::new(AtomicI64::new(BUDGET)))]),
        models: vec!["bench".to_owned()],
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await?;
        connections.spawn(connection(socket, Arc::clone(&gateway)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, gateway: Arc<Gateway>) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.answer(request).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

impl Gateway {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let key =
            head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(counter) = key.and_then(|key| self.keys.get(key)) else {
            return Ok(refused(StatusCode::UNAUTHORIZED));
        };
        let Ok(asked) = serde_json::from_slice::<Asked<'_>>(&body) else {
            return Ok(refused(StatusCode::BAD_REQUEST));
        };
        if !self.models.iter().any(|model| *model == asked.model) {
            return Ok(refused(StatusCode::NOT_FOUND));
        }
        let Some(reserved) = reserve(counter, body.len()) else {
            return Ok(refused(StatusCode::TOO_MANY_REQUESTS));
        };
        self.pass_on(&head.uri, body, reserved).await
    }

    async fn pass_on(
        &self,
        uri: &Uri,
        body: Bytes,
        reserved: Reserved,
    ) -> Result<Response<Body>, hyper::Error> {
        let uri = format!("http://{}{}", self.upstream, uri.path());
        let request = Request::post(uri).header("content-type", "application/json").body(Full::new(body));
        let Ok(request) = request else { return Ok(refused(StatusCode::BAD_REQUEST)) };
        match self.client.request(request).await {
            Ok(answer) => Ok(answer.map(|body| settling(body, reserved))),
            Err(_) => Ok(refused(StatusCode::BAD_GATEWAY)),
        }
    }
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn reserve(counter: &Arc<AtomicI64>, bytes: usize) -> Option<Reserved> {
    let amount = i64::try_from(bytes).ok()? + ANSWER_TOKENS_MAX;
    let take = |left: i64| (left >= amount).then(|| left - amount);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
    Some(Reserved { counter: Arc::clone(counter), amount })
}

/// The body as it comes; the frame that says the usage settles.
fn settling(body: Incoming, reserved: Reserved) -> Body {
    let frames = BodyStream::new(body).map(move |frame| {
        let used = frame.as_ref().ok().and_then(Frame::data_ref).and_then(|bytes| total_tokens(bytes));
        if let Some(used) = used {
            reserved.settle(used);
        }
        frame
    });
    StreamBody::new(frames).boxed_unsync()
}

/// `usage.total_tokens`, looked for from the end.
fn total_tokens(bytes: &[u8]) -> Option<i64> {
    const FIELD: &[u8] = b"\"total_tokens\":";
    let at = memmem::rfind(bytes, FIELD)? + FIELD.len();
    let digits: Vec<u8> = bytes[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_comes_back() {
        let counter = Arc::new(AtomicI64::new(10_000));
        reserve(&counter, 100).expect("enough is left").settle(30);
        assert_eq!(counter.load(Ordering::Acquire), 9_970);
        assert!(reserve(&counter, 100_000).is_none());
    }

    #[test]
    fn the_usage_is_found_at_the_end() {
        assert_eq!(total_tokens(b"{\"usage\":{\"prompt_tokens\":1,\"total_tokens\":105}}"), Some(105));
        assert_eq!(total_tokens(b"data: {\"usage\":null}"), None);
    }
}
