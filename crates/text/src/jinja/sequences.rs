//! Filters that work on sequences.

use std::cmp::Ordering;

use crate::jinja::args::{Args, int, text, undefined};
use crate::jinja::buffer::Buffer;
use crate::jinja::compare::{equal, ordered, sort};
use crate::jinja::dict::Dict;
use crate::jinja::fault::{Fault, Result, fail};
use crate::jinja::filters;
use crate::jinja::operators::binary;
use crate::jinja::render::Renderer;
use crate::jinja::show;
use crate::jinja::syntax::Binary;
use crate::jinja::tests;
use crate::jinja::value::{Value, ViewKind};

const NAMES: [&str; 23] = [
    "batch",
    "count",
    "dictsort",
    "first",
    "groupby",
    "items",
    "join",
    "last",
    "length",
    "list",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "sum",
    "unique",
    "tojson",
];

pub(crate) fn exists(name: &str) -> bool {
    NAMES[..22].contains(&name)
}

pub(crate) fn apply(renderer: &mut Renderer, name: &str, value: Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    match name {
        "list" => {
            args.none(name)?;
            Value::list(meter, value.collect(meter)?)
        }
        "length" | "count" => {
            args.none(name)?;
            renderer.length(&value)
        }
        "first" | "last" => {
            args.none(name)?;
            end(renderer, name, &value)
        }
        "reverse" => {
            args.none(name)?;
            reverse(renderer, &value)
        }
        "items" => {
            args.none(name)?;
            match &value {
                Value::Undefined(_) => Value::iterator(meter, Vec::new(), None),
                Value::Dict(dict) => {
                    let items = crate::jinja::value::View { kind: ViewKind::Items, dict: dict.clone() };
                    let items = Value::View(std::rc::Rc::new(items)).collect(meter)?;
                    Value::iterator(meter, items, None)
                }
                _ => fail("Can only get item pairs from a mapping."),
            }
        }
        "join" => join(renderer, &value, args),
        "map" => map(renderer, &value, args),
        "select" | "reject" | "selectattr" | "rejectattr" => select(renderer, name, &value, args),
        "sort" | "unique" | "min" | "max" | "groupby" | "dictsort" => order(renderer, name, &value, args),
        "sum" => {
            let [attribute, start] = args.bind(name, ["attribute", "start"], 0)?;
            let attribute = Attribute::parse(renderer, attribute.as_ref())?;
            let mut sum = start.unwrap_or(Value::Int(0));
            if sum.as_str().is_some() {
                return fail("sum() can't sum strings [use ''.join(seq) instead]");
            }
            let mut cursor = value.iterate()?;
            while let Some(item) = cursor.next(meter)? {
                let item = attribute.of(renderer, &item)?;
                sum = binary(meter, Binary::Add, &sum, &item)?;
            }
            Ok(sum)
        }
        _ => chunks(renderer, name, &value, args),
    }
}

fn end(renderer: &Renderer, name: &str, value: &Value) -> Result<Value> {
    let meter = renderer.meter;
    let found = if name == "first" {
        value.iterate()?.next(meter)?
    } else {
        match value {
            Value::Iterator(_) => return fail("'generator' object is not reversible"),
            Value::Dict(_) | Value::View(_) => value.collect(meter)?.pop(),
            Value::Text(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                crate::jinja::operators::index(meter, value, -1)?
            }
            Value::Undefined(_) => None,
            other => return fail(format!("'{}' object is not reversible", other.type_name())),
        }
    };
    let missing = || Value::undefined(meter, format!("No {name} item, sequence was empty."));
    found.map_or_else(missing, Ok)
}

fn reverse(renderer: &Renderer, value: &Value) -> Result<Value> {
    let meter = renderer.meter;
    if let Some(text) = value.as_str() {
        meter.bytes(4 * text.len())?;
        return Value::text_or_markup(meter, text.chars().rev().collect::<String>(), value.is_markup());
    }
    let list = matches!(value, Value::Iterator(_));
    let Ok(mut items) = value.collect(meter).map_err(|fault| match fault {
        Fault::Failed(_) => None,
        other => Some(other),
    }) else {
        value.collect(meter)?;
        return fail("argument must be iterable");
    };
    items.reverse();
    if list { Value::list(meter, items) } else { Value::iterator(meter, items, None) }
}

fn join(renderer: &mut Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let [separator, attribute] = args.bind("join", ["d", "attribute"], 0)?;
    let separator = match separator {
        Some(separator) => show::string(meter, &separator)?,
        None => Value::text(meter, "")?,
    };
    let attribute = Attribute::parse(renderer, attribute.as_ref())?;
    let mut out = Buffer::new(meter)?;
    let mut cursor = value.iterate()?;
    let mut first = true;
    while let Some(item) = cursor.next(meter)? {
        if !first {
            out.push(text(&separator)?)?;
        }
        first = false;
        let item = attribute.of(renderer, &item)?;
        show::print(&mut out, meter, &item)?;
    }
    out.into_value()
}

/// What a filter looks at in each item: `attribute='a.b.0'`, or the item itself.
struct Attribute {
    parts: Vec<Value>,
    default: Option<Value>,
}

impl Attribute {
    fn parse(renderer: &Renderer, attribute: Option<&Value>) -> Result<Self> {
        let meter = renderer.meter;
        let parts = match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Text(text)) => {
                let parts = text.text.split('.').map(|part| {
                    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                    match part.parse().ok().filter(|_| digits) {
                        Some(index) => Ok(Value::Int(index)),
                        None => Value::text(meter, part),
                    }
                });
                parts.collect::<Result<_>>()?
            }
            Some(other) => vec![other.clone()],
        };
        Ok(Self { parts, default: None })
    }

    fn of(&self, renderer: &mut Renderer, item: &Value) -> Result<Value> {
        let mut item = item.clone();
        for part in &self.parts {
            item = renderer.item(&item, part)?;
            if let Some(default) = self.default.as_ref().filter(|_| item.is_undefined()) {
                item = default.clone();
            }
        }
        Ok(item)
    }
}

/// Items one by one; what fails is found when they are asked for.
fn lazily(
    renderer: &mut Renderer,
    value: &Value,
    mut each: impl FnMut(&mut Renderer, Value) -> Result<Option<Value>>,
) -> Result<Value> {
    let meter = renderer.meter;
    let mut cursor = value.iterate()?;
    let mut items = Vec::new();
    let mut held = meter.hold(0)?;
    let fault = loop {
        match cursor.next(meter).and_then(|item| item.map(|item| each(renderer, item)).transpose()) {
            Ok(None) => break None,
            Ok(Some(None)) => {}
            Ok(Some(Some(item))) => {
                held.grow(size_of::<Value>())?;
                items.push(item);
            }
            Err(fault @ (Fault::Failed(_) | Fault::Raised(_))) => break Some(fault),
            Err(fault) => return Err(fault),
        }
    };
    Value::iterator(meter, items, fault)
}

fn map(renderer: &mut Renderer, value: &Value, mut args: Args) -> Result<Value> {
    if !value.truth() {
        return Value::iterator(renderer.meter, Vec::new(), None);
    }
    if args.positional.is_empty() && args.named.iter().any(|(name, _)| &**name == "attribute") {
        let [attribute, default] = args.bind("map", ["attribute", "default"], 1)?;
        let attribute = Attribute { default, ..Attribute::parse(renderer, attribute.as_ref())? };
        return lazily(renderer, value, |renderer, item| attribute.of(renderer, &item).map(Some));
    }
    if args.positional.is_empty() {
        return fail("map requires a filter argument");
    }
    let name = args.positional.remove(0);
    let name = text(&name)?.to_owned();
    lazily(renderer, value, |renderer, item| {
        renderer.meter.steps(args.positional.len() + args.named.len())?;
        filters::apply(renderer, &name, item, args.clone()).map(Some)
    })
}

/// `select`, `reject` by a test of each item; `selectattr`, `rejectattr` by one of its attribute.
fn select(renderer: &mut Renderer, name: &str, value: &Value, mut args: Args) -> Result<Value> {
    if !value.truth() {
        return Value::iterator(renderer.meter, Vec::new(), None);
    }
    let wanted = name.starts_with("select");
    let attribute = if name.ends_with("attr") {
        if args.positional.is_empty() {
            return fail("Missing parameter for attribute name");
        }
        let attribute = args.positional.remove(0);
        Attribute::parse(renderer, Some(&attribute))?
    } else {
        Attribute::parse(renderer, None)?
    };
    let test = if args.positional.is_empty() { None } else { Some(args.positional.remove(0)) };
    let test = test.as_ref().map(text).transpose()?.map(str::to_owned);
    lazily(renderer, value, |renderer, item| {
        let looked_at = attribute.of(renderer, &item)?;
        renderer.meter.steps(args.positional.len() + args.named.len())?;
        let passed = match &test {
            Some(test) => tests::apply(renderer, test, &looked_at, args.clone())?,
            None => looked_at.truth(),
        };
        Ok((passed == wanted).then_some(item))
    })
}

/// A string in small letters unless case matters; all else as it is.
fn ignore_case(renderer: &Renderer, value: Value, case_sensitive: bool) -> Result<Value> {
    match value.as_str() {
        Some(text) if !case_sensitive => {
            renderer.meter.bytes(4 * text.len())?;
            Value::text(renderer.meter, text.to_lowercase())
        }
        _ => Ok(value),
    }
}

/// `sort`, `unique`, `min`, `max`, `groupby`, `dictsort`
fn order(renderer: &mut Renderer, name: &str, value: &Value, args: Args) -> Result<Value> {
    let flag = |value: &Option<Value>| value.as_ref().is_some_and(Value::truth);
    match name {
        "sort" => {
            let [reverse, case, attribute] =
                args.bind(name, ["reverse", "case_sensitive", "attribute"], 0)?;
            let attributes = match attribute.as_ref() {
                Some(Value::Text(text)) => {
                    let parts = text.text.split(',').map(|part| Value::text(renderer.meter, part));
                    parts.collect::<Result<Vec<_>>>()?
                }
                other => other.into_iter().cloned().collect(),
            };
            let sorted = sorted(renderer, value, &attributes, None, [flag(&case), flag(&reverse), false])?;
            Value::list(renderer.meter, sorted.into_iter().map(|(_, item)| item).collect())
        }
        "unique" => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            let attribute = Attribute::parse(renderer, attribute.as_ref())?;
            let mut seen = Dict::new(renderer.meter)?;
            lazily(renderer, value, |renderer, item| {
                let key = attribute.of(renderer, &item)?;
                let key = ignore_case(renderer, key, flag(&case))?;
                if seen.get(renderer.meter, &key)?.is_some() {
                    return Ok(None);
                }
                seen.insert(renderer.meter, key, Value::None)?;
                Ok(Some(item))
            })
        }
        "min" | "max" => {
            let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
            extreme(renderer, name, value, flag(&case), attribute.as_ref())
        }
        "groupby" => group_by(renderer, value, args),
        _ => {
            let names = ["case_sensitive", "by", "reverse"];
            let [case, by, reverse] = args.bind(name, names, 0)?;
            let place = match by.as_ref().map_or(Ok("key"), text)? {
                "key" => Value::Int(0),
                "value" => Value::Int(1),
                _ => return fail("You can only sort by either \"key\" or \"value\""),
            };
            let Value::Dict(dict) = value else {
                return fail(format!("'{}' object has no attribute 'items'", value.type_name()));
            };
            let items = crate::jinja::value::View { kind: ViewKind::Items, dict: dict.clone() };
            let items = Value::View(std::rc::Rc::new(items));
            let sorted = sorted(renderer, &items, &[place], None, [flag(&case), flag(&reverse), true])?;
            Value::list(renderer.meter, sorted.into_iter().map(|(_, item)| item).collect())
        }
    }
}

/// Items with the keys they are sorted by: lists, of which equal items are not compared by `<`, or `direct`,
/// the first attribute itself.
fn sorted(
    renderer: &mut Renderer,
    value: &Value,
    attributes: &[Value],
    default: Option<Value>,
    [case_sensitive, reverse, direct]: [bool; 3],
) -> Result<Vec<(Value, Value)>> {
    let meter = renderer.meter;
    let mut attributes = attributes
        .iter()
        .map(|attribute| {
            Ok(Attribute { default: default.clone(), ..Attribute::parse(renderer, Some(attribute))? })
        })
        .collect::<Result<Vec<_>>>()?;
    if attributes.is_empty() {
        attributes.push(Attribute { parts: Vec::new(), default });
    }
    let mut keyed = Vec::new();
    let mut cursor = value.iterate()?;
    let mut held = meter.hold(0)?;
    while let Some(item) = cursor.next(meter)? {
        held.grow(2 * size_of::<Value>())?;
        let mut keys = Vec::new();
        for attribute in &attributes {
            let key = attribute.of(renderer, &item)?;
            keys.push(ignore_case(renderer, key, case_sensitive)?);
        }
        let key = if direct { keys.remove(0) } else { Value::list(meter, keys)? };
        keyed.push((key, item));
    }
    sort(keyed, reverse, &mut |a, b| ordered(meter, &a.0, &b.0, "<", Ordering::is_lt))
}

fn extreme(
    renderer: &mut Renderer,
    name: &str,
    value: &Value,
    case_sensitive: bool,
    attribute: Option<&Value>,
) -> Result<Value> {
    let meter = renderer.meter;
    let attribute = Attribute::parse(renderer, attribute)?;
    let mut best: Option<(Value, Value)> = None;
    let mut cursor = value.iterate()?;
    while let Some(item) = cursor.next(meter)? {
        let key = attribute.of(renderer, &item)?;
        let key = ignore_case(renderer, key, case_sensitive)?;
        let better = match &best {
            None => true,
            Some((found, _)) if name == "min" => ordered(meter, &key, found, "<", Ordering::is_lt)?,
            Some((found, _)) => ordered(meter, &key, found, ">", Ordering::is_gt)?,
        };
        if better {
            best = Some((key, item));
        }
    }
    let missing = || Value::undefined(meter, "No aggregated item, sequence was empty.");
    best.map_or_else(missing, |(_, item)| Ok(item))
}

fn group_by(renderer: &mut Renderer, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let [attribute, default, case] = args.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
    let attribute = attribute.unwrap_or(Value::None);
    let default = default.filter(|default| !matches!(default, Value::None));
    let case = case.is_some_and(|flag| flag.truth());
    let keyed =
        sorted(renderer, value, std::slice::from_ref(&attribute), default.clone(), [case, false, true])?;
    let getter = Attribute { default, ..Attribute::parse(renderer, Some(&attribute))? };
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in keyed {
        match groups.last_mut() {
            Some((last, items)) if equal(meter, last, &key)? => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut list = Vec::new();
    for (key, items) in groups {
        let key = match items.first() {
            Some(first) if !case => getter.of(renderer, first)?,
            _ => key,
        };
        let items = Value::list(meter, items)?;
        list.push(Value::group(meter, key, items)?);
    }
    Value::list(meter, list)
}

/// `batch`, `slice`
fn chunks(renderer: &Renderer, name: &str, value: &Value, args: Args) -> Result<Value> {
    let meter = renderer.meter;
    let first = if name == "batch" { "linecount" } else { "slices" };
    let [size, fill] = args.bind(name, [first, "fill_with"], 1)?;
    let size = size.unwrap_or(Value::None);
    if size.is_undefined() {
        return undefined(&size);
    }
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let mut items = value.collect(meter)?;
    let mut lists = Vec::new();
    if name == "batch" {
        let size = usize::try_from(int(&size)?).unwrap_or(0);
        if size == 0 {
            return fail("batch wants at least one item a line");
        }
        while !items.is_empty() {
            let rest = items.split_off(size.min(items.len()));
            let mut line = std::mem::replace(&mut items, rest);
            if let Some(fill) = &fill {
                let room = size - line.len();
                meter.steps(room)?;
                let _held = meter.hold(room.saturating_mul(size_of::<Value>()))?;
                line.resize(size, fill.clone());
            }
            lists.push(Value::list(meter, line)?);
        }
        return Value::iterator(meter, lists, None);
    }
    let count = usize::try_from(int(&size)?).unwrap_or(0);
    if count == 0 {
        return if int(&size)? == 0 {
            fail("integer division or modulo by zero")
        } else {
            Value::iterator(meter, lists, None)
        };
    }
    let (each, extra) = (items.len() / count, items.len() % count);
    let mut items = items.into_iter();
    for rank in 0..count {
        meter.step()?;
        let mut line: Vec<Value> = items.by_ref().take(each + usize::from(rank < extra)).collect();
        if let Some(fill) = fill.as_ref().filter(|_| rank >= extra) {
            line.push(fill.clone());
        }
        lists.push(Value::list(meter, line)?);
    }
    Value::iterator(meter, lists, None)
}
