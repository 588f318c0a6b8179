//! The ticker: keeps log time moving while nothing else is agreed on, so that keys expire and windows end in time; and has
//! done what is due by log time.

use crate::doubts;
use quorate_domain::{Clock, Span};
use quorate_gateway::replica::Replica;
use quorate_ledger::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Log time is at most about this far behind on an idle cluster.
const BEAT: Duration = Duration::from_secs(1);
const BEHIND: Span = Span::from_millis(900);

/// Proposes a tick whenever this node leads and log time has fallen behind, and what is due then, until `stop`.
pub async fn keep_time(replica: Arc<dyn Replica>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    while tokio::time::timeout(BEAT, stop.cancelled()).await.is_err() {
        let leads = replica.status().leader == Some(replica.node());
        let is_behind = clock.wall().since(replica.ledger().read().time()) >= BEHIND;
        if leads && is_behind {
            // A tick that is lost is made up for by the next one.
            drop(stop.run_until_cancelled(replica.propose_ledger(Command::Tick, BEAT)).await);
        }
        if leads {
            doubts::resolve_due(&*replica, &stop).await;
        }
    }
}
