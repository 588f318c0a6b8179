//! The admin API over a replica of one, asked as a client would ask.

mod alone;
mod doubts;
mod lease;
mod nodes;
mod refusals;
mod zones;

use super::{Admin, Initialised, LogLevel, Setup, SetupError};
use crate::replica::{Eventually, Unavailable};
use alone::Alone;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::{Mutex, RwLock};
use quorate_catalog::{
    Actor, ApiKeyText, Apply, Catalog, Change, Command, Digest, Expected, Founding, KeySpec, NewKey, Pepper,
    Role,
};
use quorate_domain::{Clock, ClusterId, KeyId, LogTime, MonoTime, NodeId, Secret};
use quorate_lease::Lease;
use quorate_ledger::Ledger;
use quorate_membership::JoinToken;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

const NOW: LogTime = LogTime::from_millis(1_700_000_000_000);

struct StoppedClock;

impl Clock for StoppedClock {
    fn mono(&self) -> MonoTime {
        MonoTime::default()
    }

    fn wall(&self) -> LogTime {
        NOW
    }
}

struct FoundsAtOnce;

impl Setup for FoundsAtOnce {
    fn init(&self) -> Eventually<'_, Result<Initialised, SetupError>> {
        let admin_token = Secret::new(admin_text().expose().to_owned());
        Box::pin(async { Ok(Initialised { cluster: ClusterId::new(9), node: NodeId::new(1), admin_token }) })
    }

    fn join(&self, token: JoinToken) -> Eventually<'_, Result<NodeId, SetupError>> {
        let cause = token.seeds.join(", ");
        Box::pin(async move { Err(SetupError::NoAnswer { cause, next: "try again" }) })
    }
}

/// A filter of one word.
struct OneWord(Mutex<String>);

impl LogLevel for OneWord {
    fn set(&self, level: &str) -> Result<(), String> {
        if level.contains(' ') {
            return Err(format!("{level:?} is no filter"));
        }
        level.clone_into(&mut self.0.lock());
        Ok(())
    }

    fn get(&self) -> String {
        self.0.lock().clone()
    }
}

fn admin_text() -> ApiKeyText {
    ApiKeyText::mint(KeyId::new(1), &[1; 32])
}

/// A token of some cluster.
pub(super) fn join_token() -> Value {
    let (cluster, root, secret) = ("c1".repeat(8), "07".repeat(32), "09".repeat(32));
    json!({ "token": format!("qj1.{cluster}.{root}.{cluster}.{secret}.127.0.0.1:1") })
}

/// A client with an admin key.
struct Client {
    router: Router,
    token: String,
}

impl Client {
    fn of(replica: Option<Alone>) -> Self {
        Self::with(replica, FoundsAtOnce)
    }

    fn with(replica: Option<Alone>, setup: impl Setup) -> Self {
        let log = Arc::new(OneWord(Mutex::new("info".to_owned())));
        let admin = Arc::new(Admin::new(Arc::new(StoppedClock), Arc::new(setup), log));
        if let Some(replica) = replica {
            admin.attach(Arc::new(replica));
        }
        Self { router: admin.router(), token: admin_text().expose().to_owned() }
    }

    fn founded() -> Self {
        Self::of(Some(founded(true)))
    }

    async fn send(&self, request: http::request::Builder, body: String) -> (StatusCode, Value) {
        let request =
            request.header("authorization", format!("Bearer {}", self.token)).body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(Request::builder().method(method).uri(format!("/admin/v1{path}")), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// The status and the stable code of a refusal, which must say what to do next as well.
    async fn refusal(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.ask(method, path, body).await;
        let error = &answer["error"];
        assert!(
            !error["message"].as_str().unwrap().is_empty() && !error["next"].as_str().unwrap().is_empty()
        );
        (status.as_u16(), error["code"].as_str().unwrap().to_owned())
    }

    async fn furnish(&self) {
        self.post("/apply", furniture()).await;
    }
}

fn founded(quorum: bool) -> Alone {
    let mut catalog = Catalog::default();
    let founding = Founding::new(ClusterId::new(9), Secret::new([5; 32]), &admin_text());
    catalog.apply(NOW, Command::Found(founding));
    let outage = (!quorum).then_some(Unavailable::NoQuorum);
    let (catalog, ledger) = (RwLock::new(catalog), RwLock::new(Ledger::default()));
    let lease = if quorum { Lease::unlimited() } else { Lease::default() };
    let idempotency = RwLock::default();
    let members = RwLock::default();
    Alone { catalog, ledger, idempotency, members, outage, lease, unheard: Mutex::default() }
}

fn furniture() -> Value {
    json!({
        "routes": [{ "name": "gpt-4o", "targets": [{ "model": "fake/gpt-4o" }] }],
        "models": [{
            "name": "fake/gpt-4o", "provider": "fake", "upstream_model": "gpt-4o", "context_tokens": 128_000,
            "output_tokens_max": 16_384, "price": { "input": "2.5", "cached_input": "1.25", "output": "10" },
        }],
        "providers": [{ "name": "fake", "base_url": "http://127.0.0.1:9/v1", "credential": "sk-provider-secret" }],
        "organisations": [{ "name": "acme" }],
        "teams": [{ "name": "search", "organisation": "acme" }],
    })
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_document_is_applied_whole_and_read_back() {
    let client = Client::founded();
    client.furnish().await;
    let model = client.get("/models/fake/gpt-4o").await;
    assert_eq!(model["price"]["cached_input"], "1.25");
    assert_eq!((&model["revision"], &model["updated_at"]), (&json!(2), &json!("2023-11-14T22:13:20Z")));
    assert_eq!(client.get("/routes").await["items"].as_array().unwrap().len(), 1);
    let mut broken = furniture();
    broken["routes"][0]["targets"][0]["model"] = json!("gone");
    assert_eq!(client.refusal("POST", "/apply", broken).await, refused(422, "missing_reference"));
}

#[tokio::test]
async fn a_secret_is_in_one_answer_and_in_no_other() {
    let client = Client::founded();
    client.furnish().await;
    let created = client.post("/keys", json!({ "label": "phone" })).await;
    let secret = created["secret"].as_str().unwrap();
    assert!(ApiKeyText::parse(secret).is_ok());
    let id = created["id"].as_u64().unwrap();
    let mut shown = String::new();
    for path in ["/keys", &format!("/keys/{id}"), "/providers", "/providers/fake"] {
        shown.push_str(&client.get(path).await.to_string());
    }
    assert!(!shown.contains(secret) && !shown.contains("sk-provider-secret"), "{shown}");
    assert!(shown.contains("\"credential\":\"***\""), "{shown}");
}

#[tokio::test]
async fn a_provider_that_was_shown_can_be_put_back() {
    let client = Client::founded();
    client.furnish().await;
    let mut provider = client.get("/providers/fake").await;
    for added in ["revision", "created_at", "updated_at"] {
        provider.as_object_mut().unwrap().remove(added);
    }
    provider["timeouts"]["idle_ms"] = json!(1_000);
    let (status, answer) = client.ask("PUT", "/providers/fake?expected_revision=2", provider.clone()).await;
    assert_eq!((status, &answer["revision"]), (StatusCode::OK, &json!(3)));
    let again = client.refusal("PUT", "/providers/fake?expected_revision=2", provider).await;
    assert_eq!(again, refused(412, "revision_conflict"));
}

#[tokio::test]
async fn creating_what_exists_and_deleting_what_is_used_are_refused() {
    let client = Client::founded();
    client.furnish().await;
    let team = json!({ "name": "search" });
    assert_eq!(client.refusal("POST", "/teams", team).await, refused(409, "already_exists"));
    assert_eq!(client.refusal("DELETE", "/providers/fake", Value::Null).await, refused(409, "still_used"));
    assert_eq!(client.ask("DELETE", "/routes/gpt-4o", Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(client.refusal("GET", "/routes/gpt-4o", Value::Null).await, refused(404, "not_found"));
}

#[tokio::test]
async fn a_key_is_created_with_its_budgets_then_rotated_and_revoked() {
    let client = Client::founded();
    client.furnish().await;
    let wish = json!({
        "owner": { "team": "search" }, "allowed_models": ["gpt-4o"], "expires_in_ms": 60_000,
        "budgets": [{ "unit": "tokens", "limit": 5_000 }, { "unit": "usd", "window": "day", "limit": "12.50" }],
    });
    let created = client.post("/keys", wish).await;
    let id = created["id"].as_u64().unwrap();
    assert_eq!(created["expires_at"], "2023-11-14T22:14:20Z");
    let budgets = client.get(&format!("/budgets?subject=key:{id}")).await;
    let limits: Vec<&Value> =
        budgets["items"].as_array().unwrap().iter().map(|budget| &budget["limit"]).collect();
    assert_eq!(limits, [&json!(5_000), &json!("12.5")]);

    let rotated = client.post(&format!("/keys/{id}/rotate"), json!({ "overlap_ms": 1_000 })).await;
    assert_eq!((&rotated["state"], &rotated["id"]), (&json!("rotating"), &json!(id)));
    assert_ne!(rotated["secret"], created["secret"]);
    let revoked = client.post(&format!("/keys/{id}/revoke"), Value::Null).await;
    assert_eq!(revoked["state"], "revoked");
    let again = client.refusal("POST", &format!("/keys/{id}/rotate"), Value::Null).await;
    assert_eq!(again, refused(409, "key_revoked"));
}

#[tokio::test]
async fn a_key_that_is_refused_leaves_no_budget_behind() {
    let client = Client::founded();
    let wish = json!({ "owner": { "team": "gone" }, "budgets": [{ "unit": "tokens", "limit": 1 }] });
    assert_eq!(client.refusal("POST", "/keys", wish).await, refused(422, "missing_reference"));
    assert_eq!(client.get("/budgets").await, json!({ "items": [] }));
}

#[tokio::test]
async fn permits_are_for_no_window_and_nobody_spends_them() {
    let client = Client::founded();
    client.post("/organisations", json!({ "name": "acme" })).await;
    let wish = |window| json!({ "subject": "org:acme", "unit": "permits", "window": window, "limit": 10 });
    let id = &client.post("/budgets", wish("lifetime")).await["id"];
    assert_eq!(client.get(&format!("/budgets/{id}/explain")).await["free"], json!(10));
    assert_eq!(client.get("/usage").await, json!({ "items": [] }));
    assert_eq!(client.refusal("POST", "/budgets", wish("day")).await, refused(400, "invalid_body"));
}

#[tokio::test]
async fn a_key_on_a_route_needs_both_to_have_a_budget() {
    let client = Client::founded();
    client.furnish().await;
    let id = &client.post("/keys", json!({})).await["id"];
    let wish =
        |route: &str| json!({ "subject": format!("key:{id}/model:{route}"), "unit": "tokens", "limit": 5 });
    let created = client.post("/budgets", wish("gpt-4o")).await;
    assert_eq!(created["subject"], json!(format!("key:{id}/model:gpt-4o")));
    let found = client.get(&format!("/budgets?subject=key:{id}/model:gpt-4o")).await;
    assert_eq!(found["items"][0]["id"], created["id"]);
    assert_eq!(client.get(&format!("/budgets?subject=key:{id}")).await, json!({ "items": [] }));
    assert_eq!(client.refusal("POST", "/budgets", wish("none")).await, refused(422, "missing_reference"));
    let nobody = json!({ "subject": "key:0/model:gpt-4o", "unit": "tokens", "limit": 5 });
    assert_eq!(client.refusal("POST", "/budgets", nobody).await, refused(422, "missing_reference"));
}

#[tokio::test]
async fn all_end_users_of_an_organisation_have_a_budget_by_default_that_is_bounded() {
    let client = Client::founded();
    client.furnish().await;
    let wish = |subject: &str| json!({ "subject": subject, "unit": "tokens", "window": "day", "limit": 5 });
    let created = client.post("/budgets", wish("end-user:acme/*")).await;
    assert_eq!((&created["end_users"], &created["end_users_max"]), (&json!(0), &json!(10_000)));
    let path = format!("/budgets/{}", created["id"]);
    let (_, changed) = client.ask("PUT", &path, json!({ "end_users_max": 7 })).await;
    assert_eq!((&changed["end_users_max"], &changed["limit"]), (&json!(7), &json!(5)));
    let (_, changed) = client.ask("PUT", &path, json!({ "limit": 6 })).await;
    assert_eq!((&changed["end_users_max"], &changed["limit"]), (&json!(7), &json!(6)));
    let explained = client.get(&format!("{path}/explain")).await;
    expect_test::expect!["each end user of the organisation has 6 tokens (day) of his own; 0 have it now, and no more than 7 may"].assert_eq(explained["explanation"].as_str().unwrap());
    assert_eq!(
        client.refusal("PUT", &path, json!({ "end_users_max": 0 })).await,
        refused(400, "invalid_body")
    );
    let mut bounded = wish("org:acme");
    bounded["end_users_max"] = json!(7);
    assert_eq!(client.refusal("POST", "/budgets", bounded).await, refused(400, "invalid_body"));
    let stranger = wish("end-user:umbrella/ann");
    assert_eq!(client.refusal("POST", "/budgets", stranger).await, refused(422, "missing_reference"));
    let written = client.post("/budgets", wish("end-user:acme/a+b&c")).await;
    assert_eq!((&written["made_from"], &written["end_users"]), (&Value::Null, &Value::Null));
    let found = client.get("/budgets?subject=end-user:acme/a%2Bb%26c").await;
    assert_eq!(found["items"][0]["id"], written["id"]);
}

#[tokio::test]
async fn a_budget_is_created_changed_explained_and_deleted() {
    let client = Client::founded();
    client.furnish().await;
    let wish = json!({ "subject": "team:search", "unit": "usd", "window": "month", "limit": 100 });
    let created = client.post("/budgets", wish).await;
    let id = created["id"].as_u64().unwrap();
    assert_eq!((&created["limit"], &created["free"]), (&json!("100"), &json!("100")));
    let (status, changed) = client.ask("PUT", &format!("/budgets/{id}"), json!({ "limit": "0.25" })).await;
    assert_eq!((status, &changed["limit"]), (StatusCode::OK, &json!("0.25")));
    let explained = client.get(&format!("/budgets/{id}/explain")).await;
    expect_test::expect![
        "of $0.25 usd (month) $0 are spent, $0 are granted to 0 node sessions, and $0.25 are free; the window ends at 2023-12-01T00:00:00+00:00"
    ]
    .assert_eq(explained["explanation"].as_str().unwrap());
    assert_eq!(client.get("/usage").await["items"][0]["used"], "0");
    assert_eq!(client.ask("DELETE", &format!("/budgets/{id}"), Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(
        client.refusal("GET", &format!("/budgets/{id}"), Value::Null).await,
        refused(404, "not_found")
    );
    let nobody = json!({ "subject": "user:bob", "unit": "tokens", "limit": 1 });
    assert_eq!(client.refusal("POST", "/budgets", nobody).await, refused(422, "missing_reference"));
}

#[tokio::test]
async fn a_budget_follows_the_calendar_it_was_given() {
    let client = Client::founded();
    client.furnish().await;
    let wish = json!({
        "subject": "team:search", "unit": "tokens", "limit": 5, "window": "week", "time_zone": "america/new_york",
        "week_starts": "sunday",
    });
    // It is Tuesday 2023-11-14T22:13:20Z. Clocks in New York were set back nine days ago.
    let created = client.post("/budgets", wish.clone()).await;
    let shown = ["window", "time_zone", "week_starts", "window_start", "window_end", "window_end_local"];
    expect_test::expect![[r#"
        window "week"
        time_zone "America/New_York"
        week_starts "sunday"
        window_start "2023-11-12T05:00:00Z"
        window_end "2023-11-19T05:00:00Z"
        window_end_local "2023-11-19T00:00:00-05:00"
    "#]]
    .assert_eq(&shown.map(|field| format!("{field} {}\n", created[field])).concat());
    let explained = client.get(&format!("/budgets/{}/explain", created["id"])).await;
    let sentence = explained["explanation"].as_str().unwrap();
    assert!(sentence.starts_with("of 5 tokens (week from sunday in America/New_York) "), "{sentence}");
    assert_eq!(client.get("/usage").await["items"][0]["time_zone"], "America/New_York");

    assert_eq!(client.refusal("POST", "/budgets", wish).await, refused(409, "already_exists"));
    let in_utc = json!({ "subject": "team:search", "unit": "tokens", "limit": 5, "window": "week" });
    let in_utc = client.post("/budgets", in_utc).await;
    assert_eq!((&in_utc["time_zone"], &in_utc["week_starts"]), (&json!("UTC"), &json!("monday")));
    let for_ever =
        client.post("/budgets", json!({ "subject": "team:search", "unit": "tokens", "limit": 5 })).await;
    assert_eq!((&for_ever["time_zone"], &for_ever["window_end_local"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn nothing_is_told_without_an_admin_key() {
    let mut client = Client::founded();
    client.furnish().await;
    let created = client.post("/keys", Value::Null).await;
    let paths = [
        "/providers",
        "/models/a",
        "/keys",
        "/keys/1",
        "/budgets",
        "/budgets/1/explain",
        "/usage",
        "/cluster",
    ];
    for (token, answer) in [
        (created["secret"].as_str().unwrap(), refused(403, "not_admin")),
        (ApiKeyText::mint(KeyId::new(1), &[2; 32]).expose(), refused(401, "unauthenticated")),
        ("", refused(401, "unauthenticated")),
    ] {
        client.token = token.to_owned();
        for path in paths {
            assert_eq!(client.refusal("GET", path, Value::Null).await, answer, "{path}");
        }
        for path in ["/apply", "/keys", "/budgets", "/teams", "/keys/1/rotate", "/keys/1/revoke"] {
            assert_eq!(client.refusal("POST", path, Value::Null).await, answer, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_understood_is_named() {
    let client = Client::founded();
    let budget_in = |zone| {
        json!({ "subject": "key:1", "unit": "usd", "limit": 1, "window": "day", "time_zone": zone })
            .to_string()
    };
    for (path, body, named) in [
        ("/teams", r#"{"name":"a","colour":"red"}"#, "`colour`"),
        ("/teams", r#"{"name":"a b"}"#, "a b"),
        ("/teams", r#"{"name":"#, "EOF"),
        ("/teams", "[]", "expected a map"),
        ("/keys", r#"{"allowed_models":"some"}"#, "a list of route names"),
        ("/keys", r#"{"expires_at":"soon"}"#, "soon"),
        ("/budgets", r#"{"subject":"key:1","unit":"usd","limit":"1e3"}"#, "1e3"),
        ("/budgets", &budget_in("Europe/Belin"), "time_zone: \"Europe/Belin\" is no time zone"),
        (
            "/budgets",
            r#"{"subject":"key:1","unit":"usd","limit":1,"window":"week","week_starts":"dimanche"}"#,
            "sunday",
        ),
        ("/providers", r#"{"name":"a","base_url":"http://ann:hunter2@b"}"#, "${env:NAME}"),
    ] {
        let request = Request::builder().method("POST").uri(format!("/admin/v1{path}"));
        let (status, answer) = client.send(request, body.to_owned()).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(
            (status, &answer["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_body")),
            "{answer}"
        );
        assert!(message.contains(named) && !message.contains("hunter2"), "{message}");
    }
    let contradiction = client.refusal("PUT", "/teams/a", json!({ "name": "b" })).await;
    assert_eq!(contradiction, refused(400, "invalid_body"));
    assert_eq!(client.refusal("GET", "/keys/abc", Value::Null).await, refused(400, "invalid_request"));
    assert_eq!(client.refusal("GET", "/colours", Value::Null).await, refused(404, "unknown_path"));
    assert_eq!(client.refusal("DELETE", "/apply", Value::Null).await, refused(405, "wrong_method"));
    let large = json!({ "name": "x".repeat(5 << 20) });
    assert_eq!(client.refusal("POST", "/teams", large).await, refused(413, "body_too_large"));
}

#[tokio::test]
async fn a_query_that_is_not_understood_changes_nothing() {
    let client = Client::founded();
    client.furnish().await;
    let created = client.post("/keys", Value::Null).await;
    let key = format!("/keys/{}", created["id"]);
    let budget = json!({ "subject": "team:search", "unit": "tokens", "limit": 1 });
    let budget = format!("/budgets/{}", client.post("/budgets", budget).await["id"]);
    let before = [client.get("/teams").await, client.get("/keys").await, client.get("/budgets").await];
    let (rotate, revoke) = (format!("{key}/rotate"), format!("{key}/revoke"));
    for (method, path, body) in [
        ("PUT", "/teams/search", json!({ "organisation": null })),
        ("DELETE", "/teams/search", Value::Null),
        ("PUT", &key, json!({ "label": "new" })),
        ("POST", &rotate, Value::Null),
        ("POST", &revoke, Value::Null),
        ("PUT", &budget, json!({ "limit": 2 })),
        ("DELETE", &budget, Value::Null),
        ("POST", "/teams", json!({ "name": "new" })),
        ("POST", "/apply", json!({ "teams": [{ "name": "new" }] })),
        ("POST", "/keys", Value::Null),
        ("POST", "/budgets", json!({ "subject": "team:search", "unit": "usd", "limit": 1 })),
        ("PUT", "/log", json!({ "level": "debug" })),
    ] {
        for query in ["expected_revison=1", "expected_revision=x", "subject=team:search", "consistency=local"]
        {
            let asked = client.refusal(method, &format!("{path}?{query}"), body.clone()).await;
            assert_eq!(asked, refused(400, "invalid_request"), "{method} {path}?{query}");
        }
    }
    for path in ["/teams", "/teams/search", "/keys", "/budgets", "/usage", "/cluster", "/log"] {
        for query in ["expected_revision=1", "consistency=strong", "subjct=team:search"] {
            let asked = client.refusal("GET", &format!("{path}?{query}"), Value::Null).await;
            assert_eq!(asked, refused(400, "invalid_request"), "{path}?{query}");
        }
    }
    let after = [client.get("/teams").await, client.get("/keys").await, client.get("/budgets").await];
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_version_is_said_once_and_is_a_number() {
    let client = Client::founded();
    client.furnish().await;
    let with = async |headers: &[(&str, &str)], query: &str| {
        let path = format!("/admin/v1/teams/search{query}");
        let mut request = Request::builder().method("PUT").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client.send(request, r#"{"organisation":"acme"}"#.to_owned()).await.0.as_u16()
    };
    assert_eq!(with(&[("if-match", r#""2""#)], "").await, 200);
    assert_eq!(with(&[("if-match", r#""1""#)], "").await, 412);
    assert_eq!(with(&[("if-none-match", "*")], "").await, 409);
    for wrong in ["*", r#""two""#, r#"W/"2""#] {
        assert_eq!(with(&[("if-match", wrong)], "").await, 400, "{wrong}");
    }
    assert_eq!(with(&[("if-none-match", r#""2""#)], "").await, 400);
    assert_eq!(with(&[("if-match", r#""2""#)], "?expected_revision=2").await, 400);
    assert_eq!(with(&[("if-match", r#""2""#), ("if-none-match", "*")], "").await, 400);
}

#[tokio::test]
async fn the_log_of_the_node_is_asked_for_like_everything_else() {
    let mut client = Client::founded();
    assert_eq!(client.get("/log").await, json!({ "level": "info" }));
    let (status, _) = client.ask("PUT", "/log", json!({ "level": "debug" })).await;
    assert_eq!((status, client.get("/log").await), (StatusCode::OK, json!({ "level": "debug" })));
    for body in
        [json!({ "level": "much more" }), json!({ "colour": "red" }), json!({ "level": 3 }), json!({})]
    {
        assert_eq!(client.refusal("PUT", "/log", body.clone()).await, refused(400, "invalid_body"), "{body}");
    }
    let (status, answer) =
        client.send(Request::builder().method("PUT").uri("/admin/v1/log"), "{".to_owned()).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (400, &json!("invalid_body")));
    assert_eq!(client.refusal("POST", "/log", Value::Null).await, refused(405, "wrong_method"));
    client.token = String::new();
    assert_eq!(client.refusal("GET", "/log", Value::Null).await, refused(401, "unauthenticated"));
}
