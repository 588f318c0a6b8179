//! The owner's side of a record: what its caller is told is recorded, and said to the log before the caller has all of it.

use super::{IdempotencyLimits, replay};
use crate::proxy::Proxy;
use crate::proxy::charge::Charged;
use crate::replica::Replica;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use quorate_idempotency::{Answer, Command, End, Ending, Name, Outcome, Owner};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A client that has waited for its answer waits so long for the log. After that it is told all the same, and the record is
/// ended when the log can be reached.
const END_WAIT: Duration = Duration::from_secs(2);
/// One further attempt to end a record.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);
/// What may have begun is taken back so often, once the log can be reached. A copy of the beginning that was still on its way
/// to the leader would stay in flight for as long as this process lives.
const WITHDRAWALS: usize = 50;

/// A request that has begun in the log, and must be ended there.
pub(in crate::proxy) struct Execution {
    name: Name,
    owner: Owner,
    response_bytes_max: usize,
    bytes_max: u64,
    head: Answer,
    body: Recorded,
}

/// What of a stream is recorded.
enum Recorded {
    Whole(BytesMut),
    TooLarge,
}

impl Execution {
    pub(super) fn new(name: Name, owner: Owner, limits: &IdempotencyLimits) -> Self {
        Self {
            name,
            owner,
            response_bytes_max: limits.response_bytes_max,
            bytes_max: limits.bytes_max,
            head: replay::head_of(StatusCode::OK, &HeaderMap::new()),
            body: Recorded::Whole(BytesMut::new()),
        }
    }

    /// Notes how a stream begins.
    pub(in crate::proxy) fn begin_stream(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.head = replay::head_of(status, headers);
    }

    /// Notes a piece of a stream, up to the largest answer that is kept.
    pub(in crate::proxy) fn record(&mut self, piece: &Bytes) {
        let Recorded::Whole(body) = &mut self.body else { return };
        if body.len() + piece.len() > self.response_bytes_max {
            self.body = Recorded::TooLarge;
        } else {
            body.extend_from_slice(piece);
        }
    }

    /// Ends it with the stream as it was recorded.
    pub(in crate::proxy) async fn end_recorded(mut self, proxy: &Proxy) {
        let ending = match std::mem::replace(&mut self.body, Recorded::TooLarge) {
            Recorded::Whole(body) => Ending::Kept(Answer { body: body.freeze(), ..self.head.clone() }),
            Recorded::TooLarge => Ending::NotKept,
        };
        self.end(proxy, ending).await;
    }

    /// Ends it with an answer in one piece, which is given back for the client. One that charged nothing was not executed.
    pub(in crate::proxy) async fn end_with(
        mut self,
        proxy: &Proxy,
        response: Response,
        charged: Charged,
    ) -> Response {
        if charged == Charged::NOTHING && !response.status().is_success() {
            self.end(proxy, Ending::Released).await;
            return response;
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("an answer in one piece was read before").to_bytes();
        self.begin_stream(head.status, &head.headers);
        self.record(&body);
        self.end_recorded(proxy).await;
        Response::from_parts(head, body.into())
    }

    /// Ends it without an answer that anybody could be told.
    pub(in crate::proxy) async fn end_unheard(self, proxy: &Proxy, charged: Charged) {
        let ending = if charged == Charged::NOTHING { Ending::Released } else { Ending::Unknown };
        self.end(proxy, ending).await;
    }

    /// Takes back what may have been begun, when nothing was sent.
    pub(super) fn withdraw(self, proxy: &Proxy) {
        let replica = Arc::clone(&proxy.parts.replica);
        proxy.requests.spawn(withdraw(replica, self.command(Ending::Released), proxy.closing()));
    }

    async fn end(self, proxy: &Proxy, ending: Ending) {
        let command = self.command(ending.clone());
        if let Err(unavailable) = proxy.parts.replica.propose_idempotency(command, END_WAIT).await {
            tracing::warn!(%unavailable, "the record of an answered request is ended later");
            self.keep_ending(proxy, ending);
        }
    }

    fn command(&self, ending: Ending) -> Command {
        Command::End(End { name: self.name, owner: self.owner, ending, bytes_max: self.bytes_max })
    }

    /// There are no more of these tasks than requests had begun when the log was last in reach.
    fn keep_ending(&self, proxy: &Proxy, ending: Ending) {
        proxy.parts.metrics.record_ended_late();
        let replica = Arc::clone(&proxy.parts.replica);
        proxy.requests.spawn(keep_ending(replica, self.command(ending), proxy.closing()));
    }
}

async fn withdraw(replica: Arc<dyn Replica>, command: Command, closing: CancellationToken) {
    let mut left = WITHDRAWALS;
    while left > 0 && !closing.is_cancelled() {
        match replica.propose_idempotency(command.clone(), ATTEMPT_LIMIT).await {
            Ok(Outcome::Ended) => return,
            Ok(Outcome::NotYours | Outcome::Begun | Outcome::Found | Outcome::Full | Outcome::OwnerGone) => {
                left -= 1;
            }
            Err(unavailable) => tracing::debug!(%unavailable, "what may have begun is not taken back yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tries until it is said, or the node leaves and cannot say it.
async fn keep_ending(replica: Arc<dyn Replica>, command: Command, closing: CancellationToken) {
    while let Err(unavailable) = replica.propose_idempotency(command.clone(), ATTEMPT_LIMIT).await {
        if closing.is_cancelled() {
            tracing::warn!(%unavailable, "a record is left in flight; it is unknown once this node's session is over");
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
