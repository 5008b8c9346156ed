//! Reports as comma-separated values: one line of names, one of values.

use serde_json::Value;

/// A report of nested objects as two lines. Names of nested values are joined with dots, arrays of
/// numbers with spaces.
pub fn lines(report: &Value) -> String {
    let mut columns = Vec::new();
    flatten("", report, &mut columns);
    let (names, values): (Vec<String>, Vec<String>) = columns.into_iter().unzip();
    format!("{}\n{}", names.join(","), values.join(","))
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
    }
}
