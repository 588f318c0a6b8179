//! Sessions of nodes that will not come back: `POST /sessions/ID/expire`.

use super::caller::Administrator;
use super::input::{Body, Numbered};
use super::{Admin, AdminError};
use axum::extract::State;
use http::StatusCode;
use quorate_domain::SessionId;
use quorate_ledger::Command;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Declares a session dead. What it holds is in doubt from then on; a node that lives after all opens another one.
pub(super) async fn expire(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    Numbered(id): Numbered,
    body: Body,
) -> Result<StatusCode, AdminError> {
    let Nothing {} = body.read()?;
    by.why()?;
    let told = format!("declare session {id} dead");
    admin.change_ledger(&by, told, Command::ExpireSession { session: SessionId::new(id) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
