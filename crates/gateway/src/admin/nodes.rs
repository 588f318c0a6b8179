//! The nodes: `GET /nodes`, `GET /nodes/NODE`, where NODE is a name, an id, or `self`. Answers without a leader too; what only a leader
//! sees is null then.

use super::caller::Attendant;
use super::{Admin, AdminError, view};
use crate::replica::{ClusterStatus, Replica};
use axum::Json;
use axum::extract::{Path, State};
use quorate_domain::NodeId;
use quorate_ledger::{Ledger, SessionState};
use quorate_membership::{Ballot, Drain, Membership, NodeRecord, Progress, Sight, Standing};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long the leader may take to say what it sees. Without one, that is what is waited in vain.
const SIGHT_LIMIT: Duration = Duration::from_millis(500);

pub(super) async fn list(State(admin): State<Arc<Admin>>, _: Attendant) -> Result<Json<Value>, AdminError> {
    let replica = admin.replica()?;
    Ok(Json(json!({ "items": all(&**replica).await })))
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    _: Attendant,
    Path(name): Path<String>,
) -> Result<Json<Value>, AdminError> {
    let replica = admin.replica()?;
    let node = find(&**replica, &name)?;
    let shown = all(&**replica).await.into_iter().find(|shown| shown["id"] == json!(node));
    shown.map(Json).ok_or_else(|| AdminError::Missing(format!("node {name}")))
}

/// The node that is meant by a name, an id, or `self`. A name that looks like an id is a name first.
pub(super) fn find(replica: &dyn Replica, text: &str) -> Result<NodeId, AdminError> {
    if text == "self" {
        return Ok(replica.node());
    }
    let table = replica.membership().read();
    let by_id = || text.parse().ok().map(NodeId::new).filter(|id| table.get(*id).is_some());
    table.by_name(text).or_else(by_id).ok_or_else(|| AdminError::Missing(format!("node {text}")))
}

/// All nodes, as this one sees them.
pub(super) async fn all(replica: &dyn Replica) -> Vec<Value> {
    let sight = replica.sight(SIGHT_LIMIT).await.ok();
    let status = replica.status();
    let held = held(&replica.ledger().read());
    let table = replica.membership().read();
    let shown = |(id, record): (NodeId, &NodeRecord)| {
        let mut shown = about(&table, id, record);
        shown["role"] = json!(role(&status, id));
        shown["budgets_held"] = json!(held.get(&id).copied().unwrap_or(0));
        see(&mut shown, sight.as_ref(), id);
        shown
    };
    table.iter().map(shown).collect()
}

/// What the table says.
fn about(table: &Membership, id: NodeId, record: &NodeRecord) -> Value {
    let profile = &record.profile;
    json!({
        "id": id,
        "name": record.name,
        "zone": profile.zone,
        "peer_address": profile.peer_address,
        "admin_address": profile.admin_address,
        "release": profile.release,
        "since": view::time(record.since),
        "starts": record.starts,
        "has_seat": table.voters().contains(&id),
        "may_vote": record.ballot == Ballot::Free,
        "standing": standing(&record.standing),
        "is_to_be_replaced": record.replaced.is_some(),
        "replaces": record.replaces,
        "certificate_until": record.certificate.map(|certificate| view::time(certificate.until)),
    })
}

/// What the leader sees, if there is one.
fn see(shown: &mut Value, sight: Option<&Sight>, id: NodeId) {
    let seen = sight.and_then(|sight| sight.nodes.get(&id));
    shown["is_reachable"] = json!(seen.map(quorate_membership::Seen::is_reachable));
    shown["lag"] = json!(seen.and_then(|seen| seen.lag));
    shown["silent_ms"] = json!(seen.map(|seen| seen.silent));
    shown["caught_up_ms"] = json!(seen.and_then(|seen| seen.caught_up));
}

fn role(status: &ClusterStatus, id: NodeId) -> &'static str {
    let votes = status.members.iter().any(|member| member.node == id && member.is_voter);
    match (status.leader == Some(id), votes) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "learner",
    }
}

fn standing(standing: &Standing) -> Value {
    let word = standing.word();
    match standing {
        Standing::Serving => json!({ "state": word }),
        Standing::Draining(Drain { since, deadline, by, progress }) => {
            let (phase, requests) = phase(*progress);
            json!({
                "state": word, "since": view::time(*since), "deadline": deadline.map(view::time),
                "by": by.actor, "reason": by.reason,
                "progress": phase, "requests": requests, "sentence": progress.to_string(),
            })
        }
        Standing::Drained { since, by } => {
            json!({ "state": word, "since": view::time(*since), "by": by.actor, "reason": by.reason })
        }
    }
}

const fn phase(progress: Progress) -> (&'static str, Option<u64>) {
    match progress {
        Progress::Asked => ("asked", None),
        Progress::Unready => ("unready", None),
        Progress::HandingOver => ("handing_over", None),
        Progress::Finishing { requests } => ("finishing", Some(requests)),
        Progress::Returning => ("returning", None),
    }
}

/// Of how many budgets each node holds grants.
fn held(ledger: &Ledger) -> BTreeMap<NodeId, u64> {
    let mut held = BTreeMap::new();
    for (_, budget) in ledger.budgets() {
        for (session, holding) in budget.current().holdings() {
            let live = ledger.session(session).filter(|session| session.state == SessionState::Live);
            let node = live.filter(|_| holding.outstanding().get() > 0).map(|session| session.node);
            if let Some(node) = node {
                *held.entry(node).or_default() += 1;
            }
        }
    }
    held
}
