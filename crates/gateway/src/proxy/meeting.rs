//! Meeting an end user who has no budget of his own yet: it is made through the log, once, before anything is reserved.
//!
//! Nobody is let through without it. One who cannot be met because there are too many is refused; how often the log is asked
//! about an organisation that has too many is bounded.

use super::Proxy;
use crate::error::RequestError;
use crate::funds::Unmet;
use parking_lot::Mutex;
use quorate_domain::{MonoTime, Name};
use quorate_ledger::{Command, MeetEndUser, Outcome, Rejection};
use std::collections::HashMap;
use std::time::Duration;

/// Longer than an election.
const LIMIT: Duration = Duration::from_secs(2);
/// Between two times that the log is asked about an organisation that has too many end users.
const PAUSE: Duration = Duration::from_millis(100);

/// When organisations were last found to have too many end users. Each has templates, so that there are few.
#[derive(Debug, Default)]
pub(super) struct TooMany(Mutex<HashMap<Name, MonoTime>>);

impl TooMany {
    fn found(&self, organisation: &Name, now: MonoTime) {
        self.0.lock().insert(organisation.clone(), now);
    }

    fn was_found(&self, organisation: &Name, now: MonoTime) -> bool {
        self.0.lock().get(organisation).is_some_and(|found| now.since(*found) < PAUSE)
    }
}

impl Proxy {
    /// Returns once this node's copy of the ledger has the end user's budgets.
    ///
    /// # Errors
    /// There are too many end users; or the log cannot be reached.
    pub(super) async fn meet(&self, unmet: &Unmet) -> Result<(), RequestError> {
        if self.too_many.was_found(&unmet.organisation, self.parts.clock.mono()) {
            return Err(RequestError::TooManyEndUsers);
        }
        let met = tokio::time::timeout(LIMIT, self.meet_in_the_log(unmet)).await;
        met.unwrap_or(Err(RequestError::QuotaUnavailable))
    }

    async fn meet_in_the_log(&self, unmet: &Unmet) -> Result<(), RequestError> {
        let Unmet { organisation, end_user } = unmet.clone();
        let mut applied = self.parts.replica.applied();
        let command = Command::MeetEndUser(MeetEndUser { organisation, end_user });
        match self.parts.replica.propose_ledger(command, LIMIT).await {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Rejected(Rejection::TooManyEndUsers { .. })) => {
                self.too_many.found(&unmet.organisation, self.parts.clock.mono());
                return Err(RequestError::TooManyEndUsers);
            }
            Ok(_) | Err(_) => return Err(RequestError::QuotaUnavailable),
        }
        // The leader has it; this copy follows.
        while self.parts.funds.is_unmet(unmet) {
            applied.changed().await.map_err(|_| RequestError::QuotaUnavailable)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::Span;

    #[test]
    fn an_organisation_with_too_many_is_asked_about_ten_times_a_second() {
        let (too_many, acme) = (TooMany::default(), "acme".parse().unwrap());
        let now = MonoTime::from_micros(5_000_000);
        assert!(!too_many.was_found(&acme, now));
        too_many.found(&acme, now);
        assert!(too_many.was_found(&acme, now.plus(Span::from_millis(99))));
        assert!(!too_many.was_found(&acme, now.plus(Span::from_millis(100))));
        assert!(!too_many.was_found(&"umbrella".parse().unwrap(), now));
    }
}
