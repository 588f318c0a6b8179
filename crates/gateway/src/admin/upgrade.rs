//! The level of what the cluster writes: `GET /upgrade`, `POST /upgrade/finalize` (docs/adr/0025-levels.md).

use super::caller::{Administrator, Reader};
use super::input::Body;
use super::{Admin, AdminError};
use axum::Json;
use axum::extract::State;
use quorate_membership::{Command, Membership};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finalize {
    /// The level that whoever asks has seen.
    from: u32,
}

/// Shows the level, what each node knows, and whether the level can be raised.
pub(super) async fn show(State(admin): State<Arc<Admin>>, _: Reader) -> Result<Json<Value>, AdminError> {
    Ok(Json(view(&admin.replica()?.membership().read())))
}

/// Raises the level by one. Needs a reason; cannot be undone.
pub(super) async fn finalize(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Json<Value>, AdminError> {
    let Finalize { from } = body.read()?;
    let (actor, reason, to) = (format!("key {}", by.key), Some(by.why()?.to_owned()), from.saturating_add(1));
    let raise = Command::Raise { from, to, actor, reason };
    admin.change_membership(&by, format!("raise the level from {from} to {to}"), raise).await?;
    Ok(Json(view(&admin.replica()?.membership().read())))
}

fn view(members: &Membership) -> Value {
    let (level, next) = (members.level(), members.level() + 1);
    let nodes = members.iter().map(|(id, node)| {
        let levels = node.profile.levels;
        json!({
            "node": id,
            "name": node.name,
            "release": node.profile.release,
            "levels": { "min": levels.min, "max": levels.max },
            "knows_next": levels.know(next),
        })
    });
    let nodes: Vec<Value> = nodes.collect();
    let knows = |node: &Value| node["knows_next"] == true;
    let state = match nodes.iter().filter(|node| knows(node)).count() {
        0 => "final",
        some if some == nodes.len() => "can_finalize",
        _ => "mixed",
    };
    json!({ "level": level, "state": state, "nodes": nodes })
}
