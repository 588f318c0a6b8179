//! Every background task of a node has its owner here; the one file that may spawn.

use std::future::Future;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// What the end of a task means to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEnd {
    /// The node cannot go on without it.
    StopNode,
    /// It has done its work.
    Ignore,
}

/// A group of tasks with a common end.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<Ended>,
    stop: CancellationToken,
}

/// How a task ended.
#[derive(Debug)]
pub struct Ended {
    /// Its name.
    pub name: &'static str,
    /// What its end means.
    pub on_end: OnEnd,
    /// What went wrong, if anything did.
    pub error: Option<anyhow::Error>,
}

impl Tasks {
    /// A group that ends when `stop` is cancelled.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { running: JoinSet::new(), stop }
    }

    /// The signal its tasks end at.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task.
    pub fn spawn<F>(&mut self, name: &'static str, on_end: OnEnd, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.running.spawn(async move { Ended { name, on_end, error: task.await.err() } });
    }

    /// Waits until a task ends whose end the node cannot survive, or which failed.
    pub async fn first_fatal(&mut self) -> Ended {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) if ended.on_end == OnEnd::StopNode || ended.error.is_some() => return ended,
                Some(Ok(_)) => {}
                Some(Err(panicked)) => return Ended::of_panic(panicked),
                None => std::future::pending().await,
            }
        }
    }

    /// Asks every task to end and waits. Returns the names of those that failed, and how many were aborted.
    pub async fn drain(mut self, grace: Duration) -> (Vec<Ended>, usize) {
        self.stop.cancel();
        let mut failed = Vec::new();
        let finished = async {
            while let Some(joined) = self.running.join_next().await {
                let ended = joined.unwrap_or_else(Ended::of_panic);
                if ended.error.is_some() {
                    failed.push(ended);
                }
            }
        };
        // What is still running at the deadline is aborted with the set.
        drop(tokio::time::timeout(grace, finished).await);
        (failed, self.running.len())
    }
}

impl Ended {
    fn of_panic(panicked: JoinError) -> Self {
        Self { name: "a task", on_end: OnEnd::StopNode, error: Some(panicked.into()) }
    }
}
