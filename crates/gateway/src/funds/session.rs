//! The session: opened with what the journal proves, closed when everything is reported and returned.

use super::{JournalFailure, Refusal, Shared, syncer};
use quorate_ledger::{Command, Evidence, OpenSession, Outcome};
use quorate_wallet::Wallet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one attempt to open or close the session may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Between two attempts while there is no quorum.
const PAUSE: Duration = Duration::from_millis(200);

/// Opens a session, trying until it succeeds or the node stops (`None`).
pub(super) async fn open(
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<Option<Arc<Wallet>>, JournalFailure> {
    let command = Command::OpenSession(OpenSession {
        node: shared.replica.node(),
        boot: shared.replica.boot(),
        evidence: Evidence::Intact {
            generation: shared.journal.generation(),
            marks: shared.journal.load().map_err(JournalFailure)?,
        },
    });
    loop {
        let attempt = shared.replica.propose_ledger(command.clone(), ATTEMPT_LIMIT);
        let outcome = tokio::select! {
            outcome = attempt => outcome,
            () = stop.cancelled() => return Ok(None),
        };
        match outcome {
            Ok(Outcome::SessionOpened { session }) => {
                shared.journal.forget_before(session).await.map_err(JournalFailure)?;
                let wallet = Arc::new(Wallet::new(session));
                shared.wallet.store(Some(Arc::clone(&wallet)));
                tracing::info!(session = session.get(), "session opened");
                return Ok(Some(wallet));
            }
            Ok(other) => tracing::error!(?other, "the ledger did not open a session"),
            Err(unavailable) => tracing::debug!(%unavailable, "no session yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Returns every grant, reports what was spent and closes the session, as far as that is possible within `grace`.
/// What is not reported by then is settled by the journal at the next start.
pub(super) async fn close(shared: &Shared, grace: Duration) {
    let Some(wallet) = shared.wallet.swap(None) else { return };
    wallet.fence();
    shared.desk.refuse_all(&wallet, Refusal::Unavailable);
    wallet.give_back_all();
    let closing = async {
        while !syncer::report_everything(shared, &wallet).await {
            tokio::time::sleep(PAUSE).await;
        }
        let close = Command::CloseSession { session: wallet.session() };
        shared.replica.propose_ledger(close, ATTEMPT_LIMIT).await
    };
    match tokio::time::timeout(grace, closing).await {
        Ok(Ok(Outcome::Done)) => {
            tracing::info!(session = wallet.session().get(), "session closed, all grants returned");
        }
        Ok(ended) => tracing::warn!(?ended, "session left open; the journal settles it at the next start"),
        Err(_elapsed) => {
            tracing::warn!("no time to return all grants; the journal settles them at the next start");
        }
    }
}
