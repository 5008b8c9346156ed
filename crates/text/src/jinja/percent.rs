//! `string % values`.

use crate::jinja::buffer::Buffer;
use crate::jinja::escape::escaped;
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::show;
use crate::jinja::spec::{self, Spec};
use crate::jinja::value::Value;

/// `format % values`: a tuple's items one after the other, a map's by name, else the value itself.
pub(crate) fn format(meter: &Meter, format: &Value, values: &Value) -> Result<Value> {
    let text = format.as_str().unwrap_or_default();
    let markup = format.is_markup();
    let mut out = Buffer::new(meter)?;
    let mut arguments = Arguments { values, used: 0 };
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at])?;
        rest = &rest[at + 1..];
        conversion(&mut out, meter, &mut rest, &mut arguments, markup)?;
    }
    out.push(rest)?;
    if !arguments.all_used() {
        return fail("not all arguments converted during string formatting");
    }
    Value::text_or_markup(meter, out.into_string(), markup)
}

struct Arguments<'v> {
    values: &'v Value,
    used: usize,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value> {
        let next = match self.values {
            Value::Tuple(tuple) => tuple.items.get(self.used).cloned(),
            value => (self.used == 0).then(|| value.clone()),
        };
        self.used += 1;
        next.map_or_else(|| fail("not enough arguments for format string"), Ok)
    }

    fn named(&mut self, meter: &Meter, name: &str) -> Result<Value> {
        let Value::Dict(dict) = self.values else { return fail("format requires a mapping") };
        match dict.get_str(meter, name)? {
            Some(value) => Ok(value.clone()),
            None => fail(format!("KeyError: '{}'", name.chars().take(60).collect::<String>())),
        }
    }

    fn all_used(&self) -> bool {
        match self.values {
            Value::Tuple(tuple) => self.used >= tuple.items.len(),
            // As in Python, what could be a mapping need not be used.
            Value::Dict(_) | Value::List(_) | Value::Range(_) => true,
            _ => self.used > 0,
        }
    }
}

fn conversion(
    out: &mut Buffer,
    meter: &Meter,
    rest: &mut &str,
    arguments: &mut Arguments,
    markup: bool,
) -> Result<()> {
    let mut named = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let mut open = 1;
        let end = inner.find(|c: char| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        });
        let Some(end) = end else { return fail("incomplete format key") };
        named = Some(arguments.named(meter, &inner[..end])?);
        *rest = &inner[end + 1..];
    }
    let mut spec = Spec::default();
    let mut left = false;
    while let Some(flag) = rest.chars().next().filter(|c| matches!(c, '#' | '0' | '-' | ' ' | '+')) {
        match flag {
            '#' => spec.alternate = true,
            '0' => spec.zero = true,
            '-' => left = true,
            '+' => spec.sign = Some('+'),
            _ => spec.sign = spec.sign.or(Some(' ')),
        }
        *rest = &rest[1..];
    }
    let count = |rest: &mut &str, arguments: &mut Arguments| match rest.strip_prefix('*') {
        Some(after) => {
            *rest = after;
            match arguments.next()?.as_int() {
                Some(number) => Ok(Some(number)),
                None => fail("* wants int"),
            }
        }
        None => Ok(spec::number(rest)?.map(|number| number as i64)),
    };
    let width = count(rest, arguments)?.unwrap_or(0);
    left |= width < 0;
    spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        spec.precision = Some(usize::try_from(count(rest, arguments)?.unwrap_or(0)).unwrap_or(0));
    }
    while let Some(after) = rest.strip_prefix(['h', 'l', 'L']) {
        *rest = after;
    }
    let Some(kind) = rest.chars().next() else { return fail("incomplete format") };
    *rest = &rest[kind.len_utf8()..];
    spec.align = Some(if left { '<' } else { '>' });
    if kind == '%' {
        return out.push("%");
    }
    let value = named.map_or_else(|| arguments.next(), Ok)?;
    match kind {
        's' | 'r' | 'a' => {
            let mut shown = Buffer::new(meter)?;
            match kind {
                's' => show::print(&mut shown, meter, &value)?,
                _ => show::repr(&mut shown, meter, &value)?,
            }
            let mut shown = shown.into_string();
            if kind == 'a' {
                shown = shown
                    .chars()
                    .map(|c| if c.is_ascii() { c.to_string() } else { show::escape(c) })
                    .collect();
            }
            if markup && !value.is_markup() {
                shown = escaped(meter, &shown)?;
            }
            (spec.kind, spec.sign, spec.zero, spec.alternate) = (None, None, false, false);
            spec.write(out, meter, &Value::text(meter, shown)?)
        }
        'c' => {
            let character = match (value.as_str(), value.as_int()) {
                (Some(text), _) if text.chars().count() == 1 => text.to_owned(),
                (_, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(character) => character.to_string(),
                    None => return fail("%c arg not in range(0x110000)"),
                },
                _ => return fail("%c requires int or char"),
            };
            (spec.sign, spec.zero, spec.alternate) = (None, false, false);
            spec.write(out, meter, &Value::text(meter, character)?)
        }
        _ => numeric(out, meter, spec, kind, left, &value),
    }
}

fn numeric(
    out: &mut Buffer,
    meter: &Meter,
    mut spec: Spec,
    kind: char,
    left: bool,
    value: &Value,
) -> Result<()> {
    if !left {
        spec.align = None;
    } else {
        spec.zero = false;
    }
    match kind {
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let number = match value {
                Value::Float(number) if matches!(kind, 'd' | 'i' | 'u') => float_to_int(*number)?,
                value => match value.as_int() {
                    Some(number) => number,
                    None => {
                        let wanted =
                            if matches!(kind, 'd' | 'i' | 'u') { "a real number" } else { "an integer" };
                        return fail(format!(
                            "%{kind} format: {wanted} is required, not {}",
                            value.type_name()
                        ));
                    }
                },
            };
            spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
            integer(out, meter, spec, number)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let Some(number) = value.as_float() else {
                return fail(format!("must be real number, not {}", value.type_name()));
            };
            spec.kind = Some(kind);
            spec.write(out, meter, &Value::Float(number))
        }
        other => fail(format!("unsupported format character '{}'", other.escape_debug())),
    }
}

/// The precision of an integer is its least number of digits.
fn integer(out: &mut Buffer, meter: &Meter, mut spec: Spec, number: i64) -> Result<()> {
    let Some(digits) = spec.precision.take() else {
        return spec.write(out, meter, &Value::Int(number));
    };
    if digits > spec::MAX_PRECISION {
        return fail("precision too large");
    }
    let mut bare = Buffer::new(meter)?;
    let padded = Spec {
        width: digits
            + usize::from(number < 0 || spec.sign.is_some())
            + if spec.alternate && spec.kind != Some('d') { 2 } else { 0 },
        zero: true,
        align: None,
        ..spec.clone()
    };
    padded.write(&mut bare, meter, &Value::Int(number))?;
    let outer = Spec { align: Some(spec.align.unwrap_or('>')), width: spec.width, ..Spec::default() };
    outer.write(out, meter, &Value::text(meter, bare.into_string())?)
}

/// Python's `int(number)`.
pub(crate) fn float_to_int(number: f64) -> Result<i64> {
    if number.is_nan() {
        return fail("cannot convert float NaN to integer");
    }
    if number.is_infinite() {
        return fail("cannot convert float infinity to integer");
    }
    if !(-9.2e18..=9.2e18).contains(&number) {
        return fail("an integer has more than 63 bits");
    }
    Ok(number.trunc() as i64)
}
