//! The entries by which a cluster goes on from one copy of its state: who votes now, and one batch that changes the state itself. They
//! stand in the log like all others, so every replica that ever reads them does the same. Pure.

use super::beyond::Beyond;
use crate::codec::VoteV1;
use crate::machine::{Batch, Command, Proposal, State};
use crate::raft::{self, Peer};
use crate::store::StoredLog;
use openraft::EntryPayload;
use quorate_domain::{ClusterId, NodeId};
use quorate_ledger::{Command as OfLedger, SessionState};
use quorate_membership::{Command as OfMembers, Founding, PlanId, Recovery};
use std::collections::{BTreeMap, BTreeSet};

/// So many revisions, budgets and sessions get no number: more than anybody made after the copy was.
const LEFT_OUT: u64 = 1_000_000;

/// Whoever goes on, and from which entry.
#[derive(Clone, Debug)]
pub(super) struct Heir {
    pub(super) node: NodeId,
    /// Where its peers reach it.
    pub(super) address: String,
    /// The last entry of the copy.
    pub(super) last: raft::LogId,
    /// The highest term it knows of.
    pub(super) term: u64,
}

/// What makes a cluster go on without the nodes that are lost. The keeper's own sessions are settled by its journal, as after a crash.
pub(super) fn recovery(state: &State, heir: &Heir, plan: PlanId, beyond: &Beyond) -> StoredLog {
    let recover = OfMembers::Recover(Recovery { keeper: heir.node, plan });
    let told = beyond.told(state, heir.node).map(Command::Ledger);
    let first = std::iter::once(Command::Membership(recover)).chain(told);
    entries(state, heir, first, None)
}

/// What makes another cluster of a copy, with one fresh node.
pub(super) fn refounding(state: &State, heir: &Heir, founding: Founding) -> StoredLog {
    let cluster = founding.cluster;
    let refound = Command::Membership(OfMembers::Refound(founding));
    entries(state, heir, std::iter::once(refound), Some(cluster))
}

/// The id that the node of a new cluster has.
pub(super) fn fresh_id(state: &State, founding: Founding) -> Option<NodeId> {
    let mut trial = state.membership.read().clone();
    trial.apply(state.time(), OfMembers::Refound(founding));
    trial.iter().map(|(id, _)| id).next()
}

fn entries(
    state: &State,
    heir: &Heir,
    first: impl Iterator<Item = Command>,
    cluster: Option<ClusterId>,
) -> StoredLog {
    let left_out = LEFT_OUT;
    let dead = dead_sessions(state, heir.node).map(Command::Ledger);
    let go_on = [
        Command::Catalog(quorate_catalog::Command::GoOn { cluster, left_out }),
        Command::Ledger(OfLedger::GoOn { left_out }),
    ];
    let commands = first.chain(dead).chain(go_on);
    let proposals = commands.map(|command| Proposal { origin: None, command }).collect();
    let batch = Batch { at: state.time(), proposals };

    let leader =
        raft::LeaderId { term: heir.term.max(heir.last.leader_id.term) + 1, node_id: heir.node.get() };
    let at = |offset| raft::LogId::new(leader, heir.last.index + offset);
    let peers = BTreeMap::from([(heir.node.get(), Peer { address: heir.address.clone() })]);
    let voters = vec![BTreeSet::from([heir.node.get()])];
    let membership = raft::Membership::new(voters, peers).expect("its only voter has an address");
    let entries = vec![
        raft::Entry { log_id: at(1), payload: EntryPayload::Membership(membership) },
        raft::Entry { log_id: at(2), payload: EntryPayload::Normal(batch) },
    ];
    let vote = VoteV1 { term: leader.term, node: leader.node_id, committed: true };
    StoredLog { vote: Some(vote), committed: Some(at(2)), purged: None, entries }
}

/// Sessions of everybody else that live by this copy. Nobody will report for them any more.
fn dead_sessions(state: &State, keeper: NodeId) -> impl Iterator<Item = OfLedger> + use<> {
    let ledger = state.ledger.read();
    let of_others =
        ledger.sessions().filter(|(_, life)| life.node != keeper && life.state == SessionState::Live);
    let sessions: Vec<_> = of_others.map(|(session, _)| session).collect();
    sessions.into_iter().map(|session| OfLedger::ExpireSession { session })
}
