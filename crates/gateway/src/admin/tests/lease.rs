//! What a node without a lease says to who calls the admin API: it asks the cluster before it trusts a key or denies one.

use super::*;
use quorate_domain::Span;

#[tokio::test]
async fn a_node_whose_lease_has_ended_asks_the_cluster_before_it_trusts_an_admin_key() {
    let id = admin_text().id();
    let take_away =
        |change| Command::Apply(Apply { actor: Actor::Key(id), reason: None, changes: vec![change] });
    let other =
        NewKey { id: KeyId::new(7), role: Role::Admin, spec: KeySpec::default(), digest: digest_of_nobody() };
    let replica = Alone { lease: Lease::default(), ..founded(true) };
    replica.catalog.write().apply(NOW, take_away(Change::CreateKey(other)));
    *replica.unheard.lock() = Some(take_away(Change::RevokeKey { id, expected: Expected::Any }));
    let client = Client::of(Some(replica));
    assert_eq!(client.get("/teams?consistency=local").await, json!({ "items": [] }));
    let team = json!({ "name": "a" });
    assert_eq!(client.refusal("POST", "/teams", team).await, refused(401, "unauthenticated"));
}

/// A node that has not heard yet that there is an admin key with this text, and has no lease.
fn that_lags_behind(text: &ApiKeyText, outage: Option<Unavailable>) -> Client {
    let digest = Pepper::new(Secret::new([5; 32])).digest(text.expose());
    let key = NewKey { id: text.id(), role: Role::Admin, spec: KeySpec::default(), digest };
    let changes = vec![Change::CreateKey(key)];
    let create = Command::Apply(Apply { actor: Actor::Key(admin_text().id()), reason: None, changes });
    let replica = Alone { lease: Lease::default(), outage, ..founded(true) };
    *replica.unheard.lock() = Some(create);
    Client { token: text.expose().to_owned(), ..Client::of(Some(replica)) }
}

#[tokio::test]
async fn a_node_without_a_lease_asks_the_cluster_before_it_says_that_there_is_no_such_admin_key() {
    let young = ApiKeyText::mint(KeyId::new(7), &[7; 32]);
    let team = json!({ "name": "a" });
    for (method, path, body) in [
        ("POST", "/teams", team.clone()),
        ("GET", "/teams", Value::Null),
        ("GET", "/budgets", Value::Null),
        ("GET", "/teams?consistency=local", Value::Null),
        ("GET", "/cluster", Value::Null),
    ] {
        let (status, answer) = that_lags_behind(&young, None).ask(method, path, body.clone()).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        let cut_off = that_lags_behind(&young, Some(Unavailable::NoQuorum));
        assert_eq!(cut_off.refusal(method, path, body).await, refused(503, "unavailable"), "{method} {path}");
    }
    let malformed =
        Client { token: "sk-test".to_owned(), ..that_lags_behind(&young, Some(Unavailable::NoQuorum)) };
    assert_eq!(malformed.refusal("POST", "/teams", team).await, refused(401, "unauthenticated"));
}

fn digest_of_nobody() -> Digest {
    Pepper::new(Secret::new([5; 32])).digest("nobody's text")
}

#[tokio::test]
async fn an_admin_key_expires_by_the_clock_of_the_log_and_not_by_that_of_the_node() {
    let brief = ApiKeyText::mint(KeyId::new(7), &[7; 32]);
    let digest = Pepper::new(Secret::new([5; 32])).digest(brief.expose());
    let spec = KeySpec { expires_at: Some(NOW.plus(Span::from_millis(1_000))), ..KeySpec::default() };
    let changes = vec![Change::CreateKey(NewKey { id: brief.id(), role: Role::Admin, spec, digest })];
    let create = Command::Apply(Apply { actor: Actor::Key(admin_text().id()), reason: None, changes });
    for (passed_ms, status) in [(999, StatusCode::OK), (1_000, StatusCode::UNAUTHORIZED)] {
        let replica = founded(true);
        replica.catalog.write().apply(NOW, create.clone());
        replica.ledger.write().apply(NOW.plus(Span::from_millis(passed_ms)), quorate_ledger::Command::Tick);
        let client = Client { token: brief.expose().to_owned(), ..Client::of(Some(replica)) };
        assert_eq!(client.ask("GET", "/teams", Value::Null).await.0, status, "after {passed_ms} ms");
    }
}
