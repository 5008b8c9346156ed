//! Python's `str(value)` and `repr(value)`.

use hotset_base::limits::MAX_VALUE_DEPTH;

use crate::jinja::buffer::Buffer;
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::object::Object;
use crate::jinja::value::{Value, ViewKind};

/// What printing `value` writes.
pub(crate) fn print(out: &mut Buffer, meter: &Meter, value: &Value) -> Result<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Text(text) => out.push(&text.text),
        _ => represent(out, meter, value, 0),
    }
}

/// `str(value)` as a value: `value` itself if it is a plain string.
pub(crate) fn string(meter: &Meter, value: &Value) -> Result<Value> {
    match value {
        Value::Text(text) if !text.markup => Ok(value.clone()),
        _ => {
            let mut out = Buffer::new(meter)?;
            print(&mut out, meter, value)?;
            out.into_value()
        }
    }
}

/// Python's `repr(value)`.
pub(crate) fn repr(out: &mut Buffer, meter: &Meter, value: &Value) -> Result<()> {
    represent(out, meter, value, 0)
}

fn represent(out: &mut Buffer, meter: &Meter, value: &Value, depth: usize) -> Result<()> {
    meter.step()?;
    if depth > MAX_VALUE_DEPTH {
        return fail("a value nests too deeply to be printed");
    }
    match value {
        Value::Undefined(_) => out.push("Undefined"),
        Value::None => out.push("None"),
        Value::Bool(flag) => out.push(if *flag { "True" } else { "False" }),
        Value::Int(number) => out.push(&number.to_string()),
        Value::Float(number) => out.push(&float(*number)),
        Value::Text(text) if text.markup => {
            out.push("Markup(")?;
            quoted(out, meter, &text.text)?;
            out.push(")")
        }
        Value::Text(text) => quoted(out, meter, &text.text),
        Value::List(list) => items(out, meter, ["[", "]"], &list.items, depth),
        Value::Tuple(tuple) => {
            items(out, meter, ["(", if tuple.items.len() == 1 { ",)" } else { ")" }], &tuple.items, depth)
        }
        Value::Dict(dict) => pairs(out, meter, dict.entries(), depth),
        Value::View(view) => {
            out.push(value.type_name())?;
            out.push("([")?;
            for (rank, (key, value)) in view.dict.entries().iter().enumerate() {
                if rank > 0 {
                    out.push(", ")?;
                }
                match view.kind {
                    ViewKind::Keys => represent(out, meter, key, depth + 1)?,
                    ViewKind::Values => represent(out, meter, value, depth + 1)?,
                    ViewKind::Items => {
                        out.push("(")?;
                        represent(out, meter, key, depth + 1)?;
                        out.push(", ")?;
                        represent(out, meter, value, depth + 1)?;
                        out.push(")")?;
                    }
                }
            }
            out.push("])")
        }
        Value::Range(range) if range.step == 1 => {
            out.push(&format!("range({}, {})", range.start, range.stop))
        }
        Value::Range(range) => out.push(&format!("range({}, {}, {})", range.start, range.stop, range.step)),
        Value::Iterator(_) => out.push("<generator object>"),
        Value::Object(object) => match &**object {
            Object::Namespace(values) => {
                out.push("<Namespace ")?;
                pairs(out, meter, values.borrow().entries(), depth)?;
                out.push(">")
            }
            Object::Method(_, name) => out.push(&format!("<built-in method {name}>")),
            other => out.push(&format!("<{}>", other.type_name())),
        },
    }
}

fn items(out: &mut Buffer, meter: &Meter, ends: [&str; 2], items: &[Value], depth: usize) -> Result<()> {
    out.push(ends[0])?;
    for (rank, item) in items.iter().enumerate() {
        if rank > 0 {
            out.push(", ")?;
        }
        represent(out, meter, item, depth + 1)?;
    }
    out.push(ends[1])
}

fn pairs(out: &mut Buffer, meter: &Meter, pairs: &[(Value, Value)], depth: usize) -> Result<()> {
    out.push("{")?;
    for (rank, (key, value)) in pairs.iter().enumerate() {
        if rank > 0 {
            out.push(", ")?;
        }
        represent(out, meter, key, depth + 1)?;
        out.push(": ")?;
        represent(out, meter, value, depth + 1)?;
    }
    out.push("}")
}

/// A string in quotes, as Python writes it.
fn quoted(out: &mut Buffer, meter: &Meter, text: &str) -> Result<()> {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push_char(quote)?;
    let special = |c: char| !matches!(c, ' '..='~') || c == quote || c == '\\';
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        out.push(&rest[..at])?;
        let character = rest[at..].chars().next().unwrap_or_default();
        rest = &rest[at + character.len_utf8()..];
        match character {
            '\\' => out.push("\\\\")?,
            '\n' => out.push("\\n")?,
            '\r' => out.push("\\r")?,
            '\t' => out.push("\\t")?,
            c if c == quote => {
                out.push("\\")?;
                out.push_char(c)?;
            }
            c => {
                meter.bytes(PRINTABLE)?;
                if is_printable(c) { out.push_char(c)? } else { out.push(&escape(c))? }
            }
        }
    }
    out.push(rest)?;
    out.push_char(quote)
}

/// `\xe9`, `\u2028`, `\U0001f642`
pub(crate) fn escape(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Work of finding whether a character can be printed.
pub(crate) const PRINTABLE: usize = 48;

/// Python's `str.isprintable` for one character.
pub(crate) fn is_printable(character: char) -> bool {
    // Behind another character the standard library escapes exactly what is not printable, and quotes.
    if character == ' ' || matches!(character, '\'' | '"' | '\\') {
        return true;
    }
    let mut pair = [b'a', 0, 0, 0, 0];
    let len = 1 + character.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..len]).unwrap_or_default();
    pair.escape_debug().nth(1) == Some(character)
}

/// The shortest digits that give the number again, as Python's `repr` arranges them.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
