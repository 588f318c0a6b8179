//! What a check came to.

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warn => 10,
            Self::Fail => 1,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    check: &'static str,
    state: State,
    said: String,
    next: &'static str,
}

/// All of them, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, said: impl Into<String>) {
        self.add(check, (State::Ok, said.into()), "");
    }

    /// What was found, and what to do about it unless it is well.
    pub(super) fn add(&mut self, check: &'static str, (state, said): (State, String), next: &'static str) {
        self.0.push(Finding { check, state, said, next });
    }

    pub(super) fn worst(&self) -> State {
        self.0.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
    }

    pub(super) fn summary(&self) -> String {
        let count = |state| self.0.iter().filter(|finding| finding.state == state).count();
        format!(
            "{} checks failed, {} warn, {} are well",
            count(State::Fail),
            count(State::Warn),
            count(State::Ok)
        )
    }

    pub(super) fn lines(&self) -> String {
        let lines = self.0.iter().map(|finding| {
            let Finding { check, state, said, next } = finding;
            let head = format!("{:<5} {check:<13} {said}", state.word());
            if *state == State::Ok { head } else { format!("{head}\n      {:<13} → {next}", "") }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn json(&self) -> Vec<Value> {
        let shown = |finding: &Finding| {
            let next = (finding.state != State::Ok).then_some(finding.next);
            json!({ "check": finding.check, "state": finding.state.word(), "said": finding.said, "next": next })
        };
        self.0.iter().map(shown).collect()
    }
}

/// How bad a number is that should be small.
pub(super) fn up_to<N: PartialOrd + Copy>(number: N, warn: N, fail: N) -> State {
    if number >= fail {
        State::Fail
    } else if number >= warn {
        State::Warn
    } else {
        State::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_less_than_a_failure_and_each_says_what_to_do() {
        let mut findings = Findings::default();
        findings.ok("file", "is valid");
        assert_eq!(findings.worst().exit_code(), 0);
        findings.add("clock", (up_to(300, 250, 2_000), "300 ms".to_owned()), "set it");
        assert_eq!(findings.worst().exit_code(), 10);
        findings.add("disk", (up_to(99, 85, 97), "99 %".to_owned()), "make room");
        assert_eq!(findings.worst().exit_code(), 1);
        assert_eq!(findings.summary(), "1 checks failed, 1 warn, 1 are well");
        assert_eq!(findings.lines().matches('→').count(), 2);
    }
}
