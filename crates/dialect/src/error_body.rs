//! The error body of OpenAI's API, which its SDKs take apart: `{"error":{"message","type","param","code"}}`.

use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::borrow::Cow;

/// The `type` of an error: the coarse class that SDKs and scripts branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is at fault: sent again as it is, it fails again.
    InvalidRequestError,
    /// Too much at this moment: later it may pass.
    RateLimitExceeded,
    /// A budget or an account is used up.
    InsufficientQuota,
    /// The gateway or the provider is at fault.
    ServerError,
    /// The time given to the request is over.
    TimeoutError,
}

/// An error as a client sees it. `param` and `code` are written as `null` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// What went wrong and what to do, for people.
    pub message: Cow<'static, str>,
    /// The class of the error.
    pub kind: ErrorKind,
    /// The field of the request that is at fault.
    pub param: Option<Cow<'static, str>>,
    /// The exact cause, for programs.
    pub code: Option<Cow<'static, str>>,
}

impl ErrorBody {
    /// An error of this kind with neither `param` nor `code`.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), kind, param: None, code: None }
    }

    /// The same error, with the field of the request that is at fault.
    #[must_use]
    pub fn about(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error, with its exact cause.
    #[must_use]
    pub fn coded(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The whole response body.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a ErrorBody,
        }
        serde_json::to_vec(&Body { error: self }).expect("texts always serialise").into()
    }
}

/// Writes the object that stands under `error`.
impl Serialize for ErrorBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = serializer.serialize_struct("error", 4)?;
        error.serialize_field("message", &self.message)?;
        error.serialize_field("type", &self.kind)?;
        error.serialize_field("param", &self.param)?;
        error.serialize_field("code", &self.code)?;
        error.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_has_all_four_fields_in_openais_order() {
        let plain = ErrorBody::new(ErrorKind::ServerError, "the \"provider\" is away");
        assert_eq!(
            plain.to_bytes(),
            r#"{"error":{"message":"the \"provider\" is away","type":"server_error","param":null,"code":null}}"#
        );
        let full =
            ErrorBody::new(ErrorKind::InvalidRequestError, "no").about("model").coded("model_not_found");
        assert_eq!(
            full.to_bytes(),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
    }
}
