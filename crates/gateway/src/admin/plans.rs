//! Changes of who belongs, who votes and who drains: `POST /nodes/NODE/VERB`. Each makes a plan and shows it; with `?dry_run=true` that is all.
//! What is applied is what was planned, by compare-and-set.

use super::caller::{Administrator, Planner};
use super::input::Body;
use super::{AGREEMENT_LIMIT, Admin, AdminError, nodes};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use quorate_domain::{NodeId, Span};
use quorate_membership::{Ask, By, Command, Order, Outcome, Plan, Rejection, Successor};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A plan is made anew so often if something else changes meanwhile and the caller did not say which revision they mean.
const ATTEMPTS: usize = 5;

/// What may be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verb {
    Drain,
    Undrain,
    Remove,
    Replace,
    Promote,
    Demote,
}

/// What else may be said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Details {
    /// For how long requests may go on, of a drain.
    deadline_ms: Option<u64>,
    /// Who gives its seat, of a promotion.
    instead_of: Option<String>,
    /// Whether whoever comes next is the successor, of a replacement.
    by_anyone: bool,
}

pub(super) async fn change(
    State(admin): State<Arc<Admin>>,
    planner: Planner,
    path: Result<Path<(String, Verb)>, PathRejection>,
    body: Body,
) -> Result<Json<Value>, AdminError> {
    let Path((name, verb)) = path.map_err(|error| AdminError::Request(error.body_text()))?;
    let details: Details = body.read()?;
    let node = nodes::find(&**admin.replica()?, &name)?;
    let ask = ask(&admin, node, verb, &details)?;
    admin.carry_out(&planner, &ask, &format!("{verb:?} node {node}")).await.map(Json)
}

fn ask(admin: &Admin, node: NodeId, verb: Verb, details: &Details) -> Result<Ask, AdminError> {
    let foreign = |field: &str| Err(AdminError::Body(format!("{field} says nothing here")));
    match details {
        Details { deadline_ms: Some(_), .. } if verb != Verb::Drain => return foreign("deadline_ms"),
        Details { instead_of: Some(_), .. } if verb != Verb::Promote => return foreign("instead_of"),
        Details { by_anyone: true, .. } if verb != Verb::Replace => return foreign("by_anyone"),
        Details { .. } => {}
    }
    Ok(match verb {
        Verb::Drain => Ask::Drain(node, details.deadline_ms.map(Span::from_millis)),
        Verb::Undrain => Ask::Undrain(node),
        Verb::Remove => Ask::Remove(node),
        Verb::Replace if details.by_anyone => Ask::Replace(node, Successor::Anyone),
        Verb::Replace => Ask::Replace(node, Successor::Namesake),
        Verb::Promote => {
            let replica = admin.replica()?;
            let instead = details.instead_of.as_deref().map(|name| nodes::find(&**replica, name));
            Ask::Promote(node, instead.transpose()?)
        }
        Verb::Demote => Ask::Demote(node),
    })
}

impl Admin {
    /// Plans, and applies the plan if that is wanted and nothing forbids it.
    pub(super) async fn carry_out(
        &self,
        planner: &Planner,
        ask: &Ask,
        told: &str,
    ) -> Result<Value, AdminError> {
        for _ in 0..ATTEMPTS {
            let plan = self.plan(ask).await?;
            if let Some(expected) = planner.expected.filter(|expected| *expected != plan.revision) {
                return Err(AdminError::Membership(Rejection::Conflict {
                    expected,
                    revision: plan.revision,
                }));
            }
            if planner.is_dry_run {
                return Ok(shown(&plan, "planned"));
            }
            let refusals: Vec<&str> = plan.refusals().collect();
            if !refusals.is_empty() {
                return Err(AdminError::Unsafe(refusals.join("; ")));
            }
            match self.apply(&planner.by, &plan, told).await {
                Err(AdminError::Membership(Rejection::Conflict { .. })) if planner.expected.is_none() => {}
                done => return done.map(|done| shown(&plan, done)),
            }
        }
        Err(AdminError::Replica(crate::replica::Unavailable::NoQuorum))
    }

    async fn plan(&self, ask: &Ask) -> Result<Plan, AdminError> {
        let replica = self.replica()?;
        let sight = replica.sight(AGREEMENT_LIMIT).await?;
        replica.read_barrier(AGREEMENT_LIMIT).await?;
        let plan = Plan::of(&replica.membership().read(), &sight, ask);
        plan.map_err(AdminError::Membership)
    }

    async fn apply(&self, by: &Administrator, plan: &Plan, told: &str) -> Result<&'static str, AdminError> {
        let Some(change) = plan.change.clone() else { return Ok("unchanged") };
        let who = By { actor: format!("key {}", by.key), reason: by.reason.clone() };
        let order = Command::Change(Order { expected: plan.revision, by: who, change });
        match self.replica()?.propose_membership(order, AGREEMENT_LIMIT).await? {
            Outcome::Rejected(rejection) => Err(AdminError::Membership(rejection)),
            Outcome::Founded(_) | Outcome::Admitted(_) | Outcome::Done => {
                by.note(told);
                self.wait_to_show().await?;
                Ok("applied")
            }
        }
    }
}

fn shown(plan: &Plan, result: &str) -> Value {
    let mut plan_shown = super::view::plain(plan);
    plan_shown["sentence"] = json!(plan.to_string());
    plan_shown["changes_anything"] = json!(plan.change.is_some());
    plan_shown["is_refused"] = json!(plan.refusals().next().is_some());
    json!({ "result": result, "plan": plan_shown })
}
