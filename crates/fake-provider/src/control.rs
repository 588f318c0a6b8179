//! The paths that tests use: behaviour, bill, counts, and the last request as it came.
//!
//! `GET|POST|DELETE /_control`, `GET|DELETE /_bill`, `GET /_stats`, `GET /_last_request` (its bytes),
//! `GET /_last_request/headers`.

use crate::reply::{self, Reply};
use crate::server::Shared;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

/// Answers a request to a control path.
pub(crate) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Reply {
    match (method.as_str(), path) {
        ("GET", "/_control") => reply::json(StatusCode::OK, &*shared.behaviour()),
        ("POST", "/_control") => change(shared, body),
        ("DELETE", "/_control") => {
            shared.set_behaviour(shared.start.clone());
            reply::json(StatusCode::OK, &shared.start)
        }
        ("GET", "/_bill") => bill(shared),
        ("DELETE", "/_bill") => {
            shared.bill.clear();
            bill(shared)
        }
        ("GET", "/_stats") => reply::json(StatusCode::OK, &shared.stats.counts()),
        ("GET", "/_last_request") => {
            let last = shared.last_request.lock();
            reply::reply(StatusCode::OK, "application/octet-stream", reply::whole(last.1.clone()))
        }
        ("GET", "/_last_request/headers") => {
            reply::json(StatusCode::OK, &headers(&shared.last_request.lock().0))
        }
        _ => reply::refusal(StatusCode::NOT_FOUND, "unknown_path", "no such control path"),
    }
}

fn change(shared: &Shared, body: &[u8]) -> Reply {
    let changed = serde_json::from_slice(body).and_then(|changes| shared.behaviour().with(&changes));
    match changed {
        Ok(behaviour) => {
            let reply = reply::json(StatusCode::OK, &behaviour);
            shared.set_behaviour(behaviour);
            reply
        }
        Err(error) => reply::refusal(StatusCode::BAD_REQUEST, "bad_behaviour", &error.to_string()),
    }
}

fn bill(shared: &Shared) -> Reply {
    let mut statement = serde_json::to_value(shared.bill.statement()).unwrap_or_default();
    statement["instant"] = json!(shared.instant.totals());
    reply::json(StatusCode::OK, &statement)
}

/// A header that was sent twice shows both values, as RFC 9110 joins them.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let joined = |name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.to_string(), json!(joined(name)))).collect()
}
