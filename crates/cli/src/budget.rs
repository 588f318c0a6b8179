//! `quorate budget` and `quorate usage`.

use crate::amount::{Limit, RESERVES, WINDOWS, Wish};
use crate::calendar::CalendarFields;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use crate::resolve::{self, Resolution};
use clap::{Args, Subcommand};
use quorate_domain::Subject;
use serde_json::{Value, json};

/// What can be done with budgets.
#[derive(Subcommand)]
pub(crate) enum BudgetVerb {
    /// Create a budget.
    Create {
        /// Whose spending: key:ID, key:ID/model:ROUTE, user:NAME, team:NAME, org:NAME, tag:NAME, end-user:ORG/ID,
        /// or end-user:ORG/*: each end user by himself.
        subject: Subject,
        /// How much: tokens such as 5M, dollars such as $12.50, or '100 requests'; then /minute, /hour, /day, /week, /month or nothing. Or
        /// '10 permits': so many requests at the same time. Or a rate: '60 rpm', '100k tpm' (also rps, rph, rpd, tps, tph, tpd), a bucket that
        /// fills again little by little.
        #[arg(value_parser = Wish::parse)]
        limit: Wish,
        /// The window, if it is not said with the limit.
        #[arg(long, value_parser = WINDOWS)]
        window: Option<String>,
        #[command(flatten)]
        calendar: CalendarFields,
        /// What becomes of what dead nodes may have spent, if it is for ever: never (somebody resolves it), as-spent=24h,
        /// as-reported-may-overspend=24h.
        #[arg(long, value_parser = resolve::rule)]
        auto_resolve: Option<Value>,
        /// What a request reserves: its bound, or, of a rate of tokens, an estimate of what it uses; what it uses beyond is debt.
        #[arg(long, value_parser = RESERVES)]
        reserve: Option<String>,
        /// Of end-user:ORG/*: for how many end users at most.
        #[arg(long)]
        end_users_max: Option<u32>,
    },
    /// List budgets, but for those that end users have by default.
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
    /// Change the limit of a budget, what becomes of doubt in it, or what requests reserve of it.
    Set {
        /// Its id.
        id: u64,
        /// The new limit, in the same unit.
        #[arg(value_parser = Limit::parse, required_unless_present_any = ["auto_resolve", "reserve", "end_users_max"])]
        limit: Option<Limit>,
        /// As of `budget create`.
        #[arg(long, value_parser = resolve::rule)]
        auto_resolve: Option<Value>,
        /// As of `budget create`.
        #[arg(long, value_parser = RESERVES)]
        reserve: Option<String>,
        /// As of `budget create`.
        #[arg(long)]
        end_users_max: Option<u32>,
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
    /// Say what dead nodes spent of a budget, so that the rest can be spent by others.
    Resolve(Resolution),
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
    ("BUCKET", "/bucket"),
    ("ZONE", "/time_zone"),
    ("LIMIT", "/limit"),
    ("USED", "/used"),
    ("GRANTED", "/granted"),
    ("FREE", "/free"),
    ("WINDOW ENDS", "/window_end_local"),
];
const HOLDINGS: &[Column] = &[
    ("NODE", "/node"),
    ("SESSION", "/session"),
    ("STATE", "/state"),
    ("SINCE", "/since"),
    ("GRANTED", "/granted"),
    ("USED", "/used"),
    ("RETURNED", "/returned"),
    ("OUTSTANDING", "/outstanding"),
    ("RESERVED", "/reserved"),
    ("SPENT AT MOST", "/spent_at_most"),
    ("DOUBT ENDS", "/doubt_ends"),
];
const EARLIER: &[Column] = &[
    ("EARLIER WINDOW", "/window_start"),
    ("UNTIL", "/window_end"),
    ("USED", "/used"),
    ("IN DOUBT TO THE END", "/in_doubt"),
    ("SPENT AT MOST", "/spent_at_most"),
];
const RESOLUTIONS: &[Column] = &[
    ("RESOLVED", "/at"),
    ("NODE", "/node"),
    ("SESSION", "/session"),
    ("SPENT", "/spent"),
    ("RELEASED", "/released"),
    ("BY", "/actor"),
    ("WHY", "/reason"),
];
const USAGE: &[Column] = &[
    ("SUBJECT", "/subject"),
    ("UNIT", "/unit"),
    ("WINDOW", "/window"),
    ("BUCKET", "/bucket"),
    ("ZONE", "/time_zone"),
    ("SINCE", "/window_start"),
    ("USED", "/used"),
    ("LIMIT", "/limit"),
];

impl BudgetVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Create { subject, limit, window, calendar, auto_resolve, reserve, end_users_max } => {
                let wish = limit.over(window).map_err(CliError::Usage)?;
                let mut body = wish.json();
                if let Some(rule) = auto_resolve {
                    body["auto_resolve"] = rule;
                }
                if let Some(reserve) = reserve {
                    body["reserve"] = json!(reserve);
                }
                if let Some(most) = end_users_max {
                    body["end_users_max"] = json!(most);
                }
                body["subject"] = json!(subject.to_string());
                calendar.put_into(std::slice::from_mut(&mut body))?;
                output.show(&client.post("/budgets", &body).await?);
            }
            Self::List { subject } => {
                output.list(&client.get(&of("/budgets", subject.as_ref())).await?, COLUMNS);
            }
            Self::Show { id } => output.show(&client.get(&format!("/budgets/{id}")).await?),
            Self::Set { id, limit, auto_resolve, reserve, end_users_max } => {
                let changes = Changes { limit, auto_resolve, reserve, end_users_max };
                output.show(&set(client, id, &changes).await?);
            }
            Self::Delete { id } => {
                client.delete(&format!("/budgets/{id}")).await?;
                tell(&format!("budget {id} is deleted"));
            }
            Self::Explain { which } => {
                for id in ids(client, &which).await? {
                    explain(&client.get(&format!("/budgets/{id}/explain")).await?, output);
                }
            }
            Self::Resolve(resolution) => explain(&resolution.run(client).await?, output),
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

fn of(path: &str, subject: Option<&Subject>) -> String {
    match subject {
        Some(subject) => format!("{path}?subject={}", escaped(&subject.to_string())),
        None => path.to_owned(),
    }
}

/// End users may have any printable character.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/@*".contains(&byte);
    let escape =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// What is to change of a budget.
struct Changes {
    limit: Option<Limit>,
    auto_resolve: Option<Value>,
    reserve: Option<String>,
    end_users_max: Option<u32>,
}

async fn set(client: &Client, id: u64, changes: &Changes) -> Result<Value, CliError> {
    let path = format!("/budgets/{id}");
    let budget = client.get(&path).await?;
    let mut body = json!({});
    if let Some(limit) = &changes.limit {
        limit.fits(id, &budget)?;
        body["limit"] = limit.json();
    }
    if let Some(rule) = &changes.auto_resolve {
        body["auto_resolve"] = rule.clone();
    }
    if let Some(reserve) = &changes.reserve {
        body["reserve"] = json!(reserve);
    }
    if let Some(most) = changes.end_users_max {
        body["end_users_max"] = json!(most);
    }
    client.put(&format!("{path}?expected_revision={}", budget["revision"]), &body).await
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
    output.rows(&budget["earlier_windows"], EARLIER);
    output.rows(&budget["resolutions"], RESOLUTIONS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_the_same_behind_a_question_mark() {
        let subject = "end-user:acme/a+b&c=%#?".parse().unwrap();
        assert_eq!(of("/budgets", Some(&subject)), "/budgets?subject=end-user:acme/a%2Bb%26c%3D%25%23%3F");
    }
}
