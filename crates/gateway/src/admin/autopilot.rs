//! The autopilot, the events, and who leads: `GET`, `PUT /autopilot`, `GET /cluster/events`, `POST /cluster/transfer-leader`.

use super::caller::{Administrator, Attendant, Planner};
use super::input::Body;
use super::{Admin, AdminError, nodes, view};
use axum::Json;
use axum::extract::State;
use quorate_domain::Span;
use quorate_membership::{Ask, AutopilotSettings, Mode, VOTERS_MAX, What};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What may be set; what is not said stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    paused: Option<bool>,
    target: Option<u32>,
    stable_ms: Option<u64>,
    dead_voter_ms: Option<u64>,
    dead_learner_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heir {
    /// A name or an id; whoever is furthest if it is missing.
    to: Option<String>,
}

pub(super) async fn show(State(admin): State<Arc<Admin>>, _: Attendant) -> Result<Json<Value>, AdminError> {
    Ok(Json(settings(admin.replica()?.membership().read().autopilot())))
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    planner: Planner,
    body: Body,
) -> Result<Json<Value>, AdminError> {
    let wanted: Wanted = body.read()?;
    let ask = Ask::Autopilot(wanted.of(*admin.replica()?.membership().read().autopilot())?);
    let mut done = admin.carry_out(&planner, &ask, "set the autopilot").await?;
    done["autopilot"] = settings(admin.replica()?.membership().read().autopilot());
    Ok(Json(done))
}

impl Wanted {
    fn of(self, now: AutopilotSettings) -> Result<AutopilotSettings, AdminError> {
        let target = self.target.unwrap_or(now.target);
        let fits = usize::try_from(target).is_ok_and(|target| target % 2 == 1 && target <= VOTERS_MAX);
        if !fits {
            return Err(AdminError::Body(format!("target: give an odd number from 1 to {VOTERS_MAX}")));
        }
        let span = |wanted: Option<u64>, now: Span| wanted.map_or(now, Span::from_millis);
        Ok(AutopilotSettings {
            mode: match self.paused {
                Some(true) => Mode::Paused,
                Some(false) => Mode::Active,
                None => now.mode,
            },
            target,
            stable: span(self.stable_ms, now.stable),
            dead_voter: span(self.dead_voter_ms, now.dead_voter),
            dead_learner: span(self.dead_learner_ms, now.dead_learner),
        })
    }
}

fn settings(settings: &AutopilotSettings) -> Value {
    json!({
        "paused": settings.mode == Mode::Paused,
        "target": settings.target,
        "stable_ms": settings.stable,
        "dead_voter_ms": settings.dead_voter,
        "dead_learner_ms": settings.dead_learner,
    })
}

/// The latest, the newest first.
pub(super) async fn events(State(admin): State<Arc<Admin>>, _: Attendant) -> Result<Json<Value>, AdminError> {
    let table = admin.replica()?.membership().read();
    let items = table.events().iter().rev().map(|event| {
        json!({
            "number": event.number,
            "at": view::time(event.at),
            "by": event.by.actor,
            "reason": event.by.reason,
            "kind": kind(&event.what),
            "what": event.what.to_string(),
        })
    });
    Ok(view::listed(&items.collect::<Vec<_>>()))
}

const fn kind(what: &What) -> &'static str {
    match what {
        What::Founded(_) => "founded",
        What::Admitted(_) => "admitted",
        What::AdmittedFor(..) => "admitted_for",
        What::Restarted(_) => "restarted",
        What::Draining(_) => "draining",
        What::Undrained(_) => "undrained",
        What::Drained(_) => "drained",
        What::Removed(_) => "removed",
        What::ToBeReplaced(_) => "to_be_replaced",
        What::Seated { .. } => "seated",
        What::KeptOut(_) => "kept_out",
        What::LetIn(_) => "let_in",
        What::Autopilot(_) => "autopilot",
        What::Recovered(..) => "recovered",
        What::Raised { .. } => "raised",
    }
}

pub(super) async fn transfer(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Json<Value>, AdminError> {
    let Heir { to } = body.read()?;
    let replica = admin.replica()?;
    let heir = to.as_deref().map(|name| nodes::find(&**replica, name)).transpose()?;
    replica.transfer_leadership(heir).await.map_err(AdminError::NotHandedOver)?;
    by.note("hand leadership over");
    Ok(Json(json!({ "leader": replica.status().leader })))
}
