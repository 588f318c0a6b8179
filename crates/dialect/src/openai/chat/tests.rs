//! What a chat request's body says, what it can cost, and what changes in it.

use super::super::{MediaBounds, ModelBounds, OutputLimitField, Rewrite, Unbounded};
use super::*;

fn parse(body: &str) -> Result<ChatRequest, InvalidRequest> {
    ChatRequest::parse(&Bytes::copy_from_slice(body.as_bytes()))
}

fn with(fields: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
}

#[test]
fn what_decides_route_and_cost_is_found() {
    let request = parse(&with(
        r#","stream":true,"max_tokens":10,"max_completion_tokens":20,"n":3,"service_tier":"flex","tools":[{"type":"function","function":{}}],
        "stream_options":{"include_usage":true},"unknown":{"model":"not this","n":[9]}"#,
    ))
    .unwrap();
    assert_eq!((request.model(), request.stream(), request.n_choices()), ("m", true, 3));
    assert_eq!(request.output_limit(), Some(OutputLimit(Tokens::new(20))));
    assert_eq!((request.n_messages, request.n_tools), (1, 1));
    assert!(request.wants_usage_chunk());
    assert_eq!(request.service_tier(), Some("flex"));
    assert_eq!(request.output_bound(Tokens::new(20)), Tokens::new(60));
}

#[test]
fn escapes_do_not_hide_a_field() {
    let request = parse(r#"{"m\u006fdel":"\u006d\"x","messages":[],"str\u0065am":true}"#).unwrap();
    assert_eq!((request.model(), request.stream()), ("m\"x", true));
}

#[test]
fn a_field_given_twice_is_refused() {
    for field in ["model", "messages", "stream", "max_tokens", "n", "stream_options", "tools"] {
        let body = with("").replacen('}', &format!(r#"}}],"{field}":null,"{field}":null,"x":[{{}}"#), 1);
        let error = parse(&body).unwrap_err();
        assert_eq!(error, InvalidRequest::Duplicate { field }, "{body}");
        assert_eq!(error.param(), Some(field));
    }
    let twice = with(r#","stream_options":{"include_usage":true,"include_usage":false}"#);
    assert_eq!(parse(&twice).unwrap_err(), InvalidRequest::Duplicate { field: "stream_options" });
}

#[test]
fn what_is_no_request_is_refused_with_its_reason() {
    let code = |body: &str| parse(body).unwrap_err().code();
    assert_eq!(code("[]"), "invalid_json");
    assert_eq!(code(r#""x""#), "invalid_json");
    assert_eq!(code(""), "invalid_json");
    assert_eq!(code(r#"{"model":"m","messages":[]"#), "invalid_json");
    assert_eq!(code(&(with("") + "x")), "invalid_json");
    assert_eq!(code(r#"{"messages":[]}"#), "missing_required_parameter");
    assert_eq!(code(r#"{"model":"m"}"#), "missing_required_parameter");
    assert_eq!(code(r#"{"model":"m","messages":null}"#), "missing_required_parameter");
    assert_eq!(code(&with(&format!(r#","x":{}{}"#, "[".repeat(200), "]".repeat(200)))), "json_too_deep");
    let error = ChatRequest::parse(&Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
    assert_eq!(error, InvalidRequest::NotUtf8 { at: 10 });
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for (field, value) in [
        ("max_tokens", "0"),
        ("max_tokens", "-1"),
        ("max_tokens", "1.0"),
        ("max_completion_tokens", "\"9\""),
        ("n", "129"),
        ("n", "99999999999999999999"),
        ("stream", "1"),
        ("stream_options", "[]"),
        ("modalities", "\"text\""),
        ("tools", "{}"),
    ] {
        let error = parse(&with(&format!(r#","{field}":{value}"#))).unwrap_err();
        assert_eq!((error.param(), error.code()), (Some(field), "invalid_type"), "{value}");
    }
    let error = parse(r#"{"model":"m","messages":"hi"}"#).unwrap_err();
    assert_eq!(error.param(), Some("messages"));
    assert_eq!(parse(r#"{"model":5,"messages":[]}"#).unwrap_err().param(), Some("model"));
}

#[test]
fn the_length_of_the_body_bounds_a_prompt_of_text() {
    let body = with(r#","tools":[{"type":"function"}]"#);
    let bound = parse(&body).unwrap().prompt_bound(&ModelBounds::default()).unwrap();
    assert_eq!(bound, Tokens::new(body.len() as u64 + 32 + 8 + 32));
}

#[test]
fn what_is_not_text_needs_a_bound_of_its_own() {
    let of = |part: &str| {
        parse(&format!(r#"{{"model":"m","messages":[{{"content":[{{"type":"text","text":"x"}},{part}]}}]}}"#))
            .unwrap()
    };
    let image = of(r#"{"type":"image_url","image_url":{"url":"data:AAAA"}}"#);
    assert_eq!(image.prompt_bound(&ModelBounds::default()), Err(Unbounded::Image));
    let media = MediaBounds { image: Some(Tokens::new(1_000)), ..MediaBounds::default() };
    let bound = image.prompt_bound(&ModelBounds { media, ..ModelBounds::default() }).unwrap();
    assert_eq!(bound.get(), 1_000 + 32 + 8 + image.body().len() as u64 - image.media.bytes);

    let media = MediaBounds { audio: Some(Tokens::new(700)), file: Some(Tokens::new(50)), image: None };
    let model = ModelBounds { media, ..ModelBounds::default() };
    let heard = of(r#"{"type":"input_audio","input_audio":{"data":"AAAA"}},{"type":"file","file":{}}"#);
    let bound = heard.prompt_bound(&model).unwrap();
    assert_eq!(bound.get(), 750 + 32 + 8 + heard.body().len() as u64 - heard.media.bytes);
    assert_eq!((heard.sound_bound(&model).get(), image.sound_bound(&model).get()), (750, 0));

    let refusal = |part: &str| of(part).prompt_bound(&ModelBounds::default()).unwrap_err();
    assert_eq!(refusal(r#"{"type":"input_audio","input_audio":{}}"#), Unbounded::Audio);
    assert_eq!(refusal(r#"{"type":"file","file":{}}"#), Unbounded::File);
    assert_eq!(refusal(r#"{"type":"hologram"}"#), Unbounded::UnknownPart);
    assert_eq!(refusal(r#"{"no":"type"}"#), Unbounded::UnknownPart);
    assert_eq!(refusal(r#"{"type":"text","type":"image_url"}"#), Unbounded::UnknownPart);
}

#[test]
fn what_a_provider_does_on_its_own_account_has_no_bound() {
    let refusal =
        |fields: &str| parse(&with(fields)).unwrap().prompt_bound(&ModelBounds::default()).unwrap_err();
    assert_eq!(refusal(r#","tools":[{"type":"web_search"}]"#), Unbounded::UnknownPart);
    assert_eq!(refusal(r#","web_search_options":{}"#), Unbounded::PaidExtras);
    assert_eq!(refusal(r#","plugins":[{"id":"web"}]"#), Unbounded::PaidExtras);
    assert_eq!(refusal(r#","modalities":["text","\u0061udio"]"#), Unbounded::AudioOutput);
    let earlier = r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}"#;
    assert_eq!(parse(earlier).unwrap().prompt_bound(&ModelBounds::default()), Err(Unbounded::Audio));
}

#[test]
fn a_wrong_prediction_is_paid_as_output() {
    let request = parse(&with(r#","prediction":{"content":"abc"}"#)).unwrap();
    assert_eq!(request.output_bound(Tokens::new(5)), Tokens::new(5 + 17));
}

fn rewritten(body: &str, rewrite: &Rewrite<'_>) -> String {
    String::from_utf8(parse(body).unwrap().rewrite(rewrite).to_vec()).unwrap()
}

#[test]
fn a_rewrite_that_changes_nothing_copies_nothing() {
    let request = parse(&with("")).unwrap();
    let same = request.rewrite(&Rewrite { model: Some("m"), include_usage: true, ..Rewrite::default() });
    assert_eq!(same.as_ptr(), request.body().as_ptr());
}

#[test]
fn only_the_values_named_change() {
    let body =
        "\n{ \"n\" : 1, \"model\":\"m\" , \"messages\":[ ],\"max_tokens\":\t7e0x}".replace("7e0x", "7");
    let limit = Some((OutputLimitField::MaxCompletionTokens, Tokens::new(5)));
    let rewrite = Rewrite { model: Some("prov/x\"y"), output_limit: limit, include_usage: true };
    assert_eq!(
        rewritten(&body, &rewrite),
        "\n{ \"n\" : 1, \"model\":\"prov/x\\\"y\" , \"messages\":[ ],\"max_tokens\":\t5}"
    );
}

#[test]
fn a_missing_limit_is_added_in_the_field_the_provider_knows() {
    let limit = |field| Rewrite { output_limit: Some((field, Tokens::new(5))), ..Rewrite::default() };
    assert_eq!(
        rewritten(r#"{"model":"m","messages":[]}"#, &limit(OutputLimitField::MaxTokens)),
        r#"{"max_tokens":5,"model":"m","messages":[]}"#
    );
    let null = r#"{"model":"m","max_tokens":null,"messages":[]}"#;
    assert_eq!(
        rewritten(null, &limit(OutputLimitField::MaxTokens)),
        r#"{"model":"m","max_tokens":5,"messages":[]}"#
    );
    assert_eq!(
        rewritten(null, &limit(OutputLimitField::MaxCompletionTokens)),
        r#"{"max_completion_tokens":5,"model":"m","max_tokens":null,"messages":[]}"#
    );
}

#[test]
fn usage_is_asked_for_whatever_the_client_said() {
    let rewrite = Rewrite { include_usage: true, ..Rewrite::default() };
    for (said, asked) in [
        (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{ }"#, r#","stream_options":{"include_usage":true }"#),
        (r#","stream_options":{"a":1}"#, r#","stream_options":{"include_usage":true,"a":1}"#),
        (r#","stream_options":{"include_usage": false}"#, r#","stream_options":{"include_usage": true}"#),
        (r#","stream_options":{"include_usage":null}"#, r#","stream_options":{"include_usage":true}"#),
        (r#","stream_options":{"include_usage":true}"#, r#","stream_options":{"include_usage":true}"#),
    ] {
        let stream = |fields: &str| with(&format!(r#"{fields},"stream":true"#));
        assert_eq!(rewritten(&stream(said), &rewrite), stream(asked));
    }
    assert_eq!(
        rewritten(r#"{"stream":true,"model":"m","messages":[]}"#, &rewrite),
        r#"{"stream_options":{"include_usage":true},"stream":true,"model":"m","messages":[]}"#
    );
}
