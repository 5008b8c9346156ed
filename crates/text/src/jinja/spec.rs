//! Python's format specifications: what stands behind the colon of `{:>8.2f}`, and how `%` writes
//! numbers.

use crate::jinja::buffer::Buffer;
use crate::jinja::fault::{Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::show;
use crate::jinja::value::Value;

/// `[[fill]align][sign][#][0][width][,_][.precision][type]`
#[derive(Debug, Default, Clone)]
pub(crate) struct Spec {
    pub(crate) fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    pub(crate) align: Option<char>,
    /// `+`, `-` or a space.
    pub(crate) sign: Option<char>,
    pub(crate) alternate: bool,
    pub(crate) zero: bool,
    pub(crate) width: usize,
    pub(crate) grouping: Option<char>,
    pub(crate) precision: Option<usize>,
    pub(crate) kind: Option<char>,
}

/// Digits behind the point: the standard library formats up to 65,535.
pub(crate) const MAX_PRECISION: usize = 60_000;

const INVALID: &str = "Invalid format specifier";

impl Spec {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut spec = Self::default();
        let mut rest = text;
        let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
        let mut start = text.chars();
        match (start.next(), start.next()) {
            (Some(fill), Some(align)) if is_align(align) => {
                (spec.fill, spec.align) = (Some(fill), Some(align));
                rest = &rest[fill.len_utf8() + 1..];
            }
            (Some(align), _) if is_align(align) => {
                spec.align = Some(align);
                rest = &rest[1..];
            }
            _ => {}
        }
        spec.sign = take(&mut rest, &['+', '-', ' ']);
        spec.alternate = take(&mut rest, &['#']).is_some();
        spec.zero = take(&mut rest, &['0']).is_some();
        spec.width = number(&mut rest)?.unwrap_or(0);
        spec.grouping = take(&mut rest, &[',', '_']);
        if take(&mut rest, &['.']).is_some() {
            let Some(precision) = number(&mut rest)? else {
                return fail("Format specifier missing precision");
            };
            spec.precision = Some(precision);
        }
        let mut kind = rest.chars();
        spec.kind = kind.next();
        if kind.next().is_some() {
            return fail(INVALID);
        }
        Ok(spec)
    }

    /// Writes `value` as `format(value, spec)` does.
    pub(crate) fn write(&self, out: &mut Buffer, meter: &Meter, value: &Value) -> Result<()> {
        match value {
            Value::Text(text) => self.text(out, meter, &text.text),
            Value::Bool(_) if self.kind.is_none() => {
                let shown = show::string(meter, value)?;
                self.text(out, meter, shown.as_str().unwrap_or_default())
            }
            Value::Bool(_) | Value::Int(_) => self.integer(out, meter, value.as_int().unwrap_or(0)),
            Value::Float(number) => self.float(out, meter, *number),
            other => fail(format!("unsupported format string passed to {}.__format__", other.type_name())),
        }
    }

    fn unknown<T>(&self, kind: char, of: &str) -> Result<T> {
        fail(format!("Unknown format code '{}' for object of type '{of}'", kind.escape_debug()))
    }

    fn text(&self, out: &mut Buffer, meter: &Meter, text: &str) -> Result<()> {
        if self.align == Some('=') {
            return fail("'=' alignment not allowed in string format specifier");
        }
        if self.sign.is_some() {
            return fail("Sign not allowed in string format specifier");
        }
        if self.alternate || self.grouping.is_some() {
            return fail(INVALID);
        }
        match self.kind {
            None | Some('s') => {}
            Some(kind) => return self.unknown(kind, "str"),
        }
        meter.bytes(text.len())?;
        let end =
            self.precision.and_then(|count| text.char_indices().nth(count)).map_or(text.len(), |(at, _)| at);
        let default = if self.zero { '0' } else { ' ' };
        self.pad(out, &text[..end], default, '<')
    }

    fn pad(&self, out: &mut Buffer, text: &str, fill: char, align: char) -> Result<()> {
        let room = self.width.saturating_sub(text.chars().count());
        let fill = self.fill.unwrap_or(fill);
        let (before, after) = match self.align.unwrap_or(align) {
            '<' => (0, room),
            '^' => (room / 2, room - room / 2),
            _ => (room, 0),
        };
        let fill = fill.encode_utf8(&mut [0; 4]).to_owned();
        out.repeat(&fill, before)?;
        out.push(text)?;
        out.repeat(&fill, after)
    }

    fn integer(&self, out: &mut Buffer, meter: &Meter, number: i64) -> Result<()> {
        let size = number.unsigned_abs();
        let (prefix, digits, group) = match self.kind {
            None | Some('d' | 'n') => ("", size.to_string(), 3),
            Some('b') => ("0b", format!("{size:b}"), 4),
            Some('o') => ("0o", format!("{size:o}"), 4),
            Some('x') => ("0x", format!("{size:x}"), 4),
            Some('X') => ("0X", format!("{size:X}"), 4),
            Some('c') => {
                let character = u32::try_from(number).ok().and_then(char::from_u32);
                let Some(character) = character else { return fail("%c arg not in range(0x110000)") };
                return self.pad(out, character.encode_utf8(&mut [0; 4]), ' ', '<');
            }
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => return self.float(out, meter, number as f64),
            Some(kind) => return self.unknown(kind, "int"),
        };
        if self.precision.is_some() {
            return fail("Precision not allowed in integer format specifier");
        }
        let prefix = if self.alternate { prefix } else { "" };
        self.number(out, number < 0, prefix, &digits, "", group)
    }

    fn float(&self, out: &mut Buffer, meter: &Meter, number: f64) -> Result<()> {
        let precision = self.precision.unwrap_or(6);
        meter.bytes(precision.saturating_mul(2))?;
        let _held = meter.hold(precision.saturating_mul(2))?;
        if precision > MAX_PRECISION {
            return fail("precision too big");
        }
        let size = number.abs();
        let (text, upper) = match self.kind {
            None if self.precision.is_none() => (show::float(size), false),
            None => (general(size, precision, self.alternate, true), false),
            Some('f') => (fixed(size, precision, self.alternate), false),
            Some('F') => (fixed(size, precision, self.alternate), true),
            Some('e') => (exponent(size, precision, self.alternate), false),
            Some('E') => (exponent(size, precision, self.alternate), true),
            Some('g' | 'n') => (general(size, precision, self.alternate, false), false),
            Some('G') => (general(size, precision, self.alternate, false), true),
            Some('%') => (fixed(size * 100.0, precision, self.alternate) + "%", false),
            Some(kind) => return self.unknown(kind, "float"),
        };
        let text = if upper { text.to_uppercase() } else { text };
        let whole = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let negative = number.is_sign_negative() && !number.is_nan();
        self.number(out, negative, "", &text[..whole], &text[whole..], 3)
    }

    /// Sign, prefix, digits in groups, the rest; zeros or fill where the width asks for them.
    fn number(
        &self,
        out: &mut Buffer,
        negative: bool,
        prefix: &str,
        digits: &str,
        rest: &str,
        group: usize,
    ) -> Result<()> {
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let zeros = self.zero && self.align.is_none() || (self.align == Some('=') && self.fill == Some('0'));
        let taken = sign.len() + prefix.len() + rest.len();
        let mut digits = digits.to_owned();
        if let Some(separator) = self.grouping.filter(|_| !digits.is_empty()) {
            let least = if zeros { self.width.saturating_sub(taken) } else { 0 };
            if least > MAX_PRECISION {
                return fail("width too big");
            }
            digits = grouped(&digits, separator, group, least);
        }
        let head = format!("{sign}{prefix}");
        let body = format!("{digits}{rest}");
        let align = self.align.unwrap_or(if self.zero { '=' } else { '>' });
        if align == '=' {
            let fill = self.fill.unwrap_or(if self.zero { '0' } else { ' ' });
            out.push(&head)?;
            let room = self.width.saturating_sub(head.len() + body.len());
            out.repeat(fill.encode_utf8(&mut [0; 4]), room)?;
            return out.push(&body);
        }
        self.pad(out, &(head + &body), if self.zero { '0' } else { ' ' }, '>')
    }
}

/// Separators every `group` digits, with zeros in front until there are `least` characters.
fn grouped(digits: &str, separator: char, group: usize, least: usize) -> String {
    let mut reversed = String::new();
    let mut count = 0;
    let mut digits = digits.chars().rev();
    loop {
        let next = match digits.next() {
            Some(digit) => digit,
            None if reversed.len() < least => '0',
            None => break,
        };
        if count > 0 && count % group == 0 {
            reversed.push(separator);
        }
        reversed.push(next);
        count += 1;
    }
    reversed.chars().rev().collect()
}

fn take(rest: &mut &str, wanted: &[char]) -> Option<char> {
    let found = rest.chars().next().filter(|c| wanted.contains(c))?;
    *rest = &rest[found.len_utf8()..];
    Some(found)
}

/// Decimal digits at the start of `rest`.
pub(crate) fn number(rest: &mut &str) -> Result<Option<usize>> {
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = &rest[..len];
    *rest = &rest[len..];
    match digits.parse::<u32>() {
        Ok(number) => Ok(Some(number as usize)),
        Err(_) if digits.is_empty() => Ok(None),
        Err(_) => fail("Too many decimal digits in format string"),
    }
}

fn special(number: f64) -> Option<String> {
    (!number.is_finite()).then(|| show::float(number))
}

fn fixed(number: f64, precision: usize, point: bool) -> String {
    let point = if point && precision == 0 { "." } else { "" };
    special(number).unwrap_or_else(|| format!("{number:.precision$}{point}"))
}

fn exponent(number: f64, precision: usize, point: bool) -> String {
    if let Some(special) = special(number) {
        return special;
    }
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = if point && precision == 0 { "." } else { "" };
    format!("{digits}{point}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `%g`. `with_point`: a float without a type keeps at least one digit behind the point.
fn general(number: f64, precision: usize, alternate: bool, with_point: bool) -> String {
    if let Some(special) = special(number) {
        return special;
    }
    let precision = precision.max(1);
    let scientific = exponent(number, precision - 1, false);
    let power: i64 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let limit = precision as i64 - i64::from(with_point);
    let plain = -4 <= power && power < limit.max(i64::from(!with_point));
    let text = if plain {
        fixed(number, usize::try_from(precision as i64 - 1 - power).unwrap_or(0), alternate)
    } else {
        scientific
    };
    if alternate {
        return text;
    }
    let (digits, power) =
        text.split_once('e').map_or((&*text, None), |(digits, power)| (digits, Some(power)));
    let mut digits = digits.to_owned();
    if digits.contains('.') {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    match power {
        Some(power) => format!("{digits}e{power}"),
        None if with_point && !digits.contains('.') => digits + ".0",
        None => digits,
    }
}
