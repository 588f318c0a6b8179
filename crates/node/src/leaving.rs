//! A drain that somebody asked for: the node sees in its own replica that it is to leave its work, does it step by step and says how far
//! it is. It can be taken back at any point; the process goes on. (What SIGTERM does is in `serve`.)

use quorate_domain::NodeId;
use quorate_gateway::Proxy;
use quorate_gateway::replica::Replica;
use quorate_membership::{Command, Progress, Report};
use std::sync::Arc;
use std::time::Duration;

/// A report is one entry of the log.
const REPORT_LIMIT: Duration = Duration::from_secs(2);
/// How often requests that still run are counted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often their number is told.
const LOOKS_PER_REPORT: u32 = 10;
/// Until a report that was not taken is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// How the node leaves its work.
pub(crate) struct Leaving {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) proxy: Arc<Proxy>,
    /// For load balancers to see that the node is unready.
    pub(crate) unready: Duration,
}

/// How leaving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// No request is under way any more, and none is taken.
    Idle,
    /// Somebody took it back.
    TakenBack,
}

impl Leaving {
    /// Waits until this node is to leave its work.
    pub(crate) async fn asked(&self) {
        self.until(false).await;
    }

    /// Waits until it is to take work again.
    pub(crate) async fn taken_back(&self) {
        self.until(true).await;
    }

    /// Unready → wait for load balancers → hand leadership over → take nothing more → let requests end.
    pub(crate) async fn become_idle(&self) -> Left {
        tracing::info!("leaving the work: this node is to be drained");
        tokio::select! {
            () = self.finish() => Left::Idle,
            () = self.taken_back() => Left::TakenBack,
        }
    }

    async fn finish(&self) {
        self.proxy.begin_drain();
        self.tell(Report::Progress(Progress::Unready)).await;
        tokio::time::sleep(self.unready).await;
        if self.leads() {
            self.tell(Report::Progress(Progress::HandingOver)).await;
            if let Err(cause) = self.replica.transfer_leadership(None).await {
                tracing::info!(cause, "leadership was not handed over");
            }
        }
        self.proxy.close();
        for look in 0_u32.. {
            let requests = self.proxy.under_way();
            if requests == 0 {
                return;
            }
            if look.is_multiple_of(LOOKS_PER_REPORT) {
                let requests = u64::try_from(requests).unwrap_or(u64::MAX);
                self.tell(Report::Progress(Progress::Finishing { requests })).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Says that grants are on their way back.
    pub(crate) async fn tell_returning(&self) {
        self.tell(Report::Progress(Progress::Returning)).await;
    }

    /// Says until it is heard that all is done, and waits until work is to be taken again.
    pub(crate) async fn rest(&self) {
        let told = async {
            while !self.tell(Report::Drained).await {
                tokio::time::sleep(PAUSE).await;
            }
            tracing::info!("drained: this node holds nothing any more, and can be stopped");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = told => {}
            () = self.taken_back() => {}
        }
    }

    /// Takes requests again.
    pub(crate) fn return_to_work(&self) {
        tracing::info!("back to work: the drain was taken back");
        self.proxy.reopen();
    }

    async fn until(&self, serving: bool) {
        let mut applied = self.replica.applied();
        while self.is_to_serve() != serving {
            if applied.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is said of an earlier start of this node says nothing of this one. A node that was removed serves no more: its peers are about
    /// to tell it so.
    fn is_to_serve(&self) -> bool {
        let (table, node) = (self.replica.membership().read(), self.replica.node());
        match table.get(node) {
            Some(own) => own.boot != self.replica.boot() || own.standing.is_serving(),
            None => !table.is_gone(node),
        }
    }

    fn leads(&self) -> bool {
        let own: NodeId = self.replica.node();
        self.replica.status().leader == Some(own)
    }

    /// Whether it was heard. Nothing waits for it but who looks.
    async fn tell(&self, report: Report) -> bool {
        let (node, boot) = (self.replica.node(), self.replica.boot());
        let told =
            self.replica.propose_membership(Command::Report { node, boot, report }, REPORT_LIMIT).await;
        if let Err(unavailable) = &told {
            tracing::debug!(%unavailable, ?report, "how far the drain is could not be told");
        }
        told.is_ok()
    }
}
