//! Drives the replicated state as openraft asks: applies entries, takes and installs snapshots.

use super::{SnapshotFile, Snapshots};
use crate::host::run_blocking;
use crate::machine::{Frozen, State};
use crate::metrics::SnapshotMetrics;
use crate::raft::{self, Types};
use futures_util::{Stream, StreamExt as _};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, RaftSnapshotBuilder, Snapshot};
use std::io;
use std::sync::Arc;
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
    ) -> Self {
        Self { state: Arc::new(State::default()), snapshots, applied, metrics }
    }

    /// The state, for readers.
    pub(crate) const fn state(&self) -> &Arc<State> {
        &self.state
    }

    fn apply_one(&self, (entry, responder): EntryResponder<Types>) {
        let at = entry.log_id;
        let outcomes = match entry.payload {
            EntryPayload::Blank => {
                self.state.pass(at);
                Vec::new()
            }
            EntryPayload::Normal(batch) => self.state.apply(at, &batch),
            EntryPayload::Membership(membership) => {
                self.state.apply_membership(at, membership);
                Vec::new()
            }
        };
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
            self.apply_one(entry?);
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
