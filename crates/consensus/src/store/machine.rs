//! Drives the replicated state as openraft asks: applies entries, takes and installs snapshots.

use super::StoreError;
use super::{SnapshotFile, Snapshots};
use crate::host::run_blocking;
use crate::machine::{Frozen, State};
use crate::metrics::SnapshotMetrics;
use crate::raft::{self, Types};
use futures_util::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, RaftSnapshotBuilder, Snapshot};
use quorate_membership::Levels;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// What openraft calls a snapshot of ours.
type Taken = Snapshot<raft::LeaderId, u64, raft::Peer, SnapshotFile>;

/// The state and the place where its snapshots are kept.
#[derive(Clone, Debug)]
pub(crate) struct StateStore {
    state: Arc<State>,
    snapshots: Arc<Snapshots>,
    applied: watch::Sender<u64>,
    metrics: SnapshotMetrics,
    /// What this program is to know.
    levels: Levels,
    /// Why nothing more is applied.
    refused: Arc<OnceLock<StoreError>>,
}

/// A copy of the state on its way into a file.
pub(crate) struct Draft {
    meta: raft::SnapshotMeta,
    state: Option<Frozen>,
    store: StateStore,
}

impl StateStore {
    /// An empty state that will report what it has applied to `applied`.
    pub(crate) fn new(
        snapshots: Arc<Snapshots>,
        applied: watch::Sender<u64>,
        metrics: SnapshotMetrics,
        levels: Levels,
    ) -> Self {
        let (state, refused) = (Arc::default(), Arc::default());
        Self { state, snapshots, applied, metrics, levels, refused }
    }

    /// Where it is said why nothing more is applied: openraft passes on no more than the text.
    pub(crate) fn refused(&self) -> Arc<OnceLock<StoreError>> {
        self.refused.clone()
    }

    /// The state, for readers.
    pub(crate) const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Refuses what a program of these levels could not have read.
    fn check_level(&self, entry: &raft::Entry) -> Result<(), StoreError> {
        let EntryPayload::Normal(batch) = &entry.payload else { return Ok(()) };
        let found = batch.proposals.iter().map(|proposal| proposal.command.level()).max().unwrap_or(0);
        if found <= self.levels.max {
            return Ok(());
        }
        let (found, supported) = (u64::from(found), u64::from(self.levels.max));
        let error = StoreError::Newer { dir: self.snapshots.dir.clone(), found, supported };
        Err(self.refused.get_or_init(|| error).clone())
    }

    fn apply_one(&self, (entry, responder): EntryResponder<Types>) {
        let at = entry.log_id;
        let outcomes = self.state.take(entry);
        // Before the answer: whoever is answered must find its own write in the state.
        self.applied.send_replace(at.index);
        if let Some(responder) = responder {
            responder.send(outcomes);
        }
    }
}

impl RaftSnapshotBuilder<Types> for Draft {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Taken, io::Error> {
        let (meta, state, store) = (self.meta.clone(), self.state.take(), self.store.clone());
        let disk = store.snapshots.disk.clone();
        let written = run_blocking(&*disk, move || {
            let state = state.ok_or_else(|| io::Error::other("a snapshot draft is written once"))?;
            Ok::<_, io::Error>(store.snapshots.write(&meta, &state)?)
        });
        let snapshot = written.await??;
        self.store.metrics.taken(snapshot.size, self.store.state.time());
        Ok(Snapshot { meta: self.meta.clone(), snapshot })
    }
}

impl RaftStateMachine<Types> for StateStore {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Draft;

    async fn applied_state(&mut self) -> Result<(Option<raft::LogId>, raft::StoredMembership), io::Error> {
        Ok(self.state.progress())
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            self.check_level(&entry.0)?;
            self.apply_one(entry);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Draft {
        let (meta, state) = self.state.freeze();
        Draft { meta, state: Some(state), store: self.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &raft::SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let (store, meta, disk) = (self.clone(), meta.clone(), self.snapshots.disk.clone());
        let installed = run_blocking(&*disk, move || {
            let (_, frozen) = snapshot.read()?;
            let kept = store.snapshots.adopt(&meta, &snapshot)?;
            store.state.restore(&meta, frozen);
            store.applied.send_replace(meta.last_log_id.map_or(0, |id| id.index));
            store.metrics.taken(kept.size, store.state.time());
            Ok::<_, io::Error>(())
        });
        installed.await?
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Taken>, io::Error> {
        let current = self.snapshots.current()?;
        Ok(current.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}
