//! What dead nodes spent, by an operator's word: `POST /budgets/ID/resolve`.

use super::budget::Number;
use super::caller::Administrator;
use super::input::{Body, Numbered};
use super::{AGREEMENT_LIMIT, Admin, AdminError, explain, words};
use axum::extract::State;
use axum::response::Response;
use quorate_domain::{Amount, BudgetId, SessionId, Unit, WindowId};
use quorate_ledger::{BudgetSpec, Command, Doubt, Rejection, Resolve};
use serde::Deserialize;
use std::sync::Arc;

/// One session and what it spent, or one word for all that are in doubt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    session: Option<u64>,
    spent: Option<Number>,
    all: Option<All>,
}

/// What is taken as spent of all doubt.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum All {
    AsSpent,
    AsReported,
}

/// One session, the window in which it holds something, and what it spent.
type Word = (SessionId, WindowId, Amount);

/// Answers with the budget as it is then. A repeated request changes nothing.
pub(super) async fn resolve(
    State(admin): State<Arc<Admin>>,
    by: Administrator,
    Numbered(id): Numbered,
    body: Body,
) -> Result<Response, AdminError> {
    let input: Input = body.read()?;
    let reason = by.why()?.to_owned();
    admin.replica()?.read_barrier(AGREEMENT_LIMIT).await?;
    let budget = BudgetId::new(id);
    let (spec, words) = said(&admin, budget, &input)?;
    for (session, window, spent) in words {
        let told = told(&spec, budget, session, spent);
        let (actor, reason) = (format!("key:{}", by.key), reason.clone());
        let command = Command::Resolve(Resolve { session, budget, window, spent, actor, reason });
        admin.change_ledger(&by, told, command).await.map_err(|error| in_unit(error, spec.unit))?;
    }
    explain::answer(&admin, budget)
}

fn told(spec: &BudgetSpec, budget: BudgetId, session: SessionId, spent: Amount) -> String {
    let (spent, unit) = (words::amount(spec.unit, spent), words::of_unit(spec.unit));
    format!("resolve budget {budget} of {}: session {session} spent {spent} {unit}", spec.subject)
}

/// What the request says of which sessions.
fn said(admin: &Admin, id: BudgetId, input: &Input) -> Result<(BudgetSpec, Vec<Word>), AdminError> {
    let ledger = admin.replica()?.ledger().read();
    let report = ledger.report(id).ok_or_else(|| AdminError::Missing(format!("budget {id}")))?;
    let words = match input {
        Input { session: Some(session), spent: Some(spent), all: None } => {
            let spent = spent.amount(report.spec.unit, "spent").map_err(AdminError::Body)?;
            vec![(SessionId::new(*session), report.window.id, spent)]
        }
        Input { session: None, spent: None, all: Some(all) } => {
            ledger.doubts().filter(|doubt| doubt.budget == id).map(|doubt| all.of(&doubt)).collect()
        }
        Input { .. } => {
            let wanted = "give session and spent, or all (\"as_spent\" or \"as_reported\")";
            return Err(AdminError::Body(wanted.to_owned()));
        }
    };
    Ok((report.spec, words))
}

impl All {
    const fn of(self, doubt: &Doubt) -> Word {
        let spent = match self {
            Self::AsSpent => doubt.most,
            Self::AsReported => doubt.least,
        };
        (doubt.session, doubt.window, spent)
    }
}

/// The ledger counts dollars in billionths; people do not.
fn in_unit(error: AdminError, unit: Unit) -> AdminError {
    let AdminError::Ledger(Rejection::SpentOutOfRange { session, least, most }) = error else { return error };
    let [least, most] = [least, most].map(|amount| words::amount(unit, amount));
    AdminError::ImpossibleSpending { session, least, most, unit: words::of_unit(unit) }
}
