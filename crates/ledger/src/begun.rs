//! How far log time had come for a session, as its node's journal has it: of windows that begin later nothing was spent.

use crate::Mark;
use quorate_domain::{LogTime, SessionId};

/// A line of the watermark journal beside the marks: what one session knew of log time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The session.
    pub session: SessionId,
    /// It spends nothing of windows that begin after this.
    pub upto: LogTime,
}

impl Begun {
    /// Whether anything may have been spent below a mark. Of other sessions it says nothing.
    #[must_use]
    pub fn allows(&self, mark: &Mark) -> bool {
        mark.session != self.session || mark.window.start() <= self.upto
    }
}
