//! A provider's answer: its head at once, its body piece by piece.

use crate::attempt::next_piece;
use crate::error::TransportError;
use crate::{AttemptError, Provider, Sent, headers};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use quorate_domain::{Clock, MonoTime, Name};
use reqwest::Response;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The beginning of an answer.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The provider's status. What the client is told is for the gateway to say: see [`UpstreamResponse::reply`].
    pub status: StatusCode,
    /// The headers that a client may see.
    pub headers: HeaderMap,
    /// How long the provider asks us to stay away.
    pub retry_after: Option<Duration>,
    /// The rest.
    pub body: UpstreamBody,
}

/// What an answer means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It answers the request.
    Answer,
    /// It does not accept our credentials, or our account with it is empty: nothing the client could change. Must
    /// never reach a client as a 401, 402 or 403 of its own.
    CredentialsRefused,
    /// It refuses the request, or cannot serve it now.
    Refused,
    /// A status that no such API gives, as a redirect: the provider's address is probably wrong.
    Unexpected,
}

/// The body of an answer. Dropped before its end, it closes the connection, which tells the provider to stop.
pub struct UpstreamBody {
    provider: Name,
    response: Response,
    idle: Duration,
    ends_at: MonoTime,
    clock: Arc<dyn Clock>,
}

impl UpstreamResponse {
    pub(crate) fn new(provider: &Provider, mut response: Response, ends_at: MonoTime) -> Self {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        Self {
            status,
            retry_after: if status.is_success() { None } else { headers::retry_after(&headers) },
            headers: headers::passed_back(headers),
            body: UpstreamBody {
                provider: provider.name.clone(),
                response,
                idle: provider.timeouts.idle,
                ends_at,
                clock: Arc::clone(&provider.clock),
            },
        }
    }

    /// What the status means for us.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self.status.as_u16() {
            200..=299 => Reply::Answer,
            401 | 402 | 403 | 407 => Reply::CredentialsRefused,
            400..=599 => Reply::Refused,
            _ => Reply::Unexpected,
        }
    }
}

impl UpstreamBody {
    /// The next piece, or `None` after the last one.
    ///
    /// # Errors
    /// When the answer stalls or breaks off, or the time is over.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, AttemptError> {
        let left = self.ends_at.since(self.clock.mono());
        if left.is_zero() {
            return Err(self.out_of_time());
        }
        match next_piece(&mut self.response, self.idle.min(left)).await {
            Some(Ok(piece)) => Ok(piece),
            Some(Err(error)) => {
                Err(AttemptError::Cut { provider: self.provider.clone(), source: TransportError::new(error) })
            }
            None if left <= self.idle => Err(self.out_of_time()),
            None => Err(AttemptError::IdleTimeout { provider: self.provider.clone(), after: self.idle }),
        }
    }

    /// The whole body. One that comes in a single piece is not copied.
    ///
    /// # Errors
    /// As [`UpstreamBody::piece`], and when it is longer than `bytes_max`.
    pub async fn whole(mut self, bytes_max: usize) -> Result<Bytes, AttemptError> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if first.len() + joined.len() + piece.len() > bytes_max {
                return Err(AttemptError::TooLong { provider: self.provider.clone(), bytes_max });
            }
            if first.is_empty() && joined.is_empty() {
                first = piece;
                continue;
            }
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&piece);
        }
        Ok(if joined.is_empty() { first } else { joined.freeze() })
    }

    fn out_of_time(&self) -> AttemptError {
        AttemptError::OutOfTime { provider: self.provider.clone(), sent: Sent::Answering }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").field("provider", &self.provider).finish_non_exhaustive()
    }
}
