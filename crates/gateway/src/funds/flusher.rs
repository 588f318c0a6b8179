//! The flusher: keeps the journal's watermarks ahead of spending. It needs no other node.

use super::{JournalFailure, Shared};
use quorate_ledger::Mark;
use quorate_wallet::Wallet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// At least this long between two writes that nobody waits for, so that they share one.
const PACE: Duration = Duration::from_millis(5);

/// Raises watermarks whenever the wallet calls for it, until the node stops.
pub(super) async fn run(shared: &Shared, stop: &CancellationToken) -> Result<(), JournalFailure> {
    loop {
        tokio::select! {
            () = shared.flush.notified() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let Some(wallet) = shared.wallet.load_full() else { continue };
        flush(shared, &wallet).await?;
        if wallet.has_line() {
            // Whoever is still in line waits for a grant.
            shared.sync.notify_one();
        } else {
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn flush(shared: &Shared, wallet: &Wallet) -> Result<(), JournalFailure> {
    let marks = wallet.marks(shared.clock.mono());
    if !marks.is_empty() {
        let lines = marks.iter().map(|(account, bound)| Mark {
            session: wallet.session(),
            budget: account.budget(),
            window: account.window().id,
            spent_bound: *bound,
            settled: account.standing().used,
        });
        shared.journal.write(lines.collect()).await.map_err(JournalFailure)?;
        wallet.journalled(&marks, shared.clock.mono());
    }
    shared.serve(wallet);
    Ok(())
}
