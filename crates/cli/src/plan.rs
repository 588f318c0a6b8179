//! Changes that are planned first: the plan is shown, somebody says yes, and what is applied is what was shown.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Output, tell};
use clap::Args;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// How a planned change is made.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct How {
    /// Show the plan and change nothing. Exit 7 if its checks forbid it.
    #[arg(long)]
    dry_run: bool,
    /// Go on without asking.
    #[arg(long, short)]
    yes: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Only the plan was wanted.
    Planned,
    /// It was made now.
    Applied,
    /// It was so already.
    Unchanged,
}

impl How {
    /// Without asking.
    pub(crate) const fn surely() -> Self {
        Self { dry_run: false, yes: true }
    }

    /// Whether somebody wants more than to see the plan, and says yes.
    pub(crate) fn goes_on(self) -> Result<bool, CliError> {
        match self {
            Self { dry_run: true, .. } => Ok(false),
            Self { yes: true, .. } => Ok(true),
            Self { yes: false, .. } => ask().map(|()| true),
        }
    }

    /// Plans, shows, asks, applies. `what` is what people call the change.
    pub(crate) async fn change(
        self,
        client: &Client,
        output: &Output,
        (what, path): (&str, &str),
        body: &Value,
    ) -> Result<Done, CliError> {
        let planned = client.post(&format!("{path}?dry_run=true"), body).await?;
        let plan = &planned["plan"];
        if self.dry_run {
            output.sentence(&told(what, plan), &planned);
            return refusal(plan).map_or(Ok(Done::Planned), Err);
        }
        tell(&told(what, plan));
        if let Some(refused) = refusal(plan) {
            return Err(refused);
        }
        if plan["changes_anything"] == false {
            tell("it is so already: nothing was changed");
            return Ok(Done::Unchanged);
        }
        if !self.yes {
            ask()?;
        }
        let revision = plan["revision"].as_u64().unwrap_or_default();
        client.post(&format!("{path}?expected_revision={revision}"), body).await?;
        Ok(Done::Applied)
    }
}

/// The plan as people read it.
fn told(what: &str, plan: &Value) -> String {
    let mut text =
        format!("PLAN {what} @rev {}: {}", plan["revision"], plan["sentence"].as_str().unwrap_or_default());
    for check in plan["checks"].as_array().into_iter().flatten() {
        let sign = match check["verdict"].as_str() {
            Some("fine") => "✓",
            Some("warned") => "!",
            Some(_) | None => "✗",
        };
        text.push_str(&format!("\n  {sign} {}", check["text"].as_str().unwrap_or_default()));
    }
    text
}

fn refusal(plan: &Value) -> Option<CliError> {
    if plan["is_refused"] != true {
        return None;
    }
    let refused = |check: &&Value| check["verdict"] == "refused";
    let texts = plan["checks"].as_array().into_iter().flatten().filter(refused);
    let message = texts.filter_map(|check| check["text"].as_str()).collect::<Vec<_>>().join("; ");
    let (code, next) =
        ("unsafe_change".to_owned(), "nothing was changed; see quorate cluster status".to_owned());
    Some(CliError::Refused { status: 409, code, message, next })
}

/// Whoever cannot be asked must have said yes before.
fn ask() -> Result<(), CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage("nobody can be asked here whether to go on: say --yes".to_owned()));
    }
    let _ = write!(std::io::stderr().lock(), "Go on? (y/N) ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|cause| CliError::Io { what: "read the answer".to_owned(), cause })?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::Usage("nothing was changed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_is_told_with_its_checks_and_a_refusal_is_exit_7() {
        let check = |verdict: &str, text: &str| json!({ "verdict": verdict, "text": text });
        let plan = json!({
            "revision": 12,
            "sentence": "voters {1} → {1}",
            "is_refused": true,
            "checks": [check("fine", "a"), check("warned", "b"), check("refused", "c")],
        });
        assert_eq!(
            told("remove gw-2", &plan),
            "PLAN remove gw-2 @rev 12: voters {1} → {1}\n  ✓ a\n  ! b\n  ✗ c"
        );
        let refused = refusal(&plan).unwrap();
        assert_eq!((refused.to_string(), refused.exit_code()), ("c".to_owned(), 7));
        assert!(refusal(&json!({ "is_refused": false })).is_none());
    }
}
