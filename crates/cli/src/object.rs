//! What providers, models, routes and tenants have in common: create, list, show, set, delete.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use clap::{Args, Subcommand};
use quorate_domain::Name;
use serde_json::{Map, Value};

/// What can be done with a kind of named object.
#[derive(Subcommand)]
pub(crate) enum Verb<F: Args> {
    /// Create one that does not exist yet.
    Create {
        /// Its name.
        name: Name,
        #[command(flatten)]
        fields: F,
    },
    /// List all.
    List,
    /// Show one.
    Show {
        /// Its name.
        name: Name,
    },
    /// Change the parts that are given; a value of `-` takes a part away.
    Set {
        /// Its name.
        name: Name,
        #[command(flatten)]
        fields: F,
    },
    /// Delete one that nothing uses.
    Delete {
        /// Its name.
        name: Name,
    },
}

/// The parts of one kind of object, as given on the command line.
pub(crate) trait Fields: Args {
    /// Its path in the admin API.
    const PATH: &'static str;
    /// What it is called.
    const KIND: &'static str;
    /// What a list shows.
    const COLUMNS: &'static [Column];

    /// The parts that were given.
    fn given(&self) -> Parts;

    /// Fills in what a new object can do without being told.
    fn complete(_name: &Name, _parts: &mut Map<String, Value>) {}
}

/// Parts of an object, by their names in the admin API.
#[derive(Default)]
pub(crate) struct Parts(Map<String, Value>);

/// What the admin API adds to what people wrote.
const ADDED: [&str; 3] = ["revision", "created_at", "updated_at"];

impl Parts {
    /// Adds a part if it was given; `-` stands for nothing.
    pub(crate) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            let value = value.into();
            let value = if value == "-" { Value::Null } else { value };
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds parts of a part, if there are any.
    pub(crate) fn within(self, name: &str, inner: Self) -> Self {
        let given = (!inner.0.is_empty()).then_some(Value::Object(inner.0));
        self.with(name, given)
    }

    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl<F: Fields> Verb<F> {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        let path = |name: &Name| format!("{}/{name}", F::PATH);
        match self {
            Self::Create { name, fields } => {
                let mut parts = fields.given().into_map();
                parts.insert("name".to_owned(), Value::String(name.to_string()));
                F::complete(&name, &mut parts);
                output.show(&client.post(F::PATH, &Value::Object(parts)).await?);
            }
            Self::List => output.list(&client.get(F::PATH).await?, F::COLUMNS),
            Self::Show { name } => output.show(&client.get(&path(&name)).await?),
            Self::Set { name, fields } => output.show(&set(client, &path(&name), fields.given()).await?),
            Self::Delete { name } => {
                client.delete(&path(&name)).await?;
                tell(&format!("{} {name} is deleted", F::KIND));
            }
        }
        Ok(())
    }
}

/// Reads the object, changes the parts, and writes it back if nobody else has changed it meanwhile.
async fn set(client: &Client, path: &str, given: Parts) -> Result<Value, CliError> {
    let given = given.into_map();
    if given.is_empty() {
        return Err(CliError::Usage("nothing to change was given".to_owned()));
    }
    let mut object = client.get(path).await?;
    let revision = object["revision"].clone();
    if let Value::Object(fields) = &mut object {
        fields.retain(|name, _| !ADDED.contains(&name.as_str()));
        overlay(fields, given);
    }
    client.put(&format!("{path}?expected_revision={revision}"), &object).await
}

/// Puts parts over what is there; an object inside is changed part by part.
pub(crate) fn overlay(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => overlay(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn setting_changes_only_the_parts_that_are_given() {
        let Value::Object(mut provider) = json!({ "base_url": "http://a", "credential": "***", "timeouts": { "idle_ms": 1, "total_ms": 9 } })
        else {
            return;
        };
        let parts = Parts::default()
            .with("credential", Some("-"))
            .with("dialect", None::<String>)
            .within("timeouts", Parts::default().with("idle_ms", Some(2)));
        overlay(&mut provider, parts.into_map());
        let expected = json!({ "base_url": "http://a", "credential": null, "timeouts": { "idle_ms": 2, "total_ms": 9 } });
        assert_eq!(Value::Object(provider), expected);
    }
}
