//! The syncer: reports spending to the ledger, asks it for grants, gives back what others need more.

use super::{Cause, JournalFailure, Refusal, Shared, refusal, session};
use quorate_domain::{BudgetId, MonoTime};
use quorate_ledger::{Answer, Ask, Command, Mode, Outcome, Shortage, SpendingReport, Sync};
use quorate_wallet::{Account, Grant, Standing, Wallet, Want};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often spending is reported when nothing makes it urgent. Bounds how old the figures of the others are.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// How long one exchange with the ledger may take before it is tried anew.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(2);
/// Between two exchanges that failed.
const PAUSE: Duration = Duration::from_millis(50);
/// What the ledger said of a shortage is believed this long, unless the local copy shows that something came back.
const SHORTAGE_BELIEVED: Duration = Duration::from_millis(50);

/// What is said to the ledger in one exchange.
struct Speech {
    reports: Vec<(Arc<Account>, Standing)>,
    wants: Vec<Want>,
}

/// Reports and asks until the node stops.
pub(super) async fn run(shared: &Shared, stop: &CancellationToken) -> Result<(), JournalFailure> {
    let mut applied = shared.replica.applied();
    loop {
        let Some(wallet) = shared.wallet.load_full() else { return Ok(()) };
        let has_line = wallet.has_line();
        tokio::select! {
            () = shared.sync.notified() => {}
            () = tokio::time::sleep(if has_line { SHORTAGE_BELIEVED } else { REPORT_EVERY }) => {
                if has_line {
                    // A path that was rolled back gave back what somebody in line was short of, and told nobody.
                    shared.flush.notify_one();
                }
            }
            // The replica moved: a recall may have come, or what somebody here waits for may be free again.
            Ok(()) = applied.changed(), if has_line || holds_anything(&wallet) => {}
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

fn holds_anything(wallet: &Wallet) -> bool {
    wallet.is_active()
}

async fn exchange(shared: &Shared, wallet: &Wallet) {
    let now = shared.clock.mono();
    let is_urgent = {
        let ledger = shared.replica.ledger().read();
        wallet.recall(|budget| ledger.central().contains(&budget))
    };
    let wants = worth_asking(shared, wallet, wallet.wants(now), now);
    let is_due = is_urgent || !wants.is_empty() || wallet.is_report_due(now, REPORT_EVERY);
    let reports = if is_due { wallet.reports(now) } else { Vec::new() };
    if reports.is_empty() && wants.is_empty() {
        return;
    }
    let heard = say(shared, wallet, Speech { reports, wants }).await;
    if !heard {
        tokio::time::sleep(PAUSE).await;
    }
    shared.flush.notify_one();
}

/// Sends one speech and takes the answers in. `false` if the ledger could not be reached.
async fn say(shared: &Shared, wallet: &Wallet, speech: Speech) -> bool {
    let sent = shared.clock.mono();
    let sync = Sync {
        session: wallet.session(),
        reports: speech.reports.iter().map(spending_report).collect(),
        asks: speech.wants.iter().map(ask).collect(),
    };
    match shared.replica.propose_ledger(Command::Sync(sync), EXCHANGE_LIMIT).await {
        Ok(Outcome::Synced { answers }) => {
            wallet.reported(&speech.reports, sent);
            take_in(shared, wallet, &answers, sent);
            true
        }
        Ok(other) => {
            tracing::error!(session = wallet.session().get(), ?other, "the session is over for the ledger");
            shared.fence(wallet);
            true
        }
        Err(unavailable) => {
            tracing::debug!(%unavailable, "the ledger is out of reach");
            false
        }
    }
}

/// Reports until nothing is left to report. `true` once that is so.
pub(super) async fn report_everything(shared: &Shared, wallet: &Wallet) -> bool {
    let reports = wallet.reports(shared.clock.mono());
    let is_quiet = wallet.accounts().iter().all(|account| account.in_flight().is_zero());
    if reports.is_empty() {
        return is_quiet;
    }
    say(shared, wallet, Speech { reports, wants: Vec::new() }).await && is_quiet
}

fn spending_report((account, standing): &(Arc<Account>, Standing)) -> SpendingReport {
    SpendingReport {
        budget: account.budget(),
        window: account.window().id,
        used: standing.used,
        returned: standing.returned,
        overrun: standing.overrun,
    }
}

fn ask(want: &Want) -> Ask {
    Ask { budget: want.budget, window: want.window, need: want.need, want: want.want }
}

fn take_in(shared: &Shared, wallet: &Wallet, answers: &[Answer], sent: MonoTime) {
    let now = shared.clock.mono();
    for answer in answers {
        match *answer {
            Answer::Holds { budget, window, granted, valid_for, mode, short } => {
                let is_central = mode != Mode::Grant;
                wallet.learn(&Grant { budget, window, granted, valid_for, is_central }, sent, now);
                match short {
                    Some(shortage) => turn_away(shared, wallet, budget, shortage, now),
                    None => drop(shared.shortages.lock().remove(&budget)),
                }
            }
            Answer::WindowOver { budget, .. } => wallet.window_over(budget),
            Answer::UnknownBudget { budget } => forget(shared, wallet, budget),
        }
    }
}

/// Turns away those in line at a budget for whom no return could be enough. The others go on waiting.
fn turn_away(shared: &Shared, wallet: &Wallet, budget: BudgetId, shortage: Shortage, now: MonoTime) {
    shared.shortages.lock().insert(budget, (now, shortage));
    for (id, need) in wallet.waiting_at(budget) {
        if let Some(cause) = refusal::judge(need, &shortage) {
            shared.desk.refuse(wallet, id, Refusal::Denied { budget, need, shortage, cause });
        }
    }
}

/// The budget is gone. Who waits for it is told to try again, and will find the path without it.
fn forget(shared: &Shared, wallet: &Wallet, budget: BudgetId) {
    wallet.forget(budget);
    for (id, _) in wallet.waiting_at(budget) {
        shared.desk.refuse(wallet, id, Refusal::Unavailable);
    }
}

/// Leaves out what the ledger has just refused, unless the local copy shows that it could be had now. So a storm of
/// requests on a spent budget costs the log next to nothing.
fn worth_asking(shared: &Shared, wallet: &Wallet, wants: Vec<Want>, now: MonoTime) -> Vec<Want> {
    let mut known = shared.shortages.lock().clone();
    if known.is_empty() {
        return wants;
    }
    {
        let ledger = shared.replica.ledger().read();
        known.retain(|budget, (heard, shortage)| {
            let free_now = ledger.budget(*budget).map_or(shortage.free, quorate_ledger::Budget::free);
            free_now <= shortage.free && now.since(*heard) < SHORTAGE_BELIEVED
        });
    }
    for (budget, (_, shortage)) in &known {
        for (id, need) in wallet.waiting_at(*budget) {
            if let Some(cause @ (Cause::Spent | Cause::TooBig)) = refusal::judge(need, shortage) {
                let refusal = Refusal::Denied { budget: *budget, need, shortage: *shortage, cause };
                shared.desk.refuse(wallet, id, refusal);
            }
        }
    }
    wants.into_iter().filter(|want| !known.contains_key(&want.budget)).collect()
}
