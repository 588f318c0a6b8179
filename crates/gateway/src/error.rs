//! Why a request was not answered, and the one table from failure to HTTP.
//!
//! Bodies, types and codes are OpenAI's where OpenAI has one; its SDKs retry on the status alone unless
//! `x-should-retry` says otherwise, so every error of ours says it. Each code has a page in `docs/errors`.

mod not_executed;

pub use not_executed::NotExecuted;

use crate::funds::Cause;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use quorate_dialect::openai::{InvalidRequest, Unbounded};
use quorate_dialect::{ErrorBody, ErrorKind};
use quorate_domain::{Name, Span, Subject, Unit};
use std::time::Duration;

/// Who has to do something about it. Told in `x-quorate-error-source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one who sent the request.
    Caller,
    /// This cluster.
    Gateway,
    /// The provider.
    Provider,
}

/// What sending the same request again would do. Told in `x-should-retry` and `retry-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: it fails again.
    Useless,
    /// It may succeed, and nothing was charged for this one.
    Safe,
    /// It may succeed, but the provider may bill both.
    MayChargeTwice,
}

/// The stable name of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// No key in the request.
    MissingApiKey,
    /// A key that opens nothing.
    InvalidApiKey,
    /// The key may not use the model.
    ModelNotAllowed,
    /// There is no such model.
    ModelNotFound,
    /// The path is not one of ours.
    UnknownUrl,
    /// The path does not take the method.
    MethodNotSupported,
    /// The body is larger than allowed.
    RequestTooLarge,
    /// The body broke off or could not be read.
    UnreadableBody,
    /// The body is not what the path takes; its own code says more.
    InvalidBody,
    /// A header for the gateway itself is not what it takes.
    InvalidHeader,
    /// The key's requests may not give themselves the tag.
    TagNotAllowed,
    /// The request must say whom it is for.
    EndUserRequired,
    /// What it says of that is unusable.
    InvalidEndUser,
    /// The organisation has as many end users as it may.
    TooManyEndUsers,
    /// The cost of the request has no upper bound, and a budget is hard.
    UnboundedCost,
    /// A processing tier with prices of its own.
    UnsupportedServiceTier,
    /// The request is larger than the whole budget.
    RequestExceedsBudget,
    /// The budget of a key or a user is spent.
    BudgetExhausted,
    /// The budget of a team is spent.
    TeamBudgetExhausted,
    /// The budget of an organisation is spent.
    OrganisationBudgetExhausted,
    /// A bucket is empty, and fills again by itself.
    RateLimitExceeded,
    /// What is left of the budget is held by requests in flight.
    BudgetHeld,
    /// What is left of the budget is with a node that died.
    BudgetInDoubt,
    /// The ledger cannot be reached.
    QuotaUnavailable,
    /// No provider could be used.
    NoUsableProvider,
    /// The provider could not be reached, or broke off.
    ProviderUnreachable,
    /// The provider did not answer in time.
    ProviderTimeout,
    /// The provider refuses our credentials.
    ProviderCredentialsRefused,
    /// The provider answered with nonsense.
    ProviderBadAnswer,
    /// The node is starting or stopping.
    NotReady,
    /// The node does not know whether the key was revoked.
    NotFresh,
    /// The `Idempotency-Key` is no key.
    InvalidIdempotencyKey,
    /// It was sent with another request.
    IdempotencyKeyReused,
    /// Its request is being executed.
    IdempotencyInFlight,
    /// Nobody knows what became of its request.
    IdempotencyUnknown,
    /// The answer of its request was not kept.
    IdempotencyResponseNotKept,
    /// There are too many of them.
    IdempotencyFull,
    /// They cannot be recorded now.
    IdempotencyUnavailable,
}

impl ErrorCode {
    /// The text in `error.code`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingApiKey => "missing_api_key",
            Self::InvalidApiKey => "invalid_api_key",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ModelNotFound => "model_not_found",
            Self::UnknownUrl => "unknown_url",
            Self::MethodNotSupported => "method_not_supported",
            Self::RequestTooLarge => "request_too_large",
            Self::UnreadableBody => "unreadable_body",
            Self::InvalidBody => "invalid_body",
            Self::InvalidHeader => "invalid_header",
            Self::TagNotAllowed => "tag_not_allowed",
            Self::EndUserRequired => "end_user_required",
            Self::InvalidEndUser => "invalid_end_user",
            Self::TooManyEndUsers => "too_many_end_users",
            Self::UnboundedCost => "unbounded_cost",
            Self::UnsupportedServiceTier => "unsupported_service_tier",
            Self::RequestExceedsBudget => "request_exceeds_budget",
            Self::BudgetExhausted => "credit_balance_exhausted",
            Self::TeamBudgetExhausted => "project_spend_limit_exceeded",
            Self::OrganisationBudgetExhausted => "organization_spend_limit_exceeded",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::BudgetHeld => "budget_held",
            Self::BudgetInDoubt => "budget_in_doubt",
            Self::QuotaUnavailable => "quota_unavailable",
            Self::NoUsableProvider => "no_usable_provider",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderCredentialsRefused => "provider_credentials_refused",
            Self::ProviderBadAnswer => "provider_bad_answer",
            Self::NotReady => "not_ready",
            Self::NotFresh => "not_fresh",
            Self::InvalidIdempotencyKey => "invalid_idempotency_key",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyInFlight => "idempotency_in_flight",
            Self::IdempotencyUnknown => "idempotency_unknown",
            Self::IdempotencyResponseNotKept => "idempotency_response_not_kept",
            Self::IdempotencyFull => "idempotency_full",
            Self::IdempotencyUnavailable => "idempotency_unavailable",
        }
    }
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No key in the request.
    #[error("no API key: send it as \"Authorization: Bearer qk_...\"")]
    MissingKey,
    /// A key that opens nothing. Why not is not told.
    #[error("incorrect API key: it is malformed, unknown, expired or revoked")]
    InvalidKey,
    /// The key may not use the model.
    #[error("this API key may not use the model {0:?}")]
    ModelNotAllowed(String),
    /// There is no route of that name.
    #[error("the model {0:?} does not exist; GET /v1/models lists those that do")]
    ModelNotFound(String),
    /// Not one of our paths.
    #[error("unknown URL; this gateway has /v1/chat/completions, /v1/embeddings and /v1/models")]
    UnknownUrl,
    /// The path does not take the method.
    #[error("this URL does not take the method")]
    MethodNotSupported,
    /// The body is larger than allowed.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body could not be read to its end.
    #[error("the request body could not be read to its end")]
    UnreadableBody,
    /// The body is not what the path takes.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// A header for the gateway itself that says nothing.
    #[error("the header {name} takes {takes}")]
    InvalidHeader {
        /// The header.
        name: HeaderName,
        /// What it should say.
        takes: &'static str,
    },
    /// The request gives itself a tag that it may not have.
    #[error("requests with this API key may not give themselves the tag {0}")]
    TagNotAllowed(Name),
    /// The key's requests must say whom they are for.
    #[error(
        "requests with this API key must name their end user: in the header x-quorate-end-user, or as safety_identifier or user"
    )]
    EndUserRequired,
    /// What the request says of its end user cannot be used to know him.
    #[error(
        "an end user is 1 to 128 printable ASCII characters without spaces, does not end with *, and stands in one header at most"
    )]
    InvalidEndUser,
    /// Another end user would be one too many.
    #[error("this organisation has had as many end users as it may; those that are known are served")]
    TooManyEndUsers,
    /// There is no upper bound for its cost.
    #[error("a hard budget needs an upper bound of the cost: {0}")]
    Unbounded(#[from] Unbounded),
    /// A tier with prices that are not known.
    #[error("service_tier {0:?} has prices that are not configured; leave it out or use \"default\"")]
    ServiceTier(String),
    /// The budget does not allow it.
    #[error("{}", denial_text(.0))]
    Denied(Denial),
    /// The ledger is out of reach.
    #[error(
        "the budget could not be reserved: this node cannot reach a quorum of its cluster; nothing was charged"
    )]
    QuotaUnavailable,
    /// No target of the route can be used from this node.
    #[error("no provider of this model can be used at the moment")]
    NoUsableProvider,
    /// No connection, or a broken one.
    #[error("provider {provider} could not be reached or broke off its answer")]
    ProviderUnreachable {
        /// The provider.
        provider: String,
        /// Whether it may bill the attempt.
        may_have_been_charged: bool,
    },
    /// No answer in time.
    #[error("provider {provider} did not answer in time")]
    ProviderTimeout {
        /// The provider.
        provider: String,
        /// Whether it may bill the attempt.
        may_have_been_charged: bool,
    },
    /// Our credentials were refused: an affair of the operators.
    #[error("provider {0} refuses this gateway's credentials; tell its operators")]
    ProviderCredentialsRefused(String),
    /// The provider answered with something else than its API says.
    #[error("provider {0} gave an answer that is not understood")]
    ProviderBadAnswer(String),
    /// The node is starting or stopping.
    #[error("this node is starting or stopping; another one will answer")]
    NotReady,
    /// The node's lease has ended.
    #[error(
        "this node has not heard from a majority of its cluster for too long to know whether the API key is still valid"
    )]
    NotFresh,
    /// Its `Idempotency-Key` does not let it be executed.
    #[error(transparent)]
    NotExecuted(#[from] NotExecuted),
}

/// A budget that does not allow a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Whose budget.
    pub subject: Subject,
    /// Counted in what.
    pub unit: Unit,
    /// What it means.
    pub cause: Cause,
    /// What the request would have needed.
    pub need: u64,
    /// The limit.
    pub limit: u64,
    /// What nodes hold that gave no answer.
    pub in_doubt: u64,
    /// Whether it is a bucket, which fills again little by little.
    pub is_bucket: bool,
    /// When the budget starts anew, or enough of it has leaked, from now; `None` if it never does.
    pub resets_in: Option<Span>,
}

/// How an answer is given: status, type, code, who, and whether to try again.
type Row = (StatusCode, ErrorKind, ErrorCode, Source, Retry);

impl RequestError {
    /// The one table from failure to HTTP. No wildcard arm: a new failure must choose its row.
    #[must_use]
    pub fn answer(&self) -> Row {
        use ErrorCode as Code;
        use ErrorKind::{InsufficientQuota, InvalidRequestError, ServerError, TimeoutError};
        use Retry::{Safe, Useless};
        use Source::{Caller, Gateway, Provider};
        let caller = |status, code| (status, InvalidRequestError, code, Caller, Useless);
        match self {
            Self::MissingKey => caller(StatusCode::UNAUTHORIZED, Code::MissingApiKey),
            Self::InvalidKey => caller(StatusCode::UNAUTHORIZED, Code::InvalidApiKey),
            Self::ModelNotAllowed(_) => caller(StatusCode::FORBIDDEN, Code::ModelNotAllowed),
            Self::ModelNotFound(_) => caller(StatusCode::NOT_FOUND, Code::ModelNotFound),
            Self::UnknownUrl => caller(StatusCode::NOT_FOUND, Code::UnknownUrl),
            Self::MethodNotSupported => caller(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotSupported),
            Self::TooLarge(_) => caller(StatusCode::PAYLOAD_TOO_LARGE, Code::RequestTooLarge),
            Self::UnreadableBody => caller(StatusCode::BAD_REQUEST, Code::UnreadableBody),
            Self::Invalid(_) => caller(StatusCode::BAD_REQUEST, Code::InvalidBody),
            Self::InvalidHeader { .. } => caller(StatusCode::BAD_REQUEST, Code::InvalidHeader),
            Self::TagNotAllowed(_) => caller(StatusCode::FORBIDDEN, Code::TagNotAllowed),
            Self::EndUserRequired => caller(StatusCode::BAD_REQUEST, Code::EndUserRequired),
            Self::InvalidEndUser => caller(StatusCode::BAD_REQUEST, Code::InvalidEndUser),
            Self::TooManyEndUsers => {
                (StatusCode::TOO_MANY_REQUESTS, InsufficientQuota, Code::TooManyEndUsers, Caller, Useless)
            }
            Self::Unbounded(_) => caller(StatusCode::BAD_REQUEST, Code::UnboundedCost),
            Self::ServiceTier(_) => caller(StatusCode::BAD_REQUEST, Code::UnsupportedServiceTier),
            Self::Denied(denial) => denial.row(),
            Self::QuotaUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, ServerError, Code::QuotaUnavailable, Gateway, Safe)
            }
            Self::NoUsableProvider => {
                (StatusCode::BAD_GATEWAY, ServerError, Code::NoUsableProvider, Gateway, Safe)
            }
            Self::ProviderUnreachable { may_have_been_charged, .. } => {
                let retry = retry_after_provider(*may_have_been_charged);
                (StatusCode::BAD_GATEWAY, ServerError, Code::ProviderUnreachable, Provider, retry)
            }
            Self::ProviderTimeout { may_have_been_charged, .. } => {
                let retry = retry_after_provider(*may_have_been_charged);
                (StatusCode::GATEWAY_TIMEOUT, TimeoutError, Code::ProviderTimeout, Provider, retry)
            }
            Self::ProviderCredentialsRefused(_) => {
                (StatusCode::BAD_GATEWAY, ServerError, Code::ProviderCredentialsRefused, Gateway, Useless)
            }
            Self::ProviderBadAnswer(_) => {
                let retry = Retry::MayChargeTwice;
                (StatusCode::BAD_GATEWAY, ServerError, Code::ProviderBadAnswer, Provider, retry)
            }
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, ServerError, Code::NotReady, Gateway, Safe),
            Self::NotFresh => (StatusCode::SERVICE_UNAVAILABLE, ServerError, Code::NotFresh, Gateway, Safe),
            Self::NotExecuted(why) => why.row(),
        }
    }

    /// The body, as OpenAI's SDKs take it apart.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let (_, kind, code, ..) = self.answer();
        match self {
            Self::Invalid(invalid) => invalid.body(),
            Self::ModelNotFound(_) | Self::ModelNotAllowed(_) => {
                ErrorBody::new(kind, self.to_string()).about("model").coded(code.as_str())
            }
            Self::ServiceTier(_) => {
                ErrorBody::new(kind, self.to_string()).about("service_tier").coded(code.as_str())
            }
            Self::MissingKey
            | Self::InvalidKey
            | Self::UnknownUrl
            | Self::MethodNotSupported
            | Self::TooLarge(_)
            | Self::UnreadableBody
            | Self::InvalidHeader { .. }
            | Self::TagNotAllowed(_)
            | Self::EndUserRequired
            | Self::InvalidEndUser
            | Self::TooManyEndUsers
            | Self::Unbounded(_)
            | Self::Denied(_)
            | Self::QuotaUnavailable
            | Self::NoUsableProvider
            | Self::ProviderUnreachable { .. }
            | Self::ProviderTimeout { .. }
            | Self::ProviderCredentialsRefused(_)
            | Self::ProviderBadAnswer(_)
            | Self::NotReady
            | Self::NotFresh
            | Self::NotExecuted(_) => ErrorBody::new(kind, self.to_string()).coded(code.as_str()),
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Denied(denial) => match denial.cause {
                Cause::TooBig => None,
                // Of what is held, nobody knows when it comes back.
                Cause::Held | Cause::Spent | Cause::InDoubt if denial.is_bucket => {
                    Some(denial.resets_in.map_or(1, |span| span.millis().div_ceil(1_000)).max(1))
                }
                Cause::Held => Some(1),
                Cause::Spent | Cause::InDoubt => denial.resets_in.map(|span| span.millis().div_ceil(1_000)),
            },
            Self::QuotaUnavailable | Self::NotReady | Self::NotFresh => Some(1),
            Self::NotExecuted(why) => why.retry_after_s(),
            Self::MissingKey
            | Self::InvalidKey
            | Self::ModelNotAllowed(_)
            | Self::ModelNotFound(_)
            | Self::UnknownUrl
            | Self::MethodNotSupported
            | Self::TooLarge(_)
            | Self::UnreadableBody
            | Self::Invalid(_)
            | Self::InvalidHeader { .. }
            | Self::TagNotAllowed(_)
            | Self::EndUserRequired
            | Self::InvalidEndUser
            | Self::TooManyEndUsers
            | Self::Unbounded(_)
            | Self::ServiceTier(_)
            | Self::NoUsableProvider
            | Self::ProviderUnreachable { .. }
            | Self::ProviderTimeout { .. }
            | Self::ProviderCredentialsRefused(_)
            | Self::ProviderBadAnswer(_) => None,
        }
    }
}

const fn retry_after_provider(may_have_been_charged: bool) -> Retry {
    if may_have_been_charged { Retry::MayChargeTwice } else { Retry::Safe }
}

impl Denial {
    fn row(&self) -> Row {
        use ErrorKind::{InsufficientQuota, RateLimitExceeded};
        let spent = match self.subject {
            Subject::Organisation(_) => ErrorCode::OrganisationBudgetExhausted,
            Subject::Team(_) => ErrorCode::TeamBudgetExhausted,
            Subject::User(_)
            | Subject::Key(_)
            | Subject::KeyModel(..)
            | Subject::Tag(_)
            | Subject::EndUser(..)
            | Subject::EndUserDefault(_) => ErrorCode::BudgetExhausted,
        };
        let status = StatusCode::TOO_MANY_REQUESTS;
        match self.cause {
            Cause::Spent | Cause::Held if self.is_bucket => {
                (status, RateLimitExceeded, ErrorCode::RateLimitExceeded, Source::Caller, Retry::Safe)
            }
            Cause::InDoubt if self.is_bucket => {
                (status, RateLimitExceeded, ErrorCode::BudgetInDoubt, Source::Gateway, Retry::Safe)
            }
            Cause::Spent => (status, InsufficientQuota, spent, Source::Caller, Retry::Useless),
            Cause::TooBig => {
                (status, InsufficientQuota, ErrorCode::RequestExceedsBudget, Source::Caller, Retry::Useless)
            }
            Cause::Held => (status, RateLimitExceeded, ErrorCode::BudgetHeld, Source::Caller, Retry::Safe),
            Cause::InDoubt => {
                (status, InsufficientQuota, ErrorCode::BudgetInDoubt, Source::Gateway, Retry::Useless)
            }
        }
    }
}

fn denial_text(denial: &Denial) -> String {
    let Denial { subject, unit, need, limit, in_doubt, .. } = denial;
    let doubt = match in_doubt {
        0 => String::new(),
        doubtful => format!("; {doubtful} are with nodes that died or do not answer"),
    };
    let what = match denial.cause {
        Cause::Spent | Cause::Held if denial.is_bucket => {
            "is used up for the moment, and fills again by itself"
        }
        Cause::Spent => "is spent",
        Cause::TooBig => "is smaller than this request",
        Cause::InDoubt => "is spent, but for what a node held when it died",
        Cause::Held => "is held by requests in flight; some of it may come back when they end",
    };
    let takes = match unit {
        Unit::Tokens | Unit::NanoUsd | Unit::Requests => "may cost",
        Unit::Permits => "needs",
    };
    format!("the budget of {subject} {what}: the request {takes} {need} of {limit} {unit}{doubt}")
}

const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const X_ERROR_SOURCE: HeaderName = HeaderName::from_static("x-quorate-error-source");

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let (status, _, _, source, retry) = self.answer();
        let mut response = Response::new(self.body().to_bytes().into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(retry.as_header()));
        headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(source.as_header()));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Says of a provider's own refusal, which is passed on in its own words, whose it is and when to come back. Whether
/// to retry is left to its status and headers, unless something was charged: see [`discourage_retry`].
pub(crate) fn mark_as_providers(headers: &mut http::HeaderMap, retry_after: Option<Duration>) {
    headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(Source::Provider.as_header()));
    if let Some(wait) = retry_after {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        );
    }
}

/// Says of a failure that trying again may be billed again, whatever its status makes an SDK believe.
pub(crate) fn discourage_retry(headers: &mut http::HeaderMap) {
    headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(Retry::MayChargeTwice.as_header()));
}

impl Retry {
    const fn as_header(self) -> &'static str {
        match self {
            Self::Safe => "true",
            // A second bill is not ours to decide on.
            Self::Useless | Self::MayChargeTwice => "false",
        }
    }
}

impl Source {
    const fn as_header(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Gateway => "gateway",
            Self::Provider => "provider",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn denial(cause: Cause, resets_in: Option<u64>) -> RequestError {
        RequestError::Denied(Denial {
            subject: Subject::Team("search".parse().unwrap()),
            unit: Unit::Tokens,
            cause,
            need: 7,
            limit: 5,
            in_doubt: 0,
            is_bucket: false,
            resets_in: resets_in.map(Span::from_millis),
        })
    }

    #[test]
    fn a_bucket_that_is_empty_is_a_rate_limit_and_says_when_to_come_again() {
        let RequestError::Denied(denial) = denial(Cause::Spent, Some(2_100)) else { unreachable!() };
        check(
            RequestError::Denied(Denial { is_bucket: true, ..denial.clone() }),
            &expect!["429 rate_limit_exceeded retry=true after=3 source=caller"],
        );
        let of = |cause| {
            RequestError::Denied(Denial { is_bucket: true, cause, resets_in: None, ..denial.clone() })
        };
        check(of(Cause::Held), &expect!["429 rate_limit_exceeded retry=true after=1 source=caller"]);
        check(of(Cause::InDoubt), &expect!["429 budget_in_doubt retry=true after=1 source=gateway"]);
        check(of(Cause::TooBig), &expect!["429 request_exceeds_budget retry=false after=- source=caller"]);
    }

    fn check(error: RequestError, expected: &Expect) {
        let code = error.answer().2.as_str();
        let (head, _body) = error.into_response().into_parts();
        let told = |name: &str| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned()
        };
        let (retry, after, source) =
            (told("x-should-retry"), told("retry-after"), told("x-quorate-error-source"));
        expected.assert_eq(&format!(
            "{} {code} retry={retry} after={after} source={source}",
            head.status.as_u16()
        ));
    }

    #[test]
    fn a_budget_that_is_spent_is_not_to_be_tried_again_and_one_that_is_held_is() {
        check(
            denial(Cause::Spent, None),
            &expect!["429 project_spend_limit_exceeded retry=false after=- source=caller"],
        );
        check(
            denial(Cause::Spent, Some(1_500)),
            &expect!["429 project_spend_limit_exceeded retry=false after=2 source=caller"],
        );
        check(denial(Cause::Held, None), &expect!["429 budget_held retry=true after=1 source=caller"]);
        check(
            denial(Cause::InDoubt, None),
            &expect!["429 budget_in_doubt retry=false after=- source=gateway"],
        );
        check(
            denial(Cause::TooBig, None),
            &expect!["429 request_exceeds_budget retry=false after=- source=caller"],
        );
    }

    #[test]
    fn a_ledger_out_of_reach_is_never_a_429() {
        check(
            RequestError::QuotaUnavailable,
            &expect!["503 quota_unavailable retry=true after=1 source=gateway"],
        );
        check(RequestError::NotReady, &expect!["503 not_ready retry=true after=1 source=gateway"]);
        check(RequestError::NotFresh, &expect!["503 not_fresh retry=true after=1 source=gateway"]);
    }

    #[test]
    fn what_a_provider_may_bill_twice_is_not_to_be_tried_again() {
        let timeout = |may_have_been_charged| RequestError::ProviderTimeout {
            provider: "fake".to_owned(),
            may_have_been_charged,
        };
        check(timeout(true), &expect!["504 provider_timeout retry=false after=- source=provider"]);
        check(timeout(false), &expect!["504 provider_timeout retry=true after=- source=provider"]);
        check(
            RequestError::NoUsableProvider,
            &expect!["502 no_usable_provider retry=true after=- source=gateway"],
        );
        let credentials = RequestError::ProviderCredentialsRefused("fake".to_owned());
        check(credentials, &expect!["502 provider_credentials_refused retry=false after=- source=gateway"]);
    }
}
