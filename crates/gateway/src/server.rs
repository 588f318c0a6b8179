//! A listener and its connections: accepts, serves, and at the end lets requests finish.

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send the head of its first request. hyper has no such limit before it has seen which
/// HTTP the client speaks.
const FIRST_HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection may wait for the head of a further request, idle or not. Longer than the minute for which load
/// balancers keep idle connections: else one would send a request on a connection that is just being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// Connections at a time. Each holds a file descriptor and some 16 KiB of buffers.
const CONNECTIONS_MAX: usize = 16_384;
/// After an error of `accept` (out of descriptors, say) the listener rests instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds a listener, with an error that names the address.
///
/// # Errors
/// When the address is taken, not ours, or needs rights we do not have.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|cause| {
        let hint = if cause.kind() == io::ErrorKind::AddrInUse {
            "; another process listens there: choose another port or stop it"
        } else if cause.kind() == io::ErrorKind::PermissionDenied {
            "; ports below 1024 need extra rights"
        } else {
            ""
        };
        io::Error::new(cause.kind(), format!("cannot listen on {address}: {cause}{hint}"))
    })
}

/// Serves connections until `stop`; then lets requests under way finish for at most `grace`. Says how many
/// connections were cut off.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, grace: Duration) -> usize {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.cancelled() => break,
        };
        let Ok((stream, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |request| {
            asked.store(true, Ordering::Release);
            router.call(request)
        });
        let connection = builder().serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            // A connection that breaks is the client's affair; requests on it have been settled by their owner.
            drop(unless_silent(watched, &has_asked).await);
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let finished = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    match tokio::time::timeout(grace, finished).await {
        Ok(()) => 0,
        Err(_elapsed) => connections.len(),
    }
}

/// Drives a connection to its end; gives it up when its first request has not come in time.
async fn unless_silent<C: Future>(connection: C, has_asked: &AtomicBool) -> Option<C::Output> {
    tokio::pin!(connection);
    if let Ok(ended) = tokio::time::timeout(FIRST_HEAD_LIMIT, &mut connection).await {
        return Some(ended);
    }
    if has_asked.load(Ordering::Acquire) { Some(connection.await) } else { None }
}

type Accepted = (TcpStream, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_LIMIT);
    builder.http2().timer(TokioTimer::new());
    builder
}
