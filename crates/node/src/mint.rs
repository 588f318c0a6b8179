//! Makes the text of an API key for a configuration file, without a cluster.

use anyhow::{Result, anyhow};
use quorate_catalog::ApiKeyText;
use quorate_domain::Secret;

/// A fresh key text. It opens nothing until a configuration file names it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn mint_key() -> Result<Secret<String>> {
    let mut drawn = [0; 40];
    getrandom::fill(&mut drawn).map_err(|cause| anyhow!("draw random bytes: {cause}"))?;
    let (id, secret) = drawn.split_first_chunk::<8>().ok_or_else(|| anyhow!("too few random bytes"))?;
    let secret = secret.try_into()?;
    let text = ApiKeyText::mint(ApiKeyText::draw_id(u64::from_le_bytes(*id)), secret);
    Ok(Secret::new(text.expose().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minted_key_is_another_one_that_reads_back() {
        let (one, other) = (mint_key().unwrap(), mint_key().unwrap());
        assert!(ApiKeyText::parse(one.expose()).is_ok());
        assert_ne!(one, other);
    }
}
