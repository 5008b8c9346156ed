//! Arithmetic, concatenation, subscripts and slices.

use crate::jinja::buffer::Buffer;
use crate::jinja::escape::escaped;
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::percent;
use crate::jinja::syntax::Binary;
use crate::jinja::value::{List, Range, Value};

const TOO_LARGE: &str = "an integer has more than 63 bits";

pub(crate) fn binary(meter: &Meter, operator: Binary, a: &Value, b: &Value) -> Result<Value> {
    if let (Value::Undefined(undefined), _) = (a, b) {
        return fail(undefined.message.clone());
    }
    if operator == Binary::Mod && a.as_str().is_some() {
        return percent::format(meter, a, b);
    }
    if let Value::Undefined(undefined) = b {
        return fail(undefined.message.clone());
    }
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return integers(operator, a, b);
    }
    if let (Some(a), Some(b)) = (a.as_float(), b.as_float()) {
        return floats(operator, a, b);
    }
    match (operator, a, b) {
        (Binary::Add, Value::Text(left), Value::Text(right)) => {
            let markup = left.markup || right.markup;
            let mut out = Buffer::new(meter)?;
            for side in [a, b] {
                match side.as_str() {
                    Some(text) if markup && !side.is_markup() => out.push(&escaped(meter, text)?)?,
                    text => out.push(text.unwrap_or_default())?,
                }
            }
            Value::text_or_markup(meter, out.into_string(), markup)
        }
        (Binary::Add, Value::List(a), Value::List(b)) => Value::list(meter, joined(meter, a, b)?),
        (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => Value::tuple(meter, joined(meter, a, b)?),
        (Binary::Add, Value::Text(_), _) => {
            fail(format!("can only concatenate str (not \"{}\") to str", b.type_name()))
        }
        (Binary::Mul, sequence, count) | (Binary::Mul, count, sequence)
            if count.as_int().is_some() && is_repeatable(sequence) =>
        {
            repeat(meter, sequence, count.as_int().unwrap_or(0))
        }
        _ => fail(format!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            sign(operator),
            a.type_name(),
            b.type_name()
        )),
    }
}

fn is_repeatable(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::List(_) | Value::Tuple(_))
}

fn sign(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "** or pow()",
    }
}

fn joined(meter: &Meter, a: &List, b: &List) -> Result<Vec<Value>> {
    meter.steps(a.items.len() + b.items.len())?;
    let _held = meter.hold((a.items.len() + b.items.len()) * size_of::<Value>())?;
    Ok(a.items.iter().chain(&b.items).cloned().collect())
}

fn repeat(meter: &Meter, value: &Value, count: i64) -> Result<Value> {
    let count = usize::try_from(count).unwrap_or(0);
    match value {
        Value::Text(text) => {
            let mut out = Buffer::new(meter)?;
            out.repeat(&text.text, if text.text.is_empty() { 0 } else { count })?;
            Value::text_or_markup(meter, out.into_string(), text.markup)
        }
        Value::List(list) | Value::Tuple(list) => {
            let len = list.items.len().saturating_mul(count);
            meter.steps(len)?;
            let _held = meter.hold(len.saturating_mul(size_of::<Value>()))?;
            let items = list.items.iter().cycle().take(len).cloned().collect();
            if matches!(value, Value::List(_)) {
                Value::list(meter, items)
            } else {
                Value::tuple(meter, items)
            }
        }
        other => fail(format!("can't multiply {}", other.type_name())),
    }
}

fn integers(operator: Binary, a: i64, b: i64) -> Result<Value> {
    if b == 0 && matches!(operator, Binary::Div | Binary::FloorDiv | Binary::Mod) {
        let what =
            if operator == Binary::Div { "division by zero" } else { "integer division or modulo by zero" };
        return fail(what);
    }
    let result = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDiv => a.checked_div_euclid(b).map(|_| floor_div(a, b)),
        Binary::Mod => Some(floor_rest(a, b)),
        Binary::Pow if b >= 0 => match (a, u32::try_from(b)) {
            (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
            (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
            (_, Ok(b)) => a.checked_pow(b),
            (_, Err(_)) => None,
        },
        Binary::Pow if a == 0 => return fail("0.0 cannot be raised to a negative power"),
        Binary::Pow => return Ok(Value::Float((a as f64).powf(b as f64))),
    };
    result.map_or_else(|| fail(TOO_LARGE), |number| Ok(Value::Int(number)))
}

fn floor_div(a: i64, b: i64) -> i64 {
    let quotient = a / b;
    if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

/// The remainder with the sign of the divisor. Of other signs, the two cannot overflow together.
fn floor_rest(a: i64, b: i64) -> i64 {
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

fn floats(operator: Binary, a: f64, b: f64) -> Result<Value> {
    if b == 0.0 {
        match operator {
            Binary::Div => return fail("float division by zero"),
            Binary::FloorDiv => return fail("float floor division by zero"),
            Binary::Mod => return fail("float modulo"),
            _ => {}
        }
    }
    let modulo = || {
        let rest = a % b;
        if rest == 0.0 {
            0.0_f64.copysign(b)
        } else if (rest < 0.0) != (b < 0.0) {
            rest + b
        } else {
            rest
        }
    };
    Ok(Value::Float(match operator {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::FloorDiv => {
            let quotient = (a - modulo()) / b;
            if quotient == 0.0 { 0.0_f64.copysign(a / b) } else { quotient.round() }
        }
        Binary::Mod => modulo(),
        Binary::Pow if a == 0.0 && b < 0.0 => return fail("0.0 cannot be raised to a negative power"),
        Binary::Pow if a < 0.0 && b.is_finite() && b.fract() != 0.0 => {
            return fail("a complex number is no value of a template");
        }
        Binary::Pow => {
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return fail("Numerical result out of range");
            }
            power
        }
    }))
}

pub(crate) fn negative(value: &Value) -> Result<Value> {
    match value {
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => match value.as_int() {
            Some(number) => {
                number.checked_neg().map_or_else(|| fail(TOO_LARGE), |number| Ok(Value::Int(number)))
            }
            None => bad_operand("-", value),
        },
    }
}

pub(crate) fn positive(value: &Value) -> Result<Value> {
    match value {
        Value::Float(_) => Ok(value.clone()),
        _ => value.as_int().map_or_else(|| bad_operand("+", value), |number| Ok(Value::Int(number))),
    }
}

fn bad_operand(sign: &str, value: &Value) -> Result<Value> {
    match value {
        Value::Undefined(undefined) => fail(undefined.message.clone()),
        _ => fail(format!("bad operand type for unary {sign}: '{}'", value.type_name())),
    }
}

/// `value[index]` of a sequence; `None` where there is nothing.
pub(crate) fn index(meter: &Meter, value: &Value, index: i64) -> Result<Option<Value>> {
    let place = |len: usize| {
        let index = if index < 0 { index.checked_add_unsigned(len as u64)? } else { index };
        usize::try_from(index).ok().filter(|index| *index < len)
    };
    Ok(match value {
        Value::List(list) | Value::Tuple(list) => place(list.items.len()).map(|at| list.items[at].clone()),
        Value::Range(range) => place(range.len()).map(|at| Value::Int(range.get(at))),
        Value::Text(text) => {
            let found = if text.text.is_ascii() {
                place(text.text.len()).map(|at| char::from(text.text.as_bytes()[at]))
            } else {
                meter.bytes(2 * text.text.len())?;
                place(text.text.chars().count()).and_then(|at| text.text.chars().nth(at))
            };
            match found {
                Some(character) => Some(Value::text_or_markup(meter, character.to_string(), text.markup)?),
                None => None,
            }
        }
        _ => None,
    })
}

/// `value[start:stop:step]`
pub(crate) fn slice(meter: &Meter, value: &Value, parts: &[Value; 3]) -> Result<Value> {
    if let Value::Undefined(undefined) = value {
        return fail(undefined.message.clone());
    }
    let len = match value {
        Value::Text(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => value.len(meter)?.unwrap_or(0),
        Value::Dict(_) => return fail("unhashable type: 'slice'"),
        other => return fail(format!("'{}' object is not subscriptable", other.type_name())),
    };
    let (start, step, count) = bounds(parts, len)?;
    meter.steps(count)?;
    let _held = meter.hold(count.saturating_mul(size_of::<Value>()))?;
    let places = (0..count).map(|rank| (start + step * rank as i128) as usize);
    match value {
        Value::List(list) => Value::list(meter, places.map(|at| list.items[at].clone()).collect()),
        Value::Tuple(list) => Value::tuple(meter, places.map(|at| list.items[at].clone()).collect()),
        Value::Range(range) => {
            let begin = range.start as i128 + start * i128::from(range.step);
            let by = i128::from(range.step) * step;
            let end = begin + by * count as i128;
            match (i64::try_from(begin), i64::try_from(end), i64::try_from(by)) {
                (Ok(start), Ok(stop), Ok(step)) => {
                    Ok(Value::Range(std::rc::Rc::new(Range { start, stop, step })))
                }
                _ => fail(TOO_LARGE),
            }
        }
        Value::Text(text) => {
            meter.bytes(text.text.len())?;
            let sliced: String = if step == 1 {
                let at =
                    |rank: usize| text.text.char_indices().nth(rank).map_or(text.text.len(), |(at, _)| at);
                let begin = at(start as usize);
                let end = text.text[begin..]
                    .char_indices()
                    .nth(count)
                    .map_or(text.text.len(), |(at, _)| begin + at);
                if count == 0 { String::new() } else { text.text[begin..end].to_owned() }
            } else {
                let _held = meter.hold(4 * len)?;
                let characters: Vec<char> = text.text.chars().collect();
                places.map(|at| characters[at]).collect()
            };
            Value::text_or_markup(meter, sliced, text.markup)
        }
        _ => fail("not a sequence"),
    }
}

/// Python's `slice.indices`: first place, step, number of items.
fn bounds(parts: &[Value; 3], len: usize) -> Result<(i128, i128, usize)> {
    let part = |value: &Value| match value {
        Value::None => Ok(None),
        value => match value.as_int() {
            Some(number) => Ok(Some(i128::from(number))),
            None => fail("slice indices must be integers or None or have an __index__ method"),
        },
    };
    let step = part(&parts[2])?.unwrap_or(1);
    if step == 0 {
        return fail("slice step cannot be zero");
    }
    let len = len as i128;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |value: Option<i128>, default: i128| match value {
        None => default,
        Some(at) => (if at < 0 { at + len } else { at }).clamp(low, high),
    };
    let start = place(part(&parts[0])?, if step > 0 { low } else { high });
    let stop = place(part(&parts[1])?, if step > 0 { high } else { low });
    let span = if step > 0 { stop - start } else { start - stop };
    let count = if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 };
    Ok((start, step, usize::try_from(count).unwrap_or(0)))
}
