//! Jinja2's filters: `value | name(arguments)`. Those that work on sequences are in `sequences`.

use crate::jinja::args::{Args, int, int_or, text, undefined};
use crate::jinja::buffer::Buffer;
use crate::jinja::escape::{escaped, without_tags};
use crate::jinja::fault::{Result, fail};
use crate::jinja::json::Json;
use crate::jinja::operators::binary;
use crate::jinja::percent::{self, float_to_int};
use crate::jinja::render::Renderer;
use crate::jinja::sequences;
use crate::jinja::show;
use crate::jinja::strings::{is_space, is_word};
use crate::jinja::syntax::Binary;
use crate::jinja::text_methods::{self, lines};
use crate::jinja::value::Value;

const NAMES: [&str; 28] = [
    "abs",
    "attr",
    "capitalize",
    "center",
    "d",
    "default",
    "e",
    "escape",
    "filesizeformat",
    "float",
    "forceescape",
    "format",
    "indent",
    "int",
    "lower",
    "replace",
    "round",
    "safe",
    "string",
    "striptags",
    "title",
    "tojson",
    "trim",
    "truncate",
    "upper",
    "urlencode",
    "wordcount",
    "xmlattr",
];

/// Filters of Jinja2 that no prompt needs: chance, links in HTML, the breaking of lines.
const LEFT_OUT: [&str; 4] = ["pprint", "random", "urlize", "wordwrap"];

pub(crate) fn exists(name: &str) -> bool {
    NAMES.contains(&name) || sequences::exists(name) || LEFT_OUT.contains(&name)
}

pub(crate) fn apply(renderer: &mut Renderer, name: &str, value: Value, args: Args) -> Result<Value> {
    renderer.meter.step()?;
    if sequences::exists(name) {
        return sequences::apply(renderer, name, value, args);
    }
    match name {
        "default" | "d" => {
            let [default, boolean] = args.bind(name, ["default_value", "boolean"], 0)?;
            let wanted = value.is_undefined() || boolean.is_some_and(|flag| flag.truth()) && !value.truth();
            if wanted { default.map_or_else(|| Value::text(renderer.meter, ""), Ok) } else { Ok(value) }
        }
        "attr" => {
            let [name] = args.bind(name, ["name"], 1)?;
            renderer.attribute_only(&value, text(&name.unwrap_or(Value::None))?)
        }
        "abs" | "round" | "int" | "float" | "filesizeformat" => numeric(renderer, name, &value, args),
        "tojson" => to_json(renderer, &value, args),
        "format" => {
            let values = match (args.positional.is_empty(), args.named.is_empty()) {
                (false, false) => {
                    return fail("can't handle positional and keyword arguments at the same time");
                }
                (true, false) => renderer.dict_of(args.named)?,
                _ => Value::tuple(renderer.meter, args.positional)?,
            };
            percent::format(renderer.meter, &show_markup(renderer, &value)?, &values)
        }
        "upper" | "lower" | "capitalize" => {
            let shown = show_markup(renderer, &value)?;
            text_methods::call(renderer, &shown, name, args)
        }
        "center" => {
            let [width] = args.bind(name, ["width"], 0)?;
            let shown = show_markup(renderer, &value)?;
            let width = Args::positional(vec![width.unwrap_or(Value::Int(80))]);
            text_methods::call(renderer, &shown, name, width)
        }
        _ if LEFT_OUT.contains(&name) => {
            fail(format!("the filter {name} is not supported in a chat template"))
        }
        _ if NAMES.contains(&name) => textual(renderer, name, &value, args),
        _ => fail(format!("No filter named '{}'.", name.chars().take(60).collect::<String>())),
    }
}

/// `soft_str(value)`: a string stays what it is.
fn show_markup(renderer: &Renderer, value: &Value) -> Result<Value> {
    if value.as_str().is_some() { Ok(value.clone()) } else { show::string(renderer.meter, value) }
}

/// Filters that write the value out and change the text.
fn textual(renderer: &mut Renderer, name: &str, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    if name == "indent" {
        return indent(renderer, value, args);
    }
    if name == "truncate" {
        return truncate(renderer, value, args);
    }
    if name == "xmlattr" {
        return xml_attributes(renderer, value, args);
    }
    if name == "urlencode" {
        args.none(name)?;
        return url_encode(renderer, value);
    }
    let shown = show_markup(renderer, value)?;
    let source = text(&shown)?;
    match name {
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
            let old = show::string(meter, &old.unwrap_or(Value::None))?;
            let new = show::string(meter, &new.unwrap_or(Value::None))?;
            let count = match count {
                None | Some(Value::None) => -1,
                Some(count) => int(&count)?,
            };
            text_methods::replace(meter, source, text(&old)?, text(&new)?, count)
        }
        "trim" => {
            let [characters] = args.bind(name, ["chars"], 0)?;
            let stripped = text_methods::strip(meter, source, "strip", characters.as_ref())?;
            Value::text_or_markup(meter, text(&stripped)?, shown.is_markup())
        }
        "string" => {
            args.none(name)?;
            Ok(shown)
        }
        "safe" => {
            args.none(name)?;
            Value::text_or_markup(meter, source, true)
        }
        "escape" | "e" => {
            args.none(name)?;
            if shown.is_markup() {
                return Ok(shown);
            }
            Value::text_or_markup(meter, escaped(meter, source)?, true)
        }
        "forceescape" => {
            args.none(name)?;
            Value::text_or_markup(meter, escaped(meter, source)?, true)
        }
        "striptags" => {
            args.none(name)?;
            Value::text(meter, without_tags(meter, source)?)
        }
        "title" => {
            args.none(name)?;
            meter.bytes(4 * source.len())?;
            Value::text(meter, title(source))
        }
        _ => {
            args.none(name)?;
            meter.bytes(source.len())?;
            let words = source.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).count();
            Ok(Value::Int(words as i64))
        }
    }
}

/// `title` of Jinja2: words begin behind spaces, hyphens and opening brackets only.
fn title(source: &str) -> String {
    let separates = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let head = rest.starts_with(separates);
        let end = rest.find(|c| separates(c) != head).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let mut characters = word.chars();
        out.extend(characters.next().into_iter().flat_map(char::to_uppercase));
        out.push_str(&characters.as_str().to_lowercase());
        rest = after;
    }
    out
}

fn indent(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
    let flag = |value: &Option<Value>| value.as_ref().is_some_and(Value::truth);
    let indention = match &width {
        Some(Value::Text(text)) => text.text.to_string(),
        width => {
            let width = usize::try_from(int_or(width.as_ref(), 4)?).unwrap_or(0);
            let _held = meter.hold(width)?;
            " ".repeat(width)
        }
    };
    let source = match value.as_str() {
        Some(text) => text,
        None if value.is_undefined() => return undefined(value),
        None => {
            return fail(format!("unsupported operand type(s) for +=: '{}' and 'str'", value.type_name()));
        }
    };
    let mut out = Buffer::new(meter)?;
    if flag(&first) {
        out.push(&indention)?;
    }
    // A line break is added and the last one taken off: a text that ends in one keeps it.
    let ended = source.to_owned() + "\n";
    for (rank, (line, _)) in lines(&ended).enumerate() {
        if rank > 0 {
            out.push("\n")?;
        }
        let line = &ended[line];
        if rank > 0 && (flag(&blank) || !line.is_empty()) {
            out.push(&indention)?;
        }
        out.push(line)?;
    }
    Value::text_or_markup(meter, out.into_string(), value.is_markup())
}

fn truncate(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let [length, kill_words, end, leeway] =
        args.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let length = usize::try_from(int_or(length.as_ref(), 255)?).unwrap_or(0);
    let end = match &end {
        Some(end) => text(end)?.to_owned(),
        None => "...".to_owned(),
    };
    let leeway = match leeway {
        None | Some(Value::None) => 5,
        Some(leeway) => match usize::try_from(int(&leeway)?) {
            Ok(leeway) => leeway,
            Err(_) => return fail("expected leeway >= 0"),
        },
    };
    let end_length = end.chars().count();
    if length < end_length {
        return fail(format!("expected length >= {end_length}, got {length}"));
    }
    if value.len(meter)?.is_some_and(|len| len <= length.saturating_add(leeway)) {
        return Ok(value.clone());
    }
    let source = text(value)?;
    let cut = source.char_indices().nth(length - end_length).map_or(source.len(), |(at, _)| at);
    let mut kept = &source[..cut];
    if !kill_words.is_some_and(|flag| flag.truth()) {
        kept = kept.rsplit_once(' ').map_or(kept, |(before, _)| before);
    }
    let mut out = Buffer::new(meter)?;
    out.push(kept)?;
    out.push(&end)?;
    out.into_value()
}

fn xml_attributes(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let [space] = args.bind("xmlattr", ["autospace"], 0)?;
    let Value::Dict(dict) = value else {
        return fail(format!("'{}' object has no attribute 'items'", value.type_name()));
    };
    let mut out = Buffer::new(meter)?;
    for (key, value) in dict.entries() {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let key = text(key)?;
        if key.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c', '/', '>', '=']) {
            return fail("Invalid character in attribute name");
        }
        if out.len() > 0 || space.as_ref().is_none_or(Value::truth) {
            out.push(" ")?;
        }
        let value = show::string(meter, value)?;
        out.push(&escaped(meter, key)?)?;
        out.push("=\"")?;
        out.push(&escaped(meter, text(&value)?)?)?;
        out.push("\"")?;
    }
    out.into_value()
}

fn url_encode(renderer: &Renderer, value: &Value) -> Result<Value> {
    let meter = renderer.meter;
    let mut out = Buffer::new(meter)?;
    if value.as_str().is_some() || value.iterate().is_err() {
        url_quote(renderer, &mut out, value, false)?;
        return out.into_value();
    }
    let pairs = match value {
        Value::Dict(dict) => dict.entries().to_vec(),
        other => {
            let pairs = other.collect(meter)?.into_iter().map(|pair| {
                let pair = pair.collect(meter)?;
                match <[Value; 2]>::try_from(pair) {
                    Ok([key, value]) => Ok((key, value)),
                    Err(_) => fail("urlencode wants pairs"),
                }
            });
            pairs.collect::<Result<_>>()?
        }
    };
    for (rank, (key, value)) in pairs.iter().enumerate() {
        if rank > 0 {
            out.push("&")?;
        }
        url_quote(renderer, &mut out, key, true)?;
        out.push("=")?;
        url_quote(renderer, &mut out, value, true)?;
    }
    out.into_value()
}

fn url_quote(renderer: &Renderer, out: &mut Buffer, value: &Value, query: bool) -> Result<()> {
    let shown = show::string(renderer.meter, value)?;
    for byte in text(&shown)?.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push_char(byte.into())?
            }
            b'/' if !query => out.push("/")?,
            b' ' if query => out.push("+")?,
            _ => out.push(&format!("%{byte:02X}"))?,
        }
    }
    Ok(())
}

fn to_json(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ensure_ascii, indent, separators, sort_keys] = args.bind("tojson", names, 0)?;
    let flag = |value: Option<Value>| value.is_some_and(|value| value.truth());
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Text(text)) => Some(text.text.to_string()),
        Some(width) => {
            let width = usize::try_from(int(&width)?).unwrap_or(0);
            let _held = meter.hold(width)?;
            Some(" ".repeat(width))
        }
    };
    let separators = match separators {
        None | Some(Value::None) => [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()],
        Some(separators) => {
            let [item, key] = match <[Value; 2]>::try_from(separators.collect(meter)?) {
                Ok(separators) => separators,
                Err(_) => return fail("separators wants (item_separator, key_separator)"),
            };
            [text(&item)?.to_owned(), text(&key)?.to_owned()]
        }
    };
    let (ensure_ascii, sort_keys) = (flag(ensure_ascii), flag(sort_keys));
    Json { meter, ensure_ascii, indent, separators, sort_keys }.write(value)
}

fn numeric(renderer: &Renderer, name: &str, value: &Value, args: Args) -> Result<Value> {
    match name {
        "abs" => {
            args.none(name)?;
            match value {
                Value::Float(number) => Ok(Value::Float(number.abs())),
                value if value.is_undefined() => undefined(value),
                value => match value.as_int().and_then(i64::checked_abs) {
                    Some(number) => Ok(Value::Int(number)),
                    None => fail(format!("bad operand type for abs(): '{}'", value.type_name())),
                },
            }
        }
        "round" => round(renderer, value, args),
        "int" => {
            let [default, base] = args.bind(name, ["default", "base"], 0)?;
            let base = int_or(base.as_ref(), 10)?;
            to_int(renderer, value, base).map(|number| number.unwrap_or(default.unwrap_or(Value::Int(0))))
        }
        "float" => {
            let [default] = args.bind(name, ["default"], 0)?;
            Ok(to_float(renderer, value)?.map_or(default.unwrap_or(Value::Float(0.0)), Value::Float))
        }
        _ => file_size(renderer, value, args),
    }
}

/// Python's `float(value)`; `None` where it is none.
fn to_float(renderer: &Renderer, value: &Value) -> Result<Option<f64>> {
    match value {
        Value::Undefined(_) => undefined(value),
        Value::Text(text) => {
            renderer.meter.bytes(text.text.len())?;
            let digits = plain_digits(&text.text);
            let lower = digits.to_ascii_lowercase();
            let unsigned = lower.trim_start_matches(['+', '-']);
            let named = matches!(unsigned, "inf" | "infinity" | "nan");
            let numeric = unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-'));
            Ok(if named || numeric { lower.parse().ok() } else { None })
        }
        value => Ok(value.as_float()),
    }
}

/// A number's text without spaces around it and single underscores between its digits.
fn plain_digits(text: &str) -> String {
    let text = text.trim_matches(is_space);
    let bytes = text.as_bytes();
    let single = |at: usize| {
        at > 0
            && bytes[at - 1].is_ascii_alphanumeric()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    };
    let kept = text.char_indices().filter(|(at, c)| *c != '_' || !single(*at));
    kept.map(|(_, c)| c).collect()
}

fn to_int(renderer: &Renderer, value: &Value, base: i64) -> Result<Option<Value>> {
    match value {
        Value::Text(text) => {
            renderer.meter.bytes(text.text.len())?;
            if let Some(number) = parse_int(&plain_digits(&text.text), base)? {
                return Ok(Some(Value::Int(number)));
            }
            match to_float(renderer, value)? {
                Some(number) if number.is_finite() => Ok(Some(Value::Int(float_to_int(number)?))),
                _ => Ok(None),
            }
        }
        Value::Float(number) if number.is_nan() => Ok(None),
        Value::Float(number) => Ok(Some(Value::Int(float_to_int(*number)?))),
        Value::Undefined(_) => undefined(value),
        value => Ok(value.as_int().map(Value::Int)),
    }
}

fn parse_int(text: &str, base: i64) -> Result<Option<i64>> {
    if base != 0 && !(2..=36).contains(&base) {
        return Ok(None);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixed = |prefix: [&str; 2], wanted: i64| {
        let digits = digits.strip_prefix(prefix[0]).or_else(|| digits.strip_prefix(prefix[1]))?;
        (base == wanted || base == 0).then_some((digits, wanted))
    };
    let found = prefixed(["0x", "0X"], 16)
        .or_else(|| prefixed(["0o", "0O"], 8))
        .or_else(|| prefixed(["0b", "0B"], 2));
    let (digits, base) = found.unwrap_or((digits, if base == 0 { 10 } else { base }));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base as u32)) {
        return Ok(None);
    }
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    match i64::from_str_radix(&signed, base as u32) {
        Ok(number) => Ok(Some(number)),
        Err(_) => fail("an integer has more than 63 bits"),
    }
}

fn round(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = int_or(precision.as_ref(), 0)?;
    let method = method.as_ref().map_or(Ok("common"), text)?;
    if !matches!(method, "common" | "ceil" | "floor") {
        return fail("method must be common, ceil or floor");
    }
    if value.is_undefined() {
        return undefined(value);
    }
    if !(-300..=300).contains(&precision) {
        return fail("precision is out of range");
    }
    if method != "common" {
        let scale = binary(renderer.meter, Binary::Pow, &Value::Int(10), &Value::Int(precision))?;
        let scaled = binary(renderer.meter, Binary::Mul, value, &scale)?;
        let whole = match &scaled {
            Value::Float(number) => {
                Value::Int(float_to_int(if method == "ceil" { number.ceil() } else { number.floor() })?)
            }
            other => other.clone(),
        };
        return binary(renderer.meter, Binary::Div, &whole, &scale);
    }
    match value {
        Value::Float(number) if !number.is_finite() => Ok(value.clone()),
        Value::Float(number) if precision >= 0 => {
            let digits = format!("{number:.*}", precision as usize);
            Ok(Value::Float(digits.parse().unwrap_or(*number)))
        }
        Value::Float(number) => {
            let scale = 10f64.powi(-precision as i32);
            Ok(Value::Float((number / scale).round_ties_even() * scale))
        }
        _ => match value.as_int() {
            Some(number) if precision >= 0 => Ok(Value::Int(number)),
            Some(number) => {
                let Some(scale) = u32::try_from(-precision).ok().and_then(|p| 10i64.checked_pow(p)) else {
                    return Ok(Value::Int(0));
                };
                let (low, rest) = (number.div_euclid(scale), number.rem_euclid(scale));
                let up = rest > scale - rest || (rest == scale - rest && low % 2 != 0);
                match (low + i64::from(up)).checked_mul(scale) {
                    Some(number) => Ok(Value::Int(number)),
                    None => fail("an integer has more than 63 bits"),
                }
            }
            None => fail(format!("type {} doesn't define __round__ method", value.type_name())),
        },
    }
}

fn file_size(renderer: &Renderer, value: &Value, args: Args) -> Result<Value> {
    let [binary] = args.bind("filesizeformat", ["binary"], 0)?;
    let binary = binary.is_some_and(|flag| flag.truth());
    let Some(bytes) = to_float(renderer, value)? else { return fail("could not convert to float") };
    let base = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Value::text(renderer.meter, "1 Byte");
    }
    if bytes < base {
        return Value::text(renderer.meter, format!("{} Bytes", bytes.trunc()));
    }
    let prefixes = if binary { "KMGTPEZY" } else { "kMGTPEZY" };
    let unit = if binary { "iB" } else { "B" };
    let last = prefixes.len() - 1;
    let rank = (0..last).find(|rank| bytes < base.powi(*rank as i32 + 2)).unwrap_or(last);
    let size = base * bytes / base.powi(rank as i32 + 2);
    Value::text(renderer.meter, format!("{size:.1} {}{unit}", &prefixes[rank..=rank]))
}
