//! Python's values as templates see them.
//!
//! Strings, lists, tuples and maps cannot change once they are made, as in Jinja2's immutable
//! sandbox. Each knows how deep it nests, so that whatever walks or drops it stays on the stack.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use hotset_base::limits::MAX_VALUE_DEPTH;

use crate::jinja::dict::Dict;
use crate::jinja::fault::{Fault, Result, fail};
use crate::jinja::meter::{Held, Meter};
use crate::jinja::object::Object;

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Undefined(Rc<Undefined>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<Text>),
    List(Rc<List>),
    Tuple(Rc<List>),
    Dict(Rc<Dict>),
    View(Rc<View>),
    Range(Rc<Range>),
    Iterator(Rc<Iter>),
    Object(Rc<Object>),
}

/// A name, attribute or item that is not there. It prints as nothing; most else fails with `message`.
#[derive(Debug)]
pub(crate) struct Undefined {
    pub(crate) message: String,
    _held: Held,
}

/// A string. `markup`: Python's `Markup`, a string whose additions are escaped for HTML.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: Box<str>,
    pub(crate) markup: bool,
    _held: Held,
}

/// Items of a list or tuple. `group`: the named tuple of `groupby`.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    pub(crate) group: bool,
    depth: usize,
    _held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ViewKind {
    Keys,
    Values,
    Items,
}

/// `dict.keys()`, `dict.values()`, `dict.items()`.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) kind: ViewKind,
    pub(crate) dict: Rc<Dict>,
}

/// `range(start, stop, step)`; never longer than `MAX_TEMPLATE_RANGE`.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) stop: i64,
    pub(crate) step: i64,
}

/// What can be iterated over once. Its items are computed when it is made; what failed then fails
/// when it is reached.
#[derive(Debug)]
pub(crate) struct Iter {
    rest: RefCell<VecDeque<Value>>,
    fault: RefCell<Option<Fault>>,
    depth: usize,
    _held: Held,
}

impl Range {
    pub(crate) fn len(&self) -> usize {
        let (start, stop, step) = (i128::from(self.start), i128::from(self.stop), i128::from(self.step));
        let span = if step > 0 { stop - start } else { start - stop };
        let step = step.abs();
        usize::try_from((span.max(0) + step - 1) / step).unwrap_or(usize::MAX)
    }

    pub(crate) fn get(&self, index: usize) -> i64 {
        self.start.wrapping_add(self.step.wrapping_mul(index as i64)) // below `len`: never wraps
    }
}

impl Iter {
    pub(crate) fn next(&self) -> Result<Option<Value>> {
        match self.rest.borrow_mut().pop_front() {
            Some(value) => Ok(Some(value)),
            None => self.fault.borrow().clone().map_or(Ok(None), Err),
        }
    }
}

impl Value {
    pub(crate) fn text(meter: &Meter, text: impl Into<Box<str>>) -> Result<Self> {
        Self::text_or_markup(meter, text, false)
    }

    pub(crate) fn text_or_markup(meter: &Meter, text: impl Into<Box<str>>, markup: bool) -> Result<Self> {
        let text = text.into();
        meter.bytes(text.len())?;
        let held = meter.hold(text.len())?;
        Ok(Self::Text(Rc::new(Text { text, markup, _held: held })))
    }

    fn items(meter: &Meter, items: Vec<Self>, group: bool) -> Result<Rc<List>> {
        meter.steps(items.len())?;
        let held = meter.hold(items.len() * size_of::<Self>())?;
        let depth = deeper(items.iter())?;
        Ok(Rc::new(List { items, group, depth, _held: held }))
    }

    pub(crate) fn list(meter: &Meter, items: Vec<Self>) -> Result<Self> {
        Ok(Self::List(Self::items(meter, items, false)?))
    }

    pub(crate) fn tuple(meter: &Meter, items: Vec<Self>) -> Result<Self> {
        Ok(Self::Tuple(Self::items(meter, items, false)?))
    }

    /// A group of `groupby`: `(grouper, list)`.
    pub(crate) fn group(meter: &Meter, grouper: Self, list: Self) -> Result<Self> {
        Ok(Self::Tuple(Self::items(meter, vec![grouper, list], true)?))
    }

    /// Iterates over `items` once, then over `fault` if there is one.
    pub(crate) fn iterator(meter: &Meter, items: Vec<Self>, fault: Option<Fault>) -> Result<Self> {
        meter.steps(items.len())?;
        let held = meter.hold(items.len() * size_of::<Self>())?;
        let depth = deeper(items.iter())?;
        let (rest, fault) = (RefCell::new(items.into()), RefCell::new(fault));
        Ok(Self::Iterator(Rc::new(Iter { rest, fault, depth, _held: held })))
    }

    pub(crate) fn object(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }

    pub(crate) fn undefined(meter: &Meter, message: impl Into<String>) -> Result<Self> {
        let message = message.into();
        let held = meter.hold(message.len())?;
        Ok(Self::Undefined(Rc::new(Undefined { message, _held: held })))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    pub(crate) fn is_markup(&self) -> bool {
        matches!(self, Self::Text(text) if text.markup)
    }

    /// Integers and, as in Python, booleans.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Bool(flag) => Some(i64::from(*flag)),
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Numbers of any kind.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            _ => self.as_int().map(|number| number as f64),
        }
    }

    /// How deep it nests: 0 for what has no parts.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::List(list) | Self::Tuple(list) => list.depth,
            Self::Dict(dict) => dict.depth(),
            Self::View(view) => view.dict.depth() + 1,
            Self::Iterator(iterator) => iterator.depth,
            Self::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// Python's `bool(value)`.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.text.is_empty(),
            Self::List(list) | Self::Tuple(list) => !list.items.is_empty(),
            Self::Dict(dict) => dict.len() > 0,
            Self::View(view) => view.dict.len() > 0,
            Self::Range(range) => range.len() > 0,
            Self::Iterator(_) | Self::Object(_) => true,
        }
    }

    /// Python's `len(value)`, where there is one.
    pub(crate) fn len(&self, meter: &Meter) -> Result<Option<usize>> {
        Ok(Some(match self {
            Self::Undefined(_) => 0,
            Self::Text(text) if text.text.is_ascii() => text.text.len(),
            Self::Text(text) => {
                meter.bytes(text.text.len())?;
                text.text.chars().count()
            }
            Self::List(list) | Self::Tuple(list) => list.items.len(),
            Self::Dict(dict) => dict.len(),
            Self::View(view) => view.dict.len(),
            Self::Range(range) => range.len(),
            _ => return Ok(None),
        }))
    }

    /// The name of its Python type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(text) if text.markup => "Markup",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::View(view) => match view.kind {
                ViewKind::Keys => "dict_keys",
                ViewKind::Values => "dict_values",
                ViewKind::Items => "dict_items",
            },
            Self::Range(_) => "range",
            Self::Iterator(_) => "generator",
            Self::Object(object) => object.type_name(),
        }
    }

    /// The same thing, not only an equal one: Python's `is`.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Undefined(a), Self::Undefined(b)) => Rc::ptr_eq(a, b),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits() && !a.is_nan(),
            (Self::Text(a), Self::Text(b)) => Rc::ptr_eq(a, b),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => Rc::ptr_eq(a, b),
            (Self::Dict(a), Self::Dict(b)) => Rc::ptr_eq(a, b),
            (Self::View(a), Self::View(b)) => Rc::ptr_eq(a, b),
            (Self::Range(a), Self::Range(b)) => Rc::ptr_eq(a, b),
            (Self::Iterator(a), Self::Iterator(b)) => Rc::ptr_eq(a, b),
            (Self::Object(a), Self::Object(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// An iteration over it, or Python's complaint.
    pub(crate) fn iterate(&self) -> Result<Cursor> {
        match self {
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Object(_) => {
                fail(format!("'{}' object is not iterable", self.type_name()))
            }
            value => Ok(Cursor { value: value.clone(), at: 0 }),
        }
    }

    /// Its items. Charged one by one, and held as the list of them.
    pub(crate) fn collect(&self, meter: &Meter) -> Result<Vec<Self>> {
        let mut cursor = self.iterate()?;
        let mut held = meter.hold(0)?;
        let mut items = Vec::new();
        while let Some(item) = cursor.next(meter)? {
            held.grow(size_of::<Self>())?;
            items.push(item);
        }
        Ok(items)
    }
}

/// The nesting of a container of `items`.
pub(crate) fn deeper<'v>(items: impl Iterator<Item = &'v Value>) -> Result<usize> {
    let depth = 1 + items.map(Value::depth).max().unwrap_or(0);
    if depth > MAX_VALUE_DEPTH {
        return fail(format!("a value nests deeper than {MAX_VALUE_DEPTH}"));
    }
    Ok(depth)
}

/// An iteration in progress.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) value: Value,
    /// Bytes of a string, else items.
    at: usize,
}

impl Cursor {
    pub(crate) fn next(&mut self, meter: &Meter) -> Result<Option<Value>> {
        meter.step()?;
        let at = self.at;
        self.at += 1;
        Ok(match &self.value {
            Value::Text(text) => match text.text[at..].chars().next() {
                Some(character) => {
                    self.at = at + character.len_utf8();
                    Some(Value::text(meter, character.encode_utf8(&mut [0; 4]) as &str)?)
                }
                None => {
                    self.at = at;
                    None
                }
            },
            Value::List(list) | Value::Tuple(list) => list.items.get(at).cloned(),
            Value::Dict(dict) => dict.entry(at).map(|(key, _)| key.clone()),
            Value::View(view) => match (view.dict.entry(at), view.kind) {
                (None, _) => None,
                (Some((key, _)), ViewKind::Keys) => Some(key.clone()),
                (Some((_, value)), ViewKind::Values) => Some(value.clone()),
                (Some((key, value)), ViewKind::Items) => {
                    Some(Value::tuple(meter, vec![key.clone(), value.clone()])?)
                }
            },
            Value::Range(range) if at < range.len() => Some(Value::Int(range.get(at))),
            Value::Iterator(iterator) => iterator.next()?,
            _ => None,
        })
    }
}
