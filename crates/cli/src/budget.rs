//! `quorate budget` and `quorate usage`.

use crate::amount::{Limit, Wish};
use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use clap::{Args, Subcommand};
use quorate_domain::Subject;
use serde_json::{Value, json};

/// What can be done with budgets.
#[derive(Subcommand)]
pub(crate) enum BudgetVerb {
    /// Create a budget.
    Create {
        /// Whose spending: key:ID, user:NAME, team:NAME or org:NAME.
        subject: Subject,
        /// How much: tokens such as 5M, dollars such as $12.50, or '100 requests'; then /minute, /hour, /day, /week, /month or nothing. Or
        /// '10 permits': so many requests at the same time.
        #[arg(value_parser = Wish::parse)]
        limit: Wish,
    },
    /// List budgets.
    List {
        /// Only those of this subject.
        #[arg(long)]
        subject: Option<Subject>,
    },
    /// Show one budget.
    Show {
        /// Its id.
        id: u64,
    },
    /// Change the limit of a budget.
    Set {
        /// Its id.
        id: u64,
        /// The new limit, in the same unit.
        #[arg(value_parser = Limit::parse)]
        limit: Limit,
    },
    /// Delete a budget: its subject is limited by it no more.
    Delete {
        /// Its id.
        id: u64,
    },
    /// Say where every unit of a budget is.
    Explain {
        /// The id of a budget, or a subject such as key:17.
        which: String,
    },
}

/// What was spent, as far as nodes have reported.
#[derive(Args)]
pub(crate) struct Usage {
    /// Only what this subject spent.
    #[arg(long)]
    subject: Option<Subject>,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("SUBJECT", "/subject"),
    ("UNIT", "/unit"),
    ("WINDOW", "/window"),
    ("LIMIT", "/limit"),
    ("USED", "/used"),
    ("GRANTED", "/granted"),
    ("FREE", "/free"),
    ("WINDOW ENDS", "/window_end"),
];
const HOLDINGS: &[Column] = &[
    ("NODE", "/node"),
    ("SESSION", "/session"),
    ("STATE", "/state"),
    ("GRANTED", "/granted"),
    ("USED", "/used"),
    ("RETURNED", "/returned"),
    ("OUTSTANDING", "/outstanding"),
];
const USAGE: &[Column] = &[
    ("SUBJECT", "/subject"),
    ("UNIT", "/unit"),
    ("WINDOW", "/window"),
    ("SINCE", "/window_start"),
    ("USED", "/used"),
    ("LIMIT", "/limit"),
];

impl BudgetVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Create { subject, limit } => {
                let mut body = limit.json();
                body["subject"] = json!(subject.to_string());
                output.show(&client.post("/budgets", &body).await?);
            }
            Self::List { subject } => {
                output.list(&client.get(&of("/budgets", subject.as_ref())).await?, COLUMNS);
            }
            Self::Show { id } => output.show(&client.get(&format!("/budgets/{id}")).await?),
            Self::Set { id, limit } => output.show(&set(client, id, &limit).await?),
            Self::Delete { id } => {
                client.delete(&format!("/budgets/{id}")).await?;
                tell(&format!("budget {id} is deleted"));
            }
            Self::Explain { which } => {
                for id in ids(client, &which).await? {
                    explain(&client.get(&format!("/budgets/{id}/explain")).await?, output);
                }
            }
        }
        Ok(())
    }
}

impl Usage {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        output.list(&client.get(&of("/usage", self.subject.as_ref())).await?, USAGE);
        Ok(())
    }
}

/// Names have no character that a query would have to escape but `+`.
fn of(path: &str, subject: Option<&Subject>) -> String {
    match subject {
        Some(subject) => format!("{path}?subject={}", subject.to_string().replace('+', "%2B")),
        None => path.to_owned(),
    }
}

async fn set(client: &Client, id: u64, limit: &Limit) -> Result<Value, CliError> {
    let path = format!("/budgets/{id}");
    let budget = client.get(&path).await?;
    let unit = budget["unit"].as_str().unwrap_or_default();
    match (limit.unit(), unit) {
        (None, "usd") => Err(CliError::Usage(format!("budget {id} is in dollars: write $AMOUNT"))),
        (Some(said), unit) if said != unit => {
            Err(CliError::Usage(format!("budget {id} is in {unit}, which {said} are not")))
        }
        (Some(_) | None, _) => {
            let path = format!("{path}?expected_revision={}", budget["revision"]);
            client.put(&path, &json!({ "limit": limit.json() })).await
        }
    }
}

async fn ids(client: &Client, which: &str) -> Result<Vec<u64>, CliError> {
    if let Ok(id) = which.parse() {
        return Ok(vec![id]);
    }
    let subject: Subject = which.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
    let answer = client.get(&of("/budgets", Some(&subject))).await?;
    let ids: Vec<u64> =
        answer["items"].as_array().into_iter().flatten().filter_map(|budget| budget["id"].as_u64()).collect();
    if ids.is_empty() {
        tell(&format!("{subject} has no budget of its own"));
    }
    Ok(ids)
}

fn explain(budget: &Value, output: &Output) {
    let sentence = format!(
        "budget {} of {}: {}",
        budget["id"],
        budget["subject"].as_str().unwrap_or_default(),
        budget["explanation"].as_str().unwrap_or_default()
    );
    output.sentence(&sentence, budget);
    output.rows(&budget["holdings"], HOLDINGS);
}
