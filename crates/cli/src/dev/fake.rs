//! What a development cluster serves: a few well-known names, all answered by the fake provider.

use serde_json::{Value, json};

/// Name, dollars per million prompt tokens and tokens of the answer, context, longest answer.
const MODELS: [(&str, &str, &str, u64, u64); 3] = [
    ("gpt-4o", "2.5", "10", 128_000, 16_384),
    ("gpt-4o-mini", "0.15", "0.6", 128_000, 16_384),
    ("text-embedding-3-small", "0.02", "0", 8_192, 0),
];

/// The document that puts the fake provider behind those names.
pub(super) fn objects(url: &str) -> Value {
    let models = MODELS.iter().map(|(name, input, output, context, longest)| {
        json!({
            "name": format!("fake/{name}"),
            "provider": "fake",
            "upstream_model": name,
            "price": { "input": input, "output": output },
            "context_tokens": context,
            "output_tokens_max": longest,
        })
    });
    let routes = MODELS
        .iter()
        .map(|(name, ..)| json!({ "name": name, "targets": [{ "model": format!("fake/{name}") }] }));
    json!({
        "providers": [{ "name": "fake", "base_url": format!("{url}/v1") }],
        "models": models.collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
    })
}
