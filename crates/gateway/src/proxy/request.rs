//! One request as logs and metrics know it, and the loop over the targets of its route.

use super::Proxy;
use super::admit::Admitted;
use super::attempt::{Answered, Tried};
use super::charge::Charged;
use super::idempotency::{Early, Execution};
use super::reply::Caller;
use crate::error::RequestError;
use crate::metrics::{Phase, Result as Counted};
use crate::stopwatch::Stopwatch;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use quorate_domain::{KeyId, MonoTime, Name};
use quorate_routing::{Plan, Policy, Standing, Step};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A client's own request id is taken over if it is short and printable.
const CLIENT_ID_LENGTH_MAX: usize = 128;
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request: the client's own, or one of ours.
///
/// Kept as the header it travels in, both ways: cloning it copies nothing.
#[derive(Clone, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    fn new(proxy: &Proxy, headers: &HeaderMap, number: u64) -> Self {
        let is_good =
            |own: &&HeaderValue| own.to_str().is_ok() && (1..=CLIENT_ID_LENGTH_MAX).contains(&own.len());
        if let Some(own) = headers.get(X_REQUEST_ID).filter(is_good) {
            return Self(own.clone());
        }
        let mut text = String::with_capacity(32);
        // Unique in the cluster: a node's boot is drawn at random, and it numbers its requests.
        let _infallible = write!(text, "req_{:016x}{number:08x}", proxy.parts.replica.boot().get());
        Self(
            HeaderValue::from_maybe_shared(Bytes::from(text))
                .expect("letters and digits are legal in a header"),
        )
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().expect("a request id is printable")
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// What every line of the log says of a request, as far as it is known. Cloning it copies nothing.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) id: RequestId,
    pub(super) key: Option<KeyId>,
    pub(super) route: Option<Name>,
}

impl Label {
    pub(super) fn request(&self) -> &str {
        self.id.as_str()
    }

    pub(super) fn key(&self) -> Option<u64> {
        self.key.map(KeyId::get)
    }

    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_ref().map(Name::as_str)
    }
}

/// What is known of a request so far; logged and counted when it ends.
pub(super) struct Ticket {
    pub(super) label: Label,
    /// What its attempts were charged so far.
    charged: Charged,
    pub(super) begun: MonoTime,
    pub(super) number: u64,
    watch: Stopwatch,
    /// Its record in the log, if it has an `Idempotency-Key`, until that is ended. Apart, as most have none.
    pub(super) execution: Option<Box<Execution>>,
}

impl Ticket {
    pub(super) fn new(proxy: &Proxy, headers: &HeaderMap, begun: MonoTime) -> Self {
        let number = proxy.n_requests.fetch_add(1, Ordering::Relaxed);
        let id = RequestId::new(proxy, headers, number);
        let label = Label { id, key: None, route: None };
        Self {
            label,
            charged: Charged::NOTHING,
            begun,
            number,
            watch: Stopwatch::start(begun),
            execution: None,
        }
    }

    /// A phase of the gateway's own work has ended.
    pub(super) fn phase_ended(&mut self, proxy: &Proxy, phase: Phase) {
        self.watch.end(phase, proxy.parts.clock.mono());
    }

    /// What passed up to here since the last phase was not the gateway's own work.
    pub(super) fn others_worked(&mut self, proxy: &Proxy) {
        self.watch.skip(proxy.parts.clock.mono());
    }

    /// The request ended without an answer of a provider.
    pub(super) fn refused(&self, proxy: &Proxy, error: &RequestError) {
        let (status, _, code, ..) = error.answer();
        proxy.parts.metrics.request_ended(Counted::of(status.as_u16()), self.took(proxy));
        proxy.parts.metrics.charged(&self.charged.reported, self.charged.assumed.as_ref());
        tracing::info!(
            request = self.label.request(),
            key = self.label.key(),
            route = self.label.route(),
            status = status.as_u16(),
            code = code.as_str(),
            "request refused"
        );
    }

    /// The request ended with an answer, which may have been cut.
    pub(super) fn ended(&self, proxy: &Proxy, status: u16) {
        let took = self.took(proxy);
        proxy.parts.metrics.request_ended(Counted::of(status), took);
        proxy.parts.metrics.overhead(&self.watch);
        proxy.parts.metrics.charged(&self.charged.reported, self.charged.assumed.as_ref());
        let charged = self.charged.total();
        tracing::debug!(
            request = self.label.request(),
            key = self.label.key(),
            route = self.label.route(),
            status,
            tokens = charged.tokens.get(),
            nano_usd = charged.money.get(),
            assumed_tokens = self.charged.assumed.map(|assumed| assumed.tokens.get()),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request answered"
        );
    }

    /// What its attempts were charged, with the one that is about to end.
    pub(super) fn charged_with(&self, last: Charged) -> Charged {
        self.charged.plus(last)
    }

    /// Ends the record with what the client is about to be told.
    async fn conclude(&mut self, proxy: &Proxy, response: Response) -> Response {
        match self.execution.take() {
            None => response,
            Some(execution) => Box::pin(execution.end_with(proxy, response, self.charged)).await,
        }
    }

    /// Ends the record of a request whose client is told nothing.
    async fn conclude_unheard(&mut self, proxy: &Proxy) {
        if let Some(execution) = self.execution.take() {
            Box::pin(execution.end_unheard(proxy, self.charged)).await;
        }
    }

    /// Keeps a client from trying again by itself what may be billed a second time.
    fn seal(&self, mut failure: Response) -> Response {
        if self.charged != Charged::NOTHING {
            crate::error::discourage_retry(failure.headers_mut());
        }
        failure
    }

    fn took(&self, proxy: &Proxy) -> std::time::Duration {
        proxy.parts.clock.mono().since(self.begun)
    }
}

impl Proxy {
    /// Tries the targets of the route until one answers, and gives the client that answer or the last failure.
    pub(super) async fn run(self: Arc<Self>, mut admitted: Admitted, mut ticket: Ticket, mut caller: Caller) {
        if let Some(claim) = admitted.once.take() {
            match Box::pin(self.claim(claim, &mut admitted, &mut ticket, &mut caller)).await {
                Ok(execution) => ticket.execution = Some(Box::new(execution)),
                Err(early) => {
                    drop(admitted);
                    return self.end_early(early, &ticket, caller);
                }
            }
        }
        let mut plan = self.plan(&admitted, &ticket);
        ticket.phase_ended(&self, Phase::Parse);
        let mut last = RequestError::NoUsableProvider.into_response();
        loop {
            if caller.is_gone() && plan.n_attempts() > 0 {
                // Nobody would hear of another attempt, but somebody would pay for it.
                return self.left(ticket).await;
            }
            match plan.next_step() {
                Step::Send(place) => match self.attempt(&mut admitted, place, &mut ticket, &mut caller).await
                {
                    Tried::Answered(mut answered) => {
                        self.add_rate_headers(&admitted.path, answered.headers_mut());
                        // A client that has its answer finds its permit free again.
                        drop(admitted);
                        return self.give(answered, ticket, caller).await;
                    }
                    Tried::Failed { failure, response, charged } => {
                        ticket.charged = ticket.charged.plus(charged);
                        self.parts.metrics.attempt_failed(failure.cause);
                        plan.failed(failure);
                        last = response;
                        ticket.others_worked(&self);
                    }
                    Tried::Refused(error) => {
                        drop(admitted);
                        return self.refuse(ticket, caller, error).await;
                    }
                    Tried::ClientGone { charged } => {
                        ticket.charged = ticket.charged.plus(charged);
                        return self.left(ticket).await;
                    }
                },
                Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    ticket.others_worked(&self);
                }
                Step::GiveUp(_) => {
                    drop(admitted);
                    let last = ticket.conclude(&self, last).await;
                    ticket.ended(&self, last.status().as_u16());
                    return caller.give(ticket.seal(last));
                }
            }
        }
    }

    async fn refuse(&self, mut ticket: Ticket, caller: Caller, error: RequestError) {
        ticket.refused(self, &error);
        let response = ticket.conclude(self, error.into_response()).await;
        caller.give(ticket.seal(response));
    }

    /// The client has hung up, and nothing more is tried for it.
    async fn left(&self, mut ticket: Ticket) {
        ticket.conclude_unheard(self).await;
        ticket.ended(self, CLIENT_GONE);
    }

    /// The request is not executed now.
    fn end_early(&self, early: Early, ticket: &Ticket, caller: Caller) {
        match early {
            Early::Replayed(response) => {
                ticket.ended(self, response.status().as_u16());
                caller.give(response);
            }
            Early::Refused(error) => {
                ticket.refused(self, &error);
                caller.give(error.into_response());
            }
            Early::ClientGone => ticket.ended(self, CLIENT_GONE),
        }
    }

    async fn give(&self, answered: Answered, mut ticket: Ticket, caller: Caller) {
        match answered {
            Answered::Whole { response, charged, read_at } => {
                ticket.watch.skip(read_at);
                ticket.phase_ended(self, Phase::Settle);
                ticket.charged = ticket.charged.plus(charged);
                let response = ticket.conclude(self, response).await;
                ticket.ended(self, response.status().as_u16());
                caller.give(response);
            }
            Answered::Stream(stream) => {
                let status = stream.status().as_u16();
                let charged = stream.pass_on(self, caller, &mut ticket).await;
                ticket.charged = ticket.charged.plus(charged);
                ticket.ended(self, status);
            }
        }
    }

    fn plan(&self, admitted: &Admitted, ticket: &Ticket) -> Plan {
        let health = self.health.lock();
        let now = self.parts.clock.mono();
        let standing = |model: &Name| {
            let provider = self.parts.replica.catalog().read().model(model.as_str());
            provider.map_or(Standing::Healthy, |found| health.standing(found.spec.provider.as_str(), now))
        };
        Plan::new(&admitted.route.spec, Policy::default(), scatter(ticket.number), |target| {
            if health.is_clean() { Standing::Healthy } else { standing(&target.model) }
        })
    }
}

/// The client hung up: nginx's status for it, which no client sees.
const CLIENT_GONE: u16 = 499;

/// Spreads consecutive numbers over all of `u64` evenly. Source: Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", the finaliser of SplitMix64.
const fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
