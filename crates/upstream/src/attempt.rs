//! One attempt: a request sent to one provider, and the beginning of its answer.

use crate::error::TransportError;
use crate::permit::{self, Guarded};
use crate::refused::was_refused_unread;
use crate::response::UpstreamResponse;
use crate::{AttemptError, Permit, Provider, Sent};
use bytes::Bytes;
use http::{HeaderMap, Method};
use quorate_dialect::Operation;
use quorate_domain::{MonoTime, Span};
use reqwest::{Body, Request, Response};
use std::sync::Arc;
use std::time::Duration;

/// So often a request is sent again that a provider refused unread. As often as the HTTP client by itself would.
const RESENDS_MAX: usize = 2;

/// A request to a provider.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is asked.
    pub operation: Operation,
    /// The client's headers that go along; see [`crate::forwardable`]. The provider's own win.
    pub headers: HeaderMap,
    /// The body, as it is to be sent.
    pub body: Bytes,
    /// When the whole request, of which this is one attempt, must be over; [`MonoTime::NEVER`] if no one said.
    pub deadline: MonoTime,
    /// Asked for leave at the last moment before the request leaves, when there is a connection.
    pub permit: Arc<dyn Permit>,
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
        let sending = self.execute(attempt);
        match tokio::time::timeout(wait, sending).await {
            Ok(Ok(response)) => Ok(UpstreamResponse::new(self, response, ends_at)),
            Ok(Err(error)) => Err(self.not_answered(error)),
            Err(_) if self.clock.mono() >= ends_at => Err(self.out_of_time(Sent::Request)),
            Err(_) => Err(AttemptError::FirstByteTimeout { provider: self.name.clone(), after: wait }),
        }
    }

    /// Sends it, and once more when the provider let us know that it read nothing of it. Only HTTP/2 has a word for that.
    async fn execute(&self, attempt: Attempt) -> Result<Response, reqwest::Error> {
        let may_be_refused = self.url(attempt.operation).scheme() == "https";
        for _ in 0..if may_be_refused { RESENDS_MAX } else { 0 } {
            match self.client.execute(self.request(attempt.clone())).await {
                Err(error) if was_refused_unread(&error) => {}
                answered => return answered,
            }
        }
        self.client.execute(self.request(attempt)).await
    }

    fn request(&self, attempt: Attempt) -> Request {
        let mut request = Request::new(Method::POST, self.url(attempt.operation).clone());
        let mut headers = attempt.headers;
        headers.extend(self.headers.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(Body::wrap(Guarded::new(attempt.body, attempt.permit)));
        request
    }

    fn out_of_time(&self, sent: Sent) -> AttemptError {
        AttemptError::OutOfTime { provider: self.name.clone(), sent }
    }

    fn not_answered(&self, error: reqwest::Error) -> AttemptError {
        let provider = self.name.clone();
        if permit::was_withheld(&error) {
            return AttemptError::Withheld { provider };
        }
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
