//! Why a request body is refused before any provider sees it.

use crate::{ErrorBody, ErrorKind};

/// A request body that the gateway does not forward. Nothing was sent and nothing is charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Not UTF-8, which JSON must be.
    #[error("the body is not valid UTF-8 (byte {at})")]
    NotUtf8 {
        /// How many bytes are good.
        at: usize,
    },
    /// Not JSON.
    #[error("the body is not valid JSON: {reason}")]
    NotJson {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// JSON, but no object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// Nested deeper than any request needs.
    #[error("the body nests more than 128 levels deep")]
    TooDeep,
    /// A field that decides cost or route is there twice: two readers could each believe another one.
    #[error("the field '{field}' is given more than once")]
    Duplicate {
        /// The field.
        field: &'static str,
    },
    /// A field that is needed is not there.
    #[error("you must provide the field '{field}'")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field that decides cost or route does not have the right type or range.
    #[error("the field '{field}' must be {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

impl InvalidRequest {
    /// The field at fault, where one is.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match self {
            Self::NotUtf8 { .. } | Self::NotJson { .. } | Self::NotAnObject | Self::TooDeep => None,
            Self::Duplicate { field } | Self::Missing { field } | Self::WrongType { field, .. } => {
                Some(field)
            }
        }
    }

    /// The exact cause, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "invalid_utf8",
            Self::NotJson { .. } | Self::NotAnObject => "invalid_json",
            Self::TooDeep => "json_too_deep",
            Self::Duplicate { .. } => "duplicate_field",
            Self::Missing { .. } => "missing_required_parameter",
            Self::WrongType { .. } => "invalid_type",
        }
    }

    /// The body of the 400 that answers it.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let body = ErrorBody::new(ErrorKind::InvalidRequestError, self.to_string()).coded(self.code());
        match self.param() {
            Some(param) => body.about(param),
            None => body,
        }
    }
}
