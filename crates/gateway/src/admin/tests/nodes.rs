//! The nodes: shown, planned for, changed; what the checks forbid and what was planned for another state is refused.

use super::{Alone, Client, NOW, founded, refused};
use quorate_domain::{BootId, ClusterId, LogTime, Secret};
use quorate_membership::{
    Admission, Command, Founding, Levels, NewToken, Outcome, Profile, Root, StorageId, TokenId,
};
use serde_json::{Value, json};

fn profile(number: u64) -> Profile {
    Profile {
        name: Some(format!("gw-{number}").parse().unwrap()),
        zone: Some("eu-1a".parse().unwrap()),
        peer_address: format!("10.0.0.{number}:7000"),
        admin_address: format!("10.0.0.{number}:8081"),
        release: "1.0.0".to_owned(),
        levels: Levels::OURS,
    }
}

/// One voter and a learner.
fn two_nodes(quorum: bool) -> Alone {
    let alone = founded(quorum);
    let apply = |command| alone.members.write().apply(NOW, command);
    let root = Root { certificate: vec![1], key: Secret::new([1; 32]), since: NOW, until: NOW };
    let (cluster, storage, boot) = (ClusterId::new(9), StorageId::new(1), BootId::new(1));
    let founding = Founding { cluster, storage, profile: profile(1), root, starts: 1, boot };
    apply(Command::Found(founding));
    let (token, until) = (TokenId::new(1), LogTime::from_millis(u64::MAX));
    apply(Command::CreateToken(NewToken { token, digest: [0; 32], until, uses: 9, actor: "a".to_owned() }));
    let admission = Admission { token, storage: StorageId::new(2), profile: profile(2) };
    assert!(matches!(apply(Command::Admit(admission)), Outcome::Admitted(_)));
    alone
}

#[tokio::test]
async fn nodes_are_shown_with_what_they_are_for_and_what_the_leader_sees() {
    let client = Client::of(Some(two_nodes(true)));
    let nodes = client.get("/nodes").await;
    let second = &nodes["items"][1];
    assert_eq!(
        (&second["name"], &second["role"], &second["has_seat"]),
        (&json!("gw-2"), &json!("learner"), &json!(false))
    );
    assert_eq!((&second["is_reachable"], &second["lag"]), (&json!(true), &json!(0)));
    assert_eq!(client.get("/nodes/gw-2").await, *second);
    assert_eq!(client.get("/nodes/2").await, *second);
    assert_eq!(client.get("/nodes/self").await["id"], 1);
    assert_eq!(client.refusal("GET", "/nodes/gw-9", Value::Null).await, refused(404, "not_found"));
    let alone = Client::of(Some(two_nodes(false)));
    assert_eq!(alone.get("/nodes/gw-2").await["is_reachable"], Value::Null, "nobody leads");
}

#[tokio::test]
async fn a_plan_changes_nothing_and_what_is_applied_is_what_was_planned() {
    let client = Client::of(Some(two_nodes(true)));
    let planned = client.post("/nodes/gw-2/drain?dry_run=true", json!({ "deadline_ms": 600_000 })).await;
    assert_eq!((&planned["result"], &planned["plan"]["is_refused"]), (&json!("planned"), &json!(false)));
    assert_eq!(client.get("/nodes/gw-2").await["standing"]["state"], "serving");
    let revision = planned["plan"]["revision"].as_u64().unwrap();
    let drain = format!("/nodes/gw-2/drain?expected_revision={revision}");
    assert_eq!(client.post(&drain, Value::Null).await["result"], "applied");
    assert_eq!(client.get("/nodes/gw-2").await["standing"]["state"], "draining");
    assert_eq!(client.refusal("POST", &drain, Value::Null).await, refused(412, "revision_conflict"));
    assert_eq!(
        client.post("/nodes/gw-2/drain", Value::Null).await["result"],
        "unchanged",
        "it drains already"
    );
    assert_eq!(client.post("/nodes/gw-2/undrain", Value::Null).await["result"], "applied");
    let events = client.get("/cluster/events").await;
    assert_eq!(
        (&events["items"][0]["kind"], &events["items"][0]["by"]),
        (&json!("undrained"), &json!("key 1"))
    );
}

#[tokio::test]
async fn what_the_checks_forbid_is_planned_and_not_done() {
    let client = Client::of(Some(two_nodes(true)));
    let planned = client.post("/nodes/gw-2/remove?dry_run=true", Value::Null).await;
    assert_eq!(planned["plan"]["is_refused"], true);
    assert_eq!(
        client.refusal("POST", "/nodes/gw-2/remove", Value::Null).await,
        refused(409, "unsafe_change")
    );
    let foreign = client.refusal("POST", "/nodes/gw-2/remove", json!({ "deadline_ms": 1 })).await;
    assert_eq!(foreign, refused(400, "invalid_body"));
    assert_eq!(
        client.refusal("POST", "/nodes/gw-2/explode", Value::Null).await,
        refused(400, "invalid_request")
    );
    let nobody = client.refusal("POST", "/cluster/transfer-leader", json!({ "to": "gw-2" })).await;
    assert_eq!(nobody, refused(409, "not_handed_over"));
}

#[tokio::test]
async fn the_autopilot_is_set_part_by_part() {
    let client = Client::of(Some(two_nodes(true)));
    assert_eq!(client.get("/autopilot").await["target"], 5);
    let (status, set) = client.ask("PUT", "/autopilot", json!({ "paused": true, "target": 3 })).await;
    assert!(status.is_success());
    assert_eq!((&set["autopilot"]["paused"], &set["autopilot"]["target"]), (&json!(true), &json!(3)));
    assert_eq!(set["autopilot"]["stable_ms"], 10_000);
    let even = client.refusal("PUT", "/autopilot", json!({ "target": 4 })).await;
    assert_eq!(even, refused(400, "invalid_body"));
}
