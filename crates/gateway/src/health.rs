//! How healthy a node is, as probes and people ask: one check a line. What is seen comes in, verdicts go out.

use crate::replica::{ClusterStatus, MemberStatus};
use quorate_membership::{Fill, Unfit};
use serde::Serialize;
use std::time::Duration;

/// A peer that was silent for longer is counted as gone, as far as this node can tell.
const SILENT_MS: u64 = 5_000;

/// What a node sees of itself and of its cluster at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) status: ClusterStatus,
    /// How much of its lease is left: it is confirmed by a majority.
    pub(crate) lease_left: Duration,
    /// For how long the lease has been over; `None` if there never was one.
    pub(crate) lease_over: Option<Duration>,
    pub(crate) session: Session,
    pub(crate) is_draining: bool,
    /// Whether some key may do without a lease.
    pub(crate) may_do_without: bool,
}

/// Whether the node may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Open,
    Missing,
}

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Ok,
    /// Worth a look, no reason to turn anybody away.
    Degraded,
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    detail: String,
}

/// The answer of one probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report(Vec<Check>);

/// What decides about `/clusterz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Quorum {
    pub(crate) verdict: &'static str,
    pub(crate) voters: usize,
    pub(crate) voters_heard: usize,
    /// How many of those may fail and a majority remains.
    pub(crate) tolerance: usize,
    pub(crate) leader: Option<u64>,
}

impl Check {
    pub(crate) fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        Self { name, state, detail: detail.into() }
    }
}

impl Report {
    /// The worst of its checks.
    pub(crate) fn state(&self) -> State {
        self.0.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.0
    }

    /// All checks, or those alone that failed, one a line.
    pub(crate) fn lines(&self, all: bool) -> String {
        let shown = self.0.iter().filter(|check| all || check.state == State::Failed);
        shown.map(Check::line).collect()
    }
}

impl Check {
    fn line(&self) -> String {
        let mark = match self.state {
            State::Ok => '+',
            State::Degraded => '!',
            State::Failed => '-',
        };
        format!("[{mark}] {} {}\n", self.name, self.detail)
    }
}

impl From<Vec<Check>> for Report {
    fn from(checks: Vec<Check>) -> Self {
        Self(checks)
    }
}

/// Of a node that belongs to no cluster.
pub(crate) fn no_member() -> Report {
    Report(vec![Check::new("member", State::Failed, "this node belongs to no cluster yet")])
}

/// The process answers, and its runtime runs what it is given.
pub(crate) fn live() -> Report {
    Report(vec![Check::new("process", State::Ok, "answers")])
}

impl Sight {
    /// Whether the node has caught up with the log after its start.
    pub(crate) fn startup(&self) -> Report {
        let applied = self.status.applied.unwrap_or(0);
        let caught_up = if self.lease_over.is_some() || !self.lease_left.is_zero() {
            Check::new("caught_up", State::Ok, format!("applied {applied}"))
        } else {
            let known = self.status.last_log.unwrap_or(0).max(self.status.committed.unwrap_or(0));
            let why = match self.status.leader {
                Some(leader) => format!("node {leader} leads"),
                None => "no leader yet, so nobody says how far the log is".to_owned(),
            };
            Check::new("caught_up", State::Failed, format!("applied {applied} of {known} known; {why}"))
        };
        Report(vec![Check::new("member", State::Ok, format!("node {}", self.status.node)), caught_up])
    }

    /// Whether a load balancer should send requests here.
    pub(crate) fn ready(&self) -> Report {
        let draining = if self.is_draining {
            Check::new("draining", State::Failed, "this node is leaving")
        } else {
            Check::new("draining", State::Ok, "no")
        };
        let session = match self.session {
            Session::Open => Check::new("session", State::Ok, "open"),
            Session::Missing => Check::new("session", State::Failed, "no session with the ledger yet"),
        };
        let lease = match (self.lease(), self.may_do_without) {
            (Ok(detail), _) => Check::new("lease", State::Ok, detail),
            (Err(detail), true) => Check::new(
                "lease",
                State::Degraded,
                format!("{detail}; only keys that may do without are served"),
            ),
            (Err(detail), false) => Check::new("lease", State::Failed, detail),
        };
        Report(vec![draining, session, lease, self.leader(State::Degraded), self.clock(), self.stall()])
    }

    /// Whether changes through the admin API would be made.
    pub(crate) fn admin(&self) -> Report {
        let confirmed = match self.lease() {
            Ok(detail) => Check::new("confirmed", State::Ok, detail),
            Err(detail) => Check::new("confirmed", State::Failed, detail),
        };
        let disk = match self.status.disk {
            None => Check::new("disk", State::Ok, "not looked at yet"),
            Some(disk) => {
                let used = format!("{} % used", disk.used_permille / 10);
                match disk.fill {
                    Fill::Ample => Check::new("disk", State::Ok, used),
                    Fill::Filling | Fill::Scarce => Check::new("disk", State::Degraded, used),
                    Fill::ReadOnly => Check::new(
                        "disk",
                        State::Failed,
                        format!("{used}: operators can change nothing here"),
                    ),
                }
            }
        };
        Report(vec![self.leader(State::Failed), confirmed, disk, self.clock()])
    }

    /// Whether the cluster has a quorum, and keeps it when one more voter fails.
    pub(crate) fn cluster(&self) -> (Quorum, Report) {
        let quorum = self.quorum();
        let lead = self.leader(State::Failed);
        let confirmed = match self.lease() {
            Ok(detail) => Check::new("quorum", State::Ok, detail),
            Err(detail) => Check::new("quorum", State::Failed, detail),
        };
        let said = format!(
            "{} of {} voters heard; {} more may fail",
            quorum.voters_heard, quorum.voters, quorum.tolerance
        );
        let state = if quorum.tolerance > 0 { State::Ok } else { State::Failed };
        let differs = match self.status.differs_from.as_slice() {
            [] => Check::new("replicas", State::Ok, "equal, as far as they were compared"),
            some => Check::new("replicas", State::Failed, format!("other outcomes on nodes {some:?}")),
        };
        (quorum, Report(vec![lead, confirmed, Check::new("tolerance", state, said), differs]))
    }

    fn quorum(&self) -> Quorum {
        let voters = self.status.members.iter().filter(|member| member.is_voter);
        let n_voters = voters.clone().count();
        let heard = voters.filter(|member| self.is_heard(member)).count();
        let tolerance = heard.saturating_sub(n_voters / 2 + 1);
        let verdict = match (self.status.leader, self.lease()) {
            (None, _) | (_, Err(_)) => "no_quorum",
            (Some(_), Ok(_)) if !self.status.differs_from.is_empty() => "replicas_differ",
            (Some(_), Ok(_)) if tolerance == 0 => "no_tolerance",
            (Some(_), Ok(_)) if heard < n_voters => "degraded",
            (Some(_), Ok(_)) => "healthy",
        };
        let leader = self.status.leader.map(quorate_domain::NodeId::get);
        Quorum { verdict, voters: n_voters, voters_heard: heard, tolerance, leader }
    }

    fn is_heard(&self, member: &MemberStatus) -> bool {
        member.node == self.status.node || member.silent_ms.is_some_and(|silent| silent < SILENT_MS)
    }

    fn leader(&self, without: State) -> Check {
        match self.status.leader {
            Some(leader) => Check::new("leader", State::Ok, format!("node {leader}")),
            None => Check::new("leader", without, "none is known"),
        }
    }

    fn lease(&self) -> Result<String, String> {
        if !self.lease_left.is_zero() {
            return Ok(format!(
                "a majority has confirmed what this node knows, for {} ms more",
                self.lease_left.as_millis()
            ));
        }
        Err(match self.lease_over {
            Some(over) => format!("ended {} s ago: no majority was heard since", over.as_secs()),
            None => "no majority has confirmed yet what this node knows".to_owned(),
        })
    }

    fn clock(&self) -> Check {
        match (self.status.clock_skew_ms, self.status.unfit) {
            (Some(ms), Some(Unfit::Clock)) => Check::new(
                "clock",
                State::Degraded,
                format!("{ms} ms ahead of most others: this node should not lead"),
            ),
            (Some(ms), _) => Check::new("clock", State::Ok, format!("{ms} ms ahead of most others")),
            (None, _) => Check::new("clock", State::Ok, "not compared with a majority"),
        }
    }

    fn stall(&self) -> Check {
        match self.status.unfit {
            Some(unfit @ Unfit::Stall) => Check::new("writes", State::Degraded, unfit.to_string()),
            Some(Unfit::Disk | Unfit::Clock) | None => Check::new("writes", State::Ok, "prompt"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::NodeId;
    use quorate_membership::DiskUse;

    fn member(node: u64, silent_ms: Option<u64>) -> MemberStatus {
        MemberStatus {
            node: NodeId::new(node),
            peer_address: String::new(),
            is_voter: true,
            lag: None,
            equal_at: None,
            silent_ms,
            clock_ahead_ms: None,
            unfit: None,
            disk: None,
        }
    }

    fn sight(silent: [Option<u64>; 2]) -> Sight {
        let members = vec![member(1, None), member(2, silent[0]), member(3, silent[1])];
        let status = ClusterStatus {
            cluster: String::new(),
            node: NodeId::new(1),
            leader: Some(NodeId::new(2)),
            term: 1,
            last_log: Some(9),
            committed: Some(8),
            applied: Some(8),
            snapshot: None,
            history: None,
            differs_from: Vec::new(),
            unfit: None,
            disk: None,
            clock_skew_ms: None,
            members,
        };
        Sight {
            status,
            lease_left: Duration::from_secs(1),
            lease_over: None,
            session: Session::Open,
            is_draining: false,
            may_do_without: false,
        }
    }

    fn cut_off() -> Sight {
        let mut sight = sight([Some(9_000), None]);
        sight.status.leader = None;
        sight.lease_left = Duration::ZERO;
        sight.lease_over = Some(Duration::from_secs(3));
        sight
    }

    #[test]
    fn a_cluster_tolerates_as_many_more_failures_as_it_hears_voters_beyond_a_majority() {
        let of = |silent| {
            let (quorum, report) = sight(silent).cluster();
            (quorum.verdict, quorum.tolerance, report.state())
        };
        assert_eq!(of([Some(10), Some(10)]), ("healthy", 1, State::Ok));
        assert_eq!(of([Some(10), Some(6_000)]), ("no_tolerance", 0, State::Failed));
        assert_eq!(of([Some(10), None]), ("no_tolerance", 0, State::Failed));
        let (quorum, report) = cut_off().cluster();
        assert_eq!((quorum.verdict, report.state()), ("no_quorum", State::Failed));
    }

    #[test]
    fn a_node_that_is_cut_off_is_ready_only_if_some_key_may_do_without_a_lease() {
        let mut sight = cut_off();
        assert_eq!(sight.ready().lines(false), "[-] lease ended 3 s ago: no majority was heard since\n");
        sight.may_do_without = true;
        assert_eq!((sight.ready().state(), sight.ready().lines(false)), (State::Degraded, String::new()));
        assert_eq!(sight.admin().state(), State::Failed);
    }

    #[test]
    fn a_node_has_started_once_it_was_told_how_far_the_log_is_and_stays_so() {
        let mut sight = cut_off();
        assert_eq!(sight.startup().state(), State::Ok);
        sight.lease_over = None;
        let said = sight.startup().lines(false);
        assert_eq!(
            said,
            "[-] caught_up applied 8 of 9 known; no leader yet, so nobody says how far the log is\n"
        );
    }

    #[test]
    fn a_disk_that_is_almost_full_keeps_operators_out_and_clients_in() {
        let mut sight = sight([Some(10), Some(10)]);
        sight.status.disk = Some(DiskUse { used_permille: 975, fill: Fill::ReadOnly });
        sight.status.unfit = Some(Unfit::Disk);
        assert_eq!((sight.admin().state(), sight.ready().state()), (State::Failed, State::Ok));
    }

    #[test]
    fn a_clock_that_is_off_is_told_and_turns_nobody_away() {
        let mut sight = sight([Some(10), Some(10)]);
        sight.status.clock_skew_ms = Some(3_000);
        sight.status.unfit = Some(Unfit::Clock);
        let clock = "[!] clock 3000 ms ahead of most others: this node should not lead\n";
        assert!(sight.admin().lines(true).contains(clock) && sight.ready().lines(true).contains(clock));
        assert_eq!((sight.admin().state(), sight.ready().state()), (State::Degraded, State::Degraded));
    }
}
