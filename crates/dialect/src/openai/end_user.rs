//! Whom a request is for in the end, as its body says.

use super::fields::Fields;
use super::invalid::InvalidRequest;
use super::value::{Text, optional_text};

/// What `safety_identifier` says, which replaces `user`; else what `user` says.
pub(super) fn read(fields: &Fields<'_>, body: &str) -> Result<Option<Text>, InvalidRequest> {
    let new = optional_text(fields.safety_identifier, "safety_identifier", body)?;
    let old = optional_text(fields.user, "user", body)?;
    let says = |text: &Text| !text.read(body.as_bytes()).is_empty();
    Ok(new.filter(says).or(old).filter(says))
}
