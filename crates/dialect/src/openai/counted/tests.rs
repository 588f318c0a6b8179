//! Prompts that are counted, with a tokenizer that makes a token of every four bytes.

use super::super::{MediaBounds, Overhead};
use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

const BOUNDS: ModelBounds = ModelBounds {
    overhead: Overhead { request: Tokens::new(3), message: Tokens::new(4), tool: Tokens::new(32) },
    media: MediaBounds { image: Some(Tokens::new(1_000)), audio: None, file: None },
};

fn quarter(text: &str) -> Tokens {
    Tokens::new((text.len() as u64).div_ceil(4))
}

fn chat(body: &Value) -> ChatRequest {
    ChatRequest::parse(&Bytes::from(body.to_string())).unwrap()
}

/// The tokens of the prompt besides request and messages.
fn tokens(body: &Value) -> u64 {
    let request = chat(body);
    let around = 3 + 4 * u64::from(request.n_messages) + 32 * u64::from(request.n_tools);
    request.prompt_counted(&BOUNDS, &quarter).unwrap().get() - around
}

fn said(content: &Value) -> Value {
    json!({"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": content}]})
}

#[test]
fn a_text_costs_its_tokens_and_what_no_model_sees_costs_nothing() {
    assert_eq!(tokens(&said(&json!("12345678"))), 2);
    assert_eq!(tokens(&said(&json!("\u{1F389}\u{1F389}\n\""))), 3, "as it reads, not as it is written");
    assert_eq!(tokens(&said(&json!([{"type": "text", "text": "12345678"}]))), 2);
    assert_eq!(tokens(&said(&json!(["12345678"]))), 2);
    assert_eq!(tokens(&said(&Value::Null)), 0);
    let mut more = said(&json!("12345678"));
    for name in OUTSIDE_THE_PROMPT.iter().filter(|name| more.get(**name).is_none()).collect::<Vec<_>>() {
        more[*name] = Value::Null;
    }
    assert_eq!(tokens(&more), 2);
}

#[test]
fn what_nobody_knows_how_to_count_costs_its_bytes() {
    let parts = json!([{"type": "text", "text": "1234"}, {"type": "text", "text": "5678"}]);
    assert_eq!(tokens(&said(&parts)), (parts.to_string().len() + "content".len() + 4) as u64);
    let mut named = said(&json!("1234"));
    named["messages"][0]["name"] = json!("ann");
    assert_eq!(tokens(&named), 1 + "name".len() as u64 + 5 + 4);
    let mut strange = said(&json!("1234"));
    strange["messages"][0]["role"] = json!("oracle");
    assert_eq!(tokens(&strange), 1 + "role".len() as u64 + 8 + 4);
    let mut tools = said(&json!("1234"));
    tools["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(tokens(&tools), 1 + "tools".len() as u64 + tools["tools"].to_string().len() as u64 + 4);
}

#[test]
fn a_field_that_is_there_twice_counts_twice_however_it_is_written() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"1234","cont\u0065nt":"12345678"}]}"#;
    let request = ChatRequest::parse(&Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(request.prompt_counted(&BOUNDS, &quarter).unwrap().get(), 3 + 4 + 3);
}

#[test]
fn half_a_character_costs_its_bytes() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"\ud83c"}]}"#;
    let request = ChatRequest::parse(&Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(request.prompt_counted(&BOUNDS, &quarter).unwrap().get(), 3 + 4 + 7 + 8 + 4);
}

#[test]
fn a_prompt_with_an_image_keeps_its_bound_by_bytes_and_what_has_none_has_none() {
    let picture = json!({"type": "image_url", "image_url": {"url": "data:"}});
    let request = chat(&said(&json!([picture])));
    assert_eq!(request.prompt_counted(&BOUNDS, &quarter), request.prompt_bound(&BOUNDS));
    let unbounded = chat(&said(&json!([{"type": "hologram"}])));
    assert_eq!(unbounded.prompt_counted(&BOUNDS, &quarter), Err(Unbounded::UnknownPart));
}

#[test]
fn inputs_of_embeddings_cost_their_tokens_and_two_each() {
    let counted = |input: Value| {
        let body = Bytes::from(json!({"model": "e", "input": input, "dimensions": 3}).to_string());
        EmbeddingsRequest::parse(&body).unwrap().prompt_counted(&BOUNDS, &quarter).unwrap().get() - 3
    };
    assert_eq!(counted(json!("12345678")), 2 + 2);
    assert_eq!(counted(json!(["12345678", "1"])), 2 + 2 + 1 + 2);
    assert_eq!(counted(json!([11, 222])), 3 + 4);
}

fn text() -> impl Strategy<Value = Value> {
    "[a-z\"\\\\\u{e9}\u{4f60} \n]{0,20}".prop_map(Value::from)
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![
        text(),
        Just(Value::Null),
        prop::collection::vec(
            text().prop_map(|text| json!({"type": "text", "text": text, "more": [1]})),
            0..3
        )
        .prop_map(Value::from),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let role = prop_oneof![Just("user"), Just("assistant"), Just("sage")];
    (role, content(), prop::option::of(text())).prop_map(|(role, content, name)| match name {
        Some(name) => json!({"role": role, "content": content, "name": name}),
        None => json!({"role": role, "content": content}),
    })
}

proptest! {
    #[test]
    fn counted_is_never_more_than_by_bytes(
        messages in prop::collection::vec(message(), 0..4),
        tools in prop::collection::vec(text().prop_map(|name| json!({"type": "function", "function": {"name": name}})), 0..3),
        temperature in 0..9,
    ) {
        let request = chat(&json!({"model": "m", "messages": messages, "tools": tools, "temperature": temperature}));
        // The worst tokenizer there is: as many tokens as bytes.
        let counted = request.prompt_counted(&BOUNDS, &|text| Tokens::new(text.len() as u64)).unwrap();
        prop_assert!(counted <= request.prompt_bound(&BOUNDS).unwrap());
    }

    #[test]
    fn counted_inputs_are_never_more_than_by_bytes(inputs in prop::collection::vec(text(), 1..5)) {
        let body = Bytes::from(json!({"model": "e", "input": inputs}).to_string());
        let request = EmbeddingsRequest::parse(&body).unwrap();
        let counted = request.prompt_counted(&BOUNDS, &|text| Tokens::new(text.len() as u64)).unwrap();
        prop_assert!(counted <= request.prompt_bound(&BOUNDS).unwrap());
    }
}
