//! Join tokens: `GET`, `POST /tokens`, `DELETE /tokens/ID`.

use super::caller::{Administrator, Reader};
use super::input::{Body, Named};
use super::{AGREEMENT_LIMIT, Admin, AdminError};
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use quorate_domain::{LogTime, Span};
use quorate_membership::{Command, Outcome, Rejection, Token, TokenId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Long enough to bring a token to some machines.
const TTL_DEFAULT: Span = Span::from_millis(30 * 60 * 1_000);
/// What is good for longer lies around.
const TTL_MAX: Span = Span::from_millis(30 * 24 * 60 * 60 * 1_000);
const USES_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// For how long it is good.
    #[serde(default)]
    ttl_ms: Option<u64>,
    /// How many nodes it lets in.
    #[serde(default)]
    uses: Option<u32>,
}

/// Shows the text of the token, this once.
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<impl IntoResponse, AdminError> {
    let NewToken { ttl_ms, uses } = body.read()?;
    let (ttl, uses) = (ttl_ms.map_or(TTL_DEFAULT, Span::from_millis), uses.unwrap_or(1));
    if ttl.millis() == 0 || ttl > TTL_MAX {
        return Err(AdminError::Body(format!("ttl_ms: give 1 to {}", TTL_MAX.millis())));
    }
    if uses == 0 || uses > USES_MAX {
        return Err(AdminError::Body(format!("uses: give 1 to {USES_MAX}")));
    }
    let replica = admin.replica()?;
    let token = replica.create_token(ttl, uses, format!("key {}", by.key)).await?;
    by.note(&format!("create join token {}", token.id));
    admin.wait_to_show().await?;
    let shown = replica.membership().read().tokens().iter().find(|(id, _)| *id == token.id).map(view);
    let mut answer = shown.unwrap_or_else(|| json!({ "id": token.id.to_string() }));
    answer["token"] = json!(token.expose());
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows what there is, without any secret.
pub(super) async fn list(State(admin): State<Arc<Admin>>, _: Reader) -> Result<Json<Value>, AdminError> {
    let members = admin.replica()?.membership().read();
    let tokens: Vec<Value> = members.tokens().iter().map(view).collect();
    Ok(super::view::listed(&tokens))
}

/// Takes a token back: it lets nobody in any more. Whoever it let in stays.
pub(super) async fn withdraw(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    Named(id): Named,
) -> Result<StatusCode, AdminError> {
    let token: TokenId = id.as_str().parse().map_err(|_| AdminError::Membership(Rejection::TokenUnknown))?;
    admin
        .change_membership(&by, format!("withdraw join token {token}"), Command::WithdrawToken { token })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view((id, token): (TokenId, &Token)) -> Value {
    let shown = |time: LogTime| super::view::time(time);
    json!({
        "id": id.to_string(),
        "uses_left": token.uses_left,
        "created_at": shown(token.since),
        "expires_at": shown(token.until),
        "created_by": token.actor,
    })
}

impl Admin {
    /// Has a change of who belongs to the cluster agreed on, and waits until it shows on this node.
    pub(super) async fn change_membership(
        &self,
        by: &Administrator,
        told: String,
        command: Command,
    ) -> Result<(), AdminError> {
        match self.replica()?.propose_membership(command, AGREEMENT_LIMIT).await? {
            Outcome::Rejected(rejection) => Err(AdminError::Membership(rejection)),
            Outcome::Founded(_) | Outcome::Admitted(_) | Outcome::Done => {
                by.note(&told);
                self.wait_to_show().await
            }
        }
    }
}
