//! `quorate budget resolve`, and rules that resolve by themselves.

use crate::amount::Limit;
use crate::client::Client;
use crate::error::CliError;
use crate::span;
use clap::Args;
use serde_json::{Value, json};

/// What dead nodes spent of a budget. Say why with -m.
#[derive(Args)]
pub(crate) struct Resolution {
    /// The id of the budget.
    id: u64,
    /// The dead session, as `budget explain` shows it.
    #[arg(long, requires = "spent", required_unless_present_any = ["all_as_spent", "all_as_reported"])]
    session: Option<u64>,
    /// What it spent in all, in the unit of the budget.
    #[arg(long, value_parser = Limit::parse, requires = "session")]
    spent: Option<Limit>,
    /// All dead sessions spent everything they held.
    #[arg(long, conflicts_with_all = ["session", "all_as_reported"])]
    all_as_spent: bool,
    /// All dead sessions spent no more than they had reported. If they did, it is spent twice.
    #[arg(long, conflicts_with = "session")]
    all_as_reported: bool,
}

impl Resolution {
    pub(crate) async fn run(self, client: &Client) -> Result<Value, CliError> {
        if !client.says_why() {
            return Err(CliError::Usage(
                "say why, with -m REASON: it is kept with the resolution".to_owned(),
            ));
        }
        let path = format!("/budgets/{}", self.id);
        let body = match (self.session, self.spent) {
            (Some(session), Some(spent)) => {
                spent.fits(self.id, &client.get(&path).await?)?;
                json!({ "session": session, "spent": spent.json() })
            }
            _ if self.all_as_spent => json!({ "all": "as_spent" }),
            _ => json!({ "all": "as_reported" }),
        };
        client.post(&format!("{path}/resolve"), &body).await
    }
}

/// Reads `never`, `as-spent=24h` or `as-reported-may-overspend=24h`.
pub(crate) fn rule(text: &str) -> Result<Value, String> {
    let after = |rule, span: &str| Ok(json!({ "rule": rule, "after_ms": span::millis(span)? }));
    match text.split_once('=') {
        None if text == "never" => Ok(json!({ "rule": "never" })),
        Some(("as-spent", span)) => after("as_spent", span),
        Some(("as-reported-may-overspend", span)) => after("as_reported_may_overspend", span),
        None | Some(_) => {
            Err(format!("{text:?} is none of never, as-spent=24h and as-reported-may-overspend=24h"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_what_is_taken_as_spent_and_when() {
        assert_eq!(rule("never"), Ok(json!({ "rule": "never" })));
        let after_a_day = json!({ "rule": "as_spent", "after_ms": 86_400_000 });
        assert_eq!(rule("as-spent=24h"), Ok(after_a_day));
        let dangerous = json!({ "rule": "as_reported_may_overspend", "after_ms": 1_000 });
        assert_eq!(rule("as-reported-may-overspend=1s"), Ok(dangerous));
        for text in ["", "as-spent", "as-spent=", "as-reported=1h", "never=1h", "as-spent=1"] {
            assert!(rule(text).is_err(), "{text}");
        }
    }
}
