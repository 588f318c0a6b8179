//! Errors that a healthy cluster does not give: each with its status, its code and what to do next.

use super::{Alone, Client, founded, join_token, refused};
use crate::admin::{AdminError, Initialised, Setup, SetupError};
use crate::replica::{Eventually, Unavailable};
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use quorate_domain::{NodeId, SessionId};
use quorate_ledger::Rejection;
use quorate_membership::{JoinToken, Rejection as Members};
use serde_json::{Value, json};

struct Fails;

impl Setup for Fails {
    fn init(&self) -> Eventually<'_, Result<Initialised, SetupError>> {
        Box::pin(async { Err(SetupError::Failed("the disk is full".to_owned())) })
    }

    fn join(&self, _token: JoinToken) -> Eventually<'_, Result<NodeId, SetupError>> {
        Box::pin(async { Err(SetupError::Failed("the disk is full".to_owned())) })
    }
}

#[tokio::test]
async fn a_cluster_that_gives_no_answer_says_whether_something_may_have_changed() {
    for (outage, expected) in [
        (Unavailable::NoQuorum, refused(503, "unavailable")),
        (Unavailable::TimedOut, refused(504, "timed_out")),
        (Unavailable::Stopped, refused(503, "stopping")),
    ] {
        let client = Client::of(Some(Alone { outage: Some(outage), ..founded(true) }));
        assert_eq!(client.refusal("POST", "/teams", json!({ "name": "a" })).await, expected);
    }
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why() {
    let client = Client::with(None, Fails);
    assert_eq!(client.refusal("POST", "/cluster/init", Value::Null).await, refused(500, "setup_failed"));
    let join = join_token();
    assert_eq!(client.refusal("POST", "/cluster/join", join).await, refused(500, "setup_failed"));
}

#[tokio::test]
async fn what_nobody_could_undo_and_what_does_not_fit_together_are_refused() {
    let client = Client::founded();
    let last = client.refusal("POST", "/keys/1/revoke", Value::Null).await;
    assert_eq!(last, refused(409, "last_admin_key"));
    let nowhere = json!({ "name": "chat", "targets": [] });
    assert_eq!(client.refusal("POST", "/routes", nowhere).await, refused(422, "invalid_object"));
}

#[tokio::test]
async fn join_tokens_have_bounds_and_a_machine_that_can_make_none_says_so() {
    let client = Client::founded();
    for wrong in [json!({ "ttl_ms": 0 }), json!({ "ttl_ms": 2_592_000_001_u64 }), json!({ "uses": 0 })] {
        assert_eq!(client.refusal("POST", "/tokens", wrong).await, refused(400, "invalid_body"));
    }
    assert_eq!(client.refusal("POST", "/tokens", json!({})).await, refused(500, "failed"));
    assert_eq!(client.get("/tokens").await, json!({ "items": [] }));
    for unknown in ["0123456789abcdef", "nonsense"] {
        let path = format!("/tokens/{unknown}");
        assert_eq!(client.refusal("DELETE", &path, Value::Null).await, refused(404, "not_found"));
    }
}

/// No path leads to the first, and no test to the second: they are told as they would be.
#[tokio::test]
async fn errors_that_no_request_provokes_are_told_like_the_others() {
    for (error, expected) in [
        (AdminError::Ledger(Rejection::StillHolding(SessionId::new(1))), refused(409, "refused")),
        (AdminError::Membership(Members::TooManyTokens(256)), refused(409, "too_many_tokens")),
        (AdminError::Membership(Members::RotationUnderWay), refused(409, "rotation_under_way")),
        (AdminError::Level { level: 1, needs: 2 }, refused(409, "level_too_low")),
        (AdminError::Membership(Members::Cloned), refused(409, "membership_refused")),
        (AdminError::NoRandomness, refused(500, "no_randomness")),
    ] {
        let response = error.into_response();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((status, told["error"]["code"].as_str().unwrap().to_owned()), expected);
        assert!(!told["error"]["next"].as_str().unwrap().is_empty(), "{told}");
    }
}

#[tokio::test]
async fn a_node_without_a_cluster_can_only_found_or_join_one() {
    let client = Client::of(None);
    assert_eq!(client.refusal("GET", "/keys", Value::Null).await, refused(503, "not_initialised"));
    assert!(
        client.post("/cluster/init", Value::Null).await["admin_token"].as_str().unwrap().starts_with("qk_")
    );
    let join = join_token();
    assert_eq!(client.refusal("POST", "/cluster/join", join).await, refused(502, "no_answer"));
    let member = Client::founded();
    assert_eq!(
        member.refusal("POST", "/cluster/init", Value::Null).await,
        refused(409, "already_initialised")
    );
}

#[tokio::test]
async fn without_a_quorum_changes_wait_and_local_reads_and_the_status_do_not() {
    let client = Client::of(Some(founded(false)));
    let team = json!({ "name": "a" });
    assert_eq!(client.refusal("POST", "/teams", team).await, refused(503, "unavailable"));
    assert_eq!(client.refusal("GET", "/teams", Value::Null).await, refused(503, "unavailable"));
    assert_eq!(client.get("/teams?consistency=local").await, json!({ "items": [] }));
    assert_eq!(client.get("/cluster").await["verdict"], "no_leader");
    assert_eq!(client.get("/cluster").await["lease_left_ms"], 0);
}
