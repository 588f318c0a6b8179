//! Random request bodies: what the gateway does not change stays, byte for byte.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_dialect::openai::{ChatRequest, OutputLimitField, Rewrite};
use quorate_domain::Tokens;
use serde_json::Value;

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.50e+3".to_owned()),
        Just("-0".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just(r#""\u00e9\ud83e\udd80\/""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| format!("[ {} ]", list.join(" ,"))),
            prop::collection::vec(("[a-z]{1,3}", inner), 0..3).prop_map(|fields| {
                let fields = fields.iter().map(|(name, value)| format!("\"{name}\" :{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(",\n"))
            }),
        ]
    })
}

/// Bodies in three parts, so that a test knows what stands around the model's name.
fn any_body() -> impl Strategy<Value = (String, String)> {
    let extra = || prop::collection::vec(("x[a-z_]{0,8}", any_value()), 0..5);
    (extra(), extra(), any::<bool>()).prop_map(|(before, after, stream)| {
        let field = |(name, value): &(String, String)| format!("\"{name}\":\t{value} ,");
        let before: String = before.iter().map(field).collect();
        let after: String = after.iter().map(field).collect();
        let head = format!("\n{{ {before}\"model\" : ");
        (head, format!(" ,{after}\"stream\":{stream},\"messages\":[{{\"content\":\"hi\"}}] }}\r\n"))
    })
}

proptest! {
    #[test]
    fn only_the_model_is_replaced(parts in any_body(), new in "[ -~]{1,20}") {
        let (head, tail) = parts;
        let request = ChatRequest::parse(&Bytes::from(format!("{head}\"old\"{tail}"))).unwrap();
        let body = request.rewrite(&Rewrite { model: Some(&new), ..Rewrite::default() });
        prop_assert_eq!(body, format!("{head}{}{tail}", Value::from(new.as_str())));
    }

    #[test]
    fn a_rewritten_body_says_what_was_asked_and_nothing_else(parts in any_body(), limit in 1..u64::MAX) {
        let (head, tail) = parts;
        let request = ChatRequest::parse(&Bytes::from(format!("{head}\"old\"{tail}"))).unwrap();
        let output_limit = Some((OutputLimitField::MaxTokens, Tokens::new(limit)));
        let body = request.rewrite(&Rewrite { model: None, output_limit, include_usage: true });

        let again = ChatRequest::parse(&body).unwrap();
        prop_assert_eq!(again.output_limit().map(|limit| limit.0), Some(Tokens::new(limit)));
        prop_assert_eq!(again.wants_usage_chunk(), request.stream());
        prop_assert_eq!(again.model(), "old");
        // What was added stands at the front; the rest is the client's.
        prop_assert!(body.ends_with(&request.body()[2..]));
    }

    #[test]
    fn no_body_makes_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChatRequest::parse(&Bytes::from(body));
    }
}
