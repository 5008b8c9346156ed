//! Reports as comma-separated values: a line of names, then lines of values.

use serde_json::Value;

/// A report of nested objects as two lines. Names of nested values are joined with dots, arrays of
/// numbers with spaces.
pub fn lines(report: &Value) -> String {
    table(std::slice::from_ref(report))
}

/// The same for several reports with the same fields: a line of values for each.
pub fn table(reports: &[Value]) -> String {
    let mut lines = Vec::new();
    for (i, report) in reports.iter().enumerate() {
        let mut columns = Vec::new();
        flatten("", report, &mut columns);
        let (names, values): (Vec<String>, Vec<String>) = columns.into_iter().unzip();
        if i == 0 {
            lines.push(names.join(","));
        }
        lines.push(values.join(","));
    }
    lines.join("\n")
}

fn flatten(name: &str, value: &Value, columns: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&name, value, columns);
            }
            return;
        }
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => plain(other),
    };
    columns.push((name.to_owned(), quoted(&text)));
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_reports_become_two_lines() {
        let report = json!({"a": {"b": 1, "c": [1.5, 2]}, "d": null, "e": "x, \"y\""});
        assert_eq!(lines(&report), "a.b,a.c,d,e\n1,1.5 2,,\"x, \"\"y\"\"\"");
        assert_eq!(table(&[json!({"a": 1}), json!({"a": 2})]), "a\n1\n2");
    }
}
