//! One node of a development cluster: a process of its own, as in production.

use super::layout::Layout;
use super::{LOOK_AGAIN, START_LIMIT};
use crate::client::Client;
use crate::error::CliError;
use crate::output::tell;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// A node that drains for longer than this hangs.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A running node.
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) client_url: String,
    pub(super) admin_url: String,
    pid: u32,
    child: Child,
    log: PathBuf,
}

impl Member {
    /// Starts the node's process.
    pub(super) fn start(layout: &Layout, id: u64) -> Result<Self, CliError> {
        let failed = |cause| CliError::Io { what: format!("start node {id}"), cause };
        let addresses = layout.addresses(id)?;
        let log_file = layout.log_file(id);
        let log = OpenOptions::new().create(true).append(true).open(&log_file).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("serve").arg("--config").arg(layout.config_file(id));
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log).kill_on_drop(true);
        // A group of its own: Ctrl-C reaches the nodes through us, in order, and not all at once.
        let child = command.process_group(0).spawn().map_err(failed)?;
        Ok(Self {
            id,
            client_url: format!("http://{}", addresses.client),
            admin_url: format!("http://{}", addresses.admin),
            pid: child.id().unwrap_or_default(),
            child,
            log: log_file,
        })
    }

    /// The admin API of the node.
    pub(super) fn client(&self, token: Option<String>) -> Result<Client, CliError> {
        Client::of(self.admin_url.clone(), token)
    }

    /// What the ready file says of it.
    pub(super) fn ready(&self) -> Value {
        json!({ "id": self.id, "client_url": self.client_url, "admin_url": self.admin_url, "pid": self.pid })
    }

    /// Waits until something is so, as long as the node lives.
    pub(super) async fn until(&mut self, is_so: impl AsyncFn() -> bool) -> Result<(), CliError> {
        let mut waited = Duration::ZERO;
        while !is_so().await {
            self.check_alive()?;
            if waited > START_LIMIT {
                return Err(self.failed("did not become ready"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
        Ok(())
    }

    /// A node that ended while it started is a fault.
    pub(super) fn check_alive(&mut self) -> Result<(), CliError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("ended ({status})"))),
            Err(cause) => Err(CliError::Io { what: format!("watch node {}", self.id), cause }),
        }
    }

    /// Sends SIGTERM, unless the node has ended already.
    pub(super) fn ask_to_stop(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that ends this very moment needs no signal.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until the node has drained; one that hangs is killed.
    pub(super) async fn wait_for_end(mut self) {
        if tokio::time::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            tell(&format!("node {} hangs and is killed; its log is {}", self.id, self.log.display()));
            let _ = self.child.kill().await;
        }
    }

    fn failed(&self, how: &str) -> CliError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rfind(|line| !line.starts_with(" next: ")).unwrap_or("nothing");
        let message = format!("node {} {how}; its log {} ends with: {last}", self.id, self.log.display());
        CliError::Node { message, next: "look at that log", exit: 70 }
    }
}

/// Tells of every node that ends, and goes on with the others: that is what a cluster is for.
pub(super) async fn note_ends(members: &mut [Member]) {
    let ends = members.iter_mut().map(|member| async {
        if let Ok(status) = member.child.wait().await {
            tell(&format!("node {} ended: {status}", member.id));
        }
    });
    futures_util::future::join_all(ends).await;
    tell("no node of this command runs any more");
    std::future::pending::<()>().await;
}
