//! A cluster of one without a log, and a journal without a disk: what is asked is done at once, in memory.

use parking_lot::RwLock;
use quorate_catalog::Catalog;
use quorate_domain::{BootId, BudgetId, LogTime, MonoTime, NodeId, SessionId, Span, WindowId};
use quorate_gateway::replica::{ClusterStatus, Eventually, Journal, Replica, Unavailable};
use quorate_idempotency::Records;
use quorate_lease::{Lease, RevocationBound, Standing};
use quorate_ledger::{Begun, Ledger, Mark};
use std::future::ready;
use std::time::Duration;
use tokio::sync::watch;

const NODE: NodeId = NodeId::new(1);

/// Nobody else can revoke anything.
static UNLIMITED: Lease = Lease::unlimited();

/// The replicated state, replicated nowhere.
pub(crate) struct Local {
    catalog: RwLock<Catalog>,
    ledger: RwLock<Ledger>,
    idempotency: RwLock<Records>,
    applied: watch::Sender<u64>,
}

impl Local {
    /// A replica of this state.
    pub(crate) fn new(catalog: RwLock<Catalog>, ledger: RwLock<Ledger>) -> Self {
        Self { catalog, ledger, idempotency: RwLock::default(), applied: watch::Sender::new(1) }
    }

    fn at(&self) -> LogTime {
        LogTime::from_millis(*self.applied.borrow())
    }
}

impl Replica for Local {
    fn node(&self) -> NodeId {
        NODE
    }

    fn boot(&self) -> BootId {
        BootId::new(1)
    }

    fn catalog(&self) -> &RwLock<Catalog> {
        &self.catalog
    }

    fn ledger(&self) -> &RwLock<Ledger> {
        &self.ledger
    }

    fn propose_catalog(
        &self,
        command: quorate_catalog::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>> {
        let outcome = self.catalog.write().apply(self.at(), command);
        self.applied.send_modify(|index| *index += 1);
        Box::pin(ready(Ok(outcome)))
    }

    fn propose_ledger(
        &self,
        command: quorate_ledger::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_ledger::Outcome, Unavailable>> {
        let outcome = self.ledger.write().apply(self.at(), command);
        self.applied.send_modify(|index| *index += 1);
        Box::pin(ready(Ok(outcome)))
    }

    fn idempotency(&self) -> &RwLock<Records> {
        &self.idempotency
    }

    fn propose_idempotency(
        &self,
        command: quorate_idempotency::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>> {
        let outcome = self.idempotency.write().apply(self.at(), command, &|_| true);
        self.applied.send_modify(|index| *index += 1);
        Box::pin(ready(Ok(outcome)))
    }

    fn read_barrier(&self, _limit: Duration) -> Eventually<'_, Result<(), Unavailable>> {
        Box::pin(ready(Ok(())))
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn lease(&self) -> &Lease {
        &UNLIMITED
    }

    fn revocation_bound(&self) -> Span {
        RevocationBound::DEFAULT.span()
    }

    fn everywhere(&self, _since: MonoTime) -> Eventually<'_, Standing> {
        Box::pin(async { Standing::Acknowledged })
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus {
            cluster: String::new(),
            node: NODE,
            leader: Some(NODE),
            term: 1,
            last_log: None,
            committed: None,
            applied: Some(*self.applied.borrow()),
            snapshot: None,
            history: None,
            differs_from: Vec::new(),
            members: Vec::new(),
        }
    }

    fn remove(&self, _node: NodeId) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Err("a cluster of one has nobody to remove".to_owned())))
    }

    fn transfer_leadership(&self, _to: Option<NodeId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Err("a cluster of one has nobody else to lead".to_owned())))
    }
}

/// A journal that forgets.
pub(crate) struct Memory;

impl Journal for Memory {
    fn generation(&self) -> u64 {
        1
    }

    fn load(&self) -> Result<Vec<Mark>, String> {
        Ok(Vec::new())
    }

    fn write(&self, _begun: Begun, _marks: Vec<Mark>) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }

    fn forget(
        &self,
        _session: SessionId,
        _windows: Vec<(BudgetId, WindowId)>,
    ) -> Eventually<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn forget_before(&self, _session: SessionId, _heard: u64) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }
}
