//! One attempt: a request sent to one provider, and the beginning of its answer.

use crate::error::TransportError;
use crate::response::UpstreamResponse;
use crate::{AttemptError, Provider, Sent};
use bytes::Bytes;
use http::{HeaderMap, Method};
use quorate_dialect::Operation;
use quorate_domain::{MonoTime, Span};
use reqwest::{Request, Response};
use std::time::Duration;

/// A request to a provider.
#[derive(Debug)]
pub struct Attempt {
    /// What is asked.
    pub operation: Operation,
    /// The client's headers that go along; see [`crate::forwardable`]. The provider's own win.
    pub headers: HeaderMap,
    /// The body, as it is to be sent.
    pub body: Bytes,
    /// When the whole request, of which this is one attempt, must be over; [`MonoTime::NEVER`] if no one said.
    pub deadline: MonoTime,
}

impl Provider {
    /// Sends the request and waits for the beginning of the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer; the error says whether the provider may have begun to work.
    pub async fn send(&self, attempt: Attempt) -> Result<UpstreamResponse, AttemptError> {
        let now = self.clock.mono();
        let ends_at = now.plus(span(self.timeouts.total)).min(attempt.deadline);
        if ends_at <= now {
            return Err(self.out_of_time(Sent::Nothing));
        }
        let wait = self.timeouts.first_byte.min(ends_at.since(now));
        let sending = self.client.execute(self.request(attempt));
        match tokio::time::timeout(wait, sending).await {
            Ok(Ok(response)) => Ok(UpstreamResponse::new(self, response, ends_at)),
            Ok(Err(error)) => Err(self.not_answered(error)),
            Err(_) if self.clock.mono() >= ends_at => Err(self.out_of_time(Sent::Request)),
            Err(_) => Err(AttemptError::FirstByteTimeout { provider: self.name.clone(), after: wait }),
        }
    }

    fn request(&self, attempt: Attempt) -> Request {
        let mut request = Request::new(Method::POST, self.url(attempt.operation).clone());
        let mut headers = attempt.headers;
        headers.extend(self.headers.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(attempt.body.into());
        request
    }

    fn out_of_time(&self, sent: Sent) -> AttemptError {
        AttemptError::OutOfTime { provider: self.name.clone(), sent }
    }

    fn not_answered(&self, error: reqwest::Error) -> AttemptError {
        let provider = self.name.clone();
        // A request that could not even be built, as with too long a header, was not sent either.
        let nothing_sent = error.is_connect() || error.is_builder();
        let source = TransportError::new(error);
        if nothing_sent {
            AttemptError::Connect { provider, source }
        } else {
            AttemptError::Broken { provider, source }
        }
    }
}

pub(crate) fn span(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Waits for the next piece of an answer.
pub(crate) async fn next_piece(
    response: &mut Response,
    wait: Duration,
) -> Option<Result<Option<Bytes>, reqwest::Error>> {
    tokio::time::timeout(wait, response.chunk()).await.ok()
}
