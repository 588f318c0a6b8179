//! Turns what the catalogue says about a credential into its value, on this node.

use quorate_domain::Secret;
use std::fmt;
use std::io;

/// What looks up an environment variable. Given at start: only the settings may read the environment.
type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Resolves credentials written as `${env:NAME}`, `${file:/path}`, or as the value itself.
pub struct Credentials {
    environment: Environment,
}

/// Why a credential has no value on this node. Never says the value.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The environment does not have it.
    #[error("the environment variable {0} is not set on this node")]
    NotInEnvironment(String),
    /// The file cannot be read.
    #[error("the credential file {path} cannot be read on this node")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `${…}` of a kind that is not known.
    #[error("a credential reference is written ${{env:NAME}} or ${{file:/path}}")]
    UnknownReference,
    /// A value that no header can carry.
    #[error("the credential is empty or holds characters that a header cannot carry")]
    NotAHeaderValue,
}

impl Credentials {
    /// Credentials whose environment variables are looked up by `environment`.
    pub fn new(environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { environment: Box::new(environment) }
    }

    /// The value of a credential. Reads a file if it is one: call it when a provider changes, not for each request.
    ///
    /// # Errors
    /// When the reference leads nowhere.
    pub fn resolve(&self, written: &Secret<String>) -> Result<Secret<String>, CredentialError> {
        let Some(reference) = written.expose().strip_prefix("${") else { return Ok(written.clone()) };
        let reference = reference.strip_suffix('}').and_then(|inner| inner.split_once(':'));
        match reference {
            Some(("env", name)) => (self.environment)(name)
                .map(Secret::new)
                .ok_or_else(|| CredentialError::NotInEnvironment(name.to_owned())),
            Some(("file", path)) => std::fs::read_to_string(path)
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
                .map_err(|source| CredentialError::Unreadable { path: path.to_owned(), source }),
            Some(_) | None => Err(CredentialError::UnknownReference),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(written: &str) -> Result<String, CredentialError> {
        let credentials = Credentials::new(|name| (name == "OPENAI_API_KEY").then(|| "sk-env".to_owned()));
        credentials.resolve(&Secret::new(written.to_owned())).map(|value| value.expose().clone())
    }

    #[test]
    fn values_and_references_are_resolved() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sk-file\n").unwrap();
        assert_eq!(resolve("sk-plain").unwrap(), "sk-plain");
        assert_eq!(resolve("${env:OPENAI_API_KEY}").unwrap(), "sk-env");
        assert_eq!(resolve(&format!("${{file:{}}}", file.path().display())).unwrap(), "sk-file");
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named() {
        assert_eq!(
            resolve("${env:NOPE}").unwrap_err().to_string(),
            "the environment variable NOPE is not set on this node"
        );
        assert!(matches!(resolve("${file:/nowhere/at/all}"), Err(CredentialError::Unreadable { .. })));
        assert!(matches!(resolve("${vault:x}"), Err(CredentialError::UnknownReference)));
    }
}
