//! `/v1/embeddings`: a vector for each input, the same for the same input.

use crate::prompt;
use crate::text;
use serde::Deserialize;
use serde_json::{Value, json};

/// Short, since nobody measures distances here.
const DIMENSIONS: u64 = 8;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The part of an embeddings request that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddingsRequest {
    pub(crate) model: String,
    input: Value,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

impl EmbeddingsRequest {
    /// The texts to embed.
    pub(crate) fn texts(&self) -> Vec<String> {
        prompt::texts(&self.input)
    }

    /// Tokens of all inputs; an input given in tokens counts them.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        tokens(&self.input)
    }

    /// The answer.
    pub(crate) fn answer(&self, seed: u64) -> Value {
        let vectors: Vec<Value> = (0..)
            .zip(inputs(&self.input))
            .map(|(index, input)| {
                let vector = vector(seed, &input.to_string(), self.dimensions.unwrap_or(DIMENSIONS));
                let embedding = match self.encoding_format {
                    Encoding::Float => json!(vector),
                    Encoding::Base64 => {
                        json!(base64(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()))
                    }
                };
                json!({"object": "embedding", "index": index as u64, "embedding": embedding})
            })
            .collect();
        let tokens = self.prompt_tokens();
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        json!({"object": "list", "model": self.model, "data": vectors, "usage": usage})
    }
}

fn tokens(input: &Value) -> u64 {
    match input {
        Value::String(text) => prompt::tokens(text),
        Value::Array(parts) => parts.iter().map(tokens).sum(),
        Value::Number(_) => 1,
        Value::Null | Value::Bool(_) | Value::Object(_) => 0,
    }
}

/// One input is a text or an array of tokens; several are an array of those.
fn inputs(input: &Value) -> Vec<&Value> {
    let several = input.as_array().filter(|parts| !parts.first().is_some_and(Value::is_number));
    several.map_or_else(|| vec![input], |parts| parts.iter().collect())
}

fn vector(seed: u64, input: &str, dimensions: u64) -> Vec<f32> {
    let seed = input.bytes().fold(seed, |seed, byte| text::draw(seed, u64::from(byte)));
    let byte = |position| u8::try_from(text::draw(seed, position) >> 56).unwrap_or_default();
    (0..dimensions).map(|position| (f32::from(byte(position)) - 127.5) / 128.0).collect()
}

fn base64(bytes: &[u8]) -> String {
    let digit = |group: u32, shift: u32| {
        char::from(ALPHABET[usize::try_from(group >> shift & 63).unwrap_or_default()])
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([digit(group, 18), digit(group, 12)]);
        text.push(if three.len() > 1 { digit(group, 6) } else { '=' });
        text.push(if three.len() > 2 { digit(group, 0) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: &Value) -> Value {
        let request = json!({"model": "m", "input": input});
        serde_json::from_value::<EmbeddingsRequest>(request).expect("a request").answer(1)
    }

    #[test]
    fn every_input_gets_a_vector_of_its_own() {
        let answer = answer(&json!(["abcd", "efgh", "abcd"]));
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(3));
        assert_eq!(answer["data"][0]["embedding"], answer["data"][2]["embedding"]);
        assert_ne!(answer["data"][0]["embedding"], answer["data"][1]["embedding"]);
        assert_eq!(answer["usage"]["total_tokens"], 3);
    }

    #[test]
    fn an_input_of_tokens_is_one_input() {
        assert_eq!(answer(&json!([1, 2, 3]))["usage"]["prompt_tokens"], 3);
        assert_eq!(answer(&json!([1, 2, 3]))["data"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn base64_is_the_usual_one() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
