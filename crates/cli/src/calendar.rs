//! `--time-zone` and `--week-starts`: whose calendar the windows of budgets follow.

use crate::error::CliError;
use clap::Args;
use serde_json::{Value, json};

/// The calendar of windows.
#[derive(Args)]
pub(crate) struct CalendarFields {
    /// The time zone that days, weeks and months follow, such as Europe/Berlin; UTC if it is missing.
    #[arg(long)]
    time_zone: Option<String>,
    /// The day on which weeks begin, such as sunday; monday if it is missing.
    #[arg(long)]
    week_starts: Option<String>,
}

impl CalendarFields {
    /// Puts the fields into each of these budgets to which they mean something.
    pub(crate) fn put_into(&self, budgets: &mut [Value]) -> Result<(), CliError> {
        put(budgets, "time_zone", self.time_zone.as_deref(), |window| {
            window.is_string() && window != "lifetime"
        })?;
        put(budgets, "week_starts", self.week_starts.as_deref(), |window| window == "week")
    }
}

fn put(
    budgets: &mut [Value],
    field: &str,
    value: Option<&str>,
    fits: fn(&Value) -> bool,
) -> Result<(), CliError> {
    let Some(value) = value else { return Ok(()) };
    let mut fitting = budgets.iter_mut().filter(|budget| fits(&budget["window"])).peekable();
    if fitting.peek().is_none() {
        let option = field.replace('_', "-");
        return Err(CliError::Usage(format!("--{option} {value}: no budget with such a window is given")));
    }
    fitting.for_each(|budget| budget[field] = json!(value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(
        time_zone: Option<&str>,
        week_starts: Option<&str>,
        windows: &[&str],
    ) -> Result<Vec<Value>, CliError> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let fields = CalendarFields { time_zone: own(time_zone), week_starts: own(week_starts) };
        let mut budgets: Vec<_> = windows.iter().map(|window| json!({ "window": window })).collect();
        fields.put_into(&mut budgets).map(|()| budgets)
    }

    #[test]
    fn the_calendar_goes_into_the_budgets_that_have_windows() {
        let put = put(Some("Asia/Kolkata"), Some("sunday"), &["lifetime", "day", "week"]).unwrap();
        let week = json!({ "window": "week", "time_zone": "Asia/Kolkata", "week_starts": "sunday" });
        let expected =
            [json!({ "window": "lifetime" }), json!({ "window": "day", "time_zone": "Asia/Kolkata" }), week];
        assert_eq!(put, expected);
    }

    #[test]
    fn a_calendar_for_nothing_is_a_mistake() {
        assert!(put(Some("Asia/Kolkata"), None, &["lifetime"]).is_err());
        assert!(put(None, Some("sunday"), &["day"]).is_err());
        assert!(put(None, None, &["lifetime"]).is_ok());
    }
}
