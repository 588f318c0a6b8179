//! Every metric of the request path: its name, unit, help and labels, on one screen. Labels are enums, so that their
//! number is bounded by their type. Names carry the prefix `quorate_`, which the registry adds.

mod each;

use crate::funds::{Cause as BudgetCause, Refusal};
use crate::stopwatch::Stopwatch;
use each::Each;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quorate_catalog::AuthenticationFailure;
use quorate_dialect::openai::ReportedUsage;
use quorate_domain::Amount;
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
    InDoubt,
    TooBig,
    Unavailable,
}

impl RefusalReason {
    const ALL: [Self; 5] = [Self::Spent, Self::Held, Self::InDoubt, Self::TooBig, Self::Unavailable];
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

impl KeyFault {
    const ALL: [Self; 5] = [Self::Malformed, Self::Unknown, Self::WrongSecret, Self::Revoked, Self::Expired];
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

impl AttemptFault {
    const ALL: [Self; 10] = [
        Self::Unusable,
        Self::Connect,
        Self::Timeout,
        Self::Broken,
        Self::RateLimited,
        Self::ClientError,
        Self::ServerError,
        Self::Credentials,
        Self::ErrorInside,
        Self::OutOfTime,
    ];
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

impl UsageFault {
    const ALL: [Self; 3] = [Self::Absent, Self::Unreadable, Self::Impossible];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UsageFaultLabel {
    reason: UsageFault,
}

/// What became of a request with an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Idempotent {
    /// It was the first.
    Executed,
    /// It was given the answer of the first, at once or when that had ended.
    Replayed,
    /// It did not wait long enough for the first to end.
    InFlight,
    /// Nobody knows what became of the first.
    Unknown,
    /// The answer of the first was not kept.
    NotKept,
    /// It was another request.
    KeyReused,
    /// There were too many records.
    Full,
    /// It could not be recorded.
    Unavailable,
    /// It was refused for a reason that has nothing to do with the header, or its client left.
    Refused,
}

impl Idempotent {
    const ALL: [Self; 9] = [
        Self::Executed,
        Self::Replayed,
        Self::InFlight,
        Self::Unknown,
        Self::NotKept,
        Self::KeyReused,
        Self::Full,
        Self::Unavailable,
        Self::Refused,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IdempotentLabel {
    result: Idempotent,
}

/// The metrics of the request path.
#[derive(Debug)]
pub struct Metrics {
    requests: Each<ResultLabel, Counter>,
    request_duration: Histogram,
    request_overhead: Histogram,
    overhead: Each<PhaseLabel, Histogram>,
    budget_wait: Histogram,
    budget_refusals: Each<RefusalLabel, Counter>,
    authentication_failures: Each<KeyFaultLabel, Counter>,
    attempt_failures: Each<AttemptFaultLabel, Counter>,
    streams_open: Gauge,
    streams_cut: Counter,
    prompts_counted: Counter,
    answers_cut_short: Counter,
    overspending: Counter,
    limits_ignored: Counter,
    usage_missing: Each<UsageFaultLabel, Counter>,
    other_tier: Counter,
    estimated_requests: Counter,
    estimated_tokens: Counter,
    estimates_exceeded: Counter,
    estimates_exceeded_tokens: Counter,
    charged_tokens: Counter,
    charged_nano_usd: Counter,
    assumed_tokens: Counter,
    assumed_nano_usd: Counter,
    idempotent: Each<IdempotentLabel, Counter>,
    records_ended_late: Counter,
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
            budget_refusals: Each::new(
                RefusalReason::ALL.map(|reason| RefusalLabel { reason }),
                Counter::default,
            ),
            authentication_failures: Each::new(
                KeyFault::ALL.map(|reason| KeyFaultLabel { reason }),
                Counter::default,
            ),
            attempt_failures: Each::new(
                AttemptFault::ALL.map(|reason| AttemptFaultLabel { reason }),
                Counter::default,
            ),
            streams_open: Gauge::default(),
            streams_cut: Counter::default(),
            prompts_counted: Counter::default(),
            answers_cut_short: Counter::default(),
            overspending: Counter::default(),
            limits_ignored: Counter::default(),
            usage_missing: Each::new(
                UsageFault::ALL.map(|reason| UsageFaultLabel { reason }),
                Counter::default,
            ),
            other_tier: Counter::default(),
            estimated_requests: Counter::default(),
            estimated_tokens: Counter::default(),
            estimates_exceeded: Counter::default(),
            estimates_exceeded_tokens: Counter::default(),
            charged_tokens: Counter::default(),
            charged_nano_usd: Counter::default(),
            assumed_tokens: Counter::default(),
            assumed_nano_usd: Counter::default(),
            idempotent: Each::new(Idempotent::ALL.map(|result| IdempotentLabel { result }), Counter::default),
            records_ended_late: Counter::default(),
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
        registry.register("budget_refusals", "Requests that got no budget, by why", self.budget_refusals.family());
        registry.register("authentication_failures", "Keys that opened nothing, by why", self.authentication_failures.family());
        registry.register("attempt_failures", "Attempts that brought no answer, by why", self.attempt_failures.family());
        registry.register("streams_open", "Streams on their way to a client", self.streams_open.clone());
        registry.register("streams_cut", "Streams that broke, or were cut because their key was revoked, after their first content", self.streams_cut.clone());
        registry.register("prompts_counted", "Prompts whose tokens were counted, as no grant at hand covered their bytes", self.prompts_counted.clone());
        registry.register("answers_cut_short", "Answers that were limited to what was left of a budget", self.answers_cut_short.clone());
        registry.register("requests_overspending", "Requests that spent what nobody granted, because no majority could be reached and their keys say so", self.overspending.clone());
        registry.register("limits_ignored", "Streams that were cut because their provider ignores the limit of its answers", self.limits_ignored.clone());
        registry.register("usage_missing", "Answers without usage that could be believed, charged in full, by why", self.usage_missing.family());
        registry.register("other_tier", "Answers served at a tier whose prices are not configured", self.other_tier.clone());
        registry.register("estimated_requests", "Attempts that reserved of a budget what they were expected to use", self.estimated_requests.clone());
        registry.register("estimated_tokens", "Tokens that they reserved of it", self.estimated_tokens.clone());
        registry.register("estimates_exceeded", "Attempts that were charged more than that: debt", self.estimates_exceeded.clone());
        registry.register("estimates_exceeded_tokens", "By how many tokens they were", self.estimates_exceeded_tokens.clone());
        registry.register("charged_tokens", "Tokens charged by reported usage", self.charged_tokens.clone());
        registry.register("charged_nano_usd", "Billionths of a US dollar charged by reported usage", self.charged_nano_usd.clone());
        registry.register("charged_assumed_tokens", "Tokens charged in full because nobody could tell what a provider bills, besides those of charged_tokens", self.assumed_tokens.clone());
        registry.register("charged_assumed_nano_usd", "Billionths of a US dollar charged in full for the same reason, besides those of charged_nano_usd", self.assumed_nano_usd.clone());
        registry.register("idempotent_requests", "Requests with an Idempotency-Key, by what became of them", self.idempotent.family());
        registry.register("idempotent_records_ended_late", "Records that could not be ended before their client was answered", self.records_ended_late.clone());
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
            Refusal::Denied { cause: BudgetCause::InDoubt, .. } => RefusalReason::InDoubt,
            Refusal::Denied { cause: BudgetCause::TooBig, .. } => RefusalReason::TooBig,
        };
        self.budget_refusals.of(reason as usize).inc();
    }

    pub(crate) fn authentication_failed(&self, failure: AuthenticationFailure) {
        let reason = match failure {
            AuthenticationFailure::Malformed => KeyFault::Malformed,
            AuthenticationFailure::Unknown => KeyFault::Unknown,
            AuthenticationFailure::WrongSecret => KeyFault::WrongSecret,
            AuthenticationFailure::Revoked => KeyFault::Revoked,
            AuthenticationFailure::Expired => KeyFault::Expired,
        };
        self.authentication_failures.of(reason as usize).inc();
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
        self.attempt_failures.of(reason as usize).inc();
    }

    /// Counts a stream as open until what it returns is dropped.
    pub(crate) fn stream_open(&self) -> OpenStream {
        self.streams_open.inc();
        OpenStream(self.streams_open.clone())
    }

    pub(crate) fn prompt_counted(&self) {
        self.prompts_counted.inc();
    }

    /// Counts an attempt that reserved so many tokens because it is expected to use no more.
    pub(crate) fn estimated(&self, tokens: Amount) {
        self.estimated_requests.inc();
        self.estimated_tokens.inc_by(tokens.get());
    }

    /// Counts one that was charged so many more.
    pub(crate) fn estimate_exceeded(&self, debt: Amount) {
        self.estimates_exceeded.inc();
        self.estimates_exceeded_tokens.inc_by(debt.get());
    }

    pub(crate) fn answer_cut(&self) {
        self.answers_cut_short.inc();
    }

    pub(crate) fn overspends(&self) {
        self.overspending.inc();
    }

    pub(crate) fn limit_ignored(&self) {
        self.limits_ignored.inc();
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
        self.usage_missing.of(reason as usize).inc();
    }

    pub(crate) fn served_at_other_tier(&self) {
        self.other_tier.inc();
    }

    pub(crate) fn idempotent(&self, result: Idempotent) {
        self.idempotent.of(result as usize).inc();
    }

    pub(crate) fn record_ended_late(&self) {
        self.records_ended_late.inc();
    }

    /// What a request was charged by reported usage and, where nobody could tell, in full.
    pub(crate) fn charged(&self, reported: &Cost, assumed: Option<&Cost>) {
        self.charged_tokens.inc_by(reported.tokens.get());
        self.charged_nano_usd.inc_by(reported.money.get());
        if let Some(assumed) = assumed {
            self.assumed_tokens.inc_by(assumed.tokens.get());
            self.assumed_nano_usd.inc_by(assumed.money.get());
        }
    }
}

/// A stream that is counted as open.
pub(crate) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn every_reason_has_a_series_of_its_own_before_anything_was_counted() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series =
            |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}_total{{"))).count();
        let names = [
            "budget_refusals",
            "authentication_failures",
            "attempt_failures",
            "usage_missing",
            "idempotent_requests",
        ];
        assert_eq!(names.map(series), [5, 5, 10, 3, 9]);

        metrics.authentication_failed(AuthenticationFailure::Expired);
        metrics.budget_refused(&Refusal::Unavailable);
        metrics.attempt_failed(AttemptCause::OutOfTime);
        metrics.usage_missing(ReportedUsage::Impossible);
        metrics.idempotent(Idempotent::Unavailable);
        text.clear();
        encode(&mut text, &registry).unwrap();
        for counted in [
            "authentication_failures_total{reason=\"Expired\"} 1",
            "budget_refusals_total{reason=\"Unavailable\"} 1",
            "attempt_failures_total{reason=\"OutOfTime\"} 1",
            "usage_missing_total{reason=\"Impossible\"} 1",
            "idempotent_requests_total{result=\"Unavailable\"} 1",
        ] {
            assert!(text.contains(counted), "{counted} is not in {text}");
        }
    }
}
