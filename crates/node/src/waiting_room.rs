//! The waiting room: where a node without a cluster is told, over the admin API, to found one or to join one.

use quorate_domain::NodeId;
use quorate_gateway::admin::{Initialised, Setup, SetupError};
use quorate_gateway::replica::Eventually;
use quorate_membership::JoinToken;
use tokio::sync::{mpsc, oneshot};

/// One call at a time: whoever comes second is told that the node is a member already.
const CALLS_MAX: usize = 1;

/// What the node is told to do.
pub(crate) enum Call {
    /// Found a cluster.
    Init(oneshot::Sender<Result<Initialised, SetupError>>),
    /// Join a cluster.
    Join(JoinToken, oneshot::Sender<Result<NodeId, SetupError>>),
}

/// The door to the waiting room, for the admin API.
pub(crate) struct Door {
    calls: mpsc::Sender<Call>,
}

/// The inside, for the node.
pub(crate) struct WaitingRoom {
    calls: mpsc::Receiver<Call>,
}

impl WaitingRoom {
    pub(crate) fn new() -> (Door, Self) {
        let (sender, receiver) = mpsc::channel(CALLS_MAX);
        (Door { calls: sender }, Self { calls: receiver })
    }

    /// The next call; `None` if the admin API has ended.
    pub(crate) async fn call(&mut self) -> Option<Call> {
        self.calls.recv().await
    }
}

impl Door {
    async fn ask<T>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, SetupError>>) -> Call,
    ) -> Result<T, SetupError> {
        let (sender, answer) = oneshot::channel();
        self.calls.send(call(sender)).await.map_err(|_| SetupError::AlreadyMember)?;
        answer.await.unwrap_or(Err(SetupError::AlreadyMember))
    }
}

impl Setup for Door {
    fn init(&self) -> Eventually<'_, Result<Initialised, SetupError>> {
        Box::pin(self.ask(Call::Init))
    }

    fn join(&self, token: JoinToken) -> Eventually<'_, Result<NodeId, SetupError>> {
        Box::pin(self.ask(|sender| Call::Join(token, sender)))
    }
}
