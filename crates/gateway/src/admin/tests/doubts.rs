//! What dead nodes may have spent: shown, declared and resolved.

use super::{Alone, Client, NOW, founded, refused};
use http::{Request, StatusCode};
use quorate_domain::{Amount, BootId, BudgetId, NodeId, SessionId, Unit, WindowId};
use quorate_ledger::*;
use serde_json::{Value, json};

const BUDGET: BudgetId = BudgetId::new(1);

/// A budget of a hundred dollars; node 3 was granted sixty of them and said that it spent ten.
fn holder() -> Alone {
    let alone = founded(true);
    let dollars = |count: u64| Amount::new(count * 1_000_000_000);
    let apply = |command| alone.ledger.write().apply(NOW, command);
    let spec = BudgetSpec {
        subject: "key:1".parse().unwrap(),
        unit: Unit::NanoUsd,
        kind: Kind::Lifetime,
        limit: dollars(100),
        auto_resolve: AutoResolve::Never,
        reserve: Reserve::Bound,
    };
    apply(Command::PutBudget(PutBudget { spec, expected: Expected::Absent }));
    let evidence = Evidence::Intact { generation: 1, marks: vec![] };
    let (node, boot, previous) = (NodeId::new(3), BootId::new(1), SessionId::default());
    apply(Command::OpenSession(OpenSession { node, boot, previous, evidence }));
    let ask = Ask {
        budget: BUDGET,
        window: None,
        places: vec![Place {
            id: quorate_domain::PlaceId::new(1),
            need: dollars(60),
            most: dollars(60),
            is_last_call: false,
        }],
        want: Amount::ZERO,
        urgency: Urgency::CanWait,
    };
    let report = SpendingReport {
        budget: BUDGET,
        window: WindowId::LIFETIME,
        used: dollars(10),
        returned: Amount::ZERO,
        overrun: Amount::ZERO,
        heard: None,
    };
    let session = SessionId::new(1);
    apply(Command::Sync(Sync {
        session,
        sequence: 1,
        generation: 0,
        reports: vec![],
        asks: vec![ask],
        overspent: vec![],
    }));
    apply(Command::Sync(Sync {
        session,
        sequence: 2,
        generation: 0,
        reports: vec![report],
        asks: vec![],
        overspent: vec![],
    }));
    alone
}

/// A client of a cluster in which the session of node 3 was declared dead.
async fn doubtful() -> Client {
    let client = Client::of(Some(holder()));
    let (status, told) = because(&client, "/sessions/1/expire", json!({})).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{told}");
    client
}

/// Posts with a reason.
async fn because(client: &Client, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method("POST").uri(format!("/admin/v1{path}"));
    client.send(request.header("x-quorate-reason", "the bill says so"), body.to_string()).await
}

#[tokio::test]
async fn doubt_is_shown_with_its_session_and_the_most_that_can_have_been_spent() {
    let explained = doubtful().await.get("/budgets/1/explain").await;
    assert_eq!((&explained["used"], &explained["in_doubt"]), (&json!("10"), &json!("50")));
    assert_eq!((&explained["free"], &explained["spent_at_most"]), (&json!("40"), &json!("60")));
    let holding = &explained["holdings"][0];
    assert_eq!(
        (&holding["node"], &holding["session"], &holding["state"]),
        (&json!(3), &json!(1), &json!("in_doubt"))
    );
    assert_eq!(holding["since"], json!("2023-11-14T22:13:20Z"));
    assert_eq!((&holding["spent_at_most"], &holding["doubt_ends"]), (&json!("60"), &Value::Null));
    assert!(explained["explanation"].as_str().unwrap().contains("until it is resolved"), "{explained}");
}

#[tokio::test]
async fn doubt_is_resolved_by_an_operators_word_which_is_kept_with_its_reason() {
    let client = doubtful().await;
    let word = json!({ "session": 1, "spent": "12.5" });
    for _ in ["the first time", "a retry"] {
        let (status, explained) = because(&client, "/budgets/1/resolve", word.clone()).await;
        assert_eq!(status, StatusCode::OK, "{explained}");
        assert_eq!((&explained["used"], &explained["in_doubt"]), (&json!("12.5"), &json!("0")));
        let [resolution] = &explained["resolutions"].as_array().unwrap()[..] else { panic!("{explained}") };
        assert_eq!((&resolution["spent"], &resolution["released"]), (&json!("12.5"), &json!("47.5")));
        assert_eq!(
            (&resolution["actor"], &resolution["reason"]),
            (&json!("key:1"), &json!("the bill says so"))
        );
    }
    let (status, told) = because(&client, "/budgets/1/resolve", json!({ "session": 1, "spent": "13" })).await;
    assert_eq!((status.as_u16(), &told["error"]["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn all_doubt_is_resolved_with_one_word() {
    for (word, used) in [("as_spent", "60"), ("as_reported", "10")] {
        let client = doubtful().await;
        for _ in ["the first time", "a retry"] {
            let (_, explained) = because(&client, "/budgets/1/resolve", json!({ "all": word })).await;
            assert_eq!((&explained["used"], &explained["in_doubt"]), (&json!(used), &json!("0")), "{word}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_so_is_refused_with_what_can() {
    let client = doubtful().await;
    for spent in ["9", "60.000000001"] {
        let (status, told) =
            because(&client, "/budgets/1/resolve", json!({ "session": 1, "spent": spent })).await;
        assert_eq!((status.as_u16(), &told["error"]["code"]), (422, &json!("invalid_object")));
        assert!(told["error"]["message"].as_str().unwrap().contains("from $10 to $60 usd"), "{told}");
    }
    for (body, said) in [
        (json!({ "session": 1, "spent": "much" }), "spent: "),
        (json!({ "session": 1 }), "session and spent"),
        (json!({ "session": 1, "spent": "10", "all": "as_spent" }), "session and spent"),
        (json!({ "all": "as_wished" }), "as_wished"),
    ] {
        let (status, told) = because(&client, "/budgets/1/resolve", body.clone()).await;
        assert_eq!((status.as_u16(), &told["error"]["code"]), (400, &json!("invalid_body")), "{body}");
        assert!(told["error"]["message"].as_str().unwrap().contains(said), "{told}");
    }
    let (status, _) = because(&client, "/budgets/9/resolve", json!({ "all": "as_spent" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_resolves_without_a_reason_or_for_a_node_that_lives() {
    let client = Client::of(Some(holder()));
    let word = json!({ "session": 1, "spent": "12.5" });
    let (status, told) = because(&client, "/budgets/1/resolve", word.clone()).await;
    assert_eq!((status.as_u16(), &told["error"]["code"]), (409, &json!("refused")));
    assert!(told["error"]["message"].as_str().unwrap().contains("session 1 is alive"), "{told}");
    for (path, body) in [("/budgets/1/resolve", word), ("/sessions/1/expire", json!({}))] {
        assert_eq!(client.refusal("POST", path, body).await, refused(400, "invalid_request"), "{path}");
    }
    let unknown = because(&client, "/sessions/7/expire", json!({})).await.0;
    assert_eq!(unknown, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/budgets/1/explain").await["holdings"][0]["state"], json!("live"));
}

#[tokio::test]
async fn a_rule_is_for_budgets_whose_doubt_does_not_end_by_itself() {
    let client = Client::founded();
    let rule = json!({ "rule": "as_spent", "after_ms": 60_000 });
    let wish = |unit: &str, window: &str| json!({ "subject": "key:1", "unit": unit, "window": window, "limit": 5, "auto_resolve": rule });
    let created = client.post("/budgets", wish("tokens", "lifetime")).await;
    assert_eq!(created["auto_resolve"], rule);
    for (unit, window) in [("tokens", "day"), ("permits", "lifetime")] {
        assert_eq!(
            client.refusal("POST", "/budgets", wish(unit, window)).await,
            refused(400, "invalid_body")
        );
    }
    let path = format!("/budgets/{}", created["id"]);
    let (_, limited) = client.ask("PUT", &path, json!({ "limit": 7 })).await;
    assert_eq!((&limited["limit"], &limited["auto_resolve"]), (&json!(7), &rule), "what is left out stays");
    let never = json!({ "rule": "never" });
    let (_, changed) = client.ask("PUT", &path, json!({ "auto_resolve": never })).await;
    assert_eq!((&changed["limit"], &changed["auto_resolve"]), (&json!(7), &never));
    assert_eq!(client.refusal("PUT", &path, json!({})).await, refused(400, "invalid_body"));
    let unknown = json!({ "auto_resolve": { "rule": "as_reported", "after_ms": 1 } });
    assert_eq!(client.refusal("PUT", &path, unknown).await, refused(400, "invalid_body"));
}
