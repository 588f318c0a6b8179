//! The syncer: carries what the wallet says to the ledger and back, follows the replica, and turns away whom the wallet
//! says. What is said and decided, and why, is the wallet's.

use super::{JournalFailure, Shared, session};
use quorate_domain::MonoTime;
use quorate_ledger::{Command, Outcome, Sync};
use quorate_wallet::{Speech, Wallet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often spending is reported when nothing makes it urgent. Bounds how old the figures of the others are.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// How often the line is looked at when nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one exchange with the ledger may take before it is tried anew.
pub(super) const EXCHANGE_LIMIT: Duration = Duration::from_secs(2);
/// After so long without a lease it is known whether the ledger can be asked: the exchange that was under way has ended, and one
/// that began after it.
pub(super) const KNOWN_AFTER: Duration =
    EXCHANGE_LIMIT.saturating_mul(2).saturating_add(PAUSE).saturating_add(PAUSE);
/// How long the leader may take to say that this replica is not behind.
const BARRIER_LIMIT: Duration = Duration::from_millis(500);
/// Between two exchanges that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Reports and asks until the node stops.
pub(super) async fn run(shared: &Shared, stop: &CancellationToken) -> Result<(), JournalFailure> {
    let mut applied = shared.replica.applied();
    loop {
        let Some(wallet) = shared.wallet.load_full() else { return Ok(()) };
        tokio::select! {
            () = shared.sync.notified() => {}
            () = tokio::time::sleep(time_to_look(shared, &wallet)) => {}
            // The replica moved: a round may have begun, or what somebody here waits for may have been granted.
            Ok(()) = applied.changed(), if wallet.has_line() || wallet.is_active() => {}
            () = stop.cancelled() => return Ok(()),
        }
        applied.borrow_and_update();
        if wallet.is_fenced() {
            session::open(shared, stop).await?;
            continue;
        }
        exchange(shared, &wallet).await;
    }
}

/// Until somebody in line has waited long enough, or it is time to look anyway.
fn time_to_look(shared: &Shared, wallet: &Wallet) -> Duration {
    let now = shared.clock.mono();
    match wallet.next_deadline() {
        Some(deadline) if deadline > now => deadline.since(now).min(LOOK_EVERY),
        Some(_overdue) => LOOK_EVERY,
        None => REPORT_EVERY,
    }
}

/// Follows the replica, turns away, says what there is to say and takes in the answer.
async fn exchange(shared: &Shared, wallet: &Wallet) {
    let is_urgent = follow(shared, wallet);
    turn_away(shared, wallet, None);
    let now = shared.clock.mono();
    let is_due = is_urgent || wallet.is_report_due(now, REPORT_EVERY);
    let speech = wallet.speech(&shared.replica.ledger().read(), is_due, now);
    let said = {
        let talk = async {
            let (said, ()) =
                tokio::join!(say_if_any(shared, wallet, speech.as_ref()), ask_whether_behind(shared, wallet));
            said
        };
        while_turning_away(shared, wallet, talk).await
    };
    if speech.is_some() {
        shared.flush.notify_one();
    }
    if said == Said::OutOfReach {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Nobody waits longer than need be because the ledger does not answer.
async fn while_turning_away<T>(shared: &Shared, wallet: &Wallet, talk: impl Future<Output = T>) -> T {
    tokio::pin!(talk);
    loop {
        let look = async {
            tokio::time::sleep(time_to_look(shared, wallet)).await;
            turn_away(shared, wallet, None);
            ask_whether_behind(shared, wallet).await;
        };
        tokio::select! {
            said = &mut talk => return said,
            () = look => {}
        }
    }
}

fn follow(shared: &Shared, wallet: &Wallet) -> bool {
    let is_urgent = wallet.follow(&shared.replica.ledger().read(), shared.clock.mono());
    if wallet.needs_flush() {
        shared.flush.notify_one();
    }
    is_urgent
}

/// Turns away those for whom there is proof. `as_of`: the replica shows all that was agreed on before.
fn turn_away(shared: &Shared, wallet: &Wallet, as_of: Option<MonoTime>) {
    if !wallet.has_line() {
        return;
    }
    let refused = wallet.turn_away(&shared.replica.ledger().read(), as_of, shared.clock.mono());
    for (id, refusal) in refused {
        shared.desk.refuse(wallet, id, refusal);
    }
}

/// Where a budget looks spent, the leader is asked whether this replica is behind; where the lease has ended and somebody waits,
/// whether anybody is there. It costs no entry of the log, and one question serves everyone in line.
async fn ask_whether_behind(shared: &Shared, wallet: &Wallet) {
    let since = shared.clock.mono();
    let is_alone = wallet.has_line() && !shared.replica.lease().is_fresh(since);
    if !is_alone && !wallet.needs_barrier(&shared.replica.ledger().read(), since) {
        return;
    }
    match shared.replica.read_barrier(BARRIER_LIMIT).await {
        Ok(()) => {
            shared.was_answered();
            turn_away(shared, wallet, Some(since));
        }
        Err(unavailable) => {
            shared.was_not_answered(since, BARRIER_LIMIT);
            tracing::debug!(%unavailable, "nobody says whether this replica is behind");
        }
    }
}

/// What became of a speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Heard,
    SessionOver,
    OutOfReach,
}

async fn say_if_any(shared: &Shared, wallet: &Wallet, speech: Option<&Speech>) -> Said {
    match speech {
        Some(speech) => say(shared, wallet, speech).await,
        None => Said::Heard,
    }
}

/// Sends one speech and takes the answers in.
async fn say(shared: &Shared, wallet: &Wallet, speech: &Speech) -> Said {
    let sent = shared.clock.mono();
    let sync = Sync { generation: shared.journal.generation(), ..speech.sync.clone() };
    let answered = shared.replica.propose_ledger(Command::Sync(sync), EXCHANGE_LIMIT).await;
    match &answered {
        Ok(_) => shared.was_answered(),
        Err(_) => shared.was_not_answered(sent, EXCHANGE_LIMIT),
    }
    match answered {
        Ok(Outcome::Synced { answers }) => {
            wallet.heard(speech, &answers, sent, shared.clock.mono());
            Said::Heard
        }
        Ok(other) => {
            tracing::error!(session = wallet.session().get(), ?other, "the session is over for the ledger");
            shared.fence(wallet);
            Said::SessionOver
        }
        Err(unavailable) => {
            tracing::debug!(%unavailable, "the ledger is out of reach");
            wallet.unheard(speech);
            Said::OutOfReach
        }
    }
}

/// How far everything is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// There is nothing more to be said.
    All,
    /// There is more to be said than fits into a message.
    Some,
    /// Nothing could be said now.
    Nothing,
}

/// Reports of what is left to report as much as fits into a message.
pub(super) async fn report(shared: &Shared, wallet: &Wallet) -> Reported {
    follow(shared, wallet);
    let speech = wallet.speech(&shared.replica.ledger().read(), true, shared.clock.mono());
    match say_if_any(shared, wallet, speech.as_ref()).await {
        Said::SessionOver => Reported::All,
        Said::Heard if wallet.is_at_rest() => Reported::All,
        Said::Heard if speech.is_some() => Reported::Some,
        Said::Heard | Said::OutOfReach => Reported::Nothing,
    }
}
