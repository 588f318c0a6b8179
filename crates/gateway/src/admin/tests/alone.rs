//! A replica of one.

use super::NOW;
use crate::replica::{ClusterStatus, Eventually, NotChanged, Replica, Unavailable};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quorate_catalog::{Catalog, Command};
use quorate_domain::{BootId, MonoTime, NodeId, Span};
use quorate_idempotency::Records;
use quorate_lease::{Lease, RevocationBound, Standing};
use quorate_ledger::Ledger;
use quorate_membership::{JoinToken, Membership, Seen, Sight};
use std::time::Duration;
use tokio::sync::watch;

/// Agrees with itself at once.
pub(super) struct Alone {
    pub(super) catalog: RwLock<Catalog>,
    pub(super) ledger: RwLock<Ledger>,
    pub(super) idempotency: RwLock<Records>,
    pub(super) members: RwLock<Membership>,
    pub(super) outage: Option<Unavailable>,
    pub(super) lease: Lease,
    /// What the cluster has agreed on and this replica has not heard of.
    pub(super) unheard: Mutex<Option<Command>>,
}

impl Replica for Alone {
    fn node(&self) -> NodeId {
        NodeId::new(1)
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
        command: Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>> {
        Box::pin(async move {
            if let Some(outage) = self.outage {
                return Err(outage);
            }
            Ok(self.catalog.write().apply(NOW, command))
        })
    }

    fn propose_ledger(
        &self,
        command: quorate_ledger::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_ledger::Outcome, Unavailable>> {
        Box::pin(async move { Ok(self.ledger.write().apply(NOW, command)) })
    }

    fn idempotency(&self) -> &RwLock<Records> {
        &self.idempotency
    }

    fn propose_idempotency(
        &self,
        command: quorate_idempotency::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>> {
        Box::pin(async move { Ok(self.idempotency.write().apply(NOW, command, &|_| true)) })
    }

    fn membership(&self) -> &RwLock<Membership> {
        &self.members
    }

    fn propose_membership(
        &self,
        command: quorate_membership::Command,
        _limit: Duration,
    ) -> Eventually<'_, Result<quorate_membership::Outcome, Unavailable>> {
        let outcome = self.members.write().apply(NOW, command);
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
        Box::pin(async move {
            self.outage.map_or(Ok(()), Err)?;
            if let Some(command) = self.unheard.lock().take() {
                self.catalog.write().apply(NOW, command);
            }
            Ok(())
        })
    }

    fn applied(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    fn lease(&self) -> &Lease {
        &self.lease
    }

    fn revocation_bound(&self) -> Span {
        RevocationBound::DEFAULT.span()
    }

    fn everywhere(&self, _since: MonoTime) -> Eventually<'_, Standing> {
        Box::pin(async { Standing::Acknowledged })
    }

    fn snapshot(&self) -> Eventually<'_, Result<Vec<Bytes>, Unavailable>> {
        Box::pin(async { Ok(vec![Bytes::from_static(b"the "), Bytes::from_static(b"state")]) })
    }

    fn status(&self) -> ClusterStatus {
        ClusterStatus {
            cluster: "9".to_owned(),
            node: NodeId::new(1),
            leader: self.outage.is_none().then_some(NodeId::new(1)),
            term: 1,
            last_log: None,
            committed: None,
            applied: None,
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
        let table = self.members.read();
        let well = Seen { lag: Some(0), silent: Span::default(), caught_up: Some(Span::default()) };
        let nodes = table.iter().map(|(node, _)| (node, well)).collect();
        let sight = Sight { leader: self.node(), voters: table.voters().clone(), nodes };
        Box::pin(async move { self.outage.map_or(Ok(sight), Err) })
    }

    fn transfer_leadership(&self, _to: Option<NodeId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async { Err("alone".to_owned()) })
    }
}
