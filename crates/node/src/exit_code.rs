//! The exit codes of a node, by which scripts and supervisors know whether starting it again helps. The one table: the command's help
//! is made from it, and a test holds docs/errors/README.md against it.

/// How a node ended that did not end as it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Something failed that is not below, a write to the disk among others. Starting again may help.
    Internal,
    /// There is too little room to start.
    DiskFull,
    /// What is in the data directory is not what was written there.
    Damaged,
    /// It belongs to another cluster, or to one that was recovered without it.
    OtherCluster,
    /// It was removed from the cluster.
    Removed,
    /// The program does not know the cluster's level.
    Level,
    /// Its clock is off.
    Clock,
    /// Another process runs with a copy of the data directory.
    Cloned,
    /// The configuration, the data directory or the token is not what the node needs.
    Configuration,
    /// Another member has its name.
    NameTaken,
}

impl ExitCode {
    /// Every one, by number.
    pub const ALL: [Self; 10] = [
        Self::Internal,
        Self::DiskFull,
        Self::Damaged,
        Self::OtherCluster,
        Self::Removed,
        Self::Level,
        Self::Clock,
        Self::Cloned,
        Self::Configuration,
        Self::NameTaken,
    ];

    /// The number, of sysexits.h where that has one for it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Internal => 70,
            Self::DiskFull => 71,
            Self::Damaged => 72,
            Self::OtherCluster => 73,
            Self::Removed => 74,
            Self::Level => 75,
            Self::Clock => 76,
            Self::Cloned => 77,
            Self::Configuration => 78,
            Self::NameTaken => 79,
        }
    }

    /// What it says, in a line.
    #[must_use]
    pub const fn line(self) -> &'static str {
        match self {
            Self::Internal => "a node stopped because of a fault",
            Self::DiskFull => "the disk of a node is full",
            Self::Damaged => "the data directory of a node is damaged, or was put back from an old copy",
            Self::OtherCluster => {
                "a node belongs to another cluster, or to one that was recovered without it"
            }
            Self::Removed => "a node was removed from the cluster",
            Self::Level => "a node's program does not know the level of the cluster",
            Self::Clock => "the clock of a node is off by too much",
            Self::Cloned => "another process runs with a node's data directory or with a copy of it",
            Self::Configuration => {
                "the configuration, the data directory or the token of a node cannot be used"
            }
            Self::NameTaken => {
                "another member has a node's name or address: the node's data directory was wiped"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_errors_has_each_exit_code_and_no_other() {
        let page = include_str!("../../../docs/errors/README.md");
        let section = page.split("## Exit codes of a node").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| 7")).collect();
        let wanted = ExitCode::ALL.map(|code| format!("| {} | {} |", code.number(), code.line()));
        assert_eq!(rows.len(), wanted.len());
        for (row, wanted) in rows.iter().zip(wanted) {
            assert!(row.starts_with(&wanted), "{row} does not begin with {wanted}");
        }
    }

    #[test]
    fn numbers_rise_and_none_is_there_twice() {
        assert!(ExitCode::ALL.map(ExitCode::number).is_sorted_by(|one, other| one < other));
    }
}
