//! An embeddings request: the model, and that its inputs are text or tokens.

use super::end_user;
use super::fields;
use super::invalid::InvalidRequest;
use super::rewrite;
use super::value::{Text, required_text, text_of};
use bytes::Bytes;
use serde_json::value::RawValue;

/// An embeddings request: its body as it came, and what decides route and cost.
#[derive(Clone, Debug)]
pub struct EmbeddingsRequest {
    body: Bytes,
    model: Text,
    end_user: Option<Text>,
    pub(super) holds_objects: bool,
}

impl EmbeddingsRequest {
    /// Reads a request body. The body is kept, not copied.
    ///
    /// # Errors
    /// When the body is no JSON object, or `model` or `input` is missing, doubled or ill-typed.
    pub fn parse(body: &Bytes) -> Result<Self, InvalidRequest> {
        let text = text_of(body)?;
        let fields = fields::read(text)?;
        let input = fields.input.ok_or(InvalidRequest::Missing { field: "input" })?;
        Ok(Self {
            model: required_text(fields.model, "model", text)?,
            end_user: end_user::read(&fields, text)?,
            holds_objects: holds_objects(input)?,
            body: body.clone(),
        })
    }

    /// The body as it came.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The model the client named.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.read(&self.body)
    }

    /// Whom it is for in the end, if it says so.
    #[must_use]
    pub fn end_user(&self) -> Option<&str> {
        self.end_user.as_ref().map(|text| text.read(&self.body))
    }

    /// The body with another model name; the same bytes where the name is the same.
    #[must_use]
    pub fn with_model(&self, model: &str) -> Bytes {
        rewrite::edited(&self.body, self.model.edit_to(model, &self.body).into_iter().collect())
    }
}

fn holds_objects(input: &RawValue) -> Result<bool, InvalidRequest> {
    let refused = InvalidRequest::WrongType { field: "input", expected: "a string or a list" };
    match input.get().as_bytes().first() {
        Some(b'"') => Ok(false),
        Some(b'[') if memchr::memchr(b'{', input.get().as_bytes()).is_none() => Ok(false),
        Some(b'[') => {
            let inputs: Vec<&RawValue> = serde_json::from_str(input.get()).map_err(|_| refused)?;
            Ok(inputs.iter().any(|input| input.get().starts_with('{')))
        }
        Some(_) | None => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ModelBounds, Unbounded};
    use super::*;

    fn parse(body: &'static str) -> Result<EmbeddingsRequest, InvalidRequest> {
        EmbeddingsRequest::parse(&Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn texts_and_tokens_are_bounded_by_their_bytes() {
        for body in [
            r#"{"model":"e","input":"hello"}"#,
            r#"{"model":"e","input":["hello {", "you"]}"#,
            r#"{"input":[[1,2],[3]],"model":"e"}"#,
        ] {
            let bound = parse(body).unwrap().prompt_bound(&ModelBounds::default()).unwrap();
            assert_eq!(bound.get(), body.len() as u64 + 32);
        }
    }

    #[test]
    fn objects_as_inputs_have_no_bound() {
        let request = parse(r#"{"model":"e","input":["a",{"image":"b"}]}"#).unwrap();
        assert_eq!(request.prompt_bound(&ModelBounds::default()), Err(Unbounded::UnknownPart));
    }

    #[test]
    fn an_input_is_needed_and_must_be_text_or_a_list() {
        assert_eq!(parse(r#"{"model":"e"}"#).unwrap_err(), InvalidRequest::Missing { field: "input" });
        assert!(matches!(
            parse(r#"{"model":"e","input":3}"#).unwrap_err(),
            InvalidRequest::WrongType { field: "input", .. }
        ));
    }

    #[test]
    fn the_end_user_is_whom_the_newer_field_names() {
        let of = |fields: &str| {
            let body = Bytes::from(format!(r#"{{"model":"e","input":"x",{fields}}}"#));
            EmbeddingsRequest::parse(&body).map(|request| request.end_user().map(str::to_owned))
        };
        assert_eq!(of(r#""user":"old","safety_identifier":"n\u0065w""#).unwrap().as_deref(), Some("new"));
        assert_eq!(of(r#""user":"old","safety_identifier":"""#).unwrap().as_deref(), Some("old"));
        assert_eq!(of(r#""user":"","safety_identifier":null"#).unwrap(), None);
        assert!(matches!(of(r#""user":7"#), Err(InvalidRequest::WrongType { field: "user", .. })));
        assert_eq!(of(r#""user":"a","user":"b""#), Err(InvalidRequest::Duplicate { field: "user" }));
    }

    #[test]
    fn only_the_model_changes() {
        let request = parse(r#"{"model" : "e","input":"x","dimensions":3e1}"#).unwrap();
        assert_eq!(request.with_model("big"), r#"{"model" : "big","input":"x","dimensions":3e1}"#);
        assert_eq!(request.with_model("e").as_ptr(), request.body().as_ptr());
    }
}
