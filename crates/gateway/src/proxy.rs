//! The request path: what happens to a client's request between the listener and the provider.
//!
//! accept → [`admit`](admit) → for each target of the route: bound the cost, [`reserve`], [`attempt`], answer or
//! [`stream`], settle. A request is one task that owns its reservation to the end: a client that hangs up does not
//! end it once it was sent, because the provider goes on billing.

mod admit;
mod attempt;
mod charge;
mod claim;
mod counting;
mod estimates;
mod idempotency;
mod inference;
mod leaving;
mod meeting;
mod models;
mod pass;
mod permits;
mod rate_headers;
mod reply;
mod request;
mod reserve;
mod stream;
mod wishes;

pub use idempotency::IdempotencyLimits;

use crate::error::RequestError;
use crate::funds::Funds;
use crate::gauges::Gauges;
use crate::metrics::Metrics;
use crate::replica::{Replica, log_time};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use parking_lot::Mutex;
use quorate_catalog::{ApiKey, Role, WithoutQuorum};
use quorate_dialect::Operation;
use quorate_domain::{Clock, Tokens};
use quorate_routing::Health;
use quorate_upstream::Upstream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bounds on requests, set by the operator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may wait for budget that others hold.
    pub budget_wait: Duration,
    /// The shortest answer that is worth sending when a budget has no more left, in tokens; a client may say otherwise.
    pub output_tokens_min: Tokens,
    /// What is kept of requests with an `Idempotency-Key`.
    pub idempotency: IdempotencyLimits,
}

/// What the request path is made of.
pub struct Parts {
    /// Configuration and budgets, as this node sees them.
    pub replica: Arc<dyn Replica>,
    /// The node's money.
    pub funds: Funds,
    /// Connections to providers.
    pub upstream: Upstream,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Bounds on requests.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The request path of a node.
pub struct Proxy {
    parts: Parts,
    health: Mutex<Health>,
    counting: counting::Counting,
    estimates: estimates::Estimates,
    too_many: meeting::TooMany,
    requests: TaskTracker,
    is_draining: AtomicBool,
    /// Whether new requests are turned away.
    is_closed: AtomicBool,
    /// Cancelled when nobody may wait for budget here any longer. Another one for each time the node serves.
    closing: Mutex<CancellationToken>,
    /// Numbers requests, and seeds the choice among weighted targets.
    n_requests: AtomicU64,
}

impl Proxy {
    /// A request path that takes requests at once.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            health: Mutex::default(),
            counting: counting::Counting::new(),
            estimates: estimates::Estimates::default(),
            too_many: meeting::TooMany::default(),
            requests: TaskTracker::new(),
            is_draining: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            closing: Mutex::default(),
            n_requests: AtomicU64::new(0),
        })
    }

    /// Everything under `/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/embeddings", post(embeddings))
            .route("/v1/models", get(models::list))
            .route("/v1/models/{*model}", get(models::show))
            .fallback(async || RequestError::UnknownUrl)
            .method_not_allowed_fallback(async || RequestError::MethodNotSupported)
            .with_state(Arc::clone(self))
    }

    /// Whether the node has a session to spend in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.parts.funds.is_open()
    }

    /// Says that the node is leaving, so that load balancers look elsewhere. Requests are still served.
    pub fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Turns away who waits for budget: another node may serve it before this one would have to break it off.
    pub fn clear_the_line(&self) {
        self.closing.lock().cancel();
    }

    /// Turns new requests away, and who waits for budget. What is under way goes on. The listener stays: the node may come back.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.clear_the_line();
    }

    /// Takes requests again, after a drain that was taken back.
    pub fn reopen(&self) {
        *self.closing.lock() = CancellationToken::new();
        self.is_closed.store(false, Ordering::SeqCst);
        self.is_draining.store(false, Ordering::Release);
    }

    /// How many requests are under way, those included that are being read.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.requests.len()
    }

    fn closing(&self) -> CancellationToken {
        self.closing.lock().clone()
    }

    /// Whether the node is leaving.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Whether some key is served without a lease, too.
    #[must_use]
    pub fn may_do_without_a_lease(&self) -> bool {
        let replica = &self.parts.replica;
        let now = log_time(&**replica, &*self.parts.clock);
        let may_do_without = |key: &ApiKey| {
            let is_client = key.role == Role::Client && !key.is_revoked() && !key.has_expired_at(now);
            is_client && key.spec.without_quorum != WithoutQuorum::Closed
        };
        replica.catalog().read().keys().values().any(|key| may_do_without(key))
    }

    /// Sets the gauges to how budgets and grants stand now.
    pub(crate) fn observe(&self, gauges: &Gauges) {
        gauges.read(&*self.parts.replica, &self.parts.funds, self.parts.clock.mono());
    }

    /// Waits until every request has ended and is settled, for at most `grace`. Says how many had not.
    pub async fn finish(&self, grace: Duration) -> usize {
        self.requests.close();
        drop(tokio::time::timeout(grace, self.requests.wait()).await);
        self.requests.len()
    }

    async fn answer(self: Arc<Self>, operation: Operation, request: Request) -> Response {
        // Before the look at the door: who closes it and counts nobody has nobody left inside.
        let _inside = self.requests.token();
        let begun = self.parts.clock.mono();
        let mut ticket = request::Ticket::new(&self, request.headers(), begun);
        let is_old = request.version() <= Version::HTTP_11;
        let admitted = if self.is_closed.load(Ordering::SeqCst) {
            Err(RequestError::NotReady)
        } else {
            self.admit(operation, request, &mut ticket).await
        };
        let id = ticket.label.id.clone();
        let mut response = match admitted {
            Ok(admitted) => {
                let (sender, receiver) = oneshot::channel();
                let caller = reply::Caller::new(sender);
                self.requests.spawn(Arc::clone(&self).run(admitted, ticket, caller));
                // The task always answers; were it to die, the client must not wait for ever.
                receiver.await.unwrap_or_else(|_| RequestError::NotReady.into_response())
            }
            Err(error) => {
                ticket.refused(&self, &error);
                error.into_response()
            }
        };
        if is_old && self.is_draining() {
            // The client's next request finds another node.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply::signed(response, &id)
    }
}

async fn chat(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    proxy.answer(Operation::Chat, request).await
}

async fn embeddings(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    proxy.answer(Operation::Embeddings, request).await
}
