//! One life of one node: what runs in it, and how it ends.

use crate::network::Hub;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The process dies: the machine closes its connections.
    Killed,
    /// The machine is gone: nobody is told anything.
    Vanished,
}

/// One life of one node.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) node: usize,
    pub(crate) hub: Arc<Hub>,
    is_over: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

impl Life {
    pub(crate) fn new(node: usize, hub: Arc<Hub>) -> Self {
        Self { node, hub, is_over: AtomicBool::new(false), tasks: Mutex::new(JoinSet::new()) }
    }

    pub(crate) fn lives(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Runs until the end of this life.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.lives() {
            self.tasks.lock().spawn(task);
        }
    }

    /// Ends it, now. What openraft has started goes on for a while, but reaches no disk and no network any more.
    pub(crate) fn end(&self, death: Death) {
        self.is_over.store(true, Ordering::Relaxed);
        self.tasks.lock().abort_all();
        self.hub.died(self.node, death);
    }

    /// The machine stands still until somebody ends this life.
    pub(crate) fn stand_still(&self) {
        self.hub.freeze(self.node);
    }

    /// Resolves when the machine does not stand still; never once the life is over.
    pub(crate) async fn gate(&self) {
        self.hub.thawed(self.node).await;
        if !self.lives() {
            std::future::pending::<()>().await;
        }
    }
}
