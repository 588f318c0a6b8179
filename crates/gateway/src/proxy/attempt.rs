//! One attempt at one target: bound, reserve, send, and read enough of the answer to know what it is.
//!
//! Every attempt has its own reservation. It is given back when the provider did no work, charged by the usage the
//! provider reports, and charged in full when nobody can tell.

use super::Proxy;
use super::admit::Admitted;
use super::charge::{Assume, Charged, Stake};
use super::inference::Inference;
use super::leaving::Leaving;
use super::pass::{Cover, Pass};
use super::reply::{Caller, with_headers};
use super::request::{Label, Ticket, X_REQUEST_ID};
use super::reserve::Unreserved;
use super::stream::Stream;
use crate::error::RequestError;
use crate::metrics::Phase;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};
use quorate_catalog::{Model, Provider as CatalogProvider, WhenClientLeaves};
use quorate_dialect::openai::read_answer;
use quorate_domain::{MonoTime, Name, Secret};
use quorate_routing::{AttemptFailure, Cause};
use quorate_upstream::{
    Attempt, AttemptError, Provider, ProviderSettings, Reply, Timeouts, UpstreamResponse,
};
use std::sync::Arc;

/// The longest answer that is kept whole. Embeddings of thousands of texts fit.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest error body that is passed on.
const ERROR_BYTES_MAX: usize = 256 << 10;

/// Tells a client that its answer was cut, because a budget had no more left.
pub(super) const X_MAX_TOKENS: HeaderName = HeaderName::from_static("x-quorate-max-tokens");

/// What came of an attempt.
pub(super) enum Tried {
    /// An answer for the client.
    Answered(Answered),
    /// A failure of the provider; what the client is told if no other target does better.
    Failed { failure: AttemptFailure, response: Response, charged: Charged },
    /// A failure that no target could change.
    Refused(RequestError),
    /// The client hung up, and nobody waits for the answer any more.
    ClientGone { charged: Charged },
}

/// An answer for the client.
pub(super) enum Answered {
    /// All of it, settled.
    Whole { response: Response, charged: Charged, read_at: MonoTime },
    /// Its beginning; the rest is passed on and settled as it comes.
    Stream(Box<Stream>),
}

impl Answered {
    /// The headers the client will see.
    pub(super) fn headers_mut(&mut self) -> &mut http::HeaderMap {
        match self {
            Self::Whole { response, .. } => response.headers_mut(),
            Self::Stream(stream) => stream.headers_mut(),
        }
    }
}

/// A target with everything an attempt at it needs, in the versions it began with, and for whom it is.
pub(super) struct Target {
    pub(super) model: Arc<Model>,
    pub(super) provider: Arc<Provider>,
    pub(super) when_client_leaves: WhenClientLeaves,
    pub(super) label: Label,
}

/// An attempt whose provider was asked.
struct Asked {
    target: Target,
    pass: Arc<Pass>,
    stake: Stake,
    leaving: Leaving,
}

impl Proxy {
    /// Tries the target at this place of the route.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        admitted: &mut Admitted,
        place: usize,
        ticket: &mut Ticket,
        caller: &mut Caller,
    ) -> Tried {
        // An attempt takes its time, and the key may have been revoked meanwhile.
        if admitted.was_sent
            && let Err(error) = self.admit_again(admitted).await
        {
            return Tried::Refused(error);
        }
        let Some(target) = self.target(admitted, place, ticket) else {
            return failed(Cause::Unusable.into(), RequestError::NoUsableProvider, Charged::NOTHING);
        };
        let stake = match self.reserve(admitted, &target.model, caller).await {
            Ok(stake) => stake,
            Err(Unreserved::Refused(error)) => return Tried::Refused(error),
            Err(Unreserved::ClientGone) => return Tried::ClientGone { charged: Charged::NOTHING },
        };
        ticket.phase_ended(self, Phase::Reserve);
        let pass = self.pass(admitted);
        let attempt = Attempt {
            operation: admitted.inference.operation(),
            headers: self.upstream_headers(admitted, ticket),
            body: admitted.inference.body_for(&target.model.spec, stake.cut_to),
            deadline: MonoTime::NEVER,
            permit: pass.clone(),
        };
        ticket.phase_ended(self, Phase::Prepare);
        let provider = Arc::clone(&target.provider);
        let cut_to = stake.cut_to;
        admitted.was_sent = true;
        let mut leaving = leaving(&target, &admitted.inference);
        let sent = tokio::select! {
            biased;
            sent = provider.send(attempt) => Some(sent),
            () = leaving.over(caller, &*self.parts.clock) => None,
        };
        let mut tried = match sent {
            Some(Ok(response)) => {
                self.read(admitted, Asked { target, pass, stake, leaving }, response, caller).await
            }
            Some(Err(AttemptError::Withheld { .. })) => {
                self.parts.funds.cancel(stake.reservation);
                Tried::Refused(pass.refusal().unwrap_or(RequestError::NotFresh))
            }
            Some(Err(error)) => self.not_answered(&target, stake, &error).await,
            None => self.called_off(&pass, stake).await,
        };
        if let (Tried::Answered(answered), Some(limit)) = (&mut tried, cut_to) {
            answered.headers_mut().insert(X_MAX_TOKENS, limit.get().into());
        }
        self.remember(provider.name(), &tried);
        tried
    }

    /// Nobody waits for the answer any more, which had not begun.
    async fn called_off(&self, pass: &Pass, stake: Stake) -> Tried {
        if pass.call_off() {
            self.parts.funds.cancel(stake.reservation);
            return Tried::ClientGone { charged: Charged::NOTHING };
        }
        Tried::ClientGone { charged: self.charge_in_full(stake).await }
    }

    fn pass(self: &Arc<Self>, admitted: &Admitted) -> Arc<Pass> {
        let (head, key) = (Arc::clone(&admitted.head), Arc::clone(&admitted.key));
        Arc::new(Pass::new(Arc::clone(self), head, key, Cover::of(&admitted.path)))
    }

    fn upstream_headers(&self, admitted: &Admitted, ticket: &Ticket) -> http::HeaderMap {
        let mut headers = admitted.headers.clone();
        headers.insert(X_REQUEST_ID, ticket.label.id.header());
        headers
    }

    /// Model and provider as they are now, prepared; `None` if this node cannot use them.
    fn target(&self, admitted: &Admitted, place: usize, ticket: &Ticket) -> Option<Target> {
        let name = &admitted.route.spec.targets.get(place)?.model;
        let (model, provider) = {
            let catalog = self.parts.replica.catalog().read();
            let model = catalog.model(name.as_str())?;
            let provider = catalog.provider(model.spec.provider.as_str())?;
            (model, provider)
        };
        let settings = || provider_settings(&provider);
        match self.parts.upstream.provider(&provider.spec.name, provider.revision, settings) {
            Ok(prepared) => Some(Target {
                model,
                provider: prepared,
                when_client_leaves: provider.spec.when_client_leaves,
                label: ticket.label.clone(),
            }),
            Err(unusable) => {
                let label = &ticket.label;
                tracing::error!(
                    request = label.request(),
                    key = label.key(),
                    route = label.route(),
                    %unusable,
                    "provider cannot be used from this node"
                );
                None
            }
        }
    }

    async fn read(
        &self,
        admitted: &Admitted,
        asked: Asked,
        response: UpstreamResponse,
        caller: &mut Caller,
    ) -> Tried {
        if matches!(response.reply(), Reply::Answer) && is_event_stream(&response) {
            return self.read_stream(admitted, asked, response, caller).await;
        }
        let Asked { target, stake, .. } = asked;
        let told = |error: fn(String) -> RequestError| error(target.provider.name().to_string());
        match response.reply() {
            Reply::Answer => self.read_whole(&target, stake, response).await,
            Reply::CredentialsRefused => {
                self.parts.funds.cancel(stake.reservation);
                self.credentials_refused(&target, response.status);
                let told = told(RequestError::ProviderCredentialsRefused);
                failed(Cause::CredentialsRefused.into(), told, Charged::NOTHING)
            }
            Reply::Refused => self.read_refusal(&target, stake, response).await,
            Reply::Unexpected => {
                let cause = Cause::Status(response.status.as_u16());
                let charged = self.charge_in_full(stake).await;
                failed(cause.into(), told(RequestError::ProviderBadAnswer), charged)
            }
        }
    }

    fn credentials_refused(&self, target: &Target, status: StatusCode) {
        let Target { provider, label, .. } = target;
        // Perhaps the credential was replaced in its file: read it again next time.
        self.parts.upstream.forget(provider.name());
        tracing::error!(
            request = label.request(),
            key = label.key(),
            route = label.route(),
            provider = %provider.name(),
            status = status.as_u16(),
            "the provider refuses our credentials"
        );
    }

    async fn read_whole(&self, target: &Target, stake: Stake, response: UpstreamResponse) -> Tried {
        let UpstreamResponse { status, headers, body, .. } = response;
        let body = match body.whole(ANSWER_BYTES_MAX).await {
            Ok(body) => body,
            Err(error) => return self.not_answered(target, stake, &error).await,
        };
        let read_at = self.parts.clock.mono();
        let answer = read_answer(&body);
        if let Some(error) = &answer.error {
            let charged = self.settle(stake, answer.usage, target, Assume::Nothing).await;
            let failure = Cause::ErrorInside(error.status()).into();
            let response = with_headers(status_inside(error), headers, body.into());
            return Tried::Failed { failure, response, charged };
        }
        let charged = self.settle(stake, answer.usage, target, Assume::AllOfIt).await;
        let response = with_headers(status, headers, body.into());
        Tried::Answered(Answered::Whole { response, charged, read_at })
    }

    async fn read_stream(
        &self,
        admitted: &Admitted,
        Asked { target, pass, stake, leaving }: Asked,
        response: UpstreamResponse,
        caller: &mut Caller,
    ) -> Tried {
        let leaving = leaving.streamed(target.when_client_leaves);
        let is_shown = admitted.inference.wants_usage_chunk();
        let extent = admitted.inference.extent(&target.model.spec, stake.cut_to);
        let mut stream = Stream::new(response, stake, target, extent, is_shown).under(pass, leaving);
        match stream.read_to_content(caller, &*self.parts.clock).await {
            Ok(()) => Tried::Answered(Answered::Stream(Box::new(stream))),
            Err(broken) => stream.abandon(self, broken).await,
        }
    }

    /// The provider says no. Its own words are passed on if no other target does better. It bills what it says it
    /// does; where it says nothing, it billed nothing, unless it was somebody before it who gave up.
    async fn read_refusal(&self, target: &Target, stake: Stake, response: UpstreamResponse) -> Tried {
        let UpstreamResponse { status, mut headers, retry_after, body } = response;
        crate::error::mark_as_providers(&mut headers, retry_after);
        let failure = AttemptFailure { cause: Cause::Status(status.as_u16()), retry_after };
        let body = body.whole(ERROR_BYTES_MAX).await.unwrap_or_else(|_| Bytes::new());
        let usage = read_answer(&body).usage;
        let charged = if gave_up_waiting(status) && usage.found().is_none() {
            self.charge_in_full(stake).await
        } else {
            self.settle(stake, usage, target, Assume::Nothing).await
        };
        Tried::Failed { failure, response: with_headers(status, headers, body.into()), charged }
    }

    pub(super) async fn not_answered(&self, target: &Target, stake: Stake, error: &AttemptError) -> Tried {
        let charged = if error.may_have_been_charged() {
            self.charge_in_full(stake).await
        } else {
            self.parts.funds.cancel(stake.reservation);
            Charged::NOTHING
        };
        let label = &target.label;
        tracing::warn!(
            request = label.request(),
            key = label.key(),
            route = label.route(),
            %error,
            "attempt failed"
        );
        let (cause, told) = told(error);
        failed(cause.into(), told, charged)
    }

    fn remember(&self, provider: &Name, tried: &Tried) {
        let mut health = self.health.lock();
        match tried {
            Tried::Failed { failure, .. } => health.failed(provider, *failure, self.parts.clock.mono()),
            Tried::Answered(_) if !health.is_clean() => health.succeeded(provider.as_str()),
            Tried::Answered(_) | Tried::Refused(_) | Tried::ClientGone { .. } => {}
        }
    }
}

fn leaving(target: &Target, inference: &Inference) -> Leaving {
    if inference.is_stream() { Leaving::of_stream(target.when_client_leaves) } else { Leaving::of_whole() }
}

fn failed(failure: AttemptFailure, told: RequestError, charged: Charged) -> Tried {
    Tried::Failed { failure, response: told.into_response(), charged }
}

fn told(error: &AttemptError) -> (Cause, RequestError) {
    let may_have_been_charged = error.may_have_been_charged();
    let unreachable = |provider: &Name| RequestError::ProviderUnreachable {
        provider: provider.to_string(),
        may_have_been_charged,
    };
    let timeout = |provider: &Name| RequestError::ProviderTimeout {
        provider: provider.to_string(),
        may_have_been_charged,
    };
    match error {
        AttemptError::Connect { provider, .. } | AttemptError::Withheld { provider } => {
            (Cause::Connect, unreachable(provider))
        }
        AttemptError::Broken { provider, .. } | AttemptError::Cut { provider, .. } => {
            (Cause::Broken, unreachable(provider))
        }
        AttemptError::FirstByteTimeout { provider, .. } | AttemptError::IdleTimeout { provider, .. } => {
            (Cause::Timeout, timeout(provider))
        }
        AttemptError::OutOfTime { provider, .. } => (Cause::OutOfTime, timeout(provider)),
        AttemptError::TooLong { provider, .. } => {
            (Cause::AfterContent, RequestError::ProviderBadAnswer(provider.to_string()))
        }
    }
}

/// A status that says that somebody on the way stopped waiting: behind it the provider may still have worked.
fn gave_up_waiting(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 499 | 504 | 524)
}

fn status_inside(error: &quorate_dialect::openai::ProviderError) -> StatusCode {
    error.status().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn is_event_stream(response: &UpstreamResponse) -> bool {
    let content_type = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

fn provider_settings(provider: &CatalogProvider) -> ProviderSettings {
    let spec = &provider.spec;
    let secret = |credential: &quorate_catalog::Credential| Secret::new(String::from(credential.clone()));
    ProviderSettings {
        dialect: match spec.dialect {
            quorate_catalog::Dialect::OpenAi => quorate_dialect::Dialect::OpenAi,
        },
        base_url: spec.base_url.as_str().to_owned(),
        credential: spec.credential.as_ref().map(secret),
        headers: spec.headers.iter().map(|(name, value)| (name.as_str().to_owned(), secret(value))).collect(),
        timeouts: Timeouts {
            connect: spec.timeouts.connect.into(),
            first_byte: spec.timeouts.first_byte.into(),
            idle: spec.timeouts.idle.into(),
            total: spec.timeouts.total.into(),
        },
    }
}
