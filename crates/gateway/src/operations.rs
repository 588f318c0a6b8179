//! What operators and probes ask of a node without a key: is it alive, is it ready, what does it count.

use crate::admin::Admin;
use crate::gauges::Gauges;
use crate::health::{self, Quorum, Report, Session, Sight, State as Health};
use crate::proxy::Proxy;
use crate::replica::Replica;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use quorate_domain::{Clock, MonoTime};
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// The operators' side of a node.
pub struct Operations {
    registry: Mutex<Registry>,
    gauges: Gauges,
    clock: Arc<dyn Clock>,
    replica: OnceLock<Arc<dyn Replica>>,
    proxy: OnceLock<Arc<Proxy>>,
}

/// The media type of the Prometheus text format that is written here.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What may stand behind the `?` of a probe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    verbose: Option<Flag>,
    format: Option<Format>,
}

/// A parameter that is there or not; it may say so.
#[derive(Deserialize)]
enum Flag {
    #[serde(rename = "")]
    Bare,
    #[serde(rename = "true")]
    True,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Format {
    Text,
    Json,
}

type Parameters = Result<Query<Asked>, QueryRejection>;

impl Operations {
    /// The operators' side of a node that does not serve yet.
    #[must_use]
    pub fn new(mut registry: Registry, clock: Arc<dyn Clock>) -> Self {
        let gauges = Gauges::register(&mut registry);
        let registry = Mutex::new(registry);
        Self { registry, gauges, clock, replica: OnceLock::new(), proxy: OnceLock::new() }
    }

    /// Makes known that the node belongs to a cluster. Only the first call counts.
    pub fn attach_replica(&self, replica: Arc<dyn Replica>) {
        self.replica.get_or_init(|| replica);
    }

    /// Makes known what decides whether the node is ready. Only the first call counts.
    pub fn attach(&self, proxy: &Arc<Proxy>) {
        self.proxy.get_or_init(|| Arc::clone(proxy));
    }

    /// Everything on the admin address: probes, metrics, the log's level, and the admin API.
    pub fn router(self: &Arc<Self>, admin: &Arc<Admin>) -> Router {
        let own = Router::new()
            .route("/livez", get(live))
            .route("/startupz", get(startup))
            .route("/readyz", get(ready))
            .route("/readyz/admin", get(ready_for_admin))
            .route("/clusterz", get(cluster))
            .route("/metrics", get(metrics))
            .with_state(Arc::clone(self));
        own.merge(admin.router())
    }

    /// What the node sees now; nothing before it belongs to a cluster.
    fn sight(&self) -> Option<Sight> {
        let replica = self.replica.get()?;
        let (now, lease, proxy) = (self.clock.mono(), replica.lease(), self.proxy.get());
        let is_over = lease.end() > MonoTime::default() && !lease.is_fresh(now);
        Some(Sight {
            status: replica.status(),
            lease_left: lease.left(now),
            lease_over: is_over.then(|| now.since(lease.end())),
            session: if proxy.is_some_and(|proxy| proxy.is_open()) {
                Session::Open
            } else {
                Session::Missing
            },
            is_draining: proxy.is_some_and(|proxy| proxy.is_draining()),
            may_do_without: proxy.is_some_and(|proxy| proxy.may_do_without_a_lease()),
        })
    }

    fn report(&self, of: impl FnOnce(&Sight) -> Report) -> Report {
        self.sight().as_ref().map_or_else(health::no_member, of)
    }
}

/// For whoever restarts the process.
async fn live(asked: Parameters) -> Response {
    answer(asked, &health::live(), None)
}

/// For whoever waits until a node that was started has caught up.
async fn startup(State(operations): State<Arc<Operations>>, asked: Parameters) -> Response {
    answer(asked, &operations.report(Sight::startup), None)
}

/// Whether a load balancer should send requests here. A node without a quorum goes on by what it holds and knows until its
/// lease ends; after that only for keys that may do without, if there are any.
async fn ready(State(operations): State<Arc<Operations>>, asked: Parameters) -> Response {
    answer(asked, &operations.report(Sight::ready), None)
}

/// Whether changes through the admin API would be made.
async fn ready_for_admin(State(operations): State<Arc<Operations>>, asked: Parameters) -> Response {
    answer(asked, &operations.report(Sight::admin), None)
}

/// Whether the cluster would survive the next failure, as this node sees it.
async fn cluster(State(operations): State<Arc<Operations>>, asked: Parameters) -> Response {
    match operations.sight() {
        Some(sight) => {
            let (quorum, report) = sight.cluster();
            answer(asked, &report, Some(&quorum))
        }
        None => answer(asked, &health::no_member(), None),
    }
}

fn answer(asked: Parameters, report: &Report, quorum: Option<&Quorum>) -> Response {
    let Asked { verbose, format } = match asked {
        Ok(Query(asked)) => asked,
        Err(rejection) => {
            let said = format!("{}\n", rejection.body_text());
            return (StatusCode::BAD_REQUEST, said).into_response();
        }
    };
    let state = report.state();
    let status = match state {
        Health::Ok | Health::Degraded => StatusCode::OK,
        Health::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    if format == Some(Format::Json) {
        let body = match quorum {
            Some(quorum) => json!({ "status": state, "checks": report.checks(), "cluster": quorum }),
            None => json!({ "status": state, "checks": report.checks() }),
        };
        return (status, axum::Json(body)).into_response();
    }
    let mut body = quorum.map(Quorum::line).unwrap_or_default();
    body.push_str(&report.lines(verbose.is_some()));
    if quorum.is_none() && status == StatusCode::OK {
        body.push_str("ok\n");
    }
    (status, body).into_response()
}

impl Quorum {
    fn line(&self) -> String {
        let leader = self.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let Self { verdict, voters, voters_heard, tolerance, .. } = self;
        format!("{verdict} voters={voters} heard={voters_heard} tolerance={tolerance} leader={leader}\n")
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
