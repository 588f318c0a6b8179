//! Every metric of the request path: its name, unit, help and labels, on one screen. Labels are enums, so that their
//! number is bounded by their type. Names carry the prefix `quorate_`, which the registry adds.

mod each;

use crate::funds::{Cause as BudgetCause, Refusal};
use crate::stopwatch::Stopwatch;
use each::Each;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quorate_catalog::AuthenticationFailure;
use quorate_dialect::openai::ReportedUsage;
use quorate_routing::Cause as AttemptCause;
use quorate_wallet::Cost;
use std::time::Duration;

/// From 10 µs, which a covered admission should not reach, to the 100 ms of a bad election.
const OVERHEAD_BUCKETS_S: [f64; 12] =
    [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1];
/// From the microsecond in which the node's clock counts, as most phases take no more than a few.
const PHASE_BUCKETS_S: [f64; 12] =
    [0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1, 1.0];
/// From 5 ms to the ten minutes that the slowest models take.
const DURATION_BUCKETS_S: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 600.0];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Result {
    /// With an answer.
    Answered,
    /// The caller's fault.
    CallerError,
    /// No budget, or too many requests.
    TooMany,
    /// Ours or the provider's fault.
    ServerError,
    /// The client hung up.
    ClientGone,
}

impl Result {
    const ALL: [Self; 5] =
        [Self::Answered, Self::CallerError, Self::TooMany, Self::ServerError, Self::ClientGone];

    /// The class of a status.
    pub(crate) const fn of(status: u16) -> Self {
        match status {
            ..400 => Self::Answered,
            429 => Self::TooMany,
            499 => Self::ClientGone,
            400..500 => Self::CallerError,
            500.. => Self::ServerError,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: Result,
}

/// What the gateway itself does over a request, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Phase {
    /// From the head of the request to the key that it carries.
    Authenticate,
    /// Until the body is there: the client's time, mostly.
    ReadBody,
    /// The body is looked at, route and budgets are found, targets put in order.
    Parse,
    /// The bound is taken from the budgets, waiting for grants included.
    Reserve,
    /// Headers and body are made ready for the provider.
    Prepare,
    /// From the provider's last byte until the answer is settled.
    Settle,
}

impl Phase {
    pub(crate) const ALL: [Self; 6] =
        [Self::Authenticate, Self::ReadBody, Self::Parse, Self::Reserve, Self::Prepare, Self::Settle];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum RefusalReason {
    Spent,
    Held,
    TooBig,
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: RefusalReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum KeyFault {
    Malformed,
    Unknown,
    WrongSecret,
    Revoked,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyFaultLabel {
    reason: KeyFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum AttemptFault {
    Unusable,
    Connect,
    Timeout,
    Broken,
    RateLimited,
    ClientError,
    ServerError,
    Credentials,
    ErrorInside,
    OutOfTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptFaultLabel {
    reason: AttemptFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum UsageFault {
    Absent,
    Unreadable,
    Impossible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UsageFaultLabel {
    reason: UsageFault,
}

/// The metrics of the request path.
#[derive(Debug)]
pub struct Metrics {
    requests: Each<ResultLabel, Counter>,
    request_duration: Histogram,
    request_overhead: Histogram,
    overhead: Each<PhaseLabel, Histogram>,
    budget_wait: Histogram,
    budget_refusals: Family<RefusalLabel, Counter>,
    authentication_failures: Family<KeyFaultLabel, Counter>,
    attempt_failures: Family<AttemptFaultLabel, Counter>,
    streams_open: Gauge,
    streams_cut: Counter,
    usage_missing: Family<UsageFaultLabel, Counter>,
    other_tier: Counter,
    charged_tokens: Counter,
    charged_nano_usd: Counter,
}

impl Metrics {
    /// The metrics, made known to a registry.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Each::new(Result::ALL.map(|result| ResultLabel { result }), Counter::default),
            request_duration: Histogram::new(DURATION_BUCKETS_S),
            request_overhead: Histogram::new(OVERHEAD_BUCKETS_S),
            overhead: Each::new(Phase::ALL.map(|phase| PhaseLabel { phase }), || {
                Histogram::new(PHASE_BUCKETS_S)
            }),
            budget_wait: Histogram::new(OVERHEAD_BUCKETS_S),
            budget_refusals: Family::default(),
            authentication_failures: Family::default(),
            attempt_failures: Family::default(),
            streams_open: Gauge::default(),
            streams_cut: Counter::default(),
            usage_missing: Family::default(),
            other_tier: Counter::default(),
            charged_tokens: Counter::default(),
            charged_nano_usd: Counter::default(),
        };
        metrics.register(registry);
        metrics
    }

    #[rustfmt::skip]
    fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests that ended, by how", self.requests.family());
        registry.register_with_unit("request_duration", "From the first byte in to the last byte out", Unit::Seconds, self.request_duration.clone());
        registry.register_with_unit("request_overhead", "The gateway's own share of a request: all phases but ReadBody", Unit::Seconds, self.request_overhead.clone());
        registry.register_with_unit("overhead", "The gateway's own time over a request, by phase", Unit::Seconds, self.overhead.family());
        registry.register_with_unit("budget_wait", "Waiting for grants, by requests that no grant covered", Unit::Seconds, self.budget_wait.clone());
        registry.register("budget_refusals", "Requests that got no budget, by why", self.budget_refusals.clone());
        registry.register("authentication_failures", "Keys that opened nothing, by why", self.authentication_failures.clone());
        registry.register("attempt_failures", "Attempts that brought no answer, by why", self.attempt_failures.clone());
        registry.register("streams_open", "Streams on their way to a client", self.streams_open.clone());
        registry.register("streams_cut", "Streams that broke after their first content", self.streams_cut.clone());
        registry.register("usage_missing", "Answers without usage that could be believed, charged in full, by why", self.usage_missing.clone());
        registry.register("other_tier", "Answers served at a tier whose prices are not configured", self.other_tier.clone());
        registry.register("charged_tokens", "Tokens charged by reported usage", self.charged_tokens.clone());
        registry.register("charged_nano_usd", "Billionths of a US dollar charged by reported usage", self.charged_nano_usd.clone());
    }

    pub(crate) fn request_ended(&self, result: Result, took: Duration) {
        self.requests.of(result as usize).inc();
        self.request_duration.observe(took.as_secs_f64());
    }

    pub(crate) fn overhead(&self, watch: &Stopwatch) {
        for (phase, took) in watch.phases() {
            self.overhead.of(phase as usize).observe(took.as_secs_f64());
        }
        self.request_overhead.observe(watch.own().as_secs_f64());
    }

    pub(crate) fn budget_wait(&self, took: Duration) {
        self.budget_wait.observe(took.as_secs_f64());
    }

    pub(crate) fn budget_refused(&self, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::Unavailable => RefusalReason::Unavailable,
            Refusal::Denied { cause: BudgetCause::Spent, .. } => RefusalReason::Spent,
            Refusal::Denied { cause: BudgetCause::Held, .. } => RefusalReason::Held,
            Refusal::Denied { cause: BudgetCause::TooBig, .. } => RefusalReason::TooBig,
        };
        self.budget_refusals.get_or_create(&RefusalLabel { reason }).inc();
    }

    pub(crate) fn authentication_failed(&self, failure: AuthenticationFailure) {
        let reason = match failure {
            AuthenticationFailure::Malformed => KeyFault::Malformed,
            AuthenticationFailure::Unknown => KeyFault::Unknown,
            AuthenticationFailure::WrongSecret => KeyFault::WrongSecret,
            AuthenticationFailure::Revoked => KeyFault::Revoked,
            AuthenticationFailure::Expired => KeyFault::Expired,
        };
        self.authentication_failures.get_or_create(&KeyFaultLabel { reason }).inc();
    }

    pub(crate) fn attempt_failed(&self, cause: AttemptCause) {
        let reason = match cause {
            AttemptCause::Unusable => AttemptFault::Unusable,
            AttemptCause::Connect => AttemptFault::Connect,
            AttemptCause::Timeout => AttemptFault::Timeout,
            AttemptCause::Broken | AttemptCause::AfterContent => AttemptFault::Broken,
            AttemptCause::Status(429) => AttemptFault::RateLimited,
            AttemptCause::Status(500..) => AttemptFault::ServerError,
            AttemptCause::Status(_) => AttemptFault::ClientError,
            AttemptCause::CredentialsRefused => AttemptFault::Credentials,
            AttemptCause::ErrorInside(_) => AttemptFault::ErrorInside,
            AttemptCause::OutOfTime => AttemptFault::OutOfTime,
        };
        self.attempt_failures.get_or_create(&AttemptFaultLabel { reason }).inc();
    }

    /// Counts a stream as open until what it returns is dropped.
    pub(crate) fn stream_open(&self) -> OpenStream {
        self.streams_open.inc();
        OpenStream(self.streams_open.clone())
    }

    pub(crate) fn stream_cut(&self) {
        self.streams_cut.inc();
    }

    /// Counts an answer without usage. One that has usage is not counted.
    pub(crate) fn usage_missing(&self, usage: ReportedUsage) {
        let reason = match usage {
            ReportedUsage::Found(_) => return,
            ReportedUsage::Absent => UsageFault::Absent,
            ReportedUsage::Unreadable => UsageFault::Unreadable,
            ReportedUsage::Impossible => UsageFault::Impossible,
        };
        self.usage_missing.get_or_create(&UsageFaultLabel { reason }).inc();
    }

    pub(crate) fn served_at_other_tier(&self) {
        self.other_tier.inc();
    }

    pub(crate) fn charged(&self, cost: &Cost) {
        self.charged_tokens.inc_by(cost.tokens.get());
        self.charged_nano_usd.inc_by(cost.money.get());
    }
}

/// A stream that is counted as open.
pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
