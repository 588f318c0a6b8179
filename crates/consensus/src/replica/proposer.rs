//! Brings this node's proposals to the leader, wherever it is, and brings their outcomes back.
//!
//! A proposal is sent again until somebody answers or nobody waits for it any more. Commands that must not be applied
//! twice carry an operation id, by which the state knows the second copy.

use super::core::Core;
use super::entries::{ENTRY_BYTES, ENTRY_PROPOSALS, Group, NotWritten};
use super::error::ProposeError;
use crate::codec;
use crate::machine::{Command, OpId, Outcome, Proposal};
use crate::transport::{Lane, LeaderHint, LinkError, Request, Response};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use quorate_domain::NodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Proposals that may wait on this node. Each has a caller behind it.
pub(super) const PENDING_MAX: usize = 16_384;
/// Operations with an id under way: fewer than the state remembers, so that none is forgotten while it is.
pub(super) const OPERATIONS_MAX: usize = 512;
/// Groups of this node under way.
const ROUNDS_MAX: usize = 4;
/// A command must fit into an append with others.
const COMMAND_BYTES: usize = 1 << 20;
/// One attempt: a leader that says nothing for so long has lost its majority, and another may have it.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Between attempts, unless the leader changes before.
const PAUSE: Duration = Duration::from_millis(25);

/// A proposal and the one who waits for its outcome.
#[derive(Debug)]
pub(crate) struct Pending {
    proposal: Proposal,
    bytes: usize,
    /// Whether it may have been written.
    may_be_written: Arc<AtomicBool>,
    reply: oneshot::Sender<Outcome>,
}

/// Proposes a command and waits for its outcome.
pub(super) async fn propose(
    core: &Core,
    command: Command,
    within: Duration,
) -> Result<Outcome, ProposeError> {
    let (needs, level) = (command.level(), core.state.membership.read().level());
    if needs > level {
        return Err(ProposeError::Level { level, needs });
    }
    let bytes = codec::size_of(&command);
    if bytes > COMMAND_BYTES {
        return Err(ProposeError::TooLarge { bytes, max: COMMAND_BYTES });
    }
    let may_be_written = Arc::new(AtomicBool::new(false));
    core.metrics.proposals.pending.inc();
    let answered = tokio::time::timeout(within, enqueue(core, command, bytes, may_be_written.clone())).await;
    core.metrics.proposals.pending.dec();
    let result = match answered {
        Ok(Ok(Outcome::Forgotten)) => Err(ProposeError::TimedOut),
        Ok(answered) => answered,
        Err(_) if may_be_written.load(Ordering::Acquire) => Err(ProposeError::TimedOut),
        Err(_) => Err(ProposeError::Unavailable),
    };
    match &result {
        Ok(_) => core.metrics.proposals.done.inc(),
        Err(_) => core.metrics.proposals.failed.inc(),
    };
    result
}

async fn enqueue(
    core: &Core,
    command: Command,
    bytes: usize,
    may_be_written: Arc<AtomicBool>,
) -> Result<Outcome, ProposeError> {
    let _operation = match command.is_idempotent() {
        true => None,
        false => Some(core.operations.acquire().await.map_err(|_| ProposeError::Stopped)?),
    };
    let origin = _operation
        .is_some()
        .then(|| OpId { boot: core.boot, sequence: core.sequence.fetch_add(1, Ordering::Relaxed) });
    let (reply, outcome) = oneshot::channel();
    let pending = Pending { proposal: Proposal { origin, command }, bytes, may_be_written, reply };
    core.pending.send(pending).await.map_err(|_| ProposeError::Stopped)?;
    outcome.await.map_err(|_| ProposeError::Stopped)
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Pending>) {
    let mut rounds = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = rounds.next(), if !rounds.is_empty() => {}
            pending = queue.recv(), if rounds.len() < ROUNDS_MAX => match pending {
                Some(pending) => rounds.push(bring(core.clone(), fill(pending, &mut queue))),
                None => return,
            },
        }
    }
}

fn fill(first: Pending, queue: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let mut bytes = first.bytes;
    let mut filled = vec![first];
    while bytes < ENTRY_BYTES
        && filled.len() < ENTRY_PROPOSALS
        && let Ok(pending) = queue.try_recv()
    {
        bytes += pending.bytes;
        filled.push(pending);
    }
    filled
}

/// Brings a group to the leader, again and again until it is answered or nobody waits.
async fn bring(core: Arc<Core>, mut group: Vec<Pending>) {
    let mut leader = core.leader.subscribe();
    let mut hint = None;
    loop {
        group.retain(|pending| !pending.reply.is_closed());
        if group.is_empty() {
            return;
        }
        leader.mark_unchanged();
        let written_before: Vec<bool> = group.iter().map(Pending::mark_sent).collect();
        match attempt(&core, &group, hint.take()).await {
            Ok(outcomes) => return answer(group, outcomes),
            Err(NotWritten::NotLeader(next)) => {
                for (pending, before) in group.iter().zip(written_before) {
                    pending.may_be_written.store(before, Ordering::Release);
                }
                hint = next;
            }
            Err(NotWritten::Unknown) => {}
        }
        core.metrics.proposals.retried.inc();
        if hint.is_none() {
            let _ = tokio::time::timeout(PAUSE, leader.changed()).await;
        }
    }
}

fn answer(group: Vec<Pending>, outcomes: Vec<Outcome>) {
    for (pending, outcome) in group.into_iter().zip(outcomes) {
        let _ = pending.reply.send(outcome);
    }
}

impl Pending {
    /// From now on it may be written; says whether that was so before.
    fn mark_sent(&self) -> bool {
        self.may_be_written.swap(true, Ordering::AcqRel)
    }
}

async fn attempt(
    core: &Core,
    group: &[Pending],
    hint: Option<LeaderHint>,
) -> Result<Vec<Outcome>, NotWritten> {
    let proposals: Vec<Proposal> = group.iter().map(|pending| pending.proposal.clone()).collect();
    let bytes = group.iter().map(|pending| pending.bytes).sum();
    let count = proposals.len();
    let leader = hint.as_ref().map(|hint| hint.node).or_else(|| core.leader());
    let outcomes = match leader {
        None => return Err(NotWritten::NotLeader(None)),
        Some(leader) if leader == core.node => write_here(core, proposals, bytes).await?,
        Some(leader) => send_to(core, leader, hint, proposals).await?,
    };
    // An answer of another length would pair outcomes with the wrong callers.
    if outcomes.len() == count { Ok(outcomes) } else { Err(NotWritten::Unknown) }
}

/// Writes through this node, if it leads.
pub(super) async fn write_here(
    core: &Core,
    proposals: Vec<Proposal>,
    bytes: usize,
) -> Result<Vec<Outcome>, NotWritten> {
    let (reply, outcomes) = oneshot::channel();
    let sent = core.groups.send(Group { proposals, bytes, reply }).await;
    sent.map_err(|_| NotWritten::NotLeader(None))?;
    match tokio::time::timeout(ATTEMPT, outcomes).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err(NotWritten::Unknown),
    }
}

async fn send_to(
    core: &Core,
    leader: NodeId,
    hint: Option<LeaderHint>,
    proposals: Vec<Proposal>,
) -> Result<Vec<Outcome>, NotWritten> {
    let link = match hint {
        Some(hint) => Some(core.links.to(leader, &hint.address)),
        None => core.link(leader),
    };
    let link = link.ok_or(NotWritten::NotLeader(None))?;
    match link.ask(Lane::Bulk, &Request::Propose(proposals), ATTEMPT).await {
        Ok(Response::Proposed(outcomes)) => Ok(outcomes),
        Ok(Response::NotLeader(hint)) => Err(NotWritten::NotLeader(hint)),
        Err(LinkError::Unreachable { .. }) => Err(NotWritten::NotLeader(None)),
        Ok(_) | Err(LinkError::Broken { .. } | LinkError::TimedOut { .. }) => Err(NotWritten::Unknown),
    }
}
