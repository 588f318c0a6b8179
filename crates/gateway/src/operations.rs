//! What operators and probes ask of a node without a key: is it alive, is it ready, what does it count.

use crate::admin::Admin;
use crate::gauges::Gauges;
use crate::proxy::Proxy;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::sync::{Arc, OnceLock};

/// The operators' side of a node.
pub struct Operations {
    registry: Mutex<Registry>,
    gauges: Gauges,
    proxy: OnceLock<Arc<Proxy>>,
}

/// The media type of the Prometheus text format that is written here.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Operations {
    /// The operators' side of a node that does not serve yet.
    #[must_use]
    pub fn new(mut registry: Registry) -> Self {
        let gauges = Gauges::register(&mut registry);
        Self { registry: Mutex::new(registry), gauges, proxy: OnceLock::new() }
    }

    /// Makes known what decides whether the node is ready. Only the first call counts.
    pub fn attach(&self, proxy: &Arc<Proxy>) {
        self.proxy.get_or_init(|| Arc::clone(proxy));
    }

    /// Everything on the admin address: probes, metrics, the log's level, and the admin API.
    pub fn router(self: &Arc<Self>, admin: &Arc<Admin>) -> Router {
        let own = Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(self));
        own.merge(admin.router())
    }
}

/// Whether a load balancer should send requests here. A node without a quorum goes on by what it holds and knows until its
/// lease ends; after that only for keys that may do without, if there are any.
async fn ready(State(operations): State<Arc<Operations>>) -> Response {
    match operations.proxy.get() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "[-]member: this node belongs to no cluster yet\n")
            .into_response(),
        Some(proxy) if proxy.is_draining() => {
            (StatusCode::SERVICE_UNAVAILABLE, "[-]draining: this node is leaving\n").into_response()
        }
        Some(proxy) if !proxy.is_ready() => {
            (StatusCode::SERVICE_UNAVAILABLE, "[-]session: no session with the ledger yet\n").into_response()
        }
        Some(proxy) if !proxy.is_trusted() => {
            let why =
                "[-]fresh: this node has not heard from a majority for longer than the revocation bound\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
        Some(_) => "ok\n".into_response(),
    }
}

async fn metrics(State(operations): State<Arc<Operations>>) -> Response {
    let mut text = String::new();
    if let Some(proxy) = operations.proxy.get() {
        proxy.observe(&operations.gauges);
    }
    match prometheus_client::encoding::text::encode(&mut text, &operations.registry.lock()) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
