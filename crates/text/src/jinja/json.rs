//! `tojson`: Python's `json.dumps(value, ensure_ascii=False)`, with its arguments.

use crate::jinja::buffer::Buffer;
use crate::jinja::compare::{ordered, sort};
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::show;
use crate::jinja::value::Value;

pub(crate) struct Json<'m> {
    pub(crate) meter: &'m Meter<'m>,
    pub(crate) ensure_ascii: bool,
    /// What one level is indented by; `None`: all in one line.
    pub(crate) indent: Option<String>,
    /// Between items, and between key and value.
    pub(crate) separators: [String; 2],
    pub(crate) sort_keys: bool,
}

impl Json<'_> {
    pub(crate) fn write(&self, value: &Value) -> Result<Value> {
        let mut out = Buffer::new(self.meter)?;
        self.value(&mut out, value, 1)?;
        out.into_value()
    }

    fn value(&self, out: &mut Buffer, value: &Value, level: usize) -> Result<()> {
        self.meter.step()?;
        match value {
            Value::None => out.push("null"),
            Value::Bool(flag) => out.push(if *flag { "true" } else { "false" }),
            Value::Int(number) => out.push(&number.to_string()),
            Value::Float(number) => out.push(&float(*number)),
            Value::Text(text) => self.string(out, &text.text),
            Value::List(list) | Value::Tuple(list) => {
                let mut items = list.items.iter();
                self.items(out, ["[", "]"], level, list.items.len(), |out| {
                    items.next().map_or(Ok(()), |item| self.value(out, item, level + 1))
                })
            }
            Value::Dict(dict) => {
                let mut entries: Vec<&(Value, Value)> = dict.entries().iter().collect();
                if self.sort_keys {
                    let mut before = |a: &&(Value, Value), b: &&(Value, Value)| {
                        ordered(self.meter, &a.0, &b.0, "<", std::cmp::Ordering::is_lt)
                    };
                    entries = sort(entries, false, &mut before)?;
                }
                let mut entries = entries.into_iter();
                self.items(out, ["{", "}"], level, dict.len(), |out| {
                    let Some((key, value)) = entries.next() else { return Ok(()) };
                    self.key(out, key)?;
                    out.push(&self.separators[1])?;
                    self.value(out, value, level + 1)
                })
            }
            other => fail(format!("Object of type {} is not JSON serializable", other.type_name())),
        }
    }

    fn items(
        &self,
        out: &mut Buffer,
        ends: [&str; 2],
        level: usize,
        count: usize,
        mut item: impl FnMut(&mut Buffer) -> Result<()>,
    ) -> Result<()> {
        out.push(ends[0])?;
        for rank in 0..count {
            if rank > 0 {
                out.push(&self.separators[0])?;
            }
            self.line(out, level)?;
            item(out)?;
        }
        if count > 0 {
            self.line(out, level - 1)?;
        }
        out.push(ends[1])
    }

    fn line(&self, out: &mut Buffer, level: usize) -> Result<()> {
        let Some(indent) = &self.indent else { return Ok(()) };
        out.push("\n")?;
        out.repeat(indent, level)
    }

    fn key(&self, out: &mut Buffer, key: &Value) -> Result<()> {
        match key {
            Value::Text(text) => self.string(out, &text.text),
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                out.push("\"")?;
                self.value(out, key, 0)?;
                out.push("\"")
            }
            other => fail(format!("keys must be str, int, float, bool or None, not {}", other.type_name())),
        }
    }

    fn string(&self, out: &mut Buffer, text: &str) -> Result<()> {
        out.push("\"")?;
        let special = |c: char| matches!(c, '"' | '\\' | '\0'..='\x1f') || (self.ensure_ascii && c >= '\x7f');
        let mut rest = text;
        while let Some(at) = rest.find(special) {
            out.push(&rest[..at])?;
            let character = rest[at..].chars().next().unwrap_or_default();
            match character {
                '"' => out.push("\\\"")?,
                '\\' => out.push("\\\\")?,
                '\n' => out.push("\\n")?,
                '\r' => out.push("\\r")?,
                '\t' => out.push("\\t")?,
                '\x08' => out.push("\\b")?,
                '\x0c' => out.push("\\f")?,
                '\x7f' => out.push("\x7f")?,
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        out.push(&format!("\\u{unit:04x}"))?;
                    }
                }
            }
            rest = &rest[at + character.len_utf8()..];
        }
        out.push(rest)?;
        out.push("\"")
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        show::float(number)
    }
}
