//! The cluster: how it is, and how a fresh node founds or joins one.

use super::caller::Attendant;
use super::input::Body;
use super::query::NoQuery;
use super::{Admin, AdminError, SetupError, view};
use crate::replica::ClusterStatus;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use quorate_domain::Secret;
use quorate_membership::JoinToken;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    /// A join token of the cluster.
    token: Secret<String>,
}

/// Answers without a leader too: that is when one looks.
pub(super) async fn status(State(admin): State<Arc<Admin>>, _: Attendant) -> Result<Json<Value>, AdminError> {
    let replica = admin.replica()?;
    let status = replica.status();
    let mut shown = view::plain(&status);
    if let Value::Object(fields) = &mut shown {
        let (verdict, sentence) = verdict(&status);
        fields.insert("verdict".to_owned(), json!(verdict));
        fields.insert("sentence".to_owned(), json!(sentence));
        let left = replica.lease().left(admin.clock.mono()).as_millis();
        fields.insert("lease_left_ms".to_owned(), json!(u64::try_from(left).unwrap_or(u64::MAX)));
        fields.insert("revocation_bound_ms".to_owned(), json!(replica.revocation_bound()));
        fields.insert("requests_under_way".to_owned(), json!(admin.work.get().map(|work| work.under_way())));
    }
    Ok(Json(shown))
}

/// Needs no key: there is none before it. The node refuses once it belongs to a cluster.
pub(super) async fn init(
    State(admin): State<Arc<Admin>>,
    _: NoQuery,
) -> Result<impl IntoResponse, AdminError> {
    refuse_member(&admin)?;
    let done = admin.setup.init().await?;
    let answer =
        json!({ "cluster": done.cluster, "node": done.node, "admin_token": done.admin_token.expose() });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Needs no key, for the same reason. The cluster decides by the token whether the node is let in.
pub(super) async fn join(
    State(admin): State<Arc<Admin>>,
    _: NoQuery,
    body: Body,
) -> Result<impl IntoResponse, AdminError> {
    refuse_member(&admin)?;
    let Join { token } = body.read()?;
    let token =
        JoinToken::parse(token.expose()).map_err(|error| AdminError::Body(format!("token: {error}")))?;
    let node = admin.setup.join(token).await?;
    Ok((StatusCode::CREATED, Json(json!({ "node": node }))))
}

fn refuse_member(admin: &Admin) -> Result<(), AdminError> {
    match admin.replica.get() {
        Some(_) => Err(AdminError::Setup(SetupError::AlreadyMember)),
        None => Ok(()),
    }
}

/// A word for scripts and a sentence for people.
fn verdict(status: &ClusterStatus) -> (&'static str, String) {
    let voters = status.members.iter().filter(|member| member.is_voter).count();
    if !status.differs_from.is_empty() {
        let others = status.differs_from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return (
            "replicas_differ",
            format!(
                "the same log had other outcomes on node {others} than on node {}: one of them is broken",
                status.node
            ),
        );
    }
    match status.leader {
        Some(leader) => {
            let spare = voters.saturating_sub(1) / 2;
            ("healthy", format!("{voters} voters, node {leader} leads; {spare} may fail at the same time"))
        }
        None => (
            "no_leader",
            format!(
                "node {} knows no leader; of {voters} voters {} are needed. Requests that held grants cover go on until its lease ends, changes wait",
                status.node,
                voters / 2 + 1
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::NodeId;

    #[test]
    fn replicas_that_differ_are_told_before_anything_else() {
        let mut status = ClusterStatus {
            cluster: "9".to_owned(),
            node: NodeId::new(1),
            leader: Some(NodeId::new(1)),
            term: 1,
            last_log: None,
            committed: None,
            applied: None,
            snapshot: None,
            history: None,
            differs_from: Vec::new(),
            unfit: None,
            disk: None,
            clock_skew_ms: None,
            members: Vec::new(),
        };
        assert_eq!(verdict(&status).0, "healthy");
        status.differs_from = [2, 3].map(NodeId::new).into();
        let (word, sentence) = verdict(&status);
        assert_eq!(word, "replicas_differ");
        assert!(sentence.contains("node 2, 3 than on node 1"), "{sentence}");
    }
}
