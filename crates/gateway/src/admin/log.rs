//! How much this node logs: shown, and changed while it runs.

use super::caller::Attendant;
use super::input::Body;
use super::{Admin, AdminError};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How much the node logs, changeable while it runs.
pub trait LogLevel: Send + Sync + 'static {
    /// Puts another filter in force.
    ///
    /// # Errors
    /// When the text is no filter.
    fn set(&self, level: &str) -> Result<(), String>;

    /// The filter in force.
    fn get(&self) -> String;
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    level: String,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, _: Attendant) -> Json<Level> {
    Json(Level { level: admin.log.get() })
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    Attendant(by): Attendant,
    body: Body,
) -> Result<Json<Level>, AdminError> {
    let level: Level = body.read()?;
    admin.log.set(&level.level).map_err(|error| AdminError::Body(format!("level: {error}")))?;
    by.note(&format!("set the log of this node to {}", level.level));
    Ok(Json(level))
}
