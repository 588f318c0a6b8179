//! Requests with an `Idempotency-Key`: begun in the log before anything is sent, ended there before their client has the last
//! byte, and given their answer again when they come again, on any node (docs/adr/0018-idempotency.md). A request without the
//! header passes none of this.

mod claim;
mod execution;
mod joining;
mod replay;

pub(super) use claim::Claim;
pub(super) use execution::Execution;
pub(super) use joining::Early;

use quorate_domain::Span;
use std::time::Duration;

/// Bounds on what is kept of requests with an `Idempotency-Key`. The same on all nodes of a cluster, or the last who asks decides.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyLimits {
    /// How long it is kept that a request was executed.
    pub kept: Span,
    /// How long a repeat may wait for the end of the first request.
    pub wait: Duration,
    /// The largest answer that is kept, in bytes.
    pub response_bytes_max: usize,
    /// What all answers that are kept may take, in bytes.
    pub bytes_max: u64,
    /// How many requests may be remembered.
    pub records_max: u64,
}
