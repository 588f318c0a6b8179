//! The ticker: keeps log time moving while nothing else is agreed on, so that keys expire and windows end in time; and has
//! done what is due by log time.

use crate::doubts;
use quorate_domain::{Clock, LogTime, Span};
use quorate_gateway::replica::Replica;
use quorate_ledger::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Log time is at most about this far behind on an idle cluster.
const BEAT: Duration = Duration::from_secs(1);
const BEHIND: Span = Span::from_millis(900);
/// All windows begin with a minute: then log time is not behind at all, so that nobody waits for what was granted ahead.
const MINUTE_MS: u64 = 60_000;

/// Proposes a tick whenever this node leads and log time has fallen behind, and what is due then, until `stop`.
pub async fn keep_time(replica: Arc<dyn Replica>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    while tokio::time::timeout(next_look(clock.wall()), stop.cancelled()).await.is_err() {
        let leads = replica.status().leader == Some(replica.node());
        if leads && is_behind(replica.ledger().read().time(), clock.wall()) {
            // A tick that is lost is made up for by the next one.
            drop(stop.run_until_cancelled(replica.propose_ledger(Command::Tick, BEAT)).await);
        }
        if leads {
            doubts::resolve_due(&*replica, &stop).await;
        }
    }
}

/// After a beat, or when the next minute begins.
fn next_look(wall: LogTime) -> Duration {
    BEAT.min(Duration::from_millis(MINUTE_MS - wall.millis() % MINUTE_MS))
}

fn is_behind(log_time: LogTime, wall: LogTime) -> bool {
    wall.since(log_time) >= BEHIND || wall.millis() / MINUTE_MS > log_time.millis() / MINUTE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_time_is_told_each_second_and_when_a_minute_begins() {
        let at = LogTime::from_millis;
        assert_eq!(next_look(at(59_990)), Duration::from_millis(10));
        assert_eq!(next_look(at(60_000)), BEAT);
        assert!(is_behind(at(59_990), at(60_000)) && is_behind(at(1_000), at(2_000)));
        assert!(!is_behind(at(60_000), at(60_000)) && !is_behind(at(1_000), at(1_500)));
        assert!(!is_behind(at(61_000), at(2_000)), "a clock that was set back");
    }
}
