//! Prints what was asked for, as a table for people or as JSON for scripts.

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::io::Write;

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For scripts: what the admin API answered.
    Json,
}

/// A column: its heading and where its value is (a JSON pointer).
pub(crate) type Column = (&'static str, &'static str);

/// Where what was asked for goes.
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints many objects.
    pub(crate) fn list(&self, answer: &Value, columns: &[Column]) {
        let none = Vec::new();
        let items = answer["items"].as_array().unwrap_or(&none);
        match self.format {
            Format::Json => print(&pretty(&Value::Array(items.clone()))),
            Format::Table if items.is_empty() => tell("there are none yet"),
            Format::Table => print(&table(columns, items)),
        }
    }

    /// Prints one object.
    pub(crate) fn show(&self, object: &Value) {
        match self.format {
            Format::Json => print(&pretty(object)),
            Format::Table => print(&fields(object)),
        }
    }

    /// Prints a sentence with an object behind it.
    pub(crate) fn sentence(&self, sentence: &str, object: &Value) {
        match self.format {
            Format::Json => print(&pretty(object)),
            Format::Table => print(sentence),
        }
    }

    /// Prints a part of an object: a table only, since JSON has told it already.
    pub(crate) fn rows(&self, rows: &Value, columns: &[Column]) {
        match (self.format, rows.as_array()) {
            (Format::Table, Some(rows)) if !rows.is_empty() => print(&table(columns, rows)),
            (Format::Table | Format::Json, _) => {}
        }
    }
}

/// Says something to people, on standard error.
pub(crate) fn tell(text: &str) {
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whoever closes our output (`| head`) has seen enough.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn table(columns: &[Column], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for row in rows {
        table.add_row(columns.iter().map(|(_, place)| cell(row.pointer(place).unwrap_or(&Value::Null))));
    }
    flush_left(table)
}

fn fields(object: &Value) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in object.as_object().into_iter().flatten() {
        table.add_row([name.as_str(), &cell(value)]);
    }
    flush_left(table)
}

fn flush_left(mut table: Table) -> String {
    let columns = table.column_count();
    for index in 0..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
        }
    }
    table.trim_fmt()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let known = fields.iter().filter(|(_, value)| !value.is_null());
            let text =
                known.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ");
            if text.is_empty() { "-".to_owned() } else { text }
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_table_is_plain_text_in_columns() {
        let rows = [
            json!({ "name": "gpt-4o", "targets": [{ "model": "a", "weight": 1 }, { "model": "b", "weight": 2 }] }),
            json!({ "name": "o3", "targets": [], "revision": 7 }),
        ];
        let columns = [("NAME", "/name"), ("TARGETS", "/targets"), ("REVISION", "/revision")];
        expect![[r#"
            NAME    TARGETS                             REVISION
            gpt-4o  model=a weight=1, model=b weight=2  -
            o3      -                                   7"#]]
        .assert_eq(&table(&columns, &rows));
    }
}
