//! A request's pass: the key that let it in, looked at once more when the first byte is about to leave for a provider,
//! and while a stream is open that must not outlive its key.
//!
//! The lease is taken hold of before the key is looked at, and must still last afterwards: a process that was paused
//! between the two would otherwise trust, under a lease that was renewed meanwhile, what it saw before.

use super::Proxy;
use crate::error::RequestError;
use http::HeaderMap;
use parking_lot::Mutex;
use quorate_catalog::{ApiKey, OnRevocation, WithoutQuorum};
use quorate_domain::{Secret, Unit};
use quorate_lease::Held;
use quorate_upstream::Permit;
use quorate_wallet::Charge;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A key that may do without a lease is looked at so often while its stream is open.
const PAUSE: Duration = Duration::from_millis(50);
/// A timer that is set for less may fire at once, again and again.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Whether grants bound what a request can spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// It is charged to budgets of amounts, so that nothing is spent but what was granted.
    Grants,
    /// No budget limits what it spends: permits come back when it ends.
    Nothing,
}

impl Cover {
    pub(super) fn of(path: &[Charge]) -> Self {
        let is_of_amounts = path.iter().any(|charge| charge.unit != Unit::Permits);
        if is_of_amounts { Self::Grants } else { Self::Nothing }
    }
}

/// What let a request in.
pub(super) struct Pass {
    proxy: Arc<Proxy>,
    head: Arc<Secret<HeaderMap>>,
    key: Arc<ApiKey>,
    cover: Cover,
    refused: OnceLock<RequestError>,
    leave: Mutex<Leave>,
}

/// How far a request came on its way to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Nothing has left.
    Unasked,
    /// The provider may have it.
    Given,
    /// It was called off in time: it never leaves.
    CalledOff,
}

impl Pass {
    pub(super) fn new(
        proxy: Arc<Proxy>,
        head: Arc<Secret<HeaderMap>>,
        key: Arc<ApiKey>,
        cover: Cover,
    ) -> Self {
        Self { proxy, head, key, cover, refused: OnceLock::new(), leave: Mutex::new(Leave::Unasked) }
    }

    /// Why the request was not let go, if it was not.
    pub(super) fn refusal(&self) -> Option<RequestError> {
        self.refused.get().cloned()
    }

    /// Calls the request off. `false` if it is too late, and the provider may have it.
    pub(super) fn call_off(&self) -> bool {
        let mut leave = self.leave.lock();
        if *leave == Leave::Unasked {
            *leave = Leave::CalledOff;
        }
        *leave == Leave::CalledOff
    }

    /// Whether a stream of it must end when the pass does.
    pub(super) fn ends_streams(&self) -> bool {
        self.key.spec.on_revocation == OnRevocation::CutStreams
    }

    /// Whether it still lets the request in; why not, if not.
    pub(super) fn check(&self) -> Result<(), RequestError> {
        let held = self.proxy.parts.replica.lease().hold();
        let current = self.proxy.parts.replica.catalog().read().key(self.key.id);
        match current {
            // What ends by itself, at a time of the log, ends without a change.
            Some(key) if key.revision == self.key.revision && !key.ends_by_itself() => {
                self.proxy.trust(held, &key, self.cover)
            }
            Some(_) | None => {
                let key = self.proxy.authenticate(self.head.expose())?;
                self.proxy.trust(held, &key, self.cover)
            }
        }
    }

    /// Resolves when it lets the request in no more, with the reason.
    pub(super) async fn ends(&self) -> RequestError {
        let replica = &self.proxy.parts.replica;
        let mut applied = replica.applied();
        loop {
            applied.borrow_and_update();
            if let Err(ended) = self.check() {
                return ended;
            }
            let left = replica.lease().left(self.proxy.parts.clock.mono());
            let pause = if left.is_zero() { PAUSE } else { left.max(PAUSE_MIN) };
            tokio::select! {
                Ok(()) = applied.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl Proxy {
    /// Whether what this node knows of a key is good enough for a request. `held` was taken before the key was looked at.
    pub(super) fn trust(&self, held: Held, key: &ApiKey, cover: Cover) -> Result<(), RequestError> {
        match (key.spec.without_quorum, cover) {
            (WithoutQuorum::Open, _) | (WithoutQuorum::GrantOnly, Cover::Grants) => Ok(()),
            (WithoutQuorum::Closed, _) | (WithoutQuorum::GrantOnly, Cover::Nothing) => {
                if held.lasts(self.parts.clock.mono()) { Ok(()) } else { Err(RequestError::NotFresh) }
            }
        }
    }
}

impl Permit for Pass {
    fn holds(&self) -> bool {
        let mut leave = self.leave.lock();
        if *leave == Leave::CalledOff {
            return false;
        }
        match self.check() {
            Ok(()) => {
                *leave = Leave::Given;
                true
            }
            Err(refused) => {
                // The first refusal is the one that counts.
                let _ = self.refused.set(refused);
                false
            }
        }
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("key", &self.key.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::BudgetId;
    use quorate_ledger::Reserve;

    #[test]
    fn permits_alone_bound_nothing_that_is_spent() {
        let of = |unit| Charge { budget: BudgetId::new(1), unit, reserve: Reserve::Bound };
        assert_eq!(Cover::of(&[]), Cover::Nothing);
        assert_eq!(Cover::of(&[of(Unit::Permits)]), Cover::Nothing);
        assert_eq!(Cover::of(&[of(Unit::Permits), of(Unit::Tokens)]), Cover::Grants);
        assert_eq!(Cover::of(&[of(Unit::Requests)]), Cover::Grants);
    }
}
