//! What becomes of a stream when its client hangs up: the provider is read on for its usage, for a while, or left at once.

use super::reply::Caller;
use quorate_catalog::WhenClientLeaves;
use quorate_domain::{Clock, MonoTime, Span};
use std::time::Duration;

/// How long an attempt goes on without a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// `None` for an answer in one piece, whose usage comes with it: it is waited for as if there were a client.
    read_on: Option<Span>,
    /// Until when it goes on; `None` while there is a client.
    until: Option<MonoTime>,
}

impl Leaving {
    /// Of a stream, as its provider's rule is.
    pub(super) const fn of_stream(rule: WhenClientLeaves) -> Self {
        let read_on = match rule {
            WhenClientLeaves::Cancel => Span::from_millis(0),
            WhenClientLeaves::ReadOn(span) => span,
        };
        Self { read_on: Some(read_on), until: None }
    }

    /// Of an answer in one piece.
    pub(super) const fn of_whole() -> Self {
        Self { read_on: None, until: None }
    }

    /// The same attempt, whose answer is a stream, whatever was asked for.
    pub(super) const fn streamed(self, rule: WhenClientLeaves) -> Self {
        Self { read_on: Self::of_stream(rule).read_on, ..self }
    }

    /// What is left of its time now that there is no client.
    pub(super) fn left(&mut self, now: MonoTime) -> Duration {
        let until = self.until.get_or_insert(self.read_on.map_or(MonoTime::NEVER, |span| now.plus(span)));
        until.since(now)
    }

    /// Resolves when the client has been gone for as long as the attempt goes on.
    pub(super) async fn over(&mut self, caller: &mut Caller, clock: &dyn Clock) {
        if self.read_on.is_none() {
            return std::future::pending().await;
        }
        caller.gone().await;
        tokio::time::sleep(self.left(clock.mono())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_begins_when_it_is_first_asked_for_and_is_not_prolonged() {
        let at = |millis: u64| MonoTime::from_micros(millis * 1_000);
        let mut reading_on = Leaving::of_stream(WhenClientLeaves::ReadOn(Span::from_millis(100)));
        let left = [1_000, 1_040, 1_100, 9_000].map(|now| reading_on.left(at(now)).as_millis());
        assert_eq!(left, [100, 60, 0, 0]);
        assert!(Leaving::of_stream(WhenClientLeaves::Cancel).left(at(5)).is_zero());
        assert!(Leaving::of_whole().left(at(5)) > Duration::from_secs(1 << 32));
    }
}
