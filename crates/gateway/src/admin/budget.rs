//! Budgets: create, list, show, set, delete; and usage, which is what was spent of them.

use super::caller::{Administrator, Editor, Reader};
use super::input::{Body, Numbered, Precondition};
use super::query::{self, OfSubject};
use super::{AGREEMENT_LIMIT, Admin, AdminError, calendar, view, words};
use crate::time_zones;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use quorate_domain::{Amount, BudgetId, NanoUsd, Period, Refill, Subject, Unit, Weekday};
use quorate_ledger::{
    AutoResolve, BudgetReport, BudgetSpec, Command, Expected, Kind, Ledger, Outcome, PutBudget, PutTemplate,
    Rejection, Reserve,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// So often a change is tried while others change the same budget.
const SET_TRIES: usize = 16;
/// No budget is larger, in its unit (of dollars: in billionths): half of what an account on a node can count.
const LIMIT_MAX: Amount = Amount::new((1 << 62) - 1);

/// No template makes budgets for more end users: each takes some kilobytes on every node.
const END_USERS_LIMIT: u32 = 1_000_000;

/// A budget of a subject that is named elsewhere.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBudget {
    #[serde(deserialize_with = "words::unit")]
    unit: Unit,
    #[serde(default, deserialize_with = "words::window")]
    window: Option<Period>,
    #[serde(default, deserialize_with = "words::refill")]
    bucket: Option<Refill>,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "words::weekday")]
    week_starts: Option<Weekday>,
    limit: Number,
    #[serde(default)]
    auto_resolve: Option<words::Rule>,
    #[serde(default, deserialize_with = "words::reserve")]
    reserve: Option<Reserve>,
}

/// A budget as people write it, in a request or in a configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetInput {
    subject: String,
    #[serde(deserialize_with = "words::unit")]
    unit: Unit,
    #[serde(default, deserialize_with = "words::window")]
    window: Option<Period>,
    #[serde(default, deserialize_with = "words::refill")]
    bucket: Option<Refill>,
    #[serde(default)]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "words::weekday")]
    week_starts: Option<Weekday>,
    limit: Number,
    #[serde(default)]
    auto_resolve: Option<words::Rule>,
    #[serde(default, deserialize_with = "words::reserve")]
    reserve: Option<Reserve>,
    #[serde(default)]
    end_users_max: Option<u32>,
}

/// A budget that somebody wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it limits, and to how much.
    pub spec: BudgetSpec,
    /// Of all end users of an organisation: for how many it is made, if that is said.
    end_users_max: Option<u32>,
}

impl Wanted {
    fn new(spec: BudgetSpec, end_users_max: Option<u32>) -> Result<Self, String> {
        let is_default = matches!(spec.subject, Subject::EndUserDefault(_));
        match end_users_max {
            Some(_) if !is_default => {
                Err("end_users_max: only of all end users of an organisation, end-user:ORG/*".to_owned())
            }
            Some(most) if !(1..=END_USERS_LIMIT).contains(&most) => {
                Err(format!("end_users_max: from 1 to {END_USERS_LIMIT}"))
            }
            Some(_) | None => Ok(Self { spec, end_users_max }),
        }
    }

    /// The command that stores it.
    #[must_use]
    pub fn command(self, expected: Expected) -> Command {
        let put = PutBudget { spec: self.spec, expected };
        match self.end_users_max {
            Some(end_users_max) => Command::PutTemplate(PutTemplate { put, end_users_max }),
            None => Command::PutBudget(put),
        }
    }
}

impl From<BudgetSpec> for Wanted {
    fn from(spec: BudgetSpec) -> Self {
        Self { spec, end_users_max: None }
    }
}

/// The parts of a budget that can change; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    limit: Option<Number>,
    auto_resolve: Option<words::Rule>,
    #[serde(default, deserialize_with = "words::reserve")]
    reserve: Option<Reserve>,
    end_users_max: Option<u32>,
}

/// An administrator who reads, and whose budgets: `?subject=key:17`, or all.
pub(super) struct Filter(Option<Subject>);

/// An amount: a number, or a text for dollars with decimals.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "write a whole number, or dollars as a text such as \"12.50\"")]
pub(super) enum Number {
    Whole(u64),
    Text(String),
}

impl Number {
    /// The amount it stands for in a field that takes this unit.
    pub(super) fn amount(&self, unit: Unit, field: &str) -> Result<Amount, String> {
        let text = match self {
            Self::Whole(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        };
        let wrong = |why: String| format!("{field}: {why}");
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
        let written = calendar::Written {
            window: self.window,
            bucket: self.bucket,
            time_zone: self.time_zone.as_deref(),
            week_starts: self.week_starts,
        };
        let rules = (self.auto_resolve, self.reserve);
        spec(subject, self.unit, written, &self.limit, rules).map_err(AdminError::Body)
    }
}

impl BudgetInput {
    /// The budget it asks for.
    ///
    /// # Errors
    /// Says which field has no such value.
    pub fn wanted(&self) -> Result<Wanted, String> {
        let subject = self.subject.parse().map_err(|error| format!("subject: {error}"))?;
        let written = calendar::Written {
            window: self.window,
            bucket: self.bucket,
            time_zone: self.time_zone.as_deref(),
            week_starts: self.week_starts,
        };
        let spec = spec(subject, self.unit, written, &self.limit, (self.auto_resolve, self.reserve))?;
        Wanted::new(spec, self.end_users_max)
    }
}

impl Changes {
    fn to(&self, mut spec: BudgetSpec) -> Result<Wanted, String> {
        let Self { limit, auto_resolve, reserve, end_users_max } = self;
        if limit.is_none() && auto_resolve.is_none() && reserve.is_none() && end_users_max.is_none() {
            return Err("give limit, auto_resolve, reserve or end_users_max".to_owned());
        }
        if let Some(limit) = limit {
            spec.limit = limit.amount(spec.unit, "limit")?;
        }
        spec.auto_resolve = auto_resolve.map_or(spec.auto_resolve, AutoResolve::from);
        spec.reserve = reserve.unwrap_or(spec.reserve);
        Wanted::new(ruled(spec)?, *end_users_max)
    }
}

fn spec(
    subject: Subject,
    unit: Unit,
    written: calendar::Written<'_>,
    limit: &Number,
    (rule, reserve): (Option<words::Rule>, Option<Reserve>),
) -> Result<BudgetSpec, String> {
    let kind = written.kind()?;
    if unit == Unit::Permits && kind != Kind::Lifetime {
        return Err("window, bucket: permits have none; each comes back when its request ends".to_owned());
    }
    let auto_resolve = rule.map(AutoResolve::from).unwrap_or_default();
    let (limit, reserve) = (limit.amount(unit, "limit")?, reserve.unwrap_or_default());
    ruled(BudgetSpec { subject, unit, kind, limit, auto_resolve, reserve })
}

/// Where doubt ends by itself, a rule for it would say something that is not so; and nothing but a bucket pays a debt.
fn ruled(spec: BudgetSpec) -> Result<BudgetSpec, String> {
    if spec.limit > LIMIT_MAX {
        return Err(format!("limit: at most {}", words::amount(spec.unit, LIMIT_MAX)));
    }
    let ends_by_itself = spec.unit == Unit::Permits || spec.kind != Kind::Lifetime;
    if ends_by_itself && spec.auto_resolve != AutoResolve::Never {
        return Err("auto_resolve: only for lifetime budgets of tokens, usd and requests: \
                    doubt dies with its window or leaks out of its bucket, and permits come back when their node starts again"
            .to_owned());
    }
    let pays_debts = spec.unit == Unit::Tokens && spec.kind.refill().is_some();
    if spec.reserve == Reserve::Estimate && !pays_debts {
        return Err("reserve: \"estimate\" only for buckets of tokens: \
                    what is used beyond an estimate leaks out of them, and nothing else would pay it back"
            .to_owned());
    }
    Ok(spec)
}

impl FromRequestParts<Arc<Admin>> for Filter {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, AdminError> {
        admin.check(&parts.headers).await?;
        let OfSubject { subject, consistency } = query::read(parts)?;
        let subject = subject.map(|text| text.parse()).transpose();
        let subject = subject
            .map_err(|error: quorate_domain::ParseSubjectError| AdminError::Request(error.to_string()))?;
        Reader::caught_up(admin, &parts.headers, consistency).await?;
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

pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    body: Body,
) -> Result<Response, AdminError> {
    let wanted = body.read::<BudgetInput>()?.wanted().map_err(AdminError::Body)?;
    if !admin.replica()?.catalog().read().has_subject(&wanted.spec.subject) {
        return Err(AdminError::NoSubject(wanted.spec.subject.to_string()));
    }
    let id = store(&admin, &by, wanted, Expected::Absent).await?;
    answer(&admin, StatusCode::CREATED, id)
}

pub(super) async fn set(
    State(admin): State<Arc<Admin>>,
    Editor { by, precondition }: Editor,
    Numbered(id): Numbered,
    body: Body,
) -> Result<Response, AdminError> {
    let changes: Changes = body.read()?;
    let mut tries = 1..SET_TRIES;
    loop {
        let read = report(&admin, BudgetId::new(id))?;
        let wanted = changes.to(read.spec).map_err(AdminError::Body)?;
        // What is not changed is stored as it was read: it must not have been changed by somebody else since.
        let expected = match precondition {
            Precondition::None => Expected::Revision(read.revision),
            Precondition::Absent | Precondition::Revision(_) => precondition.into(),
        };
        match store(&admin, &by, wanted, expected).await {
            Err(AdminError::Ledger(Rejection::RevisionMismatch { .. }))
                if precondition == Precondition::None && tries.next().is_some() =>
            {
                admin.replica()?.read_barrier(AGREEMENT_LIMIT).await?;
            }
            stored => return answer(&admin, StatusCode::OK, stored?),
        }
    }
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
        store(admin, by, spec.into(), Expected::Absent).await?;
    }
    Ok(())
}

/// Takes back the budgets of a key that did not come to be. What cannot be taken back limits nobody.
pub(super) async fn remove_all(admin: &Admin, by: &Administrator, subject: &Subject) {
    let Ok(replica) = admin.replica() else { return };
    let budgets = replica.ledger().read().budgets_of(subject).to_vec();
    for budget in budgets {
        if let Err(error) = delete(admin, by, budget, Expected::Any).await {
            tracing::warn!(subject = subject.for_logs(), %budget, %error, "the budget of a key that was not created is left over");
        }
    }
}

async fn store(
    admin: &Admin,
    by: &Administrator,
    wanted: Wanted,
    expected: Expected,
) -> Result<BudgetId, AdminError> {
    let (spec, subject) = (&wanted.spec, wanted.spec.subject.clone());
    let (limit, unit, window) = (spec.limit, spec.unit, calendar::in_words(&spec.kind));
    let rule = match spec.auto_resolve {
        AutoResolve::Never => String::new(),
        ruled @ (AutoResolve::AsSpent { .. } | AutoResolve::AsReportedMayOverspend { .. }) => {
            format!(", {}", ruled.reason())
        }
    };
    let reserve = match spec.reserve {
        Reserve::Bound => "",
        Reserve::Estimate => ", by estimate",
    };
    let told = format!("put budget of {}: {limit} {unit} ({window}){reserve}{rule}", subject.for_logs());
    time_zones::tell(&**admin.replica()?, &spec.kind, admin.clock.wall(), AGREEMENT_LIMIT).await?;
    match admin.change_ledger(by, told, wanted.command(expected)).await? {
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
        // Those that nobody wrote may be thousands, and say who the end users are.
        None => ledger.budgets().filter(|(_, it)| it.origin().is_none()).map(|(id, _)| id).collect(),
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
pub(super) fn shown(report: &BudgetReport) -> Value {
    let unit = report.spec.unit;
    let amount = |value| view::amount(unit, value);
    json!({
        "id": report.budget,
        "subject": report.spec.subject.to_string(),
        "unit": words::of_unit(unit),
        "window": words::of_window(&report.spec.kind),
        "bucket": words::of_bucket(&report.spec.kind),
        "time_zone": time_zone(report),
        "week_starts": week_starts(report),
        "limit": amount(report.spec.limit),
        "used": amount(report.used),
        "overspend": amount(report.overspend),
        "granted": amount(report.outstanding),
        "free": amount(report.free),
        "window_start": window_start(report),
        "window_end": report.window.end.map(view::time),
        "window_end_local": window_end(report),
        "auto_resolve": words::Rule::from(report.spec.auto_resolve),
        "reserve": words::of_reserve(report.spec.reserve),
        "made_from": report.made_from,
        "end_users": report.end_users.map(|end_users| end_users.count),
        "end_users_max": report.end_users.map(|end_users| end_users.most),
        "revision": report.revision,
    })
}

fn usage_of(report: &BudgetReport) -> Value {
    let unit = report.spec.unit;
    json!({
        "subject": report.spec.subject.to_string(),
        "unit": words::of_unit(unit),
        "window": words::of_window(&report.spec.kind),
        "bucket": words::of_bucket(&report.spec.kind),
        "time_zone": time_zone(report),
        "window_start": window_start(report),
        "used": view::amount(unit, report.used),
        "overspend": view::amount(unit, report.overspend),
        "limit": view::amount(unit, report.spec.limit),
        "budget": report.budget,
    })
}

fn window_start(report: &BudgetReport) -> Value {
    match report.spec.kind {
        Kind::Lifetime | Kind::Bucket(_) => Value::Null,
        Kind::Fixed(_) | Kind::Local(_) => view::time(report.window.id.start()),
    }
}

/// As clocks show it where the budget is.
pub(super) fn window_end(report: &BudgetReport) -> Option<String> {
    view::local_time(report.window.end?, report.offset_at_end)
}

fn time_zone(report: &BudgetReport) -> Option<String> {
    calendar::of(&report.spec.kind).map(|calendar| calendar.zone().to_string())
}

fn week_starts(report: &BudgetReport) -> Option<&'static str> {
    let calendar = calendar::of(&report.spec.kind).filter(|calendar| calendar.period() == Period::Week)?;
    Some(words::of_weekday(calendar.week_starts()))
}
