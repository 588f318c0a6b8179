//! What a node is for: it serves, it drains, or it has drained. Operators say so; the node does it and reports.

use quorate_domain::{LogTime, Span};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who asks for a change, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// Who.
    pub actor: String,
    /// Why, if they say so.
    pub reason: Option<String>,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "by {} \"{reason}\"", self.actor),
            None => write!(f, "by {}", self.actor),
        }
    }
}

/// What a node is for. Each start of its process begins with serving: a drain is over when the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It serves requests.
    #[default]
    Serving,
    /// It is leaving its work.
    Draining(Drain),
    /// It holds nothing any more, and can be stopped.
    Drained {
        /// Since when.
        since: LogTime,
        /// Who drained it.
        by: By,
    },
}

/// A drain that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When it was asked for.
    pub since: LogTime,
    /// When requests that still run are cut off; `None`: when the node's own settings say so.
    pub deadline: Option<LogTime>,
    /// Who asked for it.
    pub by: By,
    /// How far it is.
    pub progress: Progress,
}

/// How far a drain is. A node goes through them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Progress {
    /// The node has not seen it yet.
    Asked,
    /// It is unready, and waits for load balancers to see that.
    Unready,
    /// It hands leadership over.
    HandingOver,
    /// It takes no more requests; so many run to their end.
    Finishing {
        /// How many.
        requests: u64,
    },
    /// It settles and returns its grants.
    Returning,
}

/// What a node says of its drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It is so far.
    Progress(Progress),
    /// It is done.
    Drained,
}

impl Standing {
    /// Its name.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining(_) => "draining",
            Self::Drained { .. } => "drained",
        }
    }

    /// Whether the node serves.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self, Self::Serving)
    }

    /// Draining by what somebody asks now. A drain that is under way, or over, stays as it is: asking twice changes nothing.
    pub(crate) fn drained_by(self, at: LogTime, by: By, within: Option<Span>) -> Self {
        match self {
            Self::Serving => {
                let deadline = within.map(|within| at.plus(within));
                Self::Draining(Drain { since: at, deadline, by, progress: Progress::Asked })
            }
            Self::Draining(_) | Self::Drained { .. } => self,
        }
    }

    /// What it is after the node's report. Whoever does not drain any more was told otherwise meanwhile.
    pub(crate) fn reported(self, at: LogTime, report: Report) -> Self {
        match (self, report) {
            (Self::Draining(drain), Report::Progress(progress)) => {
                Self::Draining(Drain { progress, ..drain })
            }
            (Self::Draining(drain), Report::Drained) => Self::Drained { since: at, by: drain.by },
            (other @ (Self::Serving | Self::Drained { .. }), _) => other,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked"),
            Self::Unready => f.write_str("unready, waiting for load balancers"),
            Self::HandingOver => f.write_str("handing leadership over"),
            Self::Finishing { requests: 1 } => f.write_str("1 request left"),
            Self::Finishing { requests } => write!(f, "{requests} requests left"),
            Self::Returning => f.write_str("returning grants"),
        }
    }
}
