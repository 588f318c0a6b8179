//! Why a command did not do what was asked: what, why, what to do next, and an exit code for scripts.

use std::io;
use std::time::Duration;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The arguments are understood one by one, but not together.
    #[error("{0}")]
    Usage(String),
    /// Nobody answered.
    #[error("no node answered at {servers}: {cause}")]
    NoNode { servers: String, cause: String },
    /// An answer was on its way and did not come.
    #[error("{server} did not answer in time; the change may or may not have been made")]
    TimedOut { server: String },
    /// What was read broke off.
    #[error("{server} broke off in the middle of its answer")]
    CutOff { server: String },
    /// Somebody answered who is no node.
    #[error("{server} answered {status}, but not as a Quorate admin address does")]
    NotANode { server: String, status: u16 },
    /// The node answers, and says that it is not.
    #[error("{said}")]
    NotReady { said: String },
    /// The cluster refused.
    #[error("{message}")]
    Refused { status: u16, code: String, message: String, next: String },
    /// The change was made, and the nodes that were not heard of may go on as before.
    #[error(
        "{what}; but these nodes did not confirm that, and may serve it until they hear of the others again: {nodes}"
    )]
    MayGoOn { what: String, nodes: String },
    /// A drain takes longer than it was waited for.
    #[error("{node} has not drained in time: {step}")]
    StillDraining { node: String, step: String },
    /// A drain is no more.
    #[error("{node} serves again: the drain was taken back, or its process was started again")]
    TakenBack { node: String },
    /// Something that was agreed on has not come about yet.
    #[error("{what}, after {within:?}")]
    NotYet { what: String, within: Duration },
    /// The cluster is not as it should be.
    #[error("{sentence}")]
    Unwell { word: &'static str, sentence: String, next: String, exit: u8 },
    /// Something is not as it should be to go on.
    #[error("{0}")]
    Doubt(String),
    /// A rolling restart went no further.
    #[error("stopped at {node}: {cause}")]
    Stopped { node: String, cause: Box<CliError> },
    /// A file could not be read or written, a process not be started.
    #[error("could not {what}: {cause}")]
    Io { what: String, cause: io::Error },
    /// The configuration file has problems.
    #[error("{0}")]
    Config(String),
    /// Checks that did not end well.
    #[error("{1}")]
    Found(u8, String),
    /// A node ended because of a fault, or what it left on its disk cannot be used.
    #[error("{message}")]
    Node { message: String, next: &'static str, exit: u8 },
}

impl From<quorate_node::OfflineError> for CliError {
    fn from(error: quorate_node::OfflineError) -> Self {
        let quorate_node::OfflineError { message, next, exit } = error;
        Self::Node { message, next, exit }
    }
}

impl CliError {
    /// What is printed to people.
    pub(crate) fn told(&self) -> String {
        match self.next() {
            "" => format!("error: {self}"),
            next if matches!(self, Self::Unwell { .. }) => format!("Next: {next}"),
            next => format!("error: {self}\n next: {next}"),
        }
    }

    fn next(&self) -> &str {
        match self {
            Self::Refused { next, .. } => next,
            Self::Node { next, .. } => next,
            Self::NoNode { .. } => "check that a node runs there, or name another one with --server",
            Self::MayGoOn { .. } => {
                "stop what runs there, or let it reach the others again; `quorate key revoke ID` can be repeated until it says that all know"
            }
            Self::TimedOut { .. } => "look whether the change was made before you repeat it",
            Self::CutOff { .. } => "try again, or ask another node",
            Self::NotANode { .. } => "--server takes the admin address of a node, by default port 8081",
            Self::StillDraining { .. } => "the drain goes on: quorate node watch, or quorate node undrain",
            Self::TakenBack { .. } => "look at quorate cluster events",
            Self::NotYet { .. } => "look at quorate cluster status: it comes about by itself",
            Self::Unwell { next, .. } => next,
            Self::Doubt(_) => "look at quorate cluster status",
            Self::Stopped { .. } => "when all is well again, go on with --from and its name",
            Self::Usage(_) => "see --help",
            Self::Config(_) => "correct the file, then run `quorate config validate FILE`",
            Self::Io { .. } | Self::NotReady { .. } => "",
            Self::Found(..) => "do what is said behind the arrows",
        }
    }

    /// The exit code, as the help tells it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NoNode { .. } => 5,
            Self::TimedOut { .. } | Self::StillDraining { .. } | Self::NotYet { .. } => 6,
            Self::Doubt(_) => 7,
            Self::TakenBack { .. } => 8,
            Self::Unwell { exit, .. } => *exit,
            Self::Stopped { cause, .. } => cause.exit_code(),
            Self::MayGoOn { .. } => 9,
            Self::Refused { status, code, .. } => refusal_code(*status, code),
            Self::NotReady { .. } => 7,
            Self::Found(exit, _) => *exit,
            Self::Config(_) => 78,
            Self::Node { exit, .. } => *exit,
            Self::NotANode { .. } | Self::CutOff { .. } | Self::Io { .. } => 1,
        }
    }
}

fn refusal_code(status: u16, code: &str) -> u8 {
    match (status, code) {
        (401 | 403, _) => 4,
        (404, "not_found") => 3,
        (412, _) | (409, "already_exists" | "already_initialised") => 8,
        (504, _) => 6,
        (503, "unavailable") => 11,
        (500, _) => 1,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> CliError {
        let text = |text: &str| text.to_owned();
        CliError::Refused { status, code: code.to_owned(), message: text("no"), next: text("try y") }
    }

    #[test]
    fn scripts_tell_refusals_apart_by_exit_code() {
        let cases = [
            (refused(401, "unauthenticated"), 4),
            (refused(404, "not_found"), 3),
            (refused(412, "revision_conflict"), 8),
            (refused(409, "already_exists"), 8),
            (refused(409, "still_used"), 7),
            (refused(503, "unavailable"), 11),
            (refused(504, "timed_out"), 6),
            (CliError::MayGoOn { what: "key 17 is revoked".to_owned(), nodes: "3".to_owned() }, 9),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit_code(), code, "{error:?}");
        }
    }

    #[test]
    fn an_error_says_what_to_do_next() {
        assert_eq!(refused(422, "invalid_object").told(), "error: no\n next: try y");
    }
}
