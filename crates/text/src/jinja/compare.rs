//! `==`, `<` and `in`, charged for as both sides are walked.

use std::cmp::Ordering;

use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::value::{List, Value};

/// Python's `a == b`.
pub(crate) fn equal(meter: &Meter, a: &Value, b: &Value) -> Result<bool> {
    meter.step()?;
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return Ok(a == b);
    }
    if let Some(ordering) = numbers(a, b) {
        return Ok(ordering == Some(Ordering::Equal));
    }
    match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) => Ok(true),
        (Value::Text(a), Value::Text(b)) => {
            if a.text.len() != b.text.len() {
                return Ok(false);
            }
            meter.bytes(a.text.len())?;
            Ok(a.text == b.text)
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            Ok(a.items.len() == b.items.len() && first_difference(meter, a, b)?.is_none())
        }
        (Value::Dict(a), Value::Dict(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, value) in a.entries() {
                let Some(other) = b.get(meter, key)? else { return Ok(false) };
                if !value.same(other) && !equal(meter, value, other)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Range(a), Value::Range(b)) => {
            let len = a.len();
            Ok(len == b.len() && (len == 0 || (a.start == b.start && (len == 1 || a.step == b.step))))
        }
        _ => Ok(a.same(b)),
    }
}

/// Where two sequences first differ; where the shorter ends, if they do not.
fn first_difference(meter: &Meter, a: &List, b: &List) -> Result<Option<usize>> {
    for (index, (a, b)) in a.items.iter().zip(&b.items).enumerate() {
        if !a.same(b) && !equal(meter, a, b)? {
            return Ok(Some(index));
        }
    }
    Ok((a.items.len() != b.items.len()).then(|| a.items.len().min(b.items.len())))
}

/// How two numbers compare, if both are numbers: `None` inside for what is not a number.
fn numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    match (a, b) {
        (Value::Float(a), _) => Some(float_and_number(*a, b)?),
        (_, Value::Float(b)) => Some(float_and_number(*b, a)?.map(Ordering::reverse)),
        _ => Some(Some(a.as_int()?.cmp(&b.as_int()?))),
    }
}

/// Exact also where the integer has more bits than a float.
fn float_and_number(a: f64, b: &Value) -> Option<Option<Ordering>> {
    if let Value::Float(b) = b {
        return Some(a.partial_cmp(b));
    }
    let b = b.as_int()?;
    if a.is_nan() {
        return Some(None);
    }
    if !(-9.3e18..9.3e18).contains(&a) {
        return Some(Some(if a > 0.0 { Ordering::Greater } else { Ordering::Less }));
    }
    let whole = a.trunc();
    let ordering = (whole as i128).cmp(&i128::from(b));
    Some(Some(ordering.then(a.partial_cmp(&whole).unwrap_or(Ordering::Equal))))
}

/// Python's `a < b`, `a <= b` and so on: what `accept` says of how they compare. `sign` is for the
/// error.
pub(crate) fn ordered(
    meter: &Meter,
    a: &Value,
    b: &Value,
    sign: &str,
    accept: fn(Ordering) -> bool,
) -> Result<bool> {
    Ok(ordering(meter, a, b, sign)?.is_some_and(accept))
}

fn ordering(meter: &Meter, a: &Value, b: &Value, sign: &str) -> Result<Option<Ordering>> {
    meter.step()?;
    if let Some(ordering) = numbers(a, b) {
        return Ok(ordering);
    }
    match (a, b) {
        (Value::Undefined(undefined), _) | (_, Value::Undefined(undefined)) => {
            fail(undefined.message.clone())
        }
        (Value::Text(a), Value::Text(b)) => {
            meter.bytes(a.text.len().min(b.text.len()))?;
            Ok(Some(a.text.cmp(&b.text)))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            match first_difference(meter, a, b)? {
                None => Ok(Some(Ordering::Equal)),
                Some(at) if at < a.items.len() && at < b.items.len() => {
                    ordering(meter, &a.items[at], &b.items[at], sign)
                }
                Some(_) => Ok(Some(a.items.len().cmp(&b.items.len()))),
            }
        }
        _ => fail(format!(
            "'{sign}' not supported between instances of '{}' and '{}'",
            a.type_name(),
            b.type_name()
        )),
    }
}

/// Python's `item in container`.
pub(crate) fn contains(meter: &Meter, container: &Value, item: &Value) -> Result<bool> {
    meter.step()?;
    match container {
        Value::Text(text) => match item.as_str() {
            Some(item) => {
                meter.bytes(text.text.len() + item.len())?;
                Ok(text.text.contains(item))
            }
            None => fail(format!("'in <string>' requires string as left operand, not {}", item.type_name())),
        },
        Value::Dict(dict) => Ok(dict.get(meter, item)?.is_some()),
        Value::View(view) if view.kind == crate::jinja::value::ViewKind::Keys => {
            Ok(view.dict.get(meter, item)?.is_some())
        }
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_) => {
            fail(format!("argument of type '{}' is not iterable", container.type_name()))
        }
        _ => {
            let mut cursor = container.iterate()?;
            while let Some(candidate) = cursor.next(meter)? {
                if candidate.same(item) || equal(meter, &candidate, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// Sorts as Python's `sorted` does: stable, asking only whether one comes before the other. The
/// comparison may fail, and may be no order at all.
pub(crate) fn sort<T>(
    items: Vec<T>,
    reverse: bool,
    before: &mut impl FnMut(&T, &T) -> Result<bool>,
) -> Result<Vec<T>> {
    if items.len() <= 1 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let left = sort(left, reverse, before)?;
    let right = sort(right, reverse, before)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let swap = if reverse { before(a, b)? } else { before(b, a)? };
        merged.extend(if swap { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
