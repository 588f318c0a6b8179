//! Budgets: create, list, show, set, delete, explain; and usage, which is what was spent of them.

use super::caller::{Administrator, Editor, Reader};
use super::input::{Body, Numbered};
use super::query::{self, OfSubject};
use super::{Admin, AdminError, view, words};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use quorate_domain::{Amount, BudgetId, NanoUsd, Subject, Unit};
use quorate_ledger::{BudgetReport, BudgetSpec, Command, Expected, Kind, Ledger, Outcome, PutBudget};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A budget of a subject that is named elsewhere.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBudget {
    #[serde(deserialize_with = "words::unit")]
    unit: Unit,
    #[serde(default = "lifetime", deserialize_with = "words::window")]
    window: Kind,
    limit: Number,
}

/// A budget as people write it, in a request or in a configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetInput {
    subject: String,
    #[serde(deserialize_with = "words::unit")]
    unit: Unit,
    #[serde(default = "lifetime", deserialize_with = "words::window")]
    window: Kind,
    limit: Number,
}

/// The part of a budget that can change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitInput {
    limit: Number,
}

/// An administrator who reads, and whose budgets: `?subject=key:17`, or all.
pub(super) struct Filter(Option<Subject>);

/// An amount: a number, or a text for dollars with decimals.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "limit: write a whole number, or dollars as a text such as \"12.50\"")]
enum Number {
    Whole(u64),
    Text(String),
}

/// A budget of which nobody says otherwise never starts anew.
const fn lifetime() -> Kind {
    Kind::Lifetime
}

impl Number {
    fn amount(&self, unit: Unit) -> Result<Amount, String> {
        let text = match self {
            Self::Whole(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        let wrong = |why: String| format!("limit: {why}");
        match unit {
            Unit::NanoUsd => text.parse().map(NanoUsd::amount).map_err(|error| wrong(format!("{error}"))),
            Unit::Tokens | Unit::Requests | Unit::Permits => {
                text.parse().map(Amount::new).map_err(|_| wrong(format!("{text:?} is not a whole number")))
            }
        }
    }
}

impl NewBudget {
    /// The budget for this subject.
    pub(super) fn spec_for(&self, subject: Subject) -> Result<BudgetSpec, AdminError> {
        spec(subject, self.unit, self.window, &self.limit).map_err(AdminError::Body)
    }
}

impl BudgetInput {
    /// The budget it asks for.
    ///
    /// # Errors
    /// Says which field has no such value.
    pub fn spec(&self) -> Result<BudgetSpec, String> {
        let subject = self.subject.parse().map_err(|error| format!("subject: {error}"))?;
        spec(subject, self.unit, self.window, &self.limit)
    }
}

fn spec(subject: Subject, unit: Unit, kind: Kind, limit: &Number) -> Result<BudgetSpec, String> {
    match (unit, kind) {
        (Unit::Permits, Kind::Fixed(_)) => {
            Err("window: permits have none; each comes back when its request ends".to_owned())
        }
        (Unit::Permits, Kind::Lifetime) | (Unit::Tokens | Unit::NanoUsd | Unit::Requests, _) => {
            Ok(BudgetSpec { subject, unit, kind, limit: limit.amount(unit)? })
        }
    }
}

impl FromRequestParts<Arc<Admin>> for Filter {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        admin.check(&parts.headers)?;
        let OfSubject { subject, consistency } = query::read(parts)?;
        let subject = subject.map(|text| text.parse()).transpose();
        let subject = subject
            .map_err(|error: quorate_domain::ParseSubjectError| AdminError::Request(error.to_string()))?;
        Reader::caught_up(admin, consistency).await?;
        Ok(Self(subject))
    }
}

pub(super) async fn list(State(admin): State<Arc<Admin>>, filter: Filter) -> Result<Json<Value>, AdminError> {
    Ok(view::listed(&reports(&admin, filter)?.iter().map(shown).collect::<Vec<_>>()))
}

pub(super) async fn usage(
    State(admin): State<Arc<Admin>>,
    filter: Filter,
) -> Result<Json<Value>, AdminError> {
    // Permits are held, never spent.
    let is_spent = |report: &&BudgetReport| report.spec.unit != Unit::Permits;
    Ok(view::listed(&reports(&admin, filter)?.iter().filter(is_spent).map(usage_of).collect::<Vec<_>>()))
}

pub(super) async fn show(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Numbered(id): Numbered,
) -> Result<Response, AdminError> {
    answer(&admin, StatusCode::OK, BudgetId::new(id))
}

pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Numbered(id): Numbered,
) -> Result<Response, AdminError> {
    let report = report(&admin, BudgetId::new(id))?;
    Ok(view::versioned(StatusCode::OK, report.revision, explained(&report)))
}

pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Response, AdminError> {
    let spec = body.read::<BudgetInput>()?.spec().map_err(AdminError::Body)?;
    if !admin.replica()?.catalog().read().has_subject(&spec.subject) {
        return Err(AdminError::NoSubject(spec.subject.to_string()));
    }
    let id = store(&admin, &by, spec, Expected::Absent).await?;
    answer(&admin, StatusCode::CREATED, id)
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
    body: Body,
) -> Result<Response, AdminError> {
    let LimitInput { limit } = body.read()?;
    let mut spec = report(&admin, BudgetId::new(id))?.spec;
    spec.limit = limit.amount(spec.unit).map_err(AdminError::Body)?;
    let id = store(&admin, &by, spec, precondition.into()).await?;
    answer(&admin, StatusCode::OK, id)
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
) -> Result<StatusCode, AdminError> {
    let budget = BudgetId::new(id);
    delete(&admin, &by, budget, precondition.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores the budgets of a key that is not in force yet.
pub(super) async fn store_all(
    admin: &Admin,
    by: &Administrator,
    specs: Vec<BudgetSpec>,
) -> Result<(), AdminError> {
    for spec in specs {
        store(admin, by, spec, Expected::Absent).await?;
    }
    Ok(())
}

/// Takes back the budgets of a key that did not come to be. What cannot be taken back limits nobody.
pub(super) async fn remove_all(admin: &Admin, by: &Administrator, subject: &Subject) {
    let Ok(replica) = admin.replica() else { return };
    let budgets = replica.ledger().read().budgets_of(subject).to_vec();
    for budget in budgets {
        if let Err(error) = delete(admin, by, budget, Expected::Any).await {
            tracing::warn!(%subject, %budget, %error, "the budget of a key that was not created is left over");
        }
    }
}

async fn store(
    admin: &Admin,
    by: &Administrator,
    spec: BudgetSpec,
    expected: Expected,
) -> Result<BudgetId, AdminError> {
    let subject = spec.subject.clone();
    let (limit, unit, window) = (spec.limit, spec.unit, words::of_window(spec.kind));
    let told = format!("put budget of {subject}: {limit} {unit} ({window})");
    match admin.change_ledger(by, told, Command::PutBudget(PutBudget { spec, expected })).await? {
        Outcome::BudgetStored { budget, .. } => Ok(budget),
        Outcome::Done
        | Outcome::SessionOpened { .. }
        | Outcome::Synced { .. }
        | Outcome::Fenced
        | Outcome::Rejected(_) => Err(AdminError::Missing(format!("budget of {subject}"))),
    }
}

async fn delete(
    admin: &Admin,
    by: &Administrator,
    budget: BudgetId,
    expected: Expected,
) -> Result<(), AdminError> {
    let told = format!("delete budget {budget}");
    admin.change_ledger(by, told, Command::RemoveBudget { budget, expected }).await.map(|_| ())
}

fn reports(admin: &Admin, Filter(subject): Filter) -> Result<Vec<BudgetReport>, AdminError> {
    let ledger = admin.replica()?.ledger().read();
    let ids = match &subject {
        Some(subject) => ledger.budgets_of(subject).to_vec(),
        None => ledger.budgets().map(|(id, _)| id).collect(),
    };
    Ok(ids.into_iter().filter_map(|id| ledger.report(id)).collect())
}

fn report(admin: &Admin, id: BudgetId) -> Result<BudgetReport, AdminError> {
    let report = Ledger::report(&admin.replica()?.ledger().read(), id);
    report.ok_or_else(|| AdminError::Missing(format!("budget {id}")))
}

fn answer(admin: &Admin, status: StatusCode, id: BudgetId) -> Result<Response, AdminError> {
    let report = report(admin, id)?;
    Ok(view::versioned(status, report.revision, shown(&report)).into_response())
}

/// A budget as people see it. Tells what is spent as far as nodes have reported.
fn shown(report: &BudgetReport) -> Value {
    let unit = report.spec.unit;
    let amount = |value| view::amount(unit, value);
    json!({
        "id": report.budget,
        "subject": report.spec.subject.to_string(),
        "unit": words::of_unit(unit),
        "window": words::of_window(report.spec.kind),
        "limit": amount(report.spec.limit),
        "used": amount(report.used),
        "granted": amount(report.outstanding),
        "free": amount(report.free),
        "window_start": window_start(report),
        "window_end": report.window.end.map(view::time),
        "revision": report.revision,
    })
}

fn usage_of(report: &BudgetReport) -> Value {
    let unit = report.spec.unit;
    json!({
        "subject": report.spec.subject.to_string(),
        "unit": words::of_unit(unit),
        "window": words::of_window(report.spec.kind),
        "window_start": window_start(report),
        "used": view::amount(unit, report.used),
        "limit": view::amount(unit, report.spec.limit),
        "budget": report.budget,
    })
}

/// Where every unit of the limit is, in numbers and in one sentence.
fn explained(report: &BudgetReport) -> Value {
    let unit = report.spec.unit;
    let amount = |value| view::amount(unit, value);
    let holdings = report.holdings.iter().map(|holding| {
        json!({
            "node": holding.node,
            "session": holding.session,
            "state": holding.state,
            "granted": amount(holding.granted),
            "used": amount(holding.used),
            "returned": amount(holding.returned),
            "outstanding": amount(holding.outstanding),
        })
    });
    let mut object = shown(report);
    if let Value::Object(fields) = &mut object {
        fields.insert("mode".to_owned(), json!(if report.is_central { "central" } else { "grant" }));
        fields.insert("waiting".to_owned(), json!(report.waiting));
        fields.insert("in_doubt".to_owned(), amount(report.in_doubt));
        fields.insert("crash_charged".to_owned(), amount(report.crash_charged));
        fields.insert("overrun".to_owned(), amount(report.overrun));
        fields.insert("excess".to_owned(), amount(report.excess));
        fields.insert("holdings".to_owned(), Value::Array(holdings.collect()));
        fields.insert("explanation".to_owned(), json!(sentence(report)));
    }
    object
}

fn sentence(report: &BudgetReport) -> String {
    let unit = report.spec.unit;
    let shown = |amount: Amount| match unit {
        Unit::NanoUsd => format!("${}", NanoUsd::new(amount.get())),
        Unit::Tokens | Unit::Requests | Unit::Permits => amount.to_string(),
    };
    let doubt = if report.in_doubt.is_zero() {
        String::new()
    } else {
        format!(", of which {} with nodes that are gone and may have spent it", shown(report.in_doubt))
    };
    format!(
        "of {} {} ({}) {} are spent, {} are granted to {} node sessions{doubt}, and {} are free",
        shown(report.spec.limit),
        words::of_unit(unit),
        words::of_window(report.spec.kind),
        shown(report.used.saturating_add(report.overrun)),
        shown(report.outstanding),
        report.holdings.len(),
        shown(report.free),
    )
}

fn window_start(report: &BudgetReport) -> Value {
    match report.spec.kind {
        Kind::Lifetime => Value::Null,
        Kind::Fixed(_) => view::time(report.window.id.start()),
    }
}
