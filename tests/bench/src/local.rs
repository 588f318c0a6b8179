//! A cluster without a log, and a journal without a disk: what is asked is done in memory, at once or after as long as it would take.

use bytes::Bytes;
use parking_lot::RwLock;
use quorate_catalog::Catalog;
use quorate_domain::{Amount, BootId, BudgetId, Clock, LogTime, MonoTime, NodeId, SessionId, Span, WindowId};
use quorate_gateway::replica::{ClusterStatus, Eventually, Journal, NotChanged, Replica, Unavailable};
use quorate_idempotency::Records;
use quorate_lease::{Lease, RevocationBound, Standing};
use quorate_ledger::{Begun, Command, Ledger, Mark};
use quorate_membership::{JoinToken, Membership, Sight};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const NODE: NodeId = NodeId::new(1);

/// Nobody else can revoke anything.
static UNLIMITED: Lease = Lease::unlimited();

/// One node's seat at the replicated state, which is replicated nowhere.
#[derive(Clone)]
pub(crate) struct Local {
    shared: Arc<Shared>,
    node: NodeId,
}

struct Shared {
    catalog: RwLock<Catalog>,
    ledger: RwLock<Ledger>,
    idempotency: RwLock<Records>,
    members: RwLock<Membership>,
    applied: watch::Sender<u64>,
    /// Where there is none, each entry takes a millisecond of log time and no other.
    clock: Option<Arc<dyn Clock>>,
    entries: AtomicUsize,
    items: AtomicUsize,
}

/// What was written to the log: entries, and reports and asks in them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) entries: usize,
    pub(crate) items: usize,
}

/// How long it takes to agree on an entry where there is a clock.
const AGREEMENT: Duration = Duration::from_millis(1);

impl Local {
    /// A replica of this state, which answers at once.
    pub(crate) fn new(catalog: RwLock<Catalog>, ledger: RwLock<Ledger>) -> Self {
        Self::with_clock(catalog, ledger, None)
    }

    /// A replica of this state, which takes its time.
    pub(crate) fn by_clock(catalog: RwLock<Catalog>, ledger: RwLock<Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self::with_clock(catalog, ledger, Some(clock))
    }

    fn with_clock(catalog: RwLock<Catalog>, ledger: RwLock<Ledger>, clock: Option<Arc<dyn Clock>>) -> Self {
        let shared = Shared {
            catalog,
            ledger,
            idempotency: RwLock::default(),
            members: RwLock::default(),
            applied: watch::Sender::new(1),
            clock,
            entries: AtomicUsize::default(),
            items: AtomicUsize::default(),
        };
        Self { shared: Arc::new(shared), node: NODE }
    }

    /// The same state, seen by another node.
    pub(crate) fn seat(&self, node: NodeId) -> Self {
        Self { shared: Arc::clone(&self.shared), node }
    }

    /// What was written to the log of the ledger so far.
    pub(crate) fn written(&self) -> Written {
        let (entries, items) = (&self.shared.entries, &self.shared.items);
        Written { entries: entries.load(Ordering::Relaxed), items: items.load(Ordering::Relaxed) }
    }

    fn at(&self) -> LogTime {
        let index = || LogTime::from_millis(*self.shared.applied.borrow());
        self.shared.clock.as_ref().map_or_else(index, |clock| clock.wall())
    }

    fn count(&self, command: &Command) {
        let items = if let Command::Sync(sync) = command { sync.reports.len() + sync.asks.len() } else { 0 };
        self.shared.entries.fetch_add(1, Ordering::Relaxed);
        self.shared.items.fetch_add(items, Ordering::Relaxed);
    }
}

impl Replica for Local {
    fn node(&self) -> NodeId {
        self.node
    }

    fn boot(&self) -> BootId {
        BootId::new(self.node.get())
    }

    fn catalog(&self) -> &RwLock<Catalog> {
        &self.shared.catalog
    }

    fn ledger(&self) -> &RwLock<Ledger> {
        &self.shared.ledger
    }

    fn propose_catalog(
        &self,
        command: quorate_catalog::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>> {
        let outcome = self.shared.catalog.write().apply(self.at(), command);
        self.shared.applied.send_modify(|index| *index += 1);
        Box::pin(ready(Ok(outcome)))
    }

    fn propose_ledger(
        &self,
        command: Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_ledger::Outcome, Unavailable>> {
        Box::pin(async move {
            if self.shared.clock.is_some() {
                tokio::time::sleep(AGREEMENT).await;
            }
            self.count(&command);
            let outcome = self.shared.ledger.write().apply(self.at(), command);
            self.shared.applied.send_modify(|index| *index += 1);
            Ok(outcome)
        })
    }

    fn idempotency(&self) -> &RwLock<Records> {
        &self.shared.idempotency
    }

    fn propose_idempotency(
        &self,
        command: quorate_idempotency::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>> {
        let outcome = self.shared.idempotency.write().apply(self.at(), command, &|_| true);
        self.shared.applied.send_modify(|index| *index += 1);
        Box::pin(ready(Ok(outcome)))
    }

    fn membership(&self) -> &RwLock<Membership> {
        &self.shared.members
    }

    fn propose_membership(
        &self,
        command: quorate_membership::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_membership::Outcome, Unavailable>> {
        let outcome = self.shared.members.write().apply(self.at(), command);
        Box::pin(async move { Ok(outcome) })
    }

    fn create_token(
        &self,
        _ttl: Span,
        _uses: u32,
        _actor: String,
    ) -> Eventually<'_, Result<JoinToken, NotChanged>> {
        Box::pin(async { Err(NotChanged::Failed("nobody joins here".to_owned())) })
    }

    fn rotate_root(&self) -> Eventually<'_, Result<(), NotChanged>> {
        Box::pin(async { Err(NotChanged::Failed("nobody has a certificate here".to_owned())) })
    }

    fn read_barrier(&self, _limit: Duration) -> Eventually<'_, Result<(), Unavailable>> {
        Box::pin(ready(Ok(())))
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
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

    fn snapshot(&self) -> Eventually<'_, Result<Vec<Bytes>, Unavailable>> {
        Box::pin(async { Err(Unavailable::NoQuorum) })
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus {
            cluster: String::new(),
            node: self.node,
            leader: Some(NODE),
            term: 1,
            last_log: None,
            committed: None,
            applied: Some(*self.shared.applied.borrow()),
            snapshot: None,
            history: None,
            differs_from: Vec::new(),
            unfit: None,
            disk: None,
            clock_skew_ms: None,
            members: Vec::new(),
        }
    }

    fn sight(&self, _limit: Duration) -> Eventually<'_, Result<Sight, Unavailable>> {
        Box::pin(ready(Err(Unavailable::NoQuorum)))
    }

    fn transfer_leadership(&self, _to: Option<NodeId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Err("nobody else here can lead".to_owned())))
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

    fn load_overspent(&self) -> Result<Vec<(BudgetId, Amount)>, String> {
        Ok(Vec::new())
    }

    fn write_overspent(&self, _bounds: Vec<(BudgetId, Amount)>) -> Eventually<'_, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }

    fn forget_overspent(&self, _budgets: Vec<BudgetId>) -> Eventually<'_, Result<(), String>> {
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
