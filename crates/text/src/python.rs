//! What chat templates expect of Python: methods of strings and maps, `tojson`, `raise_exception`.
//!
//! The template engine charges fuel for the data its own operators and filters make. Whatever is
//! added here charges before it makes anything, at the engine's rate of 64 bytes per unit.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::namespace::namespace;

/// The engine's price: bytes of data per unit of fuel.
const BYTES_PER_FUEL: usize = 64;

/// Bytes charged per byte of JSON: it is made piece by piece (the engine's own rate).
const JSON_COST: usize = 16;

/// Nesting of values that are printed or kept in a namespace. Requests nest below 64 themselves.
const MAX_DEPTH: usize = 64;

/// Filters and functions that repeat or wrap values without paying for the size they reach when
/// printed or compared. No known chat template uses them.
const REMOVED: [&str; 9] = ["batch", "slice", "zip", "chain", "groupby", "pprint", "format", "dict", "debug"];

/// Makes `environment` speak the Python of chat templates, and takes out what is not needed.
pub(crate) fn install(environment: &mut Environment<'static>) {
    for name in REMOVED {
        environment.remove_filter(name);
        environment.remove_global(name);
    }
    environment.set_unknown_method_callback(method);
    environment.set_formatter(print);
    environment.add_filter("string", string);
    environment.add_filter("join", join);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("namespace", namespace);
}

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Raised(pub(crate) String);

/// `raise_exception(message)`: the template refuses the conversation.
fn raise_exception(message: &str) -> Result<Value, Error> {
    let raised = Raised(message.to_owned());
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(raised))
}

/// Python's methods. Those whose result can be larger than their arguments go through the engine's
/// own charged filters or are charged here; `str.format` and `list.count` can do unbounded work
/// for a short expression, no known chat template uses them, and they are left out.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return match value.kind() {
            ValueKind::Map => unknown_method_callback(state, value, name, args),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        };
    };
    charge(state, text.len())?;
    match (name, args) {
        ("format", _) => Err(Error::from(ErrorKind::UnknownMethod)),
        ("replace", _) => {
            let args: Vec<_> = std::iter::once(value).chain(args).cloned().collect();
            state.apply_filter("replace", &args)
        }
        ("join", [list]) => state.apply_filter("join", &[list.clone(), value.clone()]),
        ("split" | "splitlines", _) => {
            let separator = args.first().and_then(Value::as_str);
            let parts = match separator {
                Some(separator) => text.matches(separator).count(),
                None => text.chars().filter(|c| c.is_whitespace()).count(),
            };
            charge(state, (parts + 1).saturating_mul(BYTES_PER_FUEL))?;
            unknown_method_callback(state, value, name, args)
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}

/// Charges for everything that printing `value` writes, and refuses what is not plain data.
pub(crate) fn charge_plain(state: &State, value: &Value) -> Result<(), Error> {
    charge_nested(state, value, MAX_DEPTH)
}

fn charge_nested(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    let refuse = |what| Err(Error::new(ErrorKind::InvalidOperation, what));
    charge(state, value.as_str().map_or(0, str::len))?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map if depth == 0 => {
            refuse("value is nested too deeply")
        }
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter()?.try_for_each(|item| charge_nested(state, &item, depth - 1))
        }
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            charge_nested(state, &key, depth - 1)?;
            charge_nested(state, &value.get_item(&key)?, depth - 1)
        }),
        ValueKind::Plain => refuse("only plain values can be kept or printed"),
        _ => Ok(()),
    }
}

/// `{{ value }}`
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.as_object().is_some() {
        charge_plain(state, value)?;
    }
    escape_formatter(out, state, value)
}

/// `value | string`
fn string(state: &State, value: &Value) -> Result<String, Error> {
    charge_plain(state, value)?;
    Ok(value.to_string())
}

/// `list | join(separator='')` and `separator.join(list)`
fn join(state: &State, list: &Value, separator: Option<&str>, args: Kwargs) -> Result<String, Error> {
    let attribute = args.get::<Option<&str>>("attribute")?;
    args.assert_all_used()?;
    let mut out = String::new();
    for (rank, item) in list.try_iter()?.enumerate() {
        let item = attribute.map_or(Ok(item.clone()), |name| item.get_attr(name))?;
        charge_plain(state, &item)?;
        if let Some(separator) = separator.filter(|_| rank > 0) {
            charge(state, separator.len())?;
            out.push_str(separator);
        }
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&item.to_string()),
        }
    }
    Ok(out)
}

fn charge(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / BYTES_PER_FUEL) as u64 + 1)
}

/// `value | tojson(indent=None)`, as Python's `json.dumps(value, ensure_ascii=False)` writes it:
/// a space after `,` and `:`, nothing escaped for HTML.
fn tojson(state: &State, value: &Value, args: Kwargs) -> Result<String, Error> {
    let indent = args.get::<Option<usize>>("indent")?.map(|indent| indent.min(16));
    args.assert_all_used()?;
    let mut json = Json { state, indent, depth: 0, out: String::new() };
    json.value(value)?;
    Ok(json.out)
}

struct Json<'s, 'a, 'b> {
    state: &'s State<'a, 'b>,
    indent: Option<usize>,
    depth: usize,
    out: String,
}

impl Json<'_, '_, '_> {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => self.push("null"),
            ValueKind::Bool => self.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let text = serde_json::to_string(value).map_err(not_json)?;
                self.push(&text)
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                self.items('[', ']', value, |json, item| json.value(item))
            }
            ValueKind::Map => self.items('{', '}', value, |json, key| {
                match key.as_str() {
                    Some(text) => json.string(text)?,
                    None => json.string(&serde_json::to_string(key).map_err(not_json)?)?,
                }
                json.push(": ")?;
                json.value(&value.get_item(key)?)
            }),
            kind => Err(not_json(kind)),
        }
    }

    /// A list or, keys being what a map iterates over, a map.
    fn items(
        &mut self,
        open: char,
        close: char,
        value: &Value,
        item: impl Fn(&mut Self, &Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(not_json("a value nested too deeply"));
        }
        self.push(open.encode_utf8(&mut [0; 4]))?;
        let mut empty = true;
        for next in value.try_iter()? {
            if !empty {
                self.push(if self.indent.is_some() { "," } else { ", " })?;
            }
            empty = false;
            self.line()?;
            item(self, &next)?;
        }
        self.depth -= 1;
        if !empty {
            self.line()?;
        }
        self.push(close.encode_utf8(&mut [0; 4]))
    }

    fn line(&mut self) -> Result<(), Error> {
        match self.indent {
            Some(indent) => self.push(&format!("\n{:1$}", "", indent * self.depth)),
            None => Ok(()),
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        charge(self.state, text.len().saturating_mul(JSON_COST))?;
        self.out.push_str(&serde_json::to_string(text).map_err(not_json)?);
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), Error> {
        charge(self.state, text.len().saturating_mul(JSON_COST))?;
        self.out.push_str(text);
        Ok(())
    }
}

fn not_json(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("can not write {what} as JSON"))
}
