//! Admission, up to the point where money is needed: who asks, for what, and on whose budgets.

use super::idempotency;
use super::inference::Inference;
use super::pass::Cover;
use super::permits::Permits;
use super::request::Ticket;
use super::wishes::Wishes;
use super::{Proxy, claim};
use crate::error::RequestError;
use crate::funds::Unmet;
use crate::metrics::Phase;
use crate::replica::log_time;
use axum::extract::Request;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use quorate_catalog::{ApiKey, Claim, Role, Route};
use quorate_dialect::Operation;
use quorate_domain::Secret;
use quorate_wallet::Charge;
use std::sync::Arc;
use std::time::Duration;

/// A request that may be served, if there is money for it. It keeps the version of the route it began with.
pub(super) struct Admitted {
    /// The client's headers, with its key: it is looked at again after every wait.
    pub(super) head: Arc<Secret<HeaderMap>>,
    pub(super) key: Arc<ApiKey>,
    pub(super) route: Arc<Route>,
    /// What it says of whose budgets it spends.
    claim: Claim,
    /// The budgets it is charged to. Those of a request that claims something by its `Idempotency-Key` are found when it is
    /// about to begin: a repeat spends nothing, and meets nobody.
    pub(super) path: Vec<Charge>,
    pub(super) inference: Inference,
    pub(super) wishes: Wishes,
    /// What it claims by its `Idempotency-Key`, until it has begun.
    pub(super) once: Option<idempotency::Claim>,
    /// What it holds of the path's permits.
    pub(super) permits: Permits,
    /// Whether a provider was asked already, so that it is some time since the request was let in.
    pub(super) was_sent: bool,
    /// The client's headers that a provider is to see.
    pub(super) headers: HeaderMap,
}

/// The budgets of a request that is admitted again, compared with those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Same,
    Other,
}

/// A body of the largest size comes in this time over five megabits a second; a slower one holds its place in vain.
const BODY_LIMIT: Duration = Duration::from_secs(120);
/// Of a body that nobody wants, so much is read at most, and for so long.
const UNWANTED_BYTES_MAX: usize = 64 * 1_024;
const UNWANTED_LIMIT: Duration = Duration::from_secs(1);
/// So often an end user is met whose budgets are gone again, because somebody changed the template.
const MEETINGS_MAX: usize = 8;
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");

impl Proxy {
    pub(super) async fn admit(
        &self,
        operation: Operation,
        request: Request,
        ticket: &mut Ticket,
    ) -> Result<Admitted, RequestError> {
        let (head, body) = request.into_parts();
        let key = match self.knock(&head.headers) {
            Ok(key) => key,
            Err(refused) => {
                pass_over(body).await;
                return Err(refused);
            }
        };
        ticket.label.key = Some(key.id);
        ticket.phase_ended(self, Phase::Authenticate);
        let body = read(&head.headers, body, self.parts.limits.body_bytes_max).await?;
        ticket.phase_ended(self, Phase::ReadBody);
        // A body may take its time, and the key may have been revoked meanwhile.
        let key = self.authenticate(&head.headers)?;
        let wishes = Wishes::read(&head.headers, &self.parts.limits)?;
        let inference = Inference::parse(operation, &body)?;
        let route = self.route(&key, inference.model())?;
        ticket.label.route = Some(route.spec.name.clone());
        let claim = claim::read(&head.headers, inference.end_user(), route.spec.name.clone())?;
        let whose = claim::whose(&head.headers, &claim);
        let once = idempotency::Claim::read(&head.headers, key.id, (operation, &body), &whose)?;
        let path = match once {
            None => self.covered_path(&key, &claim).await?,
            Some(_) => self.check_claim(&claim, &key).map(|()| Vec::new())?,
        };
        let headers = quorate_upstream::forwardable(&head.headers);
        Ok(Admitted {
            head: Arc::new(Secret::new(head.headers)),
            key,
            route,
            claim,
            path,
            inference,
            wishes,
            once,
            permits: Permits::default(),
            was_sent: false,
            headers,
        })
    }

    /// The key of a request whose body is not there yet.
    fn knock(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, RequestError> {
        if self.parts.funds.is_open() { self.authenticate(headers) } else { Err(RequestError::NotReady) }
    }

    /// Lets the request in once more, as on arrival, after it had to wait for something: by the key and the budgets of now.
    /// Says whether the budgets are still those that it was let in by before. Nothing is reserved for a request that claims
    /// something by its `Idempotency-Key` until this was called.
    pub(super) async fn admit_again(&self, admitted: &mut Admitted) -> Result<Path, RequestError> {
        let key = self.authenticate(admitted.head.expose())?;
        let _still_there = self.route(&key, admitted.inference.model())?;
        let path = self.covered_path(&key, &admitted.claim).await?;
        let same = path == admitted.path;
        (admitted.key, admitted.path) = (key, path);
        Ok(if same { Path::Same } else { Path::Other })
    }

    /// The budgets that a request with the key is charged to, if it may go on by them. Waits only for those of an end user
    /// who was never seen.
    async fn covered_path(&self, key: &ApiKey, claim: &Claim) -> Result<Vec<Charge>, RequestError> {
        self.check_claim(claim, key)?;
        for _ in 0..MEETINGS_MAX {
            match self.path_of(key, claim) {
                Ok(path) => {
                    self.trust(self.parts.replica.lease().hold(), key, Cover::of(&path))?;
                    return Ok(path);
                }
                Err(unmet) => self.meet(&unmet).await?,
            }
        }
        Err(RequestError::QuotaUnavailable)
    }

    fn path_of(&self, key: &ApiKey, claim: &Claim) -> Result<Vec<Charge>, Unmet> {
        let subjects = self.parts.replica.catalog().read().subjects_of(key, claim);
        self.parts.funds.path_of(&subjects)
    }

    /// The key the request carries, if it opens the data plane.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<ApiKey>, RequestError> {
        let text = key_text(headers)?;
        let held = self.parts.replica.lease().hold();
        let now = log_time(&*self.parts.replica, &*self.parts.clock);
        let key = self.parts.replica.catalog().read().authenticate(text, now);
        match key {
            Ok(key) if key.role == Role::Client => self.trust(held, &key, Cover::Grants).map(|()| key),
            Ok(_admin) => Err(RequestError::InvalidKey),
            Err(failure) if failure.may_have_changed() && !held.lasts(self.parts.clock.mono()) => {
                Err(RequestError::NotFresh)
            }
            Err(failure) => {
                self.parts.metrics.authentication_failed(failure);
                Err(RequestError::InvalidKey)
            }
        }
    }

    fn route(&self, key: &ApiKey, model: &str) -> Result<Arc<Route>, RequestError> {
        let route = self.parts.replica.catalog().read().route(model);
        match route {
            // Whether a model exists that the key may not use is nobody's business but its operators'.
            _ if !key.spec.allowed_models.contains(model) => Err(RequestError::ModelNotAllowed(shown(model))),
            Some(route) => Ok(route),
            None => Err(RequestError::ModelNotFound(shown(model))),
        }
    }
}

/// The part of a client's text that an error repeats.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

fn key_text(headers: &HeaderMap) -> Result<&str, RequestError> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| RequestError::InvalidKey)?;
        let (scheme, key) = text.split_once(' ').ok_or(RequestError::InvalidKey)?;
        return if scheme.eq_ignore_ascii_case("bearer") {
            Ok(key.trim())
        } else {
            Err(RequestError::InvalidKey)
        };
    }
    let value = headers.get(X_API_KEY).or_else(|| headers.get(API_KEY)).ok_or(RequestError::MissingKey)?;
    value.to_str().map_err(|_| RequestError::InvalidKey)
}

/// Reads on to the end of a body that nobody wants, if it is short: an answer in the middle of it costs the client its connection, and the
/// next request on it an error.
async fn pass_over(body: axum::body::Body) {
    let rest = Limited::new(body, UNWANTED_BYTES_MAX).collect();
    // However it ends: the answer is the same.
    drop(tokio::time::timeout(UNWANTED_LIMIT, rest).await);
}

async fn read(headers: &HeaderMap, body: axum::body::Body, bytes_max: usize) -> Result<Bytes, RequestError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return Err(RequestError::TooLarge(bytes_max));
    }
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RequestError::TooLarge(bytes_max)),
        Ok(Err(_)) | Err(_) => Err(RequestError::UnreadableBody),
    }
}
