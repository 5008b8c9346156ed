//! The methods of Python's strings.

use crate::jinja::args::{Args, int, int_or, text, undefined};
use crate::jinja::buffer::Buffer;
use crate::jinja::escape::escaped;
use crate::jinja::fault::{Result, fail};
use crate::jinja::format;
use crate::jinja::meter::Meter;
use crate::jinja::render::Renderer;
use crate::jinja::show;
use crate::jinja::strings::{
    all_cased, capitalize, case_fold, is_decimal, is_digit, is_line_break, is_space, is_title_case, is_word,
    swap_case, title,
};
use crate::jinja::value::Value;

/// The methods there are.
const NAMES: [&str; 45] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
    "striptags",
    "unescape",
];

/// Whether a string has this method. `striptags` is one of `Markup`.
pub(crate) fn exists(name: &str, markup: bool) -> bool {
    NAMES[..43].contains(&name) || (markup && name == "striptags")
}

/// `value.name(args)` for a string.
pub(crate) fn call(renderer: &mut Renderer, value: &Value, name: &str, mut args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let source = text(value)?;
    meter.bytes(source.len())?;
    let markup = value.is_markup();
    if markup && matches!(name, "replace" | "join" | "ljust" | "rjust" | "center" | "format") {
        args = escape_arguments(meter, args)?;
    }
    if name == "format" {
        return format::format(renderer, value, args);
    }
    let result = match name {
        "split" | "rsplit" => split(meter, source, name, args)?,
        "splitlines" => split_lines(meter, source, args)?,
        "partition" | "rpartition" => partition(meter, source, name, args)?,
        "startswith" | "endswith" => return ends(meter, source, name, args),
        "find" | "rfind" | "index" | "rindex" | "count" => return find(meter, source, name, args),
        "join" => join(meter, value, args)?,
        _ if name.starts_with("is") => {
            args.none(name)?;
            if name == "isprintable" {
                meter.bytes(show::PRINTABLE * source.len())?;
            }
            return Ok(Value::Bool(is(source, name)));
        }
        _ => changed(meter, source, name, args)?,
    };
    if markup { marked(meter, result) } else { Ok(result) }
}

/// Strings among the arguments of a `Markup`'s method, escaped.
fn escape_arguments(meter: &Meter, args: Args) -> Result<Args> {
    let escape = |value: Value| match value.as_str() {
        Some(text) if !value.is_markup() => Value::text_or_markup(meter, escaped(meter, text)?, true),
        _ => match &value {
            Value::List(list) | Value::Tuple(list) => {
                let items = list.items.iter().map(|item| match item.as_str() {
                    Some(text) if !item.is_markup() => Value::text(meter, escaped(meter, text)?),
                    _ => Ok(item.clone()),
                });
                Value::list(meter, items.collect::<Result<_>>()?)
            }
            _ => Ok(value),
        },
    };
    let positional = args.positional.into_iter().map(escape).collect::<Result<_>>()?;
    let named = args.named.into_iter().map(|(name, value)| Ok((name, escape(value)?)));
    Ok(Args { positional, named: named.collect::<Result<_>>()? })
}

/// A `Markup` method's result: its strings are `Markup` too.
fn marked(meter: &Meter, value: Value) -> Result<Value> {
    match &value {
        Value::Text(text) => Value::text_or_markup(meter, text.text.clone(), true),
        Value::List(list) => {
            let items = list.items.iter().map(|item| marked(meter, item.clone())).collect::<Result<_>>()?;
            Value::list(meter, items)
        }
        Value::Tuple(list) => {
            let items = list.items.iter().map(|item| marked(meter, item.clone())).collect::<Result<_>>()?;
            Value::tuple(meter, items)
        }
        _ => Ok(value),
    }
}

/// Methods that give a changed string.
fn changed(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    meter.bytes(4 * source.len())?;
    let _held = meter.hold(3 * source.len())?;
    let result: String = match name {
        "upper" | "lower" | "title" | "capitalize" | "swapcase" | "casefold" => {
            args.none(name)?;
            match name {
                "upper" => source.to_uppercase(),
                "lower" => source.to_lowercase(),
                "title" => title(source),
                "capitalize" => capitalize(source),
                "swapcase" => swap_case(source),
                _ => case_fold(source),
            }
        }
        "strip" | "lstrip" | "rstrip" => {
            let [characters] = args.bind(name, [""], 0)?;
            return strip(meter, source, name, characters.as_ref());
        }
        "removeprefix" | "removesuffix" => {
            let [part] = args.bind(name, [""], 1)?;
            let part = text(part.as_ref().unwrap_or(&Value::None))?;
            let rest =
                if name == "removeprefix" { source.strip_prefix(part) } else { source.strip_suffix(part) };
            rest.unwrap_or(source).to_owned()
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["", "", ""], 2)?;
            let (old, new) = (old.unwrap_or(Value::None), new.unwrap_or(Value::None));
            return replace(meter, source, text(&old)?, text(&new)?, int_or(count.as_ref(), -1)?);
        }
        "ljust" | "rjust" | "center" | "zfill" => return justify(meter, source, name, args),
        "expandtabs" => {
            let [size] = args.bind(name, ["tabsize"], 0)?;
            return expand_tabs(meter, source, int_or(size.as_ref(), 8)?);
        }
        "striptags" => {
            args.none(name)?;
            crate::jinja::escape::without_tags(meter, source)?
        }
        _ => return fail(format!("'str object' has no attribute '{name}'")),
    };
    Value::text(meter, result)
}

/// `strip`, `lstrip`, `rstrip`: of white space, or of `characters`.
pub(crate) fn strip(meter: &Meter, source: &str, name: &str, characters: Option<&Value>) -> Result<Value> {
    let characters = match characters {
        None | Some(Value::None) => None,
        Some(value) => Some(text(value)?),
    };
    meter.bytes(source.len())?;
    // Each character of the source may be looked up among all of `characters`.
    let ends = characters.map_or(0, |set| {
        let inside = |c: char| set.contains(c);
        source.len() - source.trim_matches(inside).len() + 2
    });
    meter.bytes(ends.saturating_mul(characters.map_or(0, str::len)))?;
    let matches = |c: char| characters.map_or_else(|| is_space(c), |set| set.contains(c));
    let result = match name {
        "strip" => source.trim_matches(matches),
        "lstrip" => source.trim_start_matches(matches),
        _ => source.trim_end_matches(matches),
    };
    Value::text(meter, result)
}

/// `str.replace`; a negative count replaces all.
pub(crate) fn replace(meter: &Meter, source: &str, old: &str, new: &str, count: i64) -> Result<Value> {
    meter.bytes(source.len() + old.len())?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out = Buffer::new(meter)?;
    let mut done = 0;
    for (at, found) in source.match_indices(old).take(count) {
        out.push(&source[done..at])?;
        out.push(new)?;
        done = at + found.len();
    }
    out.push(&source[done..])?;
    out.into_value()
}

fn justify(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    let [width, fill] = args.bind(name, ["", ""], 1)?;
    let width = usize::try_from(int(width.as_ref().unwrap_or(&Value::None))?).unwrap_or(0);
    let fill = match &fill {
        None => " ",
        Some(fill) => text(fill)?,
    };
    if fill.chars().count() != 1 {
        return fail("The fill character must be exactly one character long");
    }
    let room = width.saturating_sub(source.chars().count());
    let mut out = Buffer::new(meter)?;
    match name {
        "ljust" => {
            out.push(source)?;
            out.repeat(fill, room)?;
        }
        "rjust" => {
            out.repeat(fill, room)?;
            out.push(source)?;
        }
        "center" => {
            let left = room / 2 + (room & width & 1);
            out.repeat(fill, left)?;
            out.push(source)?;
            out.repeat(fill, room - left)?;
        }
        _ => {
            let sign = usize::from(source.starts_with(['+', '-']));
            out.push(&source[..sign])?;
            out.repeat("0", room)?;
            out.push(&source[sign..])?;
        }
    }
    out.into_value()
}

fn expand_tabs(meter: &Meter, source: &str, size: i64) -> Result<Value> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = Buffer::new(meter)?;
    let mut column = 0;
    for character in source.chars() {
        match character {
            '\t' if size == 0 => {}
            '\t' => {
                let room = size - column % size;
                out.repeat(" ", room)?;
                column += room;
            }
            '\n' | '\r' => {
                out.push_char(character)?;
                column = 0;
            }
            _ => {
                out.push_char(character)?;
                column += 1;
            }
        }
    }
    out.into_value()
}

/// `separator.join(list)`
fn join(meter: &Meter, separator: &Value, args: Args) -> Result<Value> {
    let [items] = args.bind("join", [""], 1)?;
    let items = items.unwrap_or(Value::None);
    if matches!(items, Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_)) {
        return fail("can only join an iterable");
    }
    let mut out = Buffer::new(meter)?;
    let mut cursor = items.iterate()?;
    let mut rank = 0;
    while let Some(item) = cursor.next(meter)? {
        if rank > 0 {
            out.push(text(separator)?)?;
        }
        match item.as_str() {
            Some(text) => out.push(text)?,
            None => {
                return fail(format!(
                    "sequence item {rank}: expected str instance, {} found",
                    item.type_name()
                ));
            }
        }
        rank += 1;
    }
    out.into_value()
}

/// `split`, `rsplit`
fn split(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    let [separator, limit] = args.bind(name, ["sep", "maxsplit"], 0)?;
    let limit = usize::try_from(int_or(limit.as_ref(), -1)?).unwrap_or(usize::MAX);
    let separator = match &separator {
        None | Some(Value::None) => None,
        Some(value) => Some(text(value)?),
    };
    if separator == Some("") {
        return fail("empty separator");
    }
    let mut parts = Parts::new(meter)?;
    let forward = name == "split";
    match separator {
        Some(separator) if forward => {
            let mut rest = source;
            while let Some((part, after)) = rest.split_once(separator).filter(|_| parts.len() < limit) {
                parts.push(part)?;
                rest = after;
            }
            parts.push(rest)?;
        }
        Some(separator) => {
            let mut rest = source;
            while let Some((before, part)) = rest.rsplit_once(separator).filter(|_| parts.len() < limit) {
                parts.push(part)?;
                rest = before;
            }
            parts.push(rest)?;
        }
        None if forward => {
            let mut rest = source.trim_start_matches(is_space);
            while !rest.is_empty() {
                let end = rest.find(is_space).filter(|_| parts.len() < limit);
                let Some(end) = end else {
                    parts.push(if parts.len() < limit { rest.trim_end_matches(is_space) } else { rest })?;
                    break;
                };
                parts.push(&rest[..end])?;
                rest = rest[end..].trim_start_matches(is_space);
            }
        }
        None => {
            let mut rest = source.trim_end_matches(is_space);
            while !rest.is_empty() {
                let space =
                    rest.char_indices().rev().find(|(_, c)| is_space(*c)).filter(|_| parts.len() < limit);
                let Some((at, space)) = space else {
                    parts.push(if parts.len() < limit { rest.trim_start_matches(is_space) } else { rest })?;
                    break;
                };
                parts.push(&rest[at + space.len_utf8()..])?;
                rest = rest[..at].trim_end_matches(is_space);
            }
        }
    }
    parts.into_list(!forward)
}

/// Parts of a string in the making.
struct Parts<'m> {
    meter: &'m Meter<'m>,
    parts: Vec<Value>,
    held: crate::jinja::meter::Held,
}

impl<'m> Parts<'m> {
    fn new(meter: &'m Meter<'m>) -> Result<Self> {
        Ok(Self { meter, parts: Vec::new(), held: meter.hold(0)? })
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    fn push(&mut self, part: &str) -> Result<()> {
        self.meter.step()?;
        self.held.grow(size_of::<Value>())?;
        self.parts.push(Value::text(self.meter, part)?);
        Ok(())
    }

    fn into_list(mut self, reversed: bool) -> Result<Value> {
        if reversed {
            self.parts.reverse();
        }
        Value::list(self.meter, self.parts)
    }
}

/// `str.splitlines(keepends=False)`
fn split_lines(meter: &Meter, source: &str, args: Args) -> Result<Value> {
    let [keep] = args.bind("splitlines", ["keepends"], 0)?;
    let keep = keep.is_some_and(|keep| keep.truth());
    let mut parts = Parts::new(meter)?;
    for (line, end) in lines(source) {
        parts.push(if keep { &source[line.start..end] } else { &source[line] })?;
    }
    parts.into_list(false)
}

/// Lines, without what ends them, and where their ends end.
pub(crate) fn lines(source: &str) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= source.len() {
            return None;
        }
        let start = at;
        let (line, end) = match source[at..].char_indices().find(|(_, c)| is_line_break(*c)) {
            Some((offset, _)) if source[at + offset..].starts_with("\r\n") => (at + offset, at + offset + 2),
            Some((offset, c)) => (at + offset, at + offset + c.len_utf8()),
            None => (source.len(), source.len()),
        };
        at = end;
        Some((start..line, end))
    })
}

/// `partition`, `rpartition`
fn partition(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    let [separator] = args.bind(name, [""], 1)?;
    let separator = separator.unwrap_or(Value::None);
    let separator = text(&separator)?;
    if separator.is_empty() {
        return fail("empty separator");
    }
    let parts = match name {
        "partition" => source
            .split_once(separator)
            .map_or([source, "", ""], |(before, after)| [before, separator, after]),
        _ => source
            .rsplit_once(separator)
            .map_or(["", "", source], |(before, after)| [before, separator, after]),
    };
    let parts = parts.into_iter().map(|part| Value::text(meter, part)).collect::<Result<_>>()?;
    Value::tuple(meter, parts)
}

/// The part of `source` from character `start` to `stop`, and how many characters are before it.
/// `None` where `start` is behind the end.
fn part<'s>(
    source: &'s str,
    start: Option<&Value>,
    stop: Option<&Value>,
) -> Result<Option<(&'s str, usize)>> {
    let given = |value: Option<&Value>| match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => int(value).map(Some),
    };
    let (start, stop) = (given(start)?, given(stop)?);
    if start.is_none() && stop.is_none() {
        return Ok(Some((source, 0)));
    }
    let len = source.chars().count() as i64;
    let place = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let start = place(start.unwrap_or(0));
    let stop = place(stop.unwrap_or(len)).min(len);
    if start > stop {
        return Ok(None);
    }
    let byte = |at: i64| source.char_indices().nth(at as usize).map_or(source.len(), |(at, _)| at);
    Ok(Some((&source[byte(start)..byte(stop)], start as usize)))
}

/// `startswith`, `endswith`
fn ends(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    let [wanted, start, stop] = args.bind(name, ["", "", ""], 1)?;
    let wanted = wanted.unwrap_or(Value::None);
    let found = part(source, start.as_ref(), stop.as_ref())?;
    let matches = |wanted: &Value| {
        let Some(wanted) = wanted.as_str() else {
            if wanted.is_undefined() {
                return undefined(wanted);
            }
            return fail(format!(
                "{name} first arg must be str or a tuple of str, not {}",
                wanted.type_name()
            ));
        };
        meter.bytes(wanted.len() + 1)?;
        Ok(found.is_some_and(|(part, _)| {
            if name == "startswith" { part.starts_with(wanted) } else { part.ends_with(wanted) }
        }))
    };
    if let Value::Tuple(tuple) = &wanted {
        for item in &tuple.items {
            if matches(item)? {
                return Ok(Value::Bool(true));
            }
        }
        return Ok(Value::Bool(false));
    }
    matches(&wanted).map(Value::Bool)
}

/// `find`, `rfind`, `index`, `rindex`, `count`
fn find(meter: &Meter, source: &str, name: &str, args: Args) -> Result<Value> {
    let [wanted, start, stop] = args.bind(name, ["", "", ""], 1)?;
    let wanted = wanted.unwrap_or(Value::None);
    let wanted = text(&wanted)?;
    meter.bytes(wanted.len())?;
    let found = part(source, start.as_ref(), stop.as_ref())?;
    if name == "count" {
        return Ok(Value::Int(found.map_or(0, |(part, _)| part.matches(wanted).count() as i64)));
    }
    let place = found.and_then(|(part, before)| {
        let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) }?;
        Some((before + part[..at].chars().count()) as i64)
    });
    match place {
        Some(place) => Ok(Value::Int(place)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => fail("substring not found"),
    }
}

/// The questions: `isalpha` and so on.
fn is(source: &str, name: &str) -> bool {
    let all = |question: fn(char) -> bool| !source.is_empty() && source.chars().all(question);
    match name {
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => source.is_ascii(),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(is_digit),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isprintable" => source.chars().all(show::is_printable),
        "islower" => all_cased(source, char::is_lowercase),
        "isupper" => all_cased(source, char::is_uppercase),
        "istitle" => is_title_case(source),
        _ => source.chars().all(is_word) && source.starts_with(|c: char| c.is_alphabetic() || c == '_'),
    }
}
