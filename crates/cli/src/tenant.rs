//! `quorate org`, `quorate team`, `quorate user`.

use crate::object::{Fields, Parts};
use crate::output::Column;
use clap::Args;

/// The parts of an organisation.
#[derive(Args)]
pub(crate) struct OrganisationFields {
    /// What to remember about it.
    #[arg(long)]
    description: Option<String>,
}

/// The parts of a team.
#[derive(Args)]
pub(crate) struct TeamFields {
    /// The organisation it belongs to.
    #[arg(long, alias = "org")]
    organisation: Option<String>,
    /// What to remember about it.
    #[arg(long)]
    description: Option<String>,
}

/// The parts of a user.
#[derive(Args)]
pub(crate) struct UserFields {
    /// The organisation they belong to.
    #[arg(long, alias = "org")]
    organisation: Option<String>,
    /// The team they belong to.
    #[arg(long)]
    team: Option<String>,
    /// What to remember about them.
    #[arg(long)]
    description: Option<String>,
}

impl Fields for OrganisationFields {
    const PATH: &'static str = "/organisations";
    const KIND: &'static str = "organisation";
    const COLUMNS: &'static [Column] =
        &[("NAME", "/name"), ("DESCRIPTION", "/description"), ("REVISION", "/revision")];

    fn given(&self) -> Parts {
        Parts::default().with("description", self.description.clone())
    }
}

impl Fields for TeamFields {
    const PATH: &'static str = "/teams";
    const KIND: &'static str = "team";
    const COLUMNS: &'static [Column] = &[
        ("NAME", "/name"),
        ("ORGANISATION", "/organisation"),
        ("DESCRIPTION", "/description"),
        ("REVISION", "/revision"),
    ];

    fn given(&self) -> Parts {
        Parts::default()
            .with("organisation", self.organisation.clone())
            .with("description", self.description.clone())
    }
}

impl Fields for UserFields {
    const PATH: &'static str = "/users";
    const KIND: &'static str = "user";
    const COLUMNS: &'static [Column] = &[
        ("NAME", "/name"),
        ("ORGANISATION", "/organisation"),
        ("TEAM", "/team"),
        ("DESCRIPTION", "/description"),
        ("REVISION", "/revision"),
    ];

    fn given(&self) -> Parts {
        Parts::default()
            .with("organisation", self.organisation.clone())
            .with("team", self.team.clone())
            .with("description", self.description.clone())
    }
}
