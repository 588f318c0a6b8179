//! A streaming answer on its way from the provider to the client.
//!
//! Until the first content nothing is given to the client, so that another target can still be tried. After it, a
//! stream that breaks ends with an error event, never as if it were whole. What the provider calls the end is passed
//! on only when the answer is settled. A client that hangs up is no end: the provider bills on, and its usage is
//! worth waiting for, for a while.

use super::Proxy;
use super::attempt::{Target, Tried};
use super::charge::{Assume, Charged, Stake, beyond, cost, larger};
use super::idempotency::Execution;
use super::leaving::Leaving;
use super::pass::Pass;
use super::reply::{Caller, Listener, with_headers};
use super::request::{Label, Ticket};
use crate::error::RequestError;
use crate::metrics::Phase;
use axum::response::IntoResponse;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use quorate_dialect::openai::{
    DONE, Passed, ReportedUsage, StreamEnd, StreamReader, UsageChunk, error_event, length_event,
};
use quorate_domain::{Clock, MonoTime, Span, Tokens};
use quorate_routing::{AttemptFailure, Cause};
use quorate_upstream::{AttemptError, UpstreamBody, UpstreamResponse};
use quorate_wallet::Cost;
use std::sync::Arc;
use std::time::Duration;

/// One event may be this long; a longer one is no event.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// How long at most what had come already is read for the count when a stream is cut, and after which silence that was
/// all of it. A client that reads slowly leaves much of an answer unread.
const RESIDUE_WAIT: Span = Span::from_millis(250);
const RESIDUE_SILENCE: Duration = Duration::from_millis(5);

/// So many chunks, or a quarter of those asked for, may come without a token of the answer and unrecognised: annotations,
/// empty ones. A stream is not cut for them.
const CHUNKS_WITHOUT_TOKENS: u64 = 16;

/// How much of an answer was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The limit of each choice, in tokens.
    pub(super) limit: Tokens,
    pub(super) n_choices: u64,
}

impl Extent {
    fn asked_for(&self) -> Tokens {
        self.limit.saturating_mul(self.n_choices)
    }

    /// Whether an answer is so long that its provider cannot mean to end it where it should.
    fn is_ignored_by(&self, tokens: Tokens) -> bool {
        let without_tokens = CHUNKS_WITHOUT_TOKENS.max(self.asked_for().get() / 4);
        self.exceeded_by(tokens) > Tokens::new(without_tokens)
    }

    /// By how much an answer of so many tokens is longer than was asked for. What decides that a stream is cut leaves
    /// room for chunks that bring none; what is charged for it does not (G1).
    fn exceeded_by(&self, tokens: Tokens) -> Tokens {
        tokens.saturating_sub(self.asked_for())
    }
}

/// A streaming answer that has begun.
pub(super) struct Stream {
    status: StatusCode,
    headers: HeaderMap,
    body: UpstreamBody,
    reader: StreamReader,
    stake: Stake,
    target: Target,
    extent: Extent,
    /// What came with the first content, for the client.
    held: BytesMut,
    /// The end, if it came with the first content.
    last: Bytes,
    /// For how long it is read without a client, however many pieces come.
    leaving: Leaving,
    /// What the stream must not outlive, if there is such a thing.
    pass: Option<Arc<Pass>>,
    /// Why it was cut, if we cut it.
    withdrawn: Option<RequestError>,
    /// The record of a request with an `Idempotency-Key`.
    execution: Option<Box<Execution>>,
}

/// A stream that brought no content.
pub(super) enum Broken {
    /// The connection failed.
    Attempt(AttemptError),
    /// The provider sent an error instead.
    ErrorInside,
    /// It ended, or was no stream of events.
    Empty,
    /// Its client has hung up, and it is not worth reading on.
    Unheard,
}

/// What the stream does next.
enum Next {
    Piece(Bytes),
    End,
    Broken,
    Withdrawn(RequestError),
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// The provider came to an end, or broke off.
    ByProvider,
    /// It pays no heed to the limit it was told: what more it says nobody has asked for, and nobody reserved.
    ByUs,
}

impl Stream {
    pub(super) fn new(
        response: UpstreamResponse,
        stake: Stake,
        target: Target,
        extent: Extent,
        shows_usage: bool,
    ) -> Self {
        let usage_chunk = if shows_usage { UsageChunk::Show } else { UsageChunk::Hide };
        Self {
            status: response.status,
            headers: response.headers,
            body: response.body,
            reader: StreamReader::new(usage_chunk, extent.n_choices, EVENT_BYTES_MAX),
            stake,
            target,
            extent,
            held: BytesMut::new(),
            last: Bytes::new(),
            leaving: Leaving::of_whole(),
            pass: None,
            withdrawn: None,
            execution: None,
        }
    }

    /// The same stream, which ends with the pass if the key says so, and some time after its client has left.
    pub(super) fn under(self, pass: Arc<Pass>, leaving: Leaving) -> Self {
        Self { pass: Some(pass).filter(|pass| pass.ends_streams()), leaving, ..self }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Reads up to the first content, or to the end if that comes first.
    pub(super) async fn read_to_content(
        &mut self,
        caller: &mut Caller,
        clock: &dyn Clock,
    ) -> Result<(), Broken> {
        loop {
            let piece = tokio::select! {
                biased;
                piece = self.body.piece() => piece.map_err(Broken::Attempt)?,
                () = self.leaving.over(caller, clock) => return Err(Broken::Unheard),
            };
            let is_end = piece.is_none();
            let passed = match piece {
                Some(piece) => self.reader.feed(&piece).map_err(|_| Broken::Empty)?,
                None => self.reader.close(),
            };
            self.held.extend_from_slice(&passed.forward);
            self.last = passed.last;
            let seen = self.reader.seen();
            match (seen.n_chunks > 0 || seen.done, &seen.error) {
                (true, _) => return Ok(()),
                (false, Some(_)) => return Err(Broken::ErrorInside),
                (false, None) if is_end => return Err(Broken::Empty),
                (false, None) => {}
            }
        }
    }

    /// Gives up a stream without content: the client knows nothing of it yet.
    pub(super) async fn abandon(self, proxy: &Proxy, broken: Broken) -> Tried {
        match broken {
            Broken::Attempt(error) => proxy.not_answered(&self.target, self.stake, &error).await,
            Broken::Empty => {
                let charged = proxy.charge_in_full(self.stake).await;
                let told = RequestError::ProviderBadAnswer(self.target.provider.name().to_string());
                Tried::Failed { failure: Cause::Broken.into(), response: told.into_response(), charged }
            }
            Broken::Unheard => {
                // The provider is left before its place goes to somebody else (I11).
                drop(self.body);
                Tried::ClientGone { charged: proxy.charge_in_full(self.stake).await }
            }
            Broken::ErrorInside => {
                let seen = self.reader.seen();
                let status = seen.error.as_ref().and_then(quorate_dialect::openai::ProviderError::status);
                let charged = proxy.settle(self.stake, seen.usage, &self.target, Assume::Nothing).await;
                let failure = AttemptFailure::from(Cause::ErrorInside(status));
                let body = if self.last.is_empty() { self.held.freeze() } else { self.last };
                Tried::Failed {
                    failure,
                    response: with_headers(self.status, self.headers, body.into()),
                    charged,
                }
            }
        }
    }

    /// Passes the stream on to its end and settles it. Says what was charged.
    pub(super) async fn pass_on(mut self, proxy: &Proxy, caller: Caller, ticket: &mut Ticket) -> Charged {
        let _open = proxy.parts.metrics.stream_open();
        self.execution = ticket.execution.take();
        if let Some(execution) = &mut self.execution {
            execution.begin_stream(self.status, &self.headers);
        }
        let mut client = caller.give_stream(self.status, std::mem::take(&mut self.headers));
        let mut last = Bytes::new();
        self.withdrawn = self.pass.as_ref().and_then(|pass| pass.check().err());
        if self.withdrawn.is_none() {
            let held = self.held.split().freeze();
            self.give(&mut client, held).await;
            last = std::mem::take(&mut self.last);
        }
        let mut stopped = Stopped::ByProvider;
        while self.withdrawn.is_none() && last.is_empty() && !self.reader.seen().done {
            if self.extent.is_ignored_by(self.reader.seen().least_tokens()) {
                stopped = Stopped::ByUs;
                break;
            }
            match self.next(&client, &*proxy.parts.clock).await {
                Next::Piece(piece) => match self.reader.feed(&piece) {
                    Ok(Passed { forward, last: end }) => {
                        self.give(&mut client, forward).await;
                        last = end;
                    }
                    Err(_too_long) => break,
                },
                Next::End => {
                    let passed = self.reader.close();
                    self.give(&mut client, passed.forward).await;
                    last = passed.last;
                    break;
                }
                Next::Broken => break,
                Next::Withdrawn(why) => self.withdrawn = Some(why),
            }
        }
        ticket.others_worked(proxy);
        match stopped {
            Stopped::ByProvider => self.end(proxy, client, last, ticket).await,
            Stopped::ByUs => self.cut(proxy, client, ticket).await,
        }
    }

    /// Gives the client a piece, unless the pass ends first: a client may take its time to read.
    async fn give(&mut self, client: &mut Listener, piece: Bytes) {
        if let Some(execution) = &mut self.execution {
            execution.record(&piece);
        }
        tokio::select! {
            biased;
            why = ends(self.pass.as_deref()) => self.withdrawn = Some(why),
            () = client.hear(piece) => {}
        }
    }

    /// The next piece. Without a client to pass it on to, only for as long as its usage is worth the wait.
    async fn next(&mut self, client: &Listener, clock: &dyn Clock) -> Next {
        if !client.is_there() {
            return self.next_unheard(clock.mono()).await;
        }
        tokio::select! {
            // The pass first: not one more piece is given once it has ended.
            biased;
            why = ends(self.pass.as_deref()) => Next::Withdrawn(why),
            // Come back without a client.
            () = client.gone() => Next::Piece(Bytes::new()),
            piece = self.body.piece() => next_of(Ok(piece), &self.target.label),
        }
    }

    async fn next_unheard(&mut self, now: MonoTime) -> Next {
        let left = self.leaving.left(now);
        if left.is_zero() {
            // A timeout of nothing would still take whatever is there at once, for ever.
            return Next::Broken;
        }
        next_of(tokio::time::timeout(left, self.body.piece()).await, &self.target.label)
    }

    /// Ends a stream that is longer than was asked for as its provider should have: the limit was met.
    async fn cut(mut self, proxy: &Proxy, mut client: Listener, ticket: &mut Ticket) -> Charged {
        self.read_residue(&*proxy.parts.clock).await;
        let (usage, least) = (self.usage(), self.least_cost());
        let Self { body, reader, stake, target, extent, execution, .. } = self;
        drop(body);
        proxy.parts.metrics.limit_ignored();
        tracing::warn!(
            request = target.label.request(),
            key = target.label.key(),
            route = target.label.route(),
            provider = target.provider.name().as_str(),
            limit = extent.limit.get(),
            "the provider ignores the limit of its answers: the stream is cut"
        );
        let charged = proxy.settle(stake, usage, &target, Assume::AtLeast(least)).await;
        ticket.phase_ended(proxy, Phase::Settle);
        let head = reader.chunk_head().unwrap_or_default();
        let last = [length_event(&head, extent.n_choices), Bytes::new()];
        say_last(proxy, execution, &mut client, last).await;
        charged
    }

    /// Reads what had come already: it was generated, and will be billed (G1).
    async fn read_residue(&mut self, clock: &dyn Clock) {
        let until = clock.mono().plus(RESIDUE_WAIT);
        while clock.mono() < until && !self.reader.seen().done {
            let came = tokio::time::timeout(RESIDUE_SILENCE, self.body.piece()).await;
            let Ok(Ok(Some(piece))) = came else { return };
            if self.reader.feed(&piece).is_err() {
                return;
            }
        }
    }

    /// The usage, if it is known to be that of the whole answer: what it has come to so far is not what the provider bills
    /// in the end.
    fn usage(&self) -> ReportedUsage {
        let seen = self.reader.seen();
        let is_cut = self.withdrawn.is_some() || matches!(self.reader.end(), StreamEnd::Cut);
        let is_told = !is_cut || seen.is_usage_final || seen.done;
        if is_told { seen.usage } else { ReportedUsage::Absent }
    }

    /// What it cost at the least, when no usage tells: all that was reserved, what it is longer than was asked for, and
    /// no less than what its provider said that it had come to so far.
    fn least_cost(&self) -> Cost {
        let (seen, model) = (self.reader.seen(), &self.target.model.spec);
        let by = self.extent.exceeded_by(seen.least_tokens());
        let so_far = seen.usage.found().map_or(Cost::NOTHING, |usage| cost(&usage, model));
        larger(beyond(self.stake.bound, by, model.price.dearest_output()), so_far)
    }

    async fn end(self, proxy: &Proxy, mut client: Listener, last: Bytes, ticket: &mut Ticket) -> Charged {
        let (usage, least) = (self.usage(), self.least_cost());
        let Self { body, reader, stake, target, withdrawn, execution, .. } = self;
        if withdrawn.is_some() || matches!(reader.end(), StreamEnd::Cut) {
            // The provider is left before its place goes to somebody else (I11).
            drop(body);
        }
        let charged = proxy.settle(stake, usage, &target, Assume::AtLeast(least)).await;
        ticket.phase_ended(proxy, Phase::Settle);
        if let Some(why) = withdrawn {
            proxy.parts.metrics.stream_cut();
            client.cut_short(failure_of(&reader, &why));
            end_unheard(proxy, execution, ticket.charged_with(charged)).await;
            return charged;
        }
        let last = match reader.end() {
            StreamEnd::Done | StreamEnd::Failed => [last, Bytes::new()],
            StreamEnd::Finished => [last, Bytes::from_static(DONE)],
            StreamEnd::Cut => {
                proxy.parts.metrics.stream_cut();
                if !client.is_there() {
                    // Left before its end: what more there was nobody knows.
                    end_unheard(proxy, execution, ticket.charged_with(charged)).await;
                    return charged;
                }
                let provider = target.provider.name().to_string();
                let error = RequestError::ProviderUnreachable { provider, may_have_been_charged: true };
                [failure_of(&reader, &error), Bytes::new()]
            }
        };
        say_last(proxy, execution, &mut client, last).await;
        charged
    }
}

/// Gives the client the end of its stream, once the log has it if it has a record there.
async fn say_last(proxy: &Proxy, execution: Option<Box<Execution>>, client: &mut Listener, last: [Bytes; 2]) {
    if let Some(mut execution) = execution {
        last.iter().for_each(|piece| execution.record(piece));
        Box::pin(execution.end_recorded(proxy)).await;
    }
    for piece in last {
        client.hear(piece).await;
    }
}

async fn end_unheard(proxy: &Proxy, execution: Option<Box<Execution>>, charged: Charged) {
    if let Some(execution) = execution {
        Box::pin(execution.end_unheard(proxy, charged)).await;
    }
}

/// Resolves when a stream has outlived what it must not outlive.
async fn ends(pass: Option<&Pass>) -> RequestError {
    match pass {
        Some(pass) => pass.ends().await,
        None => std::future::pending().await,
    }
}

/// The event that tells a client why its stream ends here.
fn failure_of(reader: &StreamReader, error: &RequestError) -> Bytes {
    let head = reader.chunk_head().unwrap_or_default();
    error_event(&head, &error.body())
}

/// A piece, or the wait for one that ended.
type Came = Result<Result<Option<Bytes>, AttemptError>, tokio::time::error::Elapsed>;

fn next_of(piece: Came, label: &Label) -> Next {
    match piece {
        Ok(Ok(Some(piece))) => Next::Piece(piece),
        Ok(Ok(None)) => Next::End,
        Ok(Err(error)) => {
            tracing::warn!(
                request = label.request(),
                key = label.key(),
                route = label.route(),
                %error,
                "stream broke"
            );
            Next::Broken
        }
        Err(_elapsed) => Next::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_when_it_is_much_too_long_and_charged_for_every_token_beyond() {
        let extent = Extent { limit: Tokens::new(1_000), n_choices: 1 };
        let seen = |tokens| {
            let tokens = Tokens::new(tokens);
            (extent.is_ignored_by(tokens), extent.exceeded_by(tokens).get())
        };
        assert_eq!(seen(1_000), (false, 0));
        assert_eq!(seen(1_100), (false, 100), "G1: charged, though it is not cut");
        assert_eq!(seen(1_250), (false, 250));
        assert_eq!(seen(1_251), (true, 251));
        let short = Extent { limit: Tokens::new(2), n_choices: 3 };
        assert!(!short.is_ignored_by(Tokens::new(22)) && short.is_ignored_by(Tokens::new(23)));
    }
}
