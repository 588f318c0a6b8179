//! `${env:NAME}` and `${file:PATH}`: how a configuration names a secret without holding it.
//! The one place that reads the environment.

use quorate_domain::Secret;

/// Why a reference leads nowhere. The value itself is never part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The variable is not set, or not text.
    #[error("environment variable {0} is not set")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    NoFile {
        /// The path.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// Not one of the two forms.
    #[error("write ${{env:NAME}} or ${{file:PATH}}")]
    Unknown,
}

/// Reads an environment variable.
///
/// # Errors
/// When it is not set, or is not text.
#[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
pub fn environment(name: &str) -> Result<String, ReferenceError> {
    std::env::var(name).map_err(|_| ReferenceError::NoVariable(name.to_owned()))
}

/// The value behind `${env:NAME}` or `${file:PATH}`; a file's trailing line end is not part of it.
///
/// # Errors
/// When it leads nowhere.
pub fn resolve(text: &str) -> Result<Secret<String>, ReferenceError> {
    let inner =
        text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).ok_or(ReferenceError::Unknown)?;
    match inner.split_once(':') {
        Some(("env", name)) => environment(name).map(Secret::new),
        Some(("file", path)) => read(path),
        Some(_) | None => Err(ReferenceError::Unknown),
    }
}

fn read(path: &str) -> Result<Secret<String>, ReferenceError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ReferenceError::NoFile { path: path.to_owned(), cause: cause.to_string() })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_without_its_line_end_and_what_leads_nowhere_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(resolve(&format!("${{file:{}}}", path.display())).unwrap().expose(), "s3cret");
        assert!(matches!(resolve("${file:/no/such/file}"), Err(ReferenceError::NoFile { .. })));
        assert!(matches!(resolve("${env:NO_SUCH_VARIABLE_AT_ALL}"), Err(ReferenceError::NoVariable(_))));
        for text in ["plain", "${vault:x}", "${env}", "$(env:A)"] {
            assert_eq!(resolve(text), Err(ReferenceError::Unknown), "{text}");
        }
    }
}
