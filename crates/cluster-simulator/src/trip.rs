//! Crashes at a moment instead of a time: what a node says before its disk holds it meets a crash only there, and a lot drawn by
//! time hits one sync in thousands.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// When a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Moment {
    /// It says something to a peer while its log is being synced.
    AnsweredUnsynced,
    /// It sends a request to a provider while its journal is being synced.
    SpentUnsynced,
    /// Its log is synced, and nobody was told yet.
    LogUntold,
    /// The same of its journal.
    JournalUntold,
}

/// A database of a node, by who writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Written {
    Log,
    Journal,
}

impl Written {
    pub(crate) fn by(writer: &str) -> Self {
        if writer == "journal" { Self::Journal } else { Self::Log }
    }
}

/// Waits for the moment.
#[derive(Debug, Default)]
pub(crate) struct Tripwire {
    state: Mutex<State>,
    sprung: Notify,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Moment>,
    is_log_waiting: bool,
    is_journal_waiting: bool,
}

impl Tripwire {
    pub(crate) fn arm(&self, moment: Moment) {
        self.state.lock().armed = Some(moment);
    }

    pub(crate) fn disarm(&self) {
        self.state.lock().armed = None;
    }

    /// Resolves when the moment has come.
    pub(crate) async fn sprung(&self) {
        self.sprung.notified().await;
    }

    /// Whether something waits for the disk.
    pub(crate) fn waits(&self, of: Written, waits: bool) {
        let mut state = self.state.lock();
        match of {
            Written::Log => state.is_log_waiting = waits,
            Written::Journal => state.is_journal_waiting = waits,
        }
    }

    /// The node says something to a peer.
    pub(crate) fn said(&self) {
        self.pass(|state| state.is_log_waiting && state.armed == Some(Moment::AnsweredUnsynced));
    }

    /// It sends a request to a provider.
    pub(crate) fn spent(&self) {
        self.pass(|state| state.is_journal_waiting && state.armed == Some(Moment::SpentUnsynced));
    }

    /// Something is synced. Says whether the node must not live to tell it.
    pub(crate) fn synced(&self, of: Written) -> bool {
        let moment = match of {
            Written::Log => Moment::LogUntold,
            Written::Journal => Moment::JournalUntold,
        };
        self.pass(|state| state.armed == Some(moment))
    }

    fn pass(&self, is_now: impl FnOnce(&State) -> bool) -> bool {
        let mut state = self.state.lock();
        let is_now = is_now(&state);
        if is_now {
            state.armed = None;
            self.sprung.notify_one();
        }
        is_now
    }
}
