//! `quorate authority`: who signs the certificates that nodes show each other.

use crate::client::Client;
use crate::error::CliError;
use crate::output::{Column, Output, tell};
use clap::Subcommand;
use serde_json::json;

/// What can be done with the certificate authority.
#[derive(Subcommand)]
pub(crate) enum AuthorityVerb {
    /// Show the roots, how far a rotation is, and each node's certificate.
    Show,
    /// Replace the root, and with it every certificate. Nothing is interrupted. Say why with -m.
    Rotate,
}

const ROOTS: &[Column] = &[("ROOT", "/id"), ("SIGNS", "/signs"), ("SINCE", "/since"), ("UNTIL", "/until")];
const NODES: &[Column] = &[
    ("NODE", "/node"),
    ("NAME", "/name"),
    ("CERTIFICATE SINCE", "/certificate/since"),
    ("UNTIL", "/certificate/until"),
    ("AWAITED", "/is_awaited"),
];

impl AuthorityVerb {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<(), CliError> {
        match self {
            Self::Show => {
                let shown = client.get("/authority").await?;
                let sentence = match shown["rotation"].as_str() {
                    Some(phase) => format!("the root is being replaced: {phase}"),
                    None => "no rotation is under way".to_owned(),
                };
                output.sentence(&sentence, &shown);
                output.rows(&shown["roots"], ROOTS);
                output.rows(&shown["nodes"], NODES);
            }
            Self::Rotate => {
                client.post("/authority/rotate", &json!({})).await?;
                tell("the root is being replaced; nodes follow by themselves");
                tell("next: quorate authority show");
            }
        }
        Ok(())
    }
}
