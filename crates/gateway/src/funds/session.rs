//! The session: opened with what the journal proves, closed when everything is reported and returned.

use super::syncer::{self, Reported};
use super::{JournalFailure, Shared, flusher};
use crate::replica::Unavailable;
use quorate_domain::NodeId;
use quorate_ledger::{Command, Evidence, Ledger, Mark, OpenSession, Outcome, TellMarks};
use quorate_wallet::{Overdrafts, Wallet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one attempt to open or close the session may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// So many marks fit into an entry of the log, with much to spare.
const MARKS_AT_ONCE: usize = 8_000;
/// Between two attempts while there is no quorum.
const PAUSE: Duration = Duration::from_millis(200);

/// Opens a session, trying until it succeeds or the node stops (`None`).
pub(super) async fn open(
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<Option<Arc<Wallet>>, JournalFailure> {
    let journalled = {
        // A write of the session before may be under way. What it says counts as told from when it was asked for.
        let _flushed = shared.flushing.lock().await;
        shared.journal.load().map_err(JournalFailure)?
    };
    loop {
        let outcome = tokio::select! {
            outcome = attempt(shared, &journalled) => outcome,
            () = stop.cancelled() => return Ok(None),
        };
        match outcome {
            Ok(Outcome::SessionOpened { session }) => {
                let heard = shared.replica.ledger().read().journal_of(shared.replica.node());
                shared.journal.forget_before(session, heard).await.map_err(JournalFailure)?;
                let wallet = Arc::new(Wallet::overdrawing(session, catch_up(shared).await?));
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

/// What the node has overspent, as far as its journal and the ledger know. Of budgets that are gone nothing counts any more.
async fn catch_up(shared: &Shared) -> Result<Arc<Overdrafts>, JournalFailure> {
    let overdrafts = match &*shared.overdrafts.lock() {
        Some(known) => Arc::clone(known),
        None => Arc::new(Overdrafts::restored(shared.journal.load_overspent().map_err(JournalFailure)?)),
    };
    let gone = {
        let ledger = shared.replica.ledger().read();
        overdrafts.known(ledger.overspent_by(shared.replica.node()));
        overdrafts.forget(&|budget| ledger.budget(budget).is_none())
    };
    if !gone.is_empty() {
        shared.journal.forget_overspent(gone).await.map_err(JournalFailure)?;
    }
    *shared.overdrafts.lock() = Some(Arc::clone(&overdrafts));
    Ok(overdrafts)
}

async fn attempt(shared: &Shared, journalled: &[Mark]) -> Result<Outcome, Unavailable> {
    // After the barrier the local copy knows every grant that an earlier session can have spent from.
    shared.replica.read_barrier(ATTEMPT_LIMIT).await?;
    let node = shared.replica.node();
    let generation = shared.journal.generation();
    let (previous, marks, heard) = {
        // Read once: a second guard would wait behind a writer that waits for the first.
        let ledger = shared.replica.ledger().read();
        (ledger.latest_session(node), relevant(journalled, node, &ledger), ledger.journal_of(node))
    };
    if generation < heard {
        tracing::error!(
            generation,
            heard,
            "the disk of this node is older than what the node has said: what its earlier sessions held is in doubt"
        );
    }
    let boot = shared.replica.boot();
    let (told, marks) = in_parts(&marks);
    for part in told {
        let part = TellMarks { node, boot, marks: part.to_vec() };
        shared.replica.propose_ledger(Command::TellMarks(part), ATTEMPT_LIMIT).await?;
    }
    let evidence = Evidence::Intact { generation, marks: marks.to_vec() };
    let open = OpenSession { node, boot, previous, evidence };
    let opened = shared.replica.propose_ledger(Command::OpenSession(open), ATTEMPT_LIMIT).await?;
    // A late word of an earlier session may have come just before. What the ledger knows is taken up from the local copy.
    shared.replica.read_barrier(ATTEMPT_LIMIT).await?;
    Ok(opened)
}

/// What is told of a journal before the opening, part by part, and what with it.
fn in_parts(marks: &[Mark]) -> (impl Iterator<Item = &[Mark]>, &[Mark]) {
    let before = marks.len().saturating_sub(1) / MARKS_AT_ONCE * MARKS_AT_ONCE;
    let (told, rest) = marks.split_at(before);
    (told.chunks(MARKS_AT_ONCE), rest)
}

/// The marks from which the ledger can learn. A node that ran for months has marks of thousands of windows that are long
/// settled.
fn relevant(journalled: &[Mark], node: NodeId, ledger: &Ledger) -> Vec<Mark> {
    journalled.iter().filter(|mark| ledger.may_learn_from(node, mark)).copied().collect()
}

/// Returns every grant, reports what was spent and closes the session, as far as that is possible within `grace`.
/// What is not reported by then is settled by the journal at the next start.
///
/// # Errors
/// When the journal cannot be written.
pub(super) async fn close(shared: &Shared, grace: Duration) -> Result<(), JournalFailure> {
    let Some(wallet) = shared.wallet.swap(None) else { return Ok(()) };
    shared.drain(&wallet);
    wallet.give_back_all();
    // In case there is no time to report: what the journal holds is enough.
    flusher::flush(shared, &wallet).await?;
    let closing = async {
        loop {
            match syncer::report(shared, &wallet).await {
                Reported::All => break,
                Reported::Some => {}
                Reported::Nothing => tokio::time::sleep(PAUSE).await,
            }
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::{Amount, BootId, LogTime, SessionId, Unit, WindowId};
    use quorate_ledger::{Answer, Ask, BudgetSpec, Expected, Kind, PutBudget, Sync, Urgency};

    #[test]
    fn a_journal_is_told_in_parts_that_fit_into_an_entry_and_none_of_it_is_left_out() {
        let mark = |budget| Mark {
            session: SessionId::new(1),
            budget: quorate_domain::BudgetId::new(budget),
            window: WindowId::LIFETIME,
            spent_bound: Amount::ZERO,
            settled: Amount::ZERO,
            overrun: Amount::ZERO,
        };
        for (count, parts) in [(0, 0), (1, 0), (8_000, 0), (8_001, 1), (16_000, 1), (100_000, 12)] {
            let marks: Vec<Mark> = (0..count).map(mark).collect();
            let (told, rest) = in_parts(&marks);
            let told: Vec<_> = told.collect();
            assert_eq!(told.len(), parts, "{count}");
            assert!(told.iter().all(|part| part.len() == MARKS_AT_ONCE) && rest.len() <= MARKS_AT_ONCE);
            assert_eq!([told.concat(), rest.to_vec()].concat(), marks);
        }
    }

    #[test]
    fn only_marks_of_what_is_still_held_are_told() {
        let mut ledger = Ledger::default();
        let subject = "team:search".parse().unwrap();
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: Kind::Lifetime,
            limit: Amount::new(100),
            auto_resolve: quorate_ledger::AutoResolve::Never,
            reserve: quorate_ledger::Reserve::Bound,
        };
        ledger.apply(
            LogTime::from_millis(1),
            Command::PutBudget(PutBudget { spec, expected: Expected::Absent }),
        );
        let evidence = Evidence::Intact { generation: 1, marks: vec![] };
        let open = OpenSession {
            node: NodeId::new(1),
            boot: BootId::new(1),
            previous: SessionId::default(),
            evidence,
        };
        ledger.apply(LogTime::from_millis(1), Command::OpenSession(open));
        let (session, budget) = (SessionId::new(1), quorate_domain::BudgetId::new(1));
        let ask =
            Ask { budget, window: None, places: vec![], want: Amount::new(10), urgency: Urgency::CanWait };
        let sync =
            Sync { session, sequence: 1, generation: 0, reports: vec![], asks: vec![ask], overspent: vec![] };
        let Outcome::Synced { answers } = ledger.apply(LogTime::from_millis(1), Command::Sync(sync)) else {
            panic!("a live session is answered");
        };
        assert!(matches!(answers[0], Answer::Holds { .. }));
        let bound = Amount::new(10);
        let mark = Mark {
            session,
            budget,
            window: WindowId::LIFETIME,
            spent_bound: bound,
            settled: Amount::ZERO,
            overrun: Amount::ZERO,
        };
        let of_another_window = Mark { window: WindowId::beginning(LogTime::from_millis(60_000)), ..mark };
        let of_another_session = Mark { session: SessionId::new(9), ..mark };
        assert_eq!(relevant(&[of_another_window, mark, of_another_session], NodeId::new(1), &ledger), [mark]);
    }
}
