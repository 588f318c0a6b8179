//! The replicated configuration: providers, models, routes, tenants and API keys.
//!
//! Pure: commands in, outcomes out; no I/O, no clock, no randomness (a proposer brings drawn bytes along). A
//! refusal is an outcome and leaves the catalogue untouched. Start with [`Catalog`], then [`Change`].

mod api_key;
mod apply;
mod authenticate;
mod base62;
mod base_url;
mod catalog;
mod claim;
mod command;
mod credential;
mod header_name;
mod key_text;
mod model;
mod object;
mod outcome;
mod pepper;
mod price;
mod provider;
mod references;
mod route;
mod table;
mod tenant;
mod text;
mod validate;

#[cfg(test)]
mod fixtures;

pub use api_key::{
    AllowedModels, ApiKey, EndUserPolicy, KeySpec, KeyState, OnRevocation, Owner, Role, WithoutQuorum,
};
pub use authenticate::AuthenticationFailure;
pub use base_url::{BaseUrl, BaseUrlError};
pub use catalog::{Catalog, Foundation};
pub use claim::{Claim, EndUser};
pub use command::{Actor, Apply, Change, Command, Expected, Founding, NewKey};
pub use credential::{Credential, CredentialError, Reference};
pub use header_name::{HeaderName, HeaderNameError};
pub use key_text::{ApiKeyText, MalformedKey};
pub use model::{MediaTokensMax, Model, ModelSpec, OutputLimitParameter, PromptOverhead, Tokenizer};
pub use object::{Object, ObjectId};
pub use outcome::{Outcome, Rejection};
pub use pepper::{Digest, Pepper};
pub use price::{Prices, TokenClass};
pub use provider::{Dialect, Provider, ProviderSpec, Timeouts, WhenClientLeaves};
pub use route::{Route, RouteSpec, Strategy, Target};
pub use tenant::{Organisation, OrganisationSpec, Team, TeamSpec, User, UserSpec};
pub use text::{Text, TextError};
pub use validate::BrokenInvariant;
