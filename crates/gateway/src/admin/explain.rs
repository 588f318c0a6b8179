//! Where every unit of a budget is, in numbers and in one sentence: spent, with which node, in doubt, free.

use super::caller::Reader;
use super::input::Numbered;
use super::{Admin, AdminError, budget, calendar, view, words};
use crate::funds::Funds;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use quorate_domain::{Amount, BudgetId, LogTime, SessionId, Unit, WindowId};
use quorate_ledger::{
    AutoResolve, BudgetReport, EndUsers, HolderState, HoldingReport, Kind, Ledger, Resolution,
};
use quorate_wallet::Wallet;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One budget, as one replica shows it at one instant.
struct Explanation {
    open: BudgetReport,
    earlier: Vec<BudgetReport>,
    resolutions: Vec<Resolution>,
    /// What this node knows of its own requests, by window.
    own: Option<(SessionId, BTreeMap<WindowId, Amount>)>,
}

pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Numbered(id): Numbered,
) -> Result<Response, AdminError> {
    answer(&admin, BudgetId::new(id))
}

/// The explanation of a budget.
pub(super) fn answer(admin: &Admin, id: BudgetId) -> Result<Response, AdminError> {
    let wallet = admin.funds.get().and_then(Funds::wallet);
    let explanation = Explanation::of(&admin.replica()?.ledger().read(), wallet.as_deref(), id);
    let explanation = explanation.ok_or_else(|| AdminError::Missing(format!("budget {id}")))?;
    Ok(view::versioned(StatusCode::OK, explanation.open.revision, explanation.shown()))
}

impl Explanation {
    fn of(ledger: &Ledger, wallet: Option<&Wallet>, id: BudgetId) -> Option<Self> {
        let (open, earlier) = (ledger.report(id)?, ledger.earlier_reports(id));
        let own = wallet.map(|wallet| {
            let windows = std::iter::once(&open).chain(&earlier).map(|report| report.window.id);
            (wallet.session(), windows.map(|window| (window, wallet.reserved(id, window))).collect())
        });
        Some(Self { open, earlier, resolutions: ledger.resolutions(id), own })
    }

    fn shown(&self) -> Value {
        let unit = self.open.spec.unit;
        let resolutions = self.resolutions.iter().map(|resolution| resolved(unit, resolution));
        let window = |report| self.window(report);
        let mut object = window(&self.open);
        if let Value::Object(fields) = &mut object {
            let earlier = self.earlier.iter().rev().map(window).collect();
            fields.insert("earlier_windows".to_owned(), Value::Array(earlier));
            fields.insert("resolutions".to_owned(), Value::Array(resolutions.collect()));
            fields.insert("explanation".to_owned(), json!(sentence(&self.open)));
        }
        object
    }

    /// Where every unit of one window is.
    fn window(&self, report: &BudgetReport) -> Value {
        let amount = |value| view::amount(report.spec.unit, value);
        let holdings = report
            .holdings
            .iter()
            .map(|holding| held(report, holding, self.reserved(report, holding)))
            .collect();
        let mut object = budget::shown(report);
        let Value::Object(fields) = &mut object else { return object };
        fields.insert("mode".to_owned(), json!(if report.is_central { "central" } else { "grant" }));
        fields.insert("waiting".to_owned(), json!(report.waiting));
        fields.insert("in_doubt".to_owned(), amount(report.in_doubt));
        fields.insert("crash_charged".to_owned(), amount(report.crash_charged));
        fields.insert("overrun".to_owned(), amount(report.overrun));
        fields.insert("excess".to_owned(), amount(report.excess));
        fields.insert("debt".to_owned(), amount(report.debt()));
        fields.insert("spent_at_most".to_owned(), amount(report.spent_at_most));
        fields.insert("holdings".to_owned(), Value::Array(holdings));
        object
    }

    /// What requests under way have reserved in a session; `None` if it is another node's, which alone knows.
    fn reserved(&self, report: &BudgetReport, holding: &HoldingReport) -> Option<Amount> {
        let (session, reserved) = self.own.as_ref()?;
        (*session == holding.session).then(|| reserved.get(&report.window.id).copied().unwrap_or_default())
    }
}

fn held(report: &BudgetReport, holding: &HoldingReport, reserved: Option<Amount>) -> Value {
    let amount = |value| view::amount(report.spec.unit, value);
    json!({
        "node": holding.node,
        "session": holding.session,
        "state": holding.state,
        "since": view::time(holding.since),
        "granted": amount(holding.granted),
        "used": amount(holding.used),
        "returned": amount(holding.returned),
        "outstanding": amount(holding.outstanding),
        "reserved": reserved.map(amount),
        "spent_at_most": amount(holding.spent_at_most),
        "doubt_ends": doubt_ends(report, holding),
    })
}

fn resolved(unit: Unit, resolution: &Resolution) -> Value {
    json!({
        "at": view::time(resolution.at),
        "session": resolution.session,
        "node": resolution.node,
        "spent": view::amount(unit, resolution.spent),
        "released": view::amount(unit, resolution.released),
        "actor": resolution.actor,
        "reason": resolution.reason,
    })
}

/// When doubt ends by itself; `None` if there is none, or if somebody has to end it.
fn doubt_ends(report: &BudgetReport, holding: &HoldingReport) -> Option<Value> {
    match holding.state {
        HolderState::Live | HolderState::Silent => None,
        HolderState::Frozen => report.window.end.map(view::time),
        HolderState::InDoubt => ends_at(report, holding.since).map(view::time),
    }
}

fn ends_at(report: &BudgetReport, since: LogTime) -> Option<LogTime> {
    let by_rule = match report.spec.rule() {
        AutoResolve::Never => None,
        AutoResolve::AsSpent { after } | AutoResolve::AsReportedMayOverspend { after } => {
            Some(since.plus(after))
        }
    };
    report.window.end.or(by_rule)
}

fn sentence(report: &BudgetReport) -> String {
    if let Some(EndUsers { count, most }) = report.end_users {
        let unit = report.spec.unit;
        return format!(
            "each end user of the organisation has {} {} ({}) of his own; {count} have it now, and no more than {most} may",
            words::amount(unit, report.spec.limit),
            words::of_unit(unit),
            calendar::in_words(&report.spec.kind),
        );
    }
    let unit = report.spec.unit;
    let shown = |amount: Amount| words::amount(unit, amount);
    let doubt = if report.in_doubt.is_zero() {
        String::new()
    } else {
        let ends = ending(report);
        format!(
            ", of which {} with nodes that are gone and may have spent it ({ends})",
            shown(report.in_doubt)
        )
    };
    let end = match budget::window_end(report) {
        Some(end) => format!("; the window ends at {end}"),
        None if report.debt().is_zero() => String::new(),
        None => format!("; a debt of {} has to leak before anything is granted", shown(report.debt())),
    };
    let overspent = if report.overspend.is_zero() {
        String::new()
    } else {
        format!(", of which {} were overspent without a quorum", shown(report.overspend))
    };
    format!(
        "of {} {} ({}) {} are spent{overspent}, {} are granted to {} node sessions{doubt}, and {} are free{end}",
        shown(report.spec.limit),
        words::of_unit(unit),
        calendar::in_words(&report.spec.kind),
        shown(report.used.saturating_add(report.overrun).saturating_add(report.overspend)),
        shown(report.outstanding),
        report.holdings.len(),
        shown(report.free),
    )
}

fn ending(report: &BudgetReport) -> &'static str {
    match (&report.spec.kind, report.spec.unit, report.spec.auto_resolve) {
        (Kind::Fixed(_) | Kind::Local(_), ..) => "until the window ends",
        (Kind::Bucket(_), ..) => "until it is taken as spent, one refill after its node's end",
        (Kind::Lifetime, Unit::Permits, _) => "until they start again",
        (Kind::Lifetime, _, AutoResolve::Never) => "until it is resolved",
        (Kind::Lifetime, _, AutoResolve::AsSpent { .. } | AutoResolve::AsReportedMayOverspend { .. }) => {
            "until the budget's rule resolves it"
        }
    }
}
