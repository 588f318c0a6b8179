//! The certificate authority of the cluster: `GET /authority`, `POST /authority/rotate`.

use super::caller::{Administrator, Reader};
use super::input::Body;
use super::{Admin, AdminError, view};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use quorate_membership::{Authority, Phase, Root};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Shows the roots, how far a rotation is and whom it waits for, and every node's certificate.
pub(super) async fn show(State(admin): State<Arc<Admin>>, _: Reader) -> Result<Json<Value>, AdminError> {
    let members = admin.replica()?.membership().read();
    let authority = members.authority().ok_or(AdminError::NotInitialised)?;
    let nodes = members.iter().map(|(id, node)| {
        let certificate = node.certificate.map(|certificate| {
            json!({
                "root": certificate.root.to_string(),
                "since": view::time(certificate.since),
                "until": view::time(certificate.until),
            })
        });
        json!({
            "node": id,
            "name": node.name,
            "certificate": certificate,
            "is_awaited": authority.awaits(node),
        })
    });
    let nodes: Vec<Value> = nodes.collect();
    Ok(Json(json!({ "roots": roots(authority), "rotation": rotation(authority), "nodes": nodes })))
}

/// Begins to replace the root. Nodes follow by themselves; nothing is interrupted.
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<StatusCode, AdminError> {
    let Nothing {} = body.read()?;
    by.why()?;
    admin.replica()?.rotate_root().await?;
    by.note("rotate the certificate authority");
    admin.wait_to_show().await?;
    Ok(StatusCode::ACCEPTED)
}

fn roots(authority: &Authority) -> Vec<Value> {
    let signer = authority.signer().id();
    let shown = |root: &Root| {
        json!({
            "id": root.id().to_string(),
            "since": view::time(root.since),
            "until": view::time(root.until),
            "signs": root.id() == signer,
        })
    };
    authority.trusted().map(shown).collect()
}

fn rotation(authority: &Authority) -> Option<&'static str> {
    authority.next().map(|next| match next.phase {
        Phase::Trusting => "trusting",
        Phase::Signing => "signing",
    })
}
