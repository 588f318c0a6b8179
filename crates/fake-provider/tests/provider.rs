//! The provider over real connections: what it answers, what it breaks, and what it bills for it.

use quorate_fake_provider::{Behaviour, FakeProvider};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A provider that runs as long as this is held.
struct Running {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Running {
    async fn start(behaviour: Behaviour) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, provider) = FakeProvider::bind(any_port, behaviour).await.expect("a port is free");
        let mut tasks = JoinSet::new();
        tasks.spawn(provider);
        Self { address, _tasks: tasks }
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\nauthorization: Bearer k1\r\n\
             x-quorate-key: key-1\r\nx-request-id: r1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.expect("it reads");
        socket
    }

    /// The whole answer as it came, head included.
    async fn call(&self, method: &str, path: &str, body: &str) -> String {
        let mut answer = Vec::new();
        self.send(method, path, body).await.read_to_end(&mut answer).await.expect("it answers");
        String::from_utf8(answer).expect("it answers in text")
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.call(method, path, body).await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).expect("it answers in JSON")
    }

    async fn bill(&self) -> Value {
        self.json("GET", "/_bill", "").await
    }

    /// Polls the bill until its only entry has this outcome.
    async fn billed(&self, outcome: &str) -> Value {
        let ended = async {
            loop {
                let entry = self.bill().await["entries"][0].clone();
                if entry["outcome"] == outcome {
                    return entry;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the entry ends this way")
    }
}

fn chat(fields: &Value) -> String {
    let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "12345678"}]});
    for (name, value) in fields.as_object().expect("fields") {
        request[name] = value.clone();
    }
    request.to_string()
}

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn an_answer_says_what_is_billed() {
    let provider = Running::start(Behaviour::default()).await;
    let answer = provider.json("POST", CHAT, &chat(&json!({"max_tokens": 7}))).await;
    assert_eq!(answer["usage"], json!({"prompt_tokens": 2, "completion_tokens": 7, "total_tokens": 9}));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let entry = provider.billed("finished").await;
    assert_eq!([&entry["request_id"], &entry["key"], &entry["model"]], ["r1", "k1", "m"]);
    let by_label = &provider.bill().await["by_label"]["x-quorate-key"]["key-1"];
    assert_eq!(*by_label, json!({"requests": 1, "prompt_tokens": 2, "completion_tokens": 7}));
}

#[tokio::test]
async fn a_stream_says_its_usage_only_when_asked() {
    let provider = Running::start(Behaviour::default()).await;
    let silent = provider.call("POST", CHAT, &chat(&json!({"stream": true}))).await;
    assert_eq!((silent.matches("data: ").count(), silent.contains("usage")), (7, false));
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let spoken = provider.call("POST", CHAT, &chat(&options)).await;
    assert!(spoken.contains("\"completion_tokens\":20") && spoken.contains("\"usage\":null"), "{spoken}");
    assert!(spoken.contains("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_client_that_leaves_is_billed_for_what_was_generated() {
    let behaviour = Behaviour { chunks: 4, stall_after_chunks: Some(2), ..Behaviour::default() };
    let provider = Running::start(behaviour).await;
    let mut socket = provider.send("POST", CHAT, &chat(&json!({"stream": true}))).await;
    let mut seen = String::new();
    while seen.matches("data: ").count() < 2 {
        let mut buffer = [0; 1024];
        let length = socket.read(&mut buffer).await.expect("it streams");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    drop(socket);
    assert_eq!(provider.billed("disconnected").await["completion_tokens"], 10);
    assert_eq!(provider.json("GET", "/_stats", "").await["concurrent"], 0);
}

#[tokio::test]
async fn a_cut_stream_has_no_end_and_is_billed_as_far_as_it_went() {
    let provider = Running::start(Behaviour { cut_after_chunks: Some(2), ..Behaviour::default() }).await;
    let mut answer = Vec::new();
    let mut socket = provider.send("POST", CHAT, &chat(&json!({"stream": true}))).await;
    // Whether a break shows as an error or as an early end is the machine's choice.
    let _ = socket.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert_eq!((answer.matches("data: ").count(), answer.contains("[DONE]")), (2, false));
    assert_eq!(provider.billed("cut").await["completion_tokens"], 8);
}

#[tokio::test]
async fn the_prompt_and_the_control_path_change_the_behaviour() {
    let provider = Running::start(Behaviour::default()).await;
    let failing = provider
        .call("POST", "/_control", "{\"error_rate\": 1, \"error_status\": 429, \"retry_after_s\": 3}")
        .await;
    assert!(failing.starts_with("HTTP/1.1 200"));
    let refused = provider.call("POST", CHAT, &chat(&json!({}))).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 3"), "{refused}");
    assert_eq!(provider.bill().await["entries"], json!([]));
    let directive = "[[fake {\"error_rate\": 0, \"usage\": \"missing\"}]]";
    let messages = json!({"messages": [{"role": "user", "content": directive}]});
    let answer = provider.json("POST", CHAT, &chat(&messages)).await;
    assert_eq!(answer.get("usage"), None);
    assert!(provider.call("POST", "/_control", "{\"chunk\": 1}").await.contains("unknown field"));
}

#[tokio::test]
async fn the_last_request_is_kept_byte_for_byte() {
    let provider = Running::start(Behaviour::default()).await;
    let odd = "{ \"model\":\"m\",\"messages\":[],  \"unknown\" : 1.50 }";
    provider.call("POST", CHAT, odd).await;
    let kept = provider.call("GET", "/_last_request", "").await;
    assert!(kept.ends_with(odd), "{kept}");
    assert_eq!(provider.json("GET", "/_last_request/headers", "").await["x-quorate-key"], "key-1");
}

#[tokio::test]
async fn instant_answers_are_counted_but_not_listed() {
    let provider = Running::start(Behaviour { instant: true, ..Behaviour::default() }).await;
    provider.call("POST", CHAT, &chat(&json!({}))).await;
    let stream = provider.call("POST", CHAT, &chat(&json!({"stream": true}))).await;
    assert_eq!(stream.matches("data: ").count(), 32);
    let bill = provider.bill().await;
    assert_eq!((&bill["instant"]["requests"], &bill["entries"]), (&json!(2), &json!([])));
}

#[tokio::test]
async fn a_foreign_key_and_an_unknown_model_are_refused() {
    let behaviour =
        Behaviour { accepts_key: Some("k1".into()), models: vec!["known".into()], ..Behaviour::default() };
    let provider = Running::start(behaviour).await;
    assert!(provider.call("POST", CHAT, &chat(&json!({}))).await.starts_with("HTTP/1.1 404"));
    assert_eq!(provider.json("GET", "/v1/models", "").await["data"][0]["id"], "known");
    provider.call("POST", "/_control", "{\"accepts_key\": \"k2\"}").await;
    assert!(provider.call("POST", CHAT, &chat(&json!({"model": "known"}))).await.starts_with("HTTP/1.1 401"));
}
