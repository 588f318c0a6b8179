//! What the gateway calls, answered by consensus. Only names change on the way.

use bytes::Bytes;
use quorate_consensus::{ChangeError, Command, Journal, Outcome, ProposeError, ReadError, Replica};
use quorate_domain::{Amount, BootId, BudgetId, MonoTime, NodeId, SessionId, Span, WindowId};
use quorate_gateway::replica::{
    self, ClusterStatus, Eventually, HistoryStatus, MemberStatus, NotChanged, Unavailable,
};
use quorate_idempotency::Records;
use quorate_lease::{Lease, Standing};
use quorate_ledger::{Begun, Ledger, Mark};
use quorate_membership::{JoinToken, Membership, Sight};
use std::time::Duration;
use tokio::sync::watch;

/// A replica of the cluster, as the gateway knows it.
pub struct BridgedReplica(pub Replica);

/// The node's journal, as the gateway knows it.
pub struct BridgedJournal(pub Journal);

impl BridgedReplica {
    async fn propose(&self, command: Command, limit: Duration) -> Result<Outcome, Unavailable> {
        self.0.propose_within(command, limit).await.map_err(|error| match error {
            ProposeError::Unavailable => Unavailable::NoQuorum,
            ProposeError::TimedOut => Unavailable::TimedOut,
            ProposeError::Stopped => Unavailable::Stopped,
            ProposeError::Level { .. } => {
                tracing::warn!(%error, "a command has to wait for `quorate upgrade finalize`");
                Unavailable::NoQuorum
            }
            ProposeError::TooLarge { .. } => {
                tracing::error!(%error, "a command does not fit into an entry");
                Unavailable::NoQuorum
            }
        })
    }
}

impl replica::Replica for BridgedReplica {
    fn node(&self) -> NodeId {
        self.0.node()
    }

    fn boot(&self) -> BootId {
        self.0.boot()
    }

    fn catalog(&self) -> &parking_lot::RwLock<quorate_catalog::Catalog> {
        &self.0.state().catalog
    }

    fn ledger(&self) -> &parking_lot::RwLock<Ledger> {
        &self.0.state().ledger
    }

    fn propose_catalog(
        &self,
        command: quorate_catalog::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_catalog::Outcome, Unavailable>> {
        Box::pin(async move {
            match self.propose(Command::Catalog(command), limit).await? {
                Outcome::Catalog(outcome) => Ok(outcome),
                Outcome::Ledger(_)
                | Outcome::Membership(_)
                | Outcome::Idempotency(_)
                | Outcome::Forgotten => Err(Unavailable::TimedOut),
            }
        })
    }

    fn propose_ledger(
        &self,
        command: quorate_ledger::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_ledger::Outcome, Unavailable>> {
        Box::pin(async move {
            match self.propose(Command::Ledger(command), limit).await? {
                Outcome::Ledger(outcome) => Ok(outcome),
                Outcome::Catalog(_)
                | Outcome::Membership(_)
                | Outcome::Idempotency(_)
                | Outcome::Forgotten => Err(Unavailable::TimedOut),
            }
        })
    }

    fn idempotency(&self) -> &parking_lot::RwLock<Records> {
        &self.0.state().idempotency
    }

    fn propose_idempotency(
        &self,
        command: quorate_idempotency::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_idempotency::Outcome, Unavailable>> {
        Box::pin(async move {
            match self.propose(Command::Idempotency(command), limit).await? {
                Outcome::Idempotency(outcome) => Ok(outcome),
                Outcome::Catalog(_) | Outcome::Ledger(_) | Outcome::Membership(_) | Outcome::Forgotten => {
                    Err(Unavailable::TimedOut)
                }
            }
        })
    }

    fn membership(&self) -> &parking_lot::RwLock<Membership> {
        &self.0.state().membership
    }

    fn propose_membership(
        &self,
        command: quorate_membership::Command,
        limit: Duration,
    ) -> Eventually<'_, Result<quorate_membership::Outcome, Unavailable>> {
        Box::pin(async move {
            match self.propose(Command::Membership(command), limit).await? {
                Outcome::Membership(outcome) => Ok(outcome),
                Outcome::Catalog(_) | Outcome::Ledger(_) | Outcome::Idempotency(_) | Outcome::Forgotten => {
                    Err(Unavailable::TimedOut)
                }
            }
        })
    }

    fn create_token(
        &self,
        ttl: Span,
        uses: u32,
        actor: String,
    ) -> Eventually<'_, Result<JoinToken, NotChanged>> {
        Box::pin(async move { self.0.create_token(ttl, uses, actor).await.map_err(not_changed) })
    }

    fn rotate_root(&self) -> Eventually<'_, Result<(), NotChanged>> {
        Box::pin(async move { self.0.rotate_root().await.map_err(not_changed) })
    }

    fn read_barrier(&self, limit: Duration) -> Eventually<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.0.read_barrier(limit).await.map_err(|error| not_read(&error)) })
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.0.applied()
    }

    fn lease(&self) -> &Lease {
        self.0.lease().0
    }

    fn revocation_bound(&self) -> Span {
        self.0.lease().1
    }

    fn everywhere(&self, since: MonoTime) -> Eventually<'_, Standing> {
        Box::pin(self.0.everywhere(since))
    }

    fn snapshot(&self) -> Eventually<'_, Result<Vec<Bytes>, Unavailable>> {
        Box::pin(async move {
            let file = self.0.backup().await.map_err(|error| match error {
                ReadError::Unavailable => Unavailable::NoQuorum,
                ReadError::Stopped => Unavailable::Stopped,
            });
            Ok(file?.pieces())
        })
    }

    fn status(&self) -> ClusterStatus {
        let status = self.0.status();
        let history =
            |at: quorate_consensus::Fingerprint| HistoryStatus { applied: at.applied, sha256: at.hex() };
        let member = |peer: quorate_consensus::PeerStatus| MemberStatus {
            node: peer.node,
            peer_address: peer.address,
            is_voter: peer.votes,
            lag: peer.lag,
            equal_at: peer.equal_at,
            silent_ms: peer.silent.map(Span::millis),
            clock_ahead_ms: peer.clock_ahead_ms,
            unfit: peer.unfit,
            disk: peer.disk,
        };
        ClusterStatus {
            cluster: format!("{:016x}", status.cluster.get()),
            node: status.node,
            leader: status.leader,
            term: status.term,
            last_log: Some(status.last_log),
            committed: Some(status.committed),
            applied: Some(status.applied),
            snapshot: status.snapshot,
            history: status.history.map(history),
            differs_from: status.differs_from.into_iter().collect(),
            unfit: status.unfit,
            disk: status.disk,
            clock_skew_ms: status.clock_skew_ms,
            members: status.peers.into_iter().map(member).collect(),
        }
    }

    fn sight(&self, limit: Duration) -> Eventually<'_, Result<Sight, Unavailable>> {
        Box::pin(async move { self.0.sight(limit).await.map_err(|error| not_read(&error)) })
    }

    fn transfer_leadership(&self, to: Option<NodeId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.transfer_leadership(to).await.map_err(|error| error.to_string()) })
    }
}

const fn not_read(error: &ReadError) -> Unavailable {
    match error {
        ReadError::Unavailable => Unavailable::NoQuorum,
        ReadError::Stopped => Unavailable::Stopped,
    }
}

fn not_changed(error: ChangeError) -> NotChanged {
    match error {
        ChangeError::Rejected(rejection) => NotChanged::Rejected(rejection),
        ChangeError::TimedOut | ChangeError::Propose(ProposeError::TimedOut) => Unavailable::TimedOut.into(),
        ChangeError::NotLeader(_) | ChangeError::Propose(ProposeError::Unavailable) => {
            Unavailable::NoQuorum.into()
        }
        ChangeError::Propose(ProposeError::Stopped) => Unavailable::Stopped.into(),
        ChangeError::Propose(ProposeError::Level { level, needs }) => NotChanged::Level { level, needs },
        ChangeError::UnknownNode(_)
        | ChangeError::LastVoter(_)
        | ChangeError::NotVoter(_)
        | ChangeError::Refused(_)
        | ChangeError::Random(_)
        | ChangeError::Certificate(_)
        | ChangeError::Propose(ProposeError::TooLarge { .. }) => NotChanged::Failed(error.to_string()),
    }
}

impl replica::Journal for BridgedJournal {
    fn generation(&self) -> u64 {
        self.0.generation()
    }

    fn load(&self) -> Result<Vec<Mark>, String> {
        self.0.load().map_err(|error| error.to_string())
    }

    fn write(&self, begun: Begun, marks: Vec<Mark>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.write(begun, marks).await.map_err(|error| error.to_string()) })
    }

    fn load_overspent(&self) -> Result<Vec<(BudgetId, Amount)>, String> {
        self.0.load_overspent().map_err(|error| error.to_string())
    }

    fn write_overspent(&self, bounds: Vec<(BudgetId, Amount)>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.write_overspent(&bounds).await.map_err(|error| error.to_string()) })
    }

    fn forget_overspent(&self, budgets: Vec<BudgetId>) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.forget_overspent(&budgets).await.map_err(|error| error.to_string()) })
    }

    fn forget(
        &self,
        session: SessionId,
        windows: Vec<(BudgetId, WindowId)>,
    ) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.forget(session, &windows).await.map_err(|error| error.to_string()) })
    }

    fn forget_before(&self, session: SessionId, heard: u64) -> Eventually<'_, Result<(), String>> {
        Box::pin(async move { self.0.forget_before(session, heard).await.map_err(|error| error.to_string()) })
    }
}
