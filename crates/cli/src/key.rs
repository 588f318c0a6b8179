//! `quorate key`.

use crate::amount::Wish;
use crate::calendar::CalendarFields;
use crate::client::Client;
use crate::error::CliError;
use crate::object::{Parts, overlay};
use crate::output::{Column, Output, tell};
use crate::span;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

/// What can be done with API keys. A key is revoked, never deleted: its id is not given again.
#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// Create a key. Its secret is shown this once.
    Create {
        /// What it opens.
        #[arg(long, value_enum, default_value_t = Role::Client)]
        role: Role,
        /// A budget of the key itself, such as 5M/day (tokens), $12.50/month '100 requests/day', '10 permits' (requests at the same
        /// time), or a rate such as '60 rpm' or '100k tpm'. Can be repeated.
        #[arg(long, value_parser = Wish::parse)]
        budget: Vec<Wish>,
        #[command(flatten)]
        calendar: CalendarFields,
        #[command(flatten)]
        fields: KeyFields,
    },
    /// List all keys.
    List,
    /// Show one key.
    Show {
        /// Its id.
        id: u64,
    },
    /// Change the parts that are given; a value of `-` takes a part away.
    Set {
        /// Its id.
        id: u64,
        #[command(flatten)]
        fields: KeyFields,
    },
    /// Give a key a new secret; budgets and limits stay. Without an overlap the old one is withdrawn as by `revoke`.
    Rotate {
        /// Its id.
        id: u64,
        /// How long the old secret stays valid, such as 48h; at most 90d.
        #[arg(long, value_parser = span::millis, default_value = "0s")]
        overlap: u64,
    },
    /// Close a key for ever. Returns when no node admits it any more, and says how that is known (`withdrawn`). Of a key that may do without a quorum
    /// (grant-only, open) a node that is cut off does not hear: then it names the nodes that may go on, and ends with exit 9.
    Revoke {
        /// Its id.
        id: u64,
    },
    /// Make the text of a key for a configuration file. Asks no cluster.
    Mint,
}

/// What people decide about a key.
#[derive(Args)]
pub(crate) struct KeyFields {
    /// What to call it.
    #[arg(long)]
    label: Option<String>,
    /// The organisation whose budgets it spends; by default the one of its team or user.
    #[arg(long, alias = "org")]
    organisation: Option<String>,
    /// The team whose budgets it spends; by default the one of its user.
    #[arg(long)]
    team: Option<String>,
    /// The user whose budgets it spends.
    #[arg(long)]
    user: Option<String>,
    /// A route it may use, instead of all of them. Can be repeated; `all` takes the restriction away.
    #[arg(long)]
    model: Vec<String>,
    /// What becomes of its requests on a node that has lost its majority for longer than the revocation bound.
    #[arg(long, value_enum)]
    without_quorum: Option<WithoutQuorum>,
    /// What becomes of its open streams when it is revoked.
    #[arg(long, value_enum)]
    on_revocation: Option<OnRevocation>,
    /// A tag that all its requests bear. Can be repeated; `-` takes all away.
    #[arg(long)]
    tag: Vec<String>,
    /// A tag that its requests may give themselves, in the header x-quorate-tags. Can be repeated; `-` takes all away.
    #[arg(long)]
    request_tag: Vec<String>,
    /// Whether its requests must name the end user they are for.
    #[arg(long, value_enum)]
    end_user: Option<EndUserPolicy>,
    /// When it ceases to be valid: from now on, such as 90d, or a time such as 2030-01-31T12:00:00Z.
    #[arg(long)]
    expires: Option<String>,
}

/// What becomes of a key's requests on a node that does not know whether it was revoked.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum WithoutQuorum {
    /// They are refused.
    Closed,
    /// They go on as far as grants cover them; how long the key is admitted after its revocation has no bound then.
    GrantOnly,
    /// They go on, and spend beyond their budgets what no grant covers; it is shown as overspend afterwards. No bound either.
    Open,
}

/// What becomes of a key's open streams when it is revoked.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum OnRevocation {
    /// They go on to their end.
    FinishStreams,
    /// They end with an error within the revocation bound.
    CutStreams,
}

/// Whether a key's requests must name the end user they are for.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum EndUserPolicy {
    /// Those that name none are limited by no budget of end users.
    Optional,
    /// Those that name none are refused.
    Required,
}

/// What a key opens.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Requests to models.
    Client,
    /// This command line and the admin API.
    Admin,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("LABEL", "/label"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("OWNER", "/owner"),
    ("MODELS", "/allowed_models"),
    ("EXPIRES", "/expires_at"),
    ("REVISION", "/revision"),
];
/// What of a key is written back when it is changed.
const WRITTEN: [&str; 9] = [
    "label",
    "owner",
    "allowed_models",
    "expires_at",
    "without_quorum",
    "on_revocation",
    "tags",
    "request_tags",
    "end_user",
];
const SHOWN_ONCE: &str = "this is the only time the secret is shown";

impl KeyFields {
    fn given(&self) -> Parts {
        let owner = Parts::default()
            .with("organisation", self.organisation.clone())
            .with("team", self.team.clone())
            .with("user", self.user.clone());
        let models = match self.model.as_slice() {
            [] => None,
            [all] if all == "all" => Some(json!("all")),
            models => Some(json!(models)),
        };
        let parts = Parts::default()
            .with("label", self.label.clone())
            .within("owner", owner)
            .with("allowed_models", models)
            .with("without_quorum", self.without_quorum.map(WithoutQuorum::word))
            .with("on_revocation", self.on_revocation.map(OnRevocation::word))
            .with("tags", listed(&self.tag))
            .with("request_tags", listed(&self.request_tag))
            .with("end_user", self.end_user.map(EndUserPolicy::word));
        match self.expires.as_deref().map(|text| (text, span::millis(text))) {
            None => parts,
            Some((_, Ok(millis))) => parts.with("expires_at", Some("-")).with("expires_in_ms", Some(millis)),
            Some((time, Err(_))) => parts.with("expires_at", Some(time)),
        }
    }
}

/// What was given of a list; `-` alone stands for an empty one.
fn listed(given: &[String]) -> Option<Value> {
    match given {
        [] => None,
        [none] if none == "-" => Some(json!([])),
        given => Some(json!(given)),
    }
}

impl KeyVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Create { role, budget, calendar, fields } => {
                let mut budgets: Vec<_> = budget.iter().map(Wish::json).collect();
                calendar.put_into(&mut budgets)?;
                let mut parts = fields.given().into_map();
                parts.insert("role".to_owned(), json!(role.word()));
                parts.insert("budgets".to_owned(), Value::Array(budgets));
                output.show(&client.post("/keys", &Value::Object(parts)).await?);
                tell(SHOWN_ONCE);
            }
            Self::List => output.list(&client.get("/keys").await?, COLUMNS),
            Self::Show { id } => output.show(&client.get(&format!("/keys/{id}")).await?),
            Self::Set { id, fields } => output.show(&set(client, id, fields.given().into_map()).await?),
            Self::Rotate { id, overlap } => {
                let rotated =
                    client.post(&format!("/keys/{id}/rotate"), &json!({ "overlap_ms": overlap })).await?;
                output.show(&rotated);
                tell(SHOWN_ONCE);
                all_know(&rotated, format!("the former secret of key {id} is withdrawn"))?;
            }
            Self::Revoke { id } => {
                let revoked = client.post(&format!("/keys/{id}/revoke"), &json!({})).await?;
                output.show(&revoked);
                all_know(&revoked, format!("key {id} is revoked"))?;
            }
            Self::Mint => mint(output)?,
        }
        Ok(())
    }
}

impl WithoutQuorum {
    const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::GrantOnly => "grant_only",
            Self::Open => "open",
        }
    }
}

impl EndUserPolicy {
    const fn word(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl OnRevocation {
    const fn word(self) -> &'static str {
        match self {
            Self::FinishStreams => "finish_streams",
            Self::CutStreams => "cut_streams",
        }
    }
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Admin => "admin",
        }
    }
}

/// Reads the key, changes the parts, and writes it back if nobody else has changed it meanwhile.
async fn set(client: &Client, id: u64, given: Map<String, Value>) -> Result<Value, CliError> {
    if given.is_empty() {
        return Err(CliError::Usage("nothing to change was given".to_owned()));
    }
    let path = format!("/keys/{id}");
    let mut key = client.get(&path).await?;
    let revision = key["revision"].clone();
    if let Value::Object(fields) = &mut key {
        fields.retain(|name, _| WRITTEN.contains(&name.as_str()));
        overlay(fields, given);
    }
    client.put(&format!("{path}?expected_revision={revision}"), &key).await
}

/// Whether nobody admits any more what the answer says was withdrawn.
fn all_know(answer: &Value, what: String) -> Result<(), CliError> {
    let withdrawn = &answer["withdrawn"];
    if withdrawn["by"] != "may_go_on" {
        return Ok(());
    }
    let silent = withdrawn["silent_nodes"].as_array().into_iter().flatten();
    Err(CliError::MayGoOn { what, nodes: silent.map(Value::to_string).collect::<Vec<_>>().join(", ") })
}

fn mint(output: &Output) -> Result<(), CliError> {
    let text = quorate_node::mint_key().map_err(|error| CliError::Io {
        what: "draw a key".to_owned(),
        cause: std::io::Error::other(error.to_string()),
    })?;
    output.sentence(text.expose(), &json!({ "secret": text.expose() }));
    tell("keep it in a file or a variable, and name that in the configuration: secret = \"${file:/path}\"");
    Ok(())
}
