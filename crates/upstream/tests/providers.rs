//! Attempts against a provider on this machine that answers, refuses, stalls, cuts and keeps silent.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use quorate_dialect::{Dialect, Operation};
use quorate_domain::{Clock, LogTime, MonoTime, Name, Revision, Secret};
use quorate_upstream::{
    Attempt, AttemptError, Credentials, Permit, PoolSettings, Provider, ProviderSettings, ProviderUnusable,
    Reply, Sent, Timeouts, Unconditional, Upstream, UpstreamResponse,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(20);
/// Long enough for a local connection, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

/// A clock that stands still: only the timers of the runtime move.
struct Stopped;

impl Clock for Stopped {
    fn mono(&self) -> MonoTime {
        MonoTime::from_micros(1_000_000)
    }

    fn wall(&self) -> LogTime {
        LogTime::default()
    }
}

/// A provider at its own port, whose server ends with the test.
struct Fixture {
    _server: JoinSet<()>,
    upstream: Upstream,
    settings: ProviderSettings,
}

impl Fixture {
    async fn serve(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("the test server runs until it is dropped");
        });
        Self::at(&format!("http://{address}/v1/"), server)
    }

    fn at(base_url: &str, server: JoinSet<()>) -> Self {
        let credentials = Credentials::new(|name| (name == "KEY").then(|| "sk-ours".to_owned()));
        let settings = ProviderSettings {
            dialect: Dialect::OpenAi,
            base_url: base_url.to_owned(),
            credential: Some(Secret::new("${env:KEY}".to_owned())),
            headers: vec![("X-Team".to_owned(), Secret::new("blue".to_owned()))],
            timeouts: Timeouts { connect: LONG, first_byte: LONG, idle: LONG, total: LONG },
        };
        let upstream = Upstream::new(PoolSettings::default(), credentials, Arc::new(Stopped));
        Self { _server: server, upstream, settings }
    }

    fn prepare(&self, revision: u64) -> Result<Arc<Provider>, ProviderUnusable> {
        let name = Name::parse("acme").expect("letters make a name");
        self.upstream.provider(&name, Revision::new(revision), || self.settings.clone())
    }

    async fn send(&self) -> Result<UpstreamResponse, AttemptError> {
        self.prepare(1).expect("the settings are good").send(attempt()).await
    }
}

fn attempt() -> Attempt {
    let mut headers = HeaderMap::new();
    headers.insert("openai-beta", "v2".parse().expect("a word is a header value"));
    headers.insert("x-team", "red".parse().expect("a word is a header value"));
    Attempt {
        operation: Operation::Chat,
        headers,
        body: Bytes::from_static(b"{ \"model\":\"m\" }"),
        deadline: MonoTime::NEVER,
        permit: Arc::new(Unconditional),
    }
}

fn at_chat<H, T>(handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    Router::new().route("/v1/chat/completions", post(handler))
}

fn copy(error: &io::Error) -> io::Error {
    error.kind().into()
}

/// A body that gives the pieces and then what `end` says.
fn body(pieces: &'static [&'static str], end: Option<io::Error>) -> Response {
    let pieces = stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))));
    // The server writes what it has when the stream makes it wait.
    let end = stream::once(tokio::task::yield_now())
        .flat_map(move |()| stream::iter(end.as_ref().map(copy).map(Err)));
    Body::from_stream(pieces.chain(end)).into_response()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_and_the_answer_comes_back() {
    let echo = |headers: HeaderMap, body: Bytes| async move {
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?")).unwrap_or("-");
        let seen = ["authorization", "content-type", "openai-beta", "x-team"].map(value).join("|");
        ([("x-seen", seen), ("x-ratelimit-limit-requests", "9".to_owned())], body)
    };
    let fixture = Fixture::serve(at_chat(echo)).await;
    let response = fixture.send().await.unwrap();
    assert_eq!((response.status, response.reply()), (StatusCode::OK, Reply::Answer));
    assert_eq!(response.headers["x-seen"], "Bearer sk-ours|application/json|v2|blue");
    assert!(!response.headers.contains_key("x-ratelimit-limit-requests"));
    assert_eq!(response.body.whole(1_000).await.unwrap(), "{ \"model\":\"m\" }");
}

#[tokio::test]
async fn pieces_are_handed_on_as_they_come() {
    let fixture = Fixture::serve(at_chat(|| async { body(&["data: a\n\n", "data: b\n\n"], None) })).await;
    let mut answer = fixture.send().await.unwrap().body;
    let mut all = Vec::new();
    while let Some(piece) = answer.piece().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    assert_eq!(all, b"data: a\n\ndata: b\n\n");
}

#[tokio::test]
async fn a_refused_connection_cost_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Fixture::at(&format!("http://{address}"), JoinSet::new()).send().await.unwrap_err();
    assert!(matches!(error, AttemptError::Connect { .. }), "{error:?}");
    assert!(!error.may_have_been_charged() && error.is_worth_another_target());
}

#[tokio::test]
async fn a_silent_provider_may_have_charged() {
    let mut fixture = Fixture::serve(at_chat(std::future::pending::<()>)).await;
    fixture.settings.timeouts.first_byte = SHORT;
    let error = fixture.send().await.unwrap_err();
    assert!(matches!(error, AttemptError::FirstByteTimeout { after: SHORT, .. }), "{error:?}");
    assert!(error.may_have_been_charged() && error.is_worth_another_target());
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_may_have_charged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 64]).await;
        }
    });
    let error = Fixture::at(&format!("http://{address}"), server).send().await.unwrap_err();
    assert!(matches!(error, AttemptError::Broken { .. }), "{error:?}");
    assert_eq!(error.sent(), Sent::Request);
}

#[tokio::test]
async fn a_cut_answer_is_told_from_a_finished_one() {
    let cut = || async { body(&["data: a\n\n"], Some(io::Error::other("cut"))) };
    let fixture = Fixture::serve(at_chat(cut)).await;
    let mut answer = fixture.send().await.unwrap().body;
    let error = loop {
        match answer.piece().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut answer has no end"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AttemptError::Cut { .. }), "{error:?}");
    assert_eq!(error.sent(), Sent::Answering);
}

#[tokio::test]
async fn a_stalled_answer_is_given_up() {
    let stalled = || async {
        let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"data: a\n\n"))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    let mut fixture = Fixture::serve(at_chat(stalled)).await;
    fixture.settings.timeouts.idle = SHORT;
    let mut answer = fixture.send().await.unwrap().body;
    assert_eq!(answer.piece().await.unwrap().unwrap(), "data: a\n\n");
    let error = answer.piece().await.unwrap_err();
    assert!(matches!(error, AttemptError::IdleTimeout { after: SHORT, .. }), "{error:?}");
}

#[tokio::test]
async fn the_whole_time_is_bounded_too() {
    let mut fixture = Fixture::serve(at_chat(std::future::pending::<()>)).await;
    fixture.settings.timeouts.total = SHORT;
    let provider = fixture.prepare(1).unwrap();
    let over = Attempt { deadline: MonoTime::from_micros(999_999), ..attempt() };
    let error = provider.send(over).await.unwrap_err();
    assert!(matches!(error, AttemptError::OutOfTime { sent: Sent::Nothing, .. }), "{error:?}");
    assert!(!error.may_have_been_charged());
    // The clock stands still, so that only the runtime's timer can end this one.
    assert!(provider.send(attempt()).await.unwrap_err().may_have_been_charged());
}

/// Leave that is taken back between two requests.
#[derive(Debug, Default)]
struct Once(AtomicU64);

impl Permit for Once {
    fn holds(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }
}

#[tokio::test]
async fn a_request_that_is_held_back_leaves_nothing_on_the_wire() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 64 << 10];
            let n_read = stream.read(&mut head).await.unwrap();
            assert_eq!(n_read == 0, answer.is_empty(), "{:?}", String::from_utf8_lossy(&head[..n_read]));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let fixture = Fixture::at(&url, JoinSet::new());
    let provider = fixture.prepare(1).unwrap();
    let permit: Arc<dyn Permit> = Arc::new(Once::default());
    let guarded = || Attempt { permit: Arc::clone(&permit), ..attempt() };
    provider.send(guarded()).await.unwrap();
    let error = provider.send(guarded()).await.unwrap_err();
    assert!(matches!(error, AttemptError::Withheld { .. }), "{error:?}");
    assert!(!error.may_have_been_charged() && !error.is_worth_another_target());
    server.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_longer_than_allowed_is_not_kept() {
    let fixture = Fixture::serve(at_chat(|| async { body(&["0123456789", "0123456789"], None) })).await;
    let error = fixture.send().await.unwrap().body.whole(15).await.unwrap_err();
    assert!(matches!(error, AttemptError::TooLong { bytes_max: 15, .. }), "{error:?}");
}

#[tokio::test]
async fn what_a_status_means_is_said_by_the_reply() {
    for (status, reply) in [
        (StatusCode::UNAUTHORIZED, Reply::CredentialsRefused),
        (StatusCode::FORBIDDEN, Reply::CredentialsRefused),
        (StatusCode::BAD_REQUEST, Reply::Refused),
        (StatusCode::TOO_MANY_REQUESTS, Reply::Refused),
        (StatusCode::BAD_GATEWAY, Reply::Refused),
    ] {
        let answer = move || async move { (status, [(header::RETRY_AFTER, "7")]) };
        let response = Fixture::serve(at_chat(answer)).await.send().await.unwrap();
        assert_eq!((response.status, response.reply()), (status, reply));
        assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let router = at_chat(|| async { Redirect::temporary("/elsewhere") })
        .route("/elsewhere", post(|| async { "our key would go anywhere" }));
    let response = Fixture::serve(router).await.send().await.unwrap();
    assert_eq!(response.reply(), Reply::Unexpected);
}

#[tokio::test]
async fn a_new_revision_is_prepared_anew_and_an_old_one_is_kept() {
    let echo = |headers: HeaderMap| async move { ([("x-seen", headers["authorization"].clone())], "") };
    let mut fixture = Fixture::serve(at_chat(echo)).await;
    let first = fixture.prepare(1).unwrap();
    fixture.settings.credential = Some(Secret::new("sk-new".to_owned()));
    assert!(Arc::ptr_eq(&first, &fixture.prepare(1).unwrap()));
    let response = fixture.prepare(2).unwrap().send(attempt()).await.unwrap();
    assert_eq!(response.headers["x-seen"], "Bearer sk-new");
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_here_is_refused_before_anything_is_sent() {
    let mut fixture = Fixture::at("http://127.0.0.1:9", JoinSet::new());
    for url in ["ftp://a", "a", "", "http://", "http://u:hunter2@a", "http://a?b", "http://a#b"] {
        url.clone_into(&mut fixture.settings.base_url);
        let error = fixture.prepare(1).unwrap_err();
        assert!(matches!(error, ProviderUnusable::BaseUrl { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    "http://127.0.0.1:9".clone_into(&mut fixture.settings.base_url);
    fixture.settings.credential = Some(Secret::new("${env:NOPE}".to_owned()));
    assert_eq!(
        fixture.prepare(1).unwrap_err().to_string(),
        "provider acme: the environment variable NOPE is not set on this node"
    );
    fixture.settings.credential = Some(Secret::new("sk\nsplit: yes".to_owned()));
    assert!(matches!(fixture.prepare(1), Err(ProviderUnusable::Credential { .. })));
}

#[tokio::test]
async fn no_secret_is_printed() {
    let fixture = Fixture::at("http://127.0.0.1:1", JoinSet::new());
    let provider = fixture.prepare(1).unwrap();
    let error = provider.send(attempt()).await.unwrap_err();
    let printed = format!("{:?} {provider:?} {error:?} {error} {:?}", fixture.upstream, fixture.settings);
    assert!(!printed.contains("sk-ours") && !printed.contains("127.0.0.1:1/"), "{printed}");
}
