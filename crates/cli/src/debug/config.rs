//! A node's configuration file without what could be secret: what is not known to hold none is counted.

/// The tables that hold no secret.
const OPEN: [&str; 5] = ["node", "cluster", "log", "limits", "disk"];

/// Its tables that hold no secret, and how many objects there are of each kind.
pub(super) fn without_secrets(text: &str) -> String {
    // Not the error: it shows the line.
    let Ok(file) = text.parse::<toml::Table>() else { return "# it is no TOML\n".to_owned() };
    let open: toml::Table = file.iter().filter(|(name, _)| OPEN.contains(&name.as_str())).map(own).collect();
    let mut shown = toml::to_string(&open).unwrap_or_default();
    for (name, value) in file.iter().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
        let count = value.as_array().map_or(1, Vec::len);
        shown.push_str(&format!("# {name}: {count}\n"));
    }
    shown
}

fn own((name, value): (&String, &toml::Value)) -> (String, toml::Value) {
    (name.clone(), value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_and_settings_shown() {
        let text =
            "[node]\ndata_dir = \"d\"\n[[keys]]\nname = \"a\"\nsecret = \"qk_1\"\n[[keys]]\nname = \"b\"\n";
        assert_eq!(without_secrets(text), "[node]\ndata_dir = \"d\"\n# keys: 2\n");
        assert_eq!(without_secrets("secret ="), "# it is no TOML\n");
    }
}
