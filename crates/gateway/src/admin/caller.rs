//! Who calls the admin API, and how fresh an answer they want.

use super::input::Precondition;
use super::query::{self, Consistency, Fresh, Guarded, NoQuery, Planned};
use super::{AGREEMENT_LIMIT, Admin, AdminError};
use crate::replica::log_time;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use quorate_catalog::{Actor, ApiKey, AuthenticationFailure, Role};
use quorate_domain::KeyId;
use std::sync::Arc;

/// The header in which a caller may say why; it goes into the log with the change.
const REASON_HEADER: &str = "x-quorate-reason";
const REASON_LENGTH_MAX: usize = 512;

/// The holder of an admin key. As an argument of its own, of a path that takes no query.
///
/// A node whose lease has ended asks the cluster first whether the key was revoked.
pub(super) struct Administrator {
    pub(super) key: KeyId,
    pub(super) reason: Option<String>,
}

/// The holder of an admin key, as far as this node knows: for paths about the node itself, which must answer without a
/// quorum.
pub(super) struct Attendant(pub(super) Administrator);

/// An administrator who changes something, and which version of it they mean.
pub(super) struct Editor {
    pub(super) by: Administrator,
    pub(super) precondition: Precondition,
}

/// An administrator who changes the membership, or only wants to know what a change would do.
pub(super) struct Planner {
    pub(super) by: Administrator,
    pub(super) is_dry_run: bool,
    /// The revision of the membership that they have seen.
    pub(super) expected: Option<u64>,
}

/// An administrator who reads: this replica has caught up, unless they asked for `?consistency=local`.
pub(super) struct Reader;

impl Administrator {
    pub(super) const fn actor(&self) -> Actor {
        Actor::Key(self.key)
    }

    /// Why they make a change that nobody makes without a reason.
    pub(super) fn why(&self) -> Result<&str, AdminError> {
        let missing = || {
            AdminError::Request(format!("{REASON_HEADER} is missing: say why, on the command line with -m"))
        };
        self.reason.as_deref().filter(|reason| !reason.trim().is_empty()).ok_or_else(missing)
    }

    /// Writes down that a change of theirs was accepted, and why they made it.
    pub(super) fn note(&self, change: &str) {
        tracing::info!(admin_key = self.key.get(), reason = self.reason, change, "change accepted");
    }

    async fn of(parts: &Parts, admin: &Admin) -> Result<Self, AdminError> {
        Ok(Self { key: admin.check_now(&parts.headers).await?, reason: reason(parts)? })
    }
}

impl FromRequestParts<Arc<Admin>> for Administrator {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        let by = Self::of(parts, admin).await?;
        query::read::<NoQuery>(parts)?;
        Ok(by)
    }
}

impl FromRequestParts<Arc<Admin>> for Attendant {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        let by = Administrator { key: admin.check(&parts.headers).await?, reason: reason(parts)? };
        query::read::<NoQuery>(parts)?;
        Ok(Self(by))
    }
}

impl FromRequestParts<Arc<Admin>> for Editor {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        let by = Administrator::of(parts, admin).await?;
        let Guarded { expected_revision } = query::read(parts)?;
        Ok(Self { by, precondition: Precondition::of(&parts.headers, expected_revision.as_deref())? })
    }
}

impl FromRequestParts<Arc<Admin>> for Planner {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        let by = Administrator::of(parts, admin).await?;
        let Planned { dry_run, expected_revision } = query::read(parts)?;
        Ok(Self { by, is_dry_run: dry_run, expected: expected_revision })
    }
}

impl Admin {
    /// The admin key that a request carries, by a copy of the keys that is fresh or has just been brought up to date.
    async fn check_now(&self, headers: &HeaderMap) -> Result<KeyId, AdminError> {
        let held = self.replica()?.lease().hold();
        let key = self.check(headers).await?;
        if held.lasts(self.clock.mono()) {
            return Ok(key);
        }
        self.replica()?.read_barrier(AGREEMENT_LIMIT).await?;
        self.check(headers).await
    }

    /// The admin key that a request carries, as far as this node knows. Without a lease it does not know enough to say that
    /// there is no such key: one may have been created elsewhere a moment ago, and the cluster is asked.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<KeyId, AdminError> {
        let text = bearer(headers).ok_or(AdminError::Unauthenticated)?;
        let held = self.replica()?.lease().hold();
        let mut found = self.look_up(text)?;
        if found.as_ref().is_err_and(|failure| failure.may_have_changed()) && !held.lasts(self.clock.mono()) {
            self.replica()?.read_barrier(AGREEMENT_LIMIT).await?;
            found = self.look_up(text)?;
        }
        let key = found.map_err(|_| AdminError::Unauthenticated)?;
        match key.role {
            Role::Admin => Ok(key.id),
            Role::Client => Err(AdminError::NotAdmin),
        }
    }

    fn look_up(&self, text: &str) -> Result<Result<Arc<ApiKey>, AuthenticationFailure>, AdminError> {
        let replica = self.replica()?;
        let now = log_time(&**replica, &*self.clock);
        Ok(replica.catalog().read().authenticate(text, now))
    }
}

impl FromRequestParts<Arc<Admin>> for Reader {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        admin.check(&parts.headers).await?;
        let Fresh { consistency } = query::read(parts)?;
        Self::caught_up(admin, &parts.headers, consistency).await
    }
}

impl Reader {
    /// Waits until this replica is as fresh as it has to be.
    pub(super) async fn caught_up(
        admin: &Admin,
        headers: &HeaderMap,
        asked: Option<Consistency>,
    ) -> Result<Self, AdminError> {
        if asked.is_none() {
            admin.replica()?.read_barrier(AGREEMENT_LIMIT).await?;
            // What was caught up with may have been the end of the key.
            admin.check(headers).await?;
        }
        Ok(Self)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, text) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

fn reason(parts: &Parts) -> Result<Option<String>, AdminError> {
    let Some(value) = parts.headers.get(REASON_HEADER) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|text| text.len() <= REASON_LENGTH_MAX);
    let wrong =
        || AdminError::Request(format!("{REASON_HEADER} takes at most {REASON_LENGTH_MAX} bytes of UTF-8"));
    text.map(|text| Some(text.to_owned())).ok_or_else(wrong)
}
