//! A plan as people read it.

use super::plan::{At, Charged, CopyRead, LeftBehind, Plan, Uncertain, Unknowable};
use quorate_domain::LogTime;
use std::fmt::{self, Write as _};
use std::time::Duration;
use time::OffsetDateTime;

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}

/// A number as clusters are named.
pub(super) fn hex(number: u64) -> String {
    format!("{number:016x}")
}

/// Log time in UTC.
pub(super) fn time(at: LogTime) -> String {
    let at = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(at.millis() / 1_000);
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!(
        "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

impl Plan {
    /// All of it, in sentences. Ends with a new line.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!(
            "PLAN {}   cluster {}, lineage {} -> {}\n",
            self.plan,
            self.cluster,
            self.lineage,
            self.next_lineage()
        );
        let parts = [self.copies(), self.kept(), self.lost(), self.members(), self.money()];
        parts.iter().flatten().for_each(|line| {
            let _ = writeln!(text, "{line}");
        });
        text
    }

    fn copies(&self) -> Vec<String> {
        let keeper = &self.keeper;
        let chosen =
            format!("Best copy: {}, which ends with entry {} ({})", place(keeper), keeper.last, self.why);
        let others = self.others.iter().map(|copy| {
            format!(
                "  {} ends with entry {}: let that node join anew, with an empty directory",
                place(copy),
                copy.last
            )
        });
        std::iter::once(chosen).chain(others).collect()
    }

    fn kept(&self) -> Vec<String> {
        let proven = format!("PROVEN: everything up to entry {}: a majority had it.", self.proven);
        if self.uncertain.is_empty() {
            return vec![proven, "UNCERTAIN: nothing.".to_owned()];
        }
        let heading = "UNCERTAIN: kept, although it may never have been acknowledged, or not yet:".to_owned();
        [proven, heading].into_iter().chain(self.uncertain.iter().map(entry)).collect()
    }

    fn lost(&self) -> Vec<String> {
        let unread = self.left_behind.iter().filter(|left| !left.was_read);
        let unread: Vec<_> = unread.map(|left| left.node.to_string()).collect();
        match self.unknowable {
            Unknowable::Nothing => vec![
                "UNKNOWABLE: nothing. Without one of the nodes that were read the others are no majority.".to_owned(),
            ],
            Unknowable::Later { after, since_ms } => vec![
                format!(
                    "UNKNOWABLE: nodes {} are a majority by themselves. What they agreed on behind entry {after}, after {}, is lost: \
                     budgets, keys, what was granted and spent; and keys that were revoked then are valid again.",
                    unread.join(", "),
                    time(since_ms)
                ),
                "  If the directory of even one of them can be read, add it with --data-dir: less is lost then.".to_owned(),
            ],
        }
    }

    fn members(&self) -> Vec<String> {
        let heading = format!(
            "LEFT BEHIND: fenced in lineage {}; should they come back, they stop with exit code 73:",
            self.next_lineage()
        );
        let line = |left: &LeftBehind| {
            let vote = if left.is_voter { "voter" } else { "learner" };
            format!("  node {} ({}) at {}, {vote}", left.node, left.name, left.address)
        };
        std::iter::once(heading).chain(self.left_behind.iter().map(line)).collect()
    }

    fn money(&self) -> Vec<String> {
        let beyond = self.spent_beyond.iter().map(|spent| {
            let Charged { budget, subject, unit, node, amount, .. } = spent;
            format!(
                "COUNTED AS OVERSPENT: budget {budget} of {subject}: {amount} {unit}, which node {node} spent by its journal, of grants \
                 that its copy does not hold."
            )
        });
        self.held().into_iter().chain(beyond).collect()
    }

    fn held(&self) -> Vec<String> {
        if self.charged.is_empty() {
            return vec!["COUNTED AS SPENT: nothing, they held no grants.".to_owned()];
        }
        let heading =
            "COUNTED AS SPENT: what they held, until somebody resolves it (quorate budget resolve):"
                .to_owned();
        let line = |charged: &Charged| {
            let Charged { budget, subject, unit, node, session, amount } = charged;
            format!(
                "  budget {budget} of {subject}: {amount} {unit}, held by node {node} in session {session}"
            )
        };
        std::iter::once(heading).chain(self.charged.iter().map(line)).collect()
    }
}

fn place(copy: &CopyRead) -> String {
    format!("{} (node {}, {})", copy.directory, copy.node, copy.name)
}

fn entry(uncertain: &Uncertain) -> String {
    let when = uncertain.log_time_ms.map(|at| format!(" at {}", time(at))).unwrap_or_default();
    format!("  entry {}{when}: {}", uncertain.at, uncertain.asks.join("; "))
}
