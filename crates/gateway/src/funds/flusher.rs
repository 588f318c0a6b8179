//! The flusher: keeps the journal's watermarks ahead of spending. It needs no other node.

use super::{JournalFailure, Shared};
use quorate_wallet::Wallet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// At least this long between two writes that nobody waits for, so that they share one.
const PACE: Duration = Duration::from_millis(5);

/// Raises watermarks whenever the wallet calls for it, until the node stops.
pub(super) async fn run(shared: &Shared, stop: &CancellationToken) -> Result<(), JournalFailure> {
    let mut applied = shared.replica.applied();
    loop {
        let wallet = shared.wallet.load_full();
        let has_windows_ahead = wallet.as_ref().is_some_and(|wallet| wallet.has_windows_ahead());
        tokio::select! {
            () = shared.flush.notified() => {}
            // Requests may wait for a window to begin: not until the syncer has heard what it asked, too.
            Ok(()) = applied.changed(), if has_windows_ahead => {
                if !wallet.is_some_and(|wallet| wallet.watch_time(&shared.replica.ledger().read())) {
                    continue;
                }
            }
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

/// Writes what the wallet wants written, and serves whoever waited for it.
pub(super) async fn flush(shared: &Shared, wallet: &Wallet) -> Result<(), JournalFailure> {
    let flushing = shared.flushing.lock().await;
    let marks = wallet.marks(shared.clock.mono());
    if !marks.is_empty() {
        shared.journal.write(marks.begun, marks.written()).await.map_err(JournalFailure)?;
        wallet.journalled(&marks, shared.clock.mono());
        shared.written.send_replace(());
    }
    drop(flushing);
    write_overspent(shared, wallet).await?;
    shared.serve(wallet);
    let over = wallet.settled_windows();
    if !over.is_empty() {
        shared.journal.forget(wallet.session(), over).await.map_err(JournalFailure)?;
    }
    Ok(())
}

/// The same for what is spent without grants. Rare, so that it may take a write of its own.
async fn write_overspent(shared: &Shared, wallet: &Wallet) -> Result<(), JournalFailure> {
    let marks = wallet.overdrafts().marks();
    if !marks.is_empty() {
        let bounds = marks.iter().map(|mark| (mark.budget, mark.bound)).collect();
        shared.journal.write_overspent(bounds).await.map_err(JournalFailure)?;
        wallet.overdrafts().journalled(&marks);
        shared.written.send_replace(());
    }
    Ok(())
}
