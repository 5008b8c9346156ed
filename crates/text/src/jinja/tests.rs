//! Jinja2's tests: `value is name(arguments)`.

use std::cmp::Ordering;

use crate::jinja::args::Args;
use crate::jinja::compare::{contains, equal, ordered};
use crate::jinja::fault::{Result, fail};
use crate::jinja::filters;
use crate::jinja::object::Object;
use crate::jinja::operators::binary;
use crate::jinja::render::Renderer;
use crate::jinja::show;
use crate::jinja::strings::all_cased;
use crate::jinja::syntax::Binary;
use crate::jinja::value::Value;

const NAMES: [&str; 38] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
];

pub(crate) fn exists(name: &str) -> bool {
    NAMES.contains(&name) || name == "le"
}

pub(crate) fn apply(renderer: &Renderer, name: &str, value: &Value, args: Args) -> Result<bool> {
    let meter = renderer.meter;
    meter.step()?;
    match name {
        "divisibleby" | "sameas" | "in" | "==" | "eq" | "equalto" | "!=" | "ne" | ">" | "gt"
        | "greaterthan" | "ge" | ">=" | "<" | "lt" | "lessthan" | "<=" | "le" => {
            let first = if name == "divisibleby" {
                "num"
            } else if name == "in" {
                "seq"
            } else {
                "other"
            };
            let [other] = args.bind(name, [first], 1)?;
            compared(renderer, name, value, &other.unwrap_or(Value::None))
        }
        _ if exists(name) => {
            args.none(name)?;
            is(renderer, name, value)
        }
        _ => fail(format!("No test named '{}'.", name.chars().take(60).collect::<String>())),
    }
}

fn compared(renderer: &Renderer, name: &str, a: &Value, b: &Value) -> Result<bool> {
    let meter = renderer.meter;
    match name {
        "divisibleby" => equal(meter, &binary(meter, Binary::Mod, a, b)?, &Value::Int(0)),
        "sameas" => Ok(a.same(b)),
        "in" => contains(meter, b, a),
        "==" | "eq" | "equalto" => equal(meter, a, b),
        "!=" | "ne" => Ok(!equal(meter, a, b)?),
        ">" | "gt" | "greaterthan" => ordered(meter, a, b, ">", Ordering::is_gt),
        ">=" | "ge" => ordered(meter, a, b, ">=", Ordering::is_ge),
        "<" | "lt" | "lessthan" => ordered(meter, a, b, "<", Ordering::is_lt),
        _ => ordered(meter, a, b, "<=", Ordering::is_le),
    }
}

fn is(renderer: &Renderer, name: &str, value: &Value) -> Result<bool> {
    let meter = renderer.meter;
    let rest = |of: i64| binary(meter, Binary::Mod, value, &Value::Int(of));
    let shown = || show::string(meter, value);
    Ok(match name {
        "odd" => equal(meter, &rest(2)?, &Value::Int(1))?,
        "even" => equal(meter, &rest(2)?, &Value::Int(0))?,
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "filter" | "test" => match value {
            Value::Text(text) => {
                if name == "filter" {
                    filters::exists(&text.text)
                } else {
                    exists(&text.text)
                }
            }
            Value::List(_) | Value::Dict(_) => {
                return fail(format!("unhashable type: '{}'", value.type_name()));
            }
            _ => false,
        },
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "false" => matches!(value, Value::Bool(false)),
        "true" => matches!(value, Value::Bool(true)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "string" => value.as_str().is_some(),
        "lower" => all_cased(shown()?.as_str().unwrap_or_default(), char::is_lowercase),
        "upper" => all_cased(shown()?.as_str().unwrap_or_default(), char::is_uppercase),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => matches!(
            value,
            Value::Undefined(_)
                | Value::Text(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Dict(_)
                | Value::Range(_)
        ),
        "iterable" => match value {
            Value::Object(object) => matches!(**object, Object::Loop(_)),
            _ => value.iterate().is_ok(),
        },
        "callable" => match value {
            Value::Undefined(_) => true,
            Value::Object(object) => {
                !matches!(**object, Object::Namespace(_) | Object::Cycler(..) | Object::Blocks)
            }
            _ => false,
        },
        _ => value.is_markup(),
    })
}
