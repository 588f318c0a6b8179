//! A streaming answer on its way to the client: passed through as it came, watched for usage, errors and its end.
//!
//! Only whole events are passed on, so that a stream that breaks never leaves half an event at the client. The one
//! event that may be left out is the chunk that carries nothing but usage, when the client did not ask for it.
//! `"usage":null` in other chunks stays: SDKs read it as they read a missing field.

use super::answer::{Envelope, ProviderError};
use super::choices::{Choices, Growth};
use super::ending::ChunkHead;
use super::sse::{Event, Splitter};
use super::usage::{ReportedUsage, ServedTier};
use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use quorate_domain::Tokens;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

/// Whether the client is to see the chunk that carries nothing but usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageChunk {
    /// It asked for it.
    Show,
    /// It did not; the gateway asked for itself.
    Hide,
}

/// Reads a stream of chat completion chunks.
#[derive(Debug)]
pub struct StreamReader {
    usage_chunk: UsageChunk,
    n_choices: u64,
    event_bytes_max: usize,
    splitter: Splitter,
    /// The beginning of an event whose end has not come yet.
    held: BytesMut,
    first_event: Bytes,
    /// Choices that gave their reason to finish.
    ended: BTreeSet<u64>,
    seen: Seen,
}

/// What a stream has shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Chunks for the client: neither errors, comments, nor usage alone.
    pub n_chunks: u64,
    /// Those of them that surely bring no token: roles at the beginning, reasons to finish.
    pub n_chunks_without_tokens: u64,
    /// The last usage said; chunks that say none do not undo it.
    pub usage: ReportedUsage,
    /// Whether that is all of it: some providers say with every chunk what it has come to so far. Said when every choice
    /// has ended it is; of an only choice also when it is said alone.
    pub is_usage_final: bool,
    /// Whether every choice that was asked for gave its `finish_reason`.
    pub finished: bool,
    /// Whether `[DONE]` came.
    pub done: bool,
    /// The error the provider sent inside the stream.
    pub error: Option<ProviderError>,
}

impl Seen {
    /// The tokens that the answer has at the least: one for each chunk but those that bring none.
    #[must_use]
    pub const fn least_tokens(&self) -> Tokens {
        Tokens::new(self.n_chunks.saturating_sub(self.n_chunks_without_tokens))
    }
}

/// Bytes to pass on to the client, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// May go at once.
    pub forward: Bytes,
    /// The end of the stream (`[DONE]`, or the provider's error): may go once the answer is settled.
    pub last: Bytes,
}

/// How a stream stands when no more of it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// With `[DONE]`.
    Done,
    /// Without `[DONE]`, but every word of the answer was said. The client still needs a `[DONE]`.
    Finished,
    /// With an error from the provider.
    Failed,
    /// In the middle. The client must be told.
    Cut,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// An event that does not end.
    #[error("the provider's stream holds an event of more than {bytes_max} bytes")]
    EventTooLong {
        /// The limit.
        bytes_max: usize,
    },
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Hide,
    Last,
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""usage""#));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""error""#));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""finish_reason""#));

impl StreamReader {
    /// A reader at the beginning of a stream of so many choices, which holds back at most `event_bytes_max` bytes.
    #[must_use]
    pub fn new(usage_chunk: UsageChunk, n_choices: u64, event_bytes_max: usize) -> Self {
        Self {
            usage_chunk,
            n_choices: n_choices.max(1),
            event_bytes_max,
            splitter: Splitter::default(),
            held: BytesMut::new(),
            first_event: Bytes::new(),
            ended: BTreeSet::new(),
            seen: Seen::default(),
        }
    }

    /// What the stream has shown so far.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes the next piece of the stream and gives what the client may have of it. A piece of whole events is passed
    /// on without being copied.
    ///
    /// # Errors
    /// When an event is longer than allowed. The stream is then to be treated as cut.
    pub fn feed(&mut self, piece: &Bytes) -> Result<Passed, StreamError> {
        match self.splitter.find_end(piece) {
            Some(end) if self.held.is_empty() => Ok(self.read_events(piece, end)),
            Some(end) => {
                let end = self.held.len() + end;
                self.held.extend_from_slice(piece);
                let joined = self.held.split().freeze();
                Ok(self.read_events(&joined, end))
            }
            None if self.held.len() + piece.len() > self.event_bytes_max => {
                Err(StreamError::EventTooLong { bytes_max: self.event_bytes_max })
            }
            None => {
                self.held.extend_from_slice(piece);
                Ok(Passed::default())
            }
        }
    }

    /// Says that the provider closed the stream in good order. An event that lacks only its blank line still counts.
    pub fn close(&mut self) -> Passed {
        let tail = self.held.split().freeze();
        let is_whole =
            Event::read(&tail).data.is_some_and(|data| is_done(&data) || Envelope::read(&data).is_some());
        if !is_whole {
            return Passed::default();
        }
        let mut event = BytesMut::from(&tail[..]);
        event.extend_from_slice(b"\n\n");
        let end = event.len();
        self.read_events(&event.freeze(), end)
    }

    /// How the stream stands if no more of it comes.
    #[must_use]
    pub const fn end(&self) -> StreamEnd {
        match &self.seen {
            Seen { error: Some(_), .. } => StreamEnd::Failed,
            Seen { done: true, .. } => StreamEnd::Done,
            Seen { finished: true, .. } => StreamEnd::Finished,
            Seen { .. } => StreamEnd::Cut,
        }
    }

    /// Id, time and model of the stream's chunks, for an ending of our own that fits them.
    #[must_use]
    pub fn chunk_head(&self) -> Option<ChunkHead> {
        serde_json::from_slice(&Event::read(&self.first_event).data?).ok()
    }

    fn first_tier(&self) -> Option<ServedTier> {
        Envelope::read(&Event::read(&self.first_event).data?)?.tier()
    }

    /// Reads the events of a buffer whose first one ends at `end`; what follows the last one is held back.
    fn read_events(&mut self, buffer: &Bytes, mut end: usize) -> Passed {
        let mut forward = Forward::new(buffer);
        let (mut start, mut last_from) = (0, None);
        loop {
            match self.read_event(buffer, start..end) {
                Fate::Pass => forward.add(start..end),
                Fate::Hide => {}
                Fate::Last => last_from = last_from.or(Some(start)),
            }
            start = end;
            match self.splitter.find_end(&buffer[end..]) {
                Some(length) => end += length,
                None => break,
            }
        }
        self.held.extend_from_slice(&buffer[start..]);
        let last = last_from.map_or_else(Bytes::new, |from| buffer.slice(from..start));
        Passed { forward: forward.finish(), last }
    }

    fn read_event(&mut self, buffer: &Bytes, span: Range<usize>) -> Fate {
        if self.seen.done || self.seen.error.is_some() {
            return Fate::Last;
        }
        let event = Event::read(&buffer[span.clone()]);
        let Some(data) = &event.data else { return Fate::Pass };
        if is_done(data) {
            self.seen.done = true;
            return Fate::Last;
        }
        let growth = self.read_choices(data);
        let fate = self.read_chunk(data, event.is_error);
        if fate == Fate::Pass {
            self.seen.n_chunks += 1;
            self.seen.n_chunks_without_tokens += u64::from(growth == Growth::None);
            if self.seen.n_chunks == 1 {
                self.first_event = buffer.slice(span);
            }
        }
        fate
    }

    /// Looks for keys first: most chunks carry neither usage nor an error, and their JSON is never parsed.
    fn read_chunk(&mut self, data: &[u8], is_error: bool) -> Fate {
        let may_tell = |finder| has_key(finder, data, |value| value != b'n');
        if !is_error && !may_tell(&USAGE) && !may_tell(&ERROR) {
            return Fate::Pass;
        }
        let envelope = Envelope::read(data).unwrap_or_default();
        let usage = envelope.usage();
        if usage != ReportedUsage::Absent {
            // Where the chunk with the usage does not say at which tier it was served, the first one may.
            let tier = envelope.tier().or_else(|| self.first_tier());
            self.seen.usage = usage.at(tier.unwrap_or_default());
            self.seen.is_usage_final =
                self.seen.finished || (self.n_choices == 1 && envelope.has_no_choices());
        }
        self.seen.error = envelope.error().or_else(|| is_error.then(|| ProviderError::of_event(data)));
        let usage_alone = usage != ReportedUsage::Absent && envelope.has_no_choices();
        match (&self.seen.error, self.usage_chunk) {
            (Some(_), _) => Fate::Last,
            (None, UsageChunk::Hide) if usage_alone => Fate::Hide,
            (None, UsageChunk::Hide | UsageChunk::Show) => Fate::Pass,
        }
    }

    /// Looks into those chunks that may end a choice, or may begin one without saying anything.
    fn read_choices(&mut self, data: &[u8]) -> Growth {
        let is_end = has_key(&FINISH, data, |value| value == b'"');
        if !is_end && self.seen.n_chunks >= self.n_choices {
            return Growth::Possible;
        }
        let Some(choices) = Choices::read(data) else { return Growth::Possible };
        self.ended.extend(choices.ended());
        self.seen.finished = self.ended.len() as u64 >= self.n_choices;
        choices.growth()
    }
}

fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

/// Whether the key, quotes included, stands in the text with a value that begins as `fits` wants it.
fn has_key(key: &Finder<'_>, text: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    key.find_iter(text).any(|at| {
        let after = text[at + key.needle().len()..].trim_ascii_start();
        let value = after.strip_prefix(b":").and_then(|value| value.trim_ascii_start().first());
        value.is_some_and(|first| fits(*first))
    })
}

/// Gathers the parts of a buffer that go on; they are one part, and need no copy, unless something between is hidden.
struct Forward<'b> {
    buffer: &'b Bytes,
    part: Range<usize>,
    copied: BytesMut,
}

impl<'b> Forward<'b> {
    fn new(buffer: &'b Bytes) -> Self {
        Self { buffer, part: 0..0, copied: BytesMut::new() }
    }

    fn add(&mut self, part: Range<usize>) {
        if self.part.end == part.start {
            self.part.end = part.end;
            return;
        }
        self.copied.extend_from_slice(&self.buffer[self.part.clone()]);
        self.part = part;
    }

    fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.buffer.slice(self.part);
        }
        self.copied.extend_from_slice(&self.buffer[self.part]);
        self.copied.freeze()
    }
}
