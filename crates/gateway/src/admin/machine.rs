//! The machines of the cluster, as one node sees them: `GET /machines`. For `quorate doctor` and for bundles; answers without a leader.

use super::caller::Attendant;
use super::{Admin, AdminError, view};
use axum::Json;
use axum::extract::State;
use quorate_ledger::SessionState;
use serde_json::{Value, json};
use std::sync::Arc;

/// Shows what this node knows of itself and hears of the others.
pub(super) async fn show(State(admin): State<Arc<Admin>>, _: Attendant) -> Result<Json<Value>, AdminError> {
    let replica = admin.replica()?;
    let status = replica.status();
    let members = replica.membership().read();
    let others = status.members.iter().map(|member| {
        let mut shown = view::plain(member);
        if let (Value::Object(fields), Some(record)) = (&mut shown, members.get(member.node)) {
            let profile = &record.profile;
            let certificate = record.certificate.map(|certificate| {
                json!({ "since": certificate.since.millis(), "until": certificate.until.millis() })
            });
            fields.insert("name".to_owned(), json!(record.name));
            fields.insert("zone".to_owned(), json!(profile.zone));
            fields.insert("release".to_owned(), json!(profile.release));
            fields.insert("admin_address".to_owned(), json!(profile.admin_address));
            fields.insert("certificate".to_owned(), json!(certificate));
        }
        shown
    });
    let others: Vec<Value> = others.collect();
    let ledger = replica.ledger().read();
    let in_doubt = ledger.sessions().filter(|(_, session)| session.state != SessionState::Live).count();
    Ok(Json(json!({
        "node": status.node,
        "cluster": status.cluster,
        "leader": status.leader,
        "applied": status.applied,
        "snapshot": status.snapshot,
        "differs_from": status.differs_from,
        "unfit": status.unfit,
        "disk": status.disk,
        "clock_skew_ms": status.clock_skew_ms,
        "time_ms": admin.clock.wall().millis(),
        "sessions_in_doubt": in_doubt,
        "members": others,
    })))
}
