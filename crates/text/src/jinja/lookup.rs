//! Attributes, items and calls, as Jinja2's immutable sandbox allows them.

use std::rc::Rc;

use hotset_base::limits::MAX_TEMPLATE_RANGE;

use crate::jinja::args::{Args, int, text, undefined};
use crate::jinja::buffer::Buffer;
use crate::jinja::compare::equal;
use crate::jinja::dict::Dict;
use crate::jinja::fault::{Fault, Result, fail};
use crate::jinja::object::{Activation, Function, LoopState, Object};
use crate::jinja::operators::index;
use crate::jinja::render::{Flow, Renderer};
use crate::jinja::show;
use crate::jinja::text_methods;
use crate::jinja::value::{Range, Value, View, ViewKind};

const DICT_METHODS: [&str; 5] = ["get", "items", "keys", "values", "copy"];

/// What would change a list or map.
const CHANGING: [&str; 12] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "remove",
    "reverse",
    "sort",
    "popitem",
    "setdefault",
    "update",
    "fromkeys",
];

impl Renderer<'_> {
    /// `value.name`: a method or attribute, else the item of that name.
    pub(crate) fn attribute(&mut self, value: &Value, name: &str) -> Result<Value> {
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if let Value::Dict(dict) = value
            && let Some(found) = dict.get_str(self.meter, name)?
        {
            return Ok(found.clone());
        }
        self.no_attribute(value, name)
    }

    /// `value | attr(name)`: no item.
    pub(crate) fn attribute_only(&mut self, value: &Value, name: &str) -> Result<Value> {
        match self.own_attribute(value, name)? {
            Some(found) => Ok(found),
            None => self.no_attribute(value, name),
        }
    }

    /// `value[item]`: the item, else the attribute of that name.
    pub(crate) fn item(&mut self, value: &Value, item: &Value) -> Result<Value> {
        self.meter.step()?;
        match value {
            Value::Undefined(_) => return undefined(value),
            Value::Dict(dict) if !matches!(item, Value::List(_) | Value::Dict(_)) => {
                match dict.get(self.meter, item) {
                    Ok(Some(found)) => return Ok(found.clone()),
                    Ok(None) | Err(Fault::Failed(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
            _ => {
                if let Some(at) = item.as_int()
                    && let Some(found) = index(self.meter, value, at)?
                {
                    return Ok(found);
                }
            }
        }
        if let Some(name) = item.as_str() {
            return match self.own_attribute(value, name)? {
                Some(found) => Ok(found),
                None => self.no_attribute(value, name),
            };
        }
        let mut shown = Buffer::new(self.meter)?;
        show::repr(&mut shown, self.meter, item)?;
        let shown: String = shown.into_string().chars().take(60).collect();
        Value::undefined(self.meter, format!("{} has no element {shown}", type_repr(value)))
    }

    fn no_attribute(&self, value: &Value, name: &str) -> Result<Value> {
        let name: String = name.chars().take(60).collect();
        let unsafe_name = name.starts_with("__") || (CHANGING.contains(&&*name) && changeable(value, &name));
        let message = if unsafe_name {
            format!("access to attribute '{name}' of '{}' object is unsafe.", value.type_name())
        } else {
            format!("'{}' has no attribute '{name}'", type_repr(value))
        };
        Value::undefined(self.meter, message)
    }

    /// What Python's `getattr` finds.
    fn own_attribute(&mut self, value: &Value, name: &str) -> Result<Option<Value>> {
        self.meter.step()?;
        if value.is_undefined() {
            return undefined(value);
        }
        if self.has_method(value, name) {
            return Ok(Some(Value::object(Object::Method(value.clone(), name.into()))));
        }
        Ok(match value {
            Value::Dict(_) if CHANGING.contains(&name) && changeable(value, name) => {
                Some(self.no_attribute(value, name)?)
            }
            Value::Tuple(tuple) if tuple.group => match name {
                "grouper" => Some(tuple.items[0].clone()),
                "list" => Some(tuple.items[1].clone()),
                _ => None,
            },
            Value::Range(range) => match name {
                "start" => Some(Value::Int(range.start)),
                "stop" => Some(Value::Int(range.stop)),
                "step" => Some(Value::Int(range.step)),
                _ => None,
            },
            Value::Bool(_) | Value::Int(_) => match name {
                "real" | "numerator" => value.as_int().map(Value::Int),
                "imag" => Some(Value::Int(0)),
                "denominator" => Some(Value::Int(1)),
                _ => None,
            },
            Value::Float(number) => match name {
                "real" => Some(Value::Float(*number)),
                "imag" => Some(Value::Float(0.0)),
                _ => None,
            },
            Value::Object(object) => self.object_attribute(object, name)?,
            _ => None,
        })
    }

    fn object_attribute(&mut self, object: &Rc<Object>, name: &str) -> Result<Option<Value>> {
        match &**object {
            Object::Namespace(values) => Ok(values.borrow().get_str(self.meter, name)?.cloned()),
            Object::Loop(state) => self.loop_attribute(state, name),
            Object::Macro(index, _) => {
                let node = &self.template.macros[*index];
                Ok(match name {
                    "name" => Some(Value::text(self.meter, node.name.name.clone())?),
                    "arguments" => {
                        let names =
                            node.arguments.iter().map(|name| Value::text(self.meter, name.name.clone()));
                        Some(Value::list(self.meter, names.collect::<Result<_>>()?)?)
                    }
                    "caller" => Some(Value::Bool(node.caller.is_some())),
                    "catch_kwargs" => Some(Value::Bool(node.kwargs.is_some())),
                    "catch_varargs" => Some(Value::Bool(node.varargs.is_some())),
                    _ => None,
                })
            }
            Object::Cycler(items, at) => match name {
                "current" => Ok(Some(items[at.get()].clone())),
                "pos" => Ok(Some(Value::Int(at.get() as i64))),
                "items" => Ok(Some(Value::tuple(self.meter, items.clone())?)),
                _ => Ok(None),
            },
            Object::Joiner(separator, used) => Ok(match name {
                "sep" => Some(separator.clone()),
                "used" => Some(Value::Bool(used.get())),
                _ => None,
            }),
            Object::Blocks => {
                let block = self.template.blocks.iter().position(|block| *block.name == *name);
                Ok(block.map(|index| Value::object(Object::Block(index))))
            }
            Object::Method(..) | Object::Function(_) | Object::Block(_) => Ok(None),
        }
    }

    fn loop_attribute(&mut self, state: &LoopState, name: &str) -> Result<Option<Value>> {
        let index = state.index.get();
        let missing = |what: &str| Value::undefined(self.meter, what);
        Ok(Some(match name {
            "index" => Value::Int(index),
            "index0" => Value::Int(index - 1),
            "first" => Value::Bool(index == 1),
            "depth" => Value::Int(state.depth0 + 1),
            "depth0" => Value::Int(state.depth0),
            "length" => Value::Int(self.loop_length(state)?),
            "revindex" => Value::Int(self.loop_length(state)? - index + 1),
            "revindex0" => Value::Int(self.loop_length(state)? - index),
            "last" => Value::Bool(self.look_ahead(state)?.is_none()),
            "previtem" => match state.previous.borrow().clone().filter(|_| index > 1) {
                Some(item) => item,
                None => missing("there is no previous item")?,
            },
            "nextitem" => match self.look_ahead(state)? {
                Some(item) => item,
                None => Value::undefined(self.meter, "there is no next item")?,
            },
            _ => return Ok(None),
        }))
    }

    pub(crate) fn has_method(&self, value: &Value, name: &str) -> bool {
        match value {
            Value::Text(text) => text_methods::exists(name, text.markup),
            Value::List(list) if !list.group => matches!(name, "count" | "index" | "copy"),
            Value::Tuple(_) | Value::Range(_) => matches!(name, "count" | "index"),
            Value::Dict(_) => DICT_METHODS.contains(&name),
            Value::Float(_) => name == "is_integer",
            Value::Object(object) => match &**object {
                Object::Loop(_) => matches!(name, "cycle" | "changed"),
                Object::Cycler(..) => matches!(name, "next" | "reset"),
                _ => false,
            },
            _ => false,
        }
    }

    pub(crate) fn call_method(&mut self, value: &Value, name: &str, args: Args) -> Result<Value> {
        self.meter.step()?;
        match value {
            Value::Text(_) => text_methods::call(self, value, name, args),
            Value::Dict(dict) => {
                let view = |kind| Ok(Value::View(Rc::new(View { kind, dict: Rc::clone(dict) })));
                match name {
                    "get" => {
                        let [key, default] = args.bind("get", ["", ""], 1)?;
                        let found = dict.get(self.meter, &key.unwrap_or(Value::None))?;
                        Ok(found.cloned().or(default).unwrap_or(Value::None))
                    }
                    _ => {
                        args.none(name)?;
                        match name {
                            "keys" => view(ViewKind::Keys),
                            "values" => view(ViewKind::Values),
                            "items" => view(ViewKind::Items),
                            _ => Ok(value.clone()), // a copy of what cannot change
                        }
                    }
                }
            }
            Value::Object(object) => self.object_method(object, name, args),
            Value::Float(number) => {
                args.none(name)?;
                Ok(Value::Bool(number.is_finite() && number.fract() == 0.0))
            }
            _ if name == "copy" => {
                args.none(name)?;
                Ok(value.clone())
            }
            _ => self.search(value, name, args),
        }
    }

    /// `count` and `index` of lists, tuples and ranges.
    fn search(&self, value: &Value, name: &str, args: Args) -> Result<Value> {
        let counts = name == "count";
        let [wanted, start, stop] = args.bind(name, ["", "", ""], 1)?;
        if counts && start.is_some() {
            return fail("count() takes exactly one argument");
        }
        let wanted = wanted.unwrap_or(Value::None);
        let len = value.len(self.meter)?.unwrap_or(0) as i64;
        let place = |at: Option<Value>, default: i64| match at {
            None => Ok(default),
            Some(at) => int(&at).map(|at| if at < 0 { (at + len).max(0) } else { at }),
        };
        let (start, stop) = (place(start, 0)?, place(stop, len)?);
        let mut cursor = value.iterate()?;
        let (mut count, mut at) = (0, 0);
        while let Some(item) = cursor.next(self.meter)? {
            if (start..stop).contains(&at) && (item.same(&wanted) || equal(self.meter, &item, &wanted)?) {
                if !counts {
                    return Ok(Value::Int(at));
                }
                count += 1;
            }
            at += 1;
        }
        if counts { Ok(Value::Int(count)) } else { fail(format!("value is not in {}", value.type_name())) }
    }

    fn object_method(&mut self, object: &Rc<Object>, name: &str, args: Args) -> Result<Value> {
        match &**object {
            Object::Loop(state) if name == "cycle" => {
                let items = args.positional;
                if items.is_empty() {
                    return fail("no items for cycling given");
                }
                let at = (state.index.get() - 1).rem_euclid(items.len() as i64);
                Ok(items[at as usize].clone())
            }
            Object::Loop(state) => {
                let value = Value::tuple(self.meter, args.positional)?;
                let before = state.changed.borrow().clone();
                let same = match &before {
                    Some(before) => equal(self.meter, before, &value)?,
                    None => {
                        self.keep(object);
                        false
                    }
                };
                if !same {
                    state.changed.replace(Some(value));
                }
                Ok(Value::Bool(!same))
            }
            Object::Cycler(items, at) => {
                args.none(name)?;
                if name == "reset" {
                    at.set(0);
                    return Ok(Value::None);
                }
                let current = items[at.get()].clone();
                at.set((at.get() + 1) % items.len());
                Ok(current)
            }
            _ => fail(format!("'{}' object has no attribute '{name}'", object.type_name())),
        }
    }

    /// Python's `len(value)`.
    pub(crate) fn length(&mut self, value: &Value) -> Result<Value> {
        if let Value::Object(object) = value
            && let Object::Loop(state) = &**object
        {
            return self.loop_length(state).map(Value::Int);
        }
        match value.len(self.meter)? {
            Some(length) => Ok(Value::Int(length as i64)),
            None => fail(format!("object of type '{}' has no len()", value.type_name())),
        }
    }

    pub(crate) fn call(&mut self, callee: &Value, args: Args) -> Result<Value> {
        self.meter.step()?;
        match callee {
            Value::Undefined(_) => undefined(callee),
            Value::Object(object) => match &**object {
                Object::Function(function) => self.call_function(*function, args),
                Object::Macro(index, around) => self.call_macro(*index, around, args),
                Object::Method(value, name) => self.call_method(value, name, args),
                Object::Joiner(separator, used) => {
                    args.none("joiner")?;
                    if used.replace(true) { Ok(separator.clone()) } else { Value::text(self.meter, "") }
                }
                Object::Loop(state) => {
                    let [items] = args.bind("loop", ["iterable"], 1)?;
                    let Some(around) = &state.recursive else {
                        return fail("The loop must have the 'recursive' marker to be called recursively.");
                    };
                    let items = items.unwrap_or(Value::None);
                    self.recursive_loop(state.node, Rc::clone(around), items, state.depth0 + 1)
                }
                Object::Block(index) => {
                    args.none("block")?;
                    let (text, _) = self.capture(|renderer| renderer.block(*index).map(|()| Flow::Next))?;
                    Ok(text)
                }
                Object::Namespace(_) | Object::Cycler(..) | Object::Blocks => {
                    fail(format!("'{}' object is not callable", object.type_name()))
                }
            },
            other => fail(format!("'{}' object is not callable", other.type_name())),
        }
    }

    fn call_function(&mut self, function: Function, args: Args) -> Result<Value> {
        match function {
            Function::Range => range(args),
            Function::Dict => Ok(Value::Dict(self.dict_from(args)?.into())),
            Function::Namespace => {
                let object = Rc::new(Object::Namespace(self.dict_from(args)?.into()));
                self.keep(&object);
                Ok(Value::Object(object))
            }
            Function::Cycler => {
                if args.positional.is_empty() || !args.named.is_empty() {
                    return fail("at least one item has to be provided");
                }
                crate::jinja::value::deeper(args.positional.iter())?;
                Ok(Value::object(Object::Cycler(args.positional, 0.into())))
            }
            Function::Joiner => {
                let [separator] = args.bind("joiner", ["sep"], 0)?;
                let separator = separator.map_or_else(|| Value::text(self.meter, ", "), Ok)?;
                Ok(Value::object(Object::Joiner(separator, false.into())))
            }
            Function::RaiseException => {
                let [message] = args.bind("raise_exception", ["message"], 1)?;
                let message = show::string(self.meter, &message.unwrap_or(Value::None))?;
                Err(Fault::Raised(text(&message)?.to_owned()))
            }
            Function::StrftimeNow => {
                let [pattern] = args.bind("strftime_now", ["format"], 1)?;
                let pattern = pattern.unwrap_or(Value::None);
                let Some(clock) = self.clock else { return fail("'strftime_now' is undefined") };
                let pattern = text(&pattern)?;
                if pattern.len() > hotset_base::limits::MAX_TIME_PATTERN {
                    return fail("the pattern of strftime_now is too long");
                }
                Value::text(self.meter, clock(pattern))
            }
        }
    }

    pub(crate) fn dict_of(&self, named: Vec<(Box<str>, Value)>) -> Result<Value> {
        let mut dict = Dict::new(self.meter)?;
        for (name, value) in named {
            dict.insert(self.meter, Value::text(self.meter, name)?, value)?;
        }
        Ok(Value::Dict(dict.into()))
    }

    /// `dict(mapping or pairs, name=value)`
    fn dict_from(&self, args: Args) -> Result<Dict> {
        let mut dict = Dict::new(self.meter)?;
        let mut positional = args.positional.into_iter();
        let (first, second) = (positional.next(), positional.next());
        if second.is_some() {
            return fail("dict expected at most 1 argument, got 2");
        }
        match first {
            None => {}
            Some(Value::Dict(other)) => {
                for (key, value) in other.entries() {
                    dict.insert(self.meter, key.clone(), value.clone())?;
                }
            }
            Some(pairs) => {
                let mut cursor = pairs.iterate()?;
                while let Some(pair) = cursor.next(self.meter)? {
                    match <[Value; 2]>::try_from(pair.collect(self.meter)?) {
                        Ok([key, value]) => dict.insert(self.meter, key, value)?,
                        Err(_) => return fail("dictionary update sequence element is no pair"),
                    }
                }
            }
        }
        for (name, value) in args.named {
            dict.insert(self.meter, Value::text(self.meter, name)?, value)?;
        }
        Ok(dict)
    }

    fn call_macro(&mut self, index: usize, around: &Rc<Activation>, args: Args) -> Result<Value> {
        let node = &self.template.macros[index];
        let name = &node.name.name;
        let held = self.meter.hold(node.slots * size_of::<Option<Value>>())?;
        let inside = Activation::new(node.slots, Some(Rc::clone(around)));
        let function = std::mem::replace(&mut self.function, inside);
        let result = self.nested(|renderer| {
            let Args { mut positional, mut named } = args;
            let extra = positional.split_off(positional.len().min(node.arguments.len()));
            let mut positional = positional.into_iter();
            let mut take = |name: &str| {
                let at = named.iter().position(|(candidate, _)| **candidate == *name)?;
                Some(named.remove(at).1)
            };
            let caller_is_argument = node.arguments.iter().any(|argument| &*argument.name == "caller");
            for argument in &node.arguments {
                let value = positional.next().or_else(|| take(&argument.name));
                renderer.set_variable(argument.slot, value);
            }
            if let Some(slot) = node.caller.filter(|_| !caller_is_argument) {
                let caller = match take("caller") {
                    Some(caller) => caller,
                    None => Value::undefined(renderer.meter, "No caller defined")?,
                };
                renderer.set_variable(slot, Some(caller));
            }
            match node.kwargs {
                Some(slot) => renderer.set_variable(slot, Some(renderer.dict_of(named)?)),
                None if named.is_empty() => {}
                None => {
                    let unknown = &named[0].0;
                    return fail(format!("macro '{name}' takes no keyword argument '{unknown}'"));
                }
            }
            match node.varargs {
                Some(slot) => renderer.set_variable(slot, Some(Value::tuple(renderer.meter, extra)?)),
                None if extra.is_empty() => {}
                None => {
                    let most = node.arguments.len();
                    return fail(format!("macro '{name}' takes not more than {most} argument(s)"));
                }
            }
            renderer.macro_body(index)
        });
        self.function = function;
        drop(held);
        result
    }

    /// The text of a macro whose arguments are set: those that are missing get their defaults.
    fn macro_body(&mut self, index: usize) -> Result<Value> {
        let node = &self.template.macros[index];
        self.enter(&node.scope);
        let without_default = node.arguments.len() - node.defaults.len();
        for (rank, argument) in node.arguments.iter().enumerate() {
            if self.variable(argument.slot).is_some() {
                continue;
            }
            let value = match rank.checked_sub(without_default) {
                Some(rank) => self.value(&node.defaults[rank])?,
                None => {
                    let message = format!("parameter '{}' was not provided", argument.name);
                    Value::undefined(self.meter, message)?
                }
            };
            self.set_variable(argument.slot, Some(value));
        }
        let line = self.line;
        let (text, _) = self.capture(|renderer| {
            renderer.body(&node.body)?;
            Ok(Flow::Next)
        })?;
        self.line = line;
        Ok(text)
    }
}

/// Whether Python's object has such a method.
fn changeable(value: &Value, name: &str) -> bool {
    match value {
        Value::List(_) => !matches!(name, "popitem" | "setdefault" | "update" | "fromkeys"),
        Value::Dict(_) => matches!(name, "clear" | "pop" | "popitem" | "setdefault" | "update" | "fromkeys"),
        _ => false,
    }
}

/// How Jinja2 names what has no such attribute.
fn type_repr(value: &Value) -> String {
    match value {
        Value::None => "None".to_owned(),
        Value::Object(object) => match &**object {
            Object::Namespace(_) => "jinja2.utils.Namespace object".to_owned(),
            Object::Loop(_) => "jinja2.runtime.LoopContext object".to_owned(),
            Object::Macro(..) => "jinja2.runtime.Macro object".to_owned(),
            other => format!("{} object", other.type_name()),
        },
        Value::Text(text) if text.markup => "markupsafe.Markup object".to_owned(),
        other => format!("{} object", other.type_name()),
    }
}

fn range(args: Args) -> Result<Value> {
    if let Some((name, _)) = args.named.first() {
        return fail(format!("range() takes no keyword arguments, not '{name}'"));
    }
    let numbers = args.positional.iter().map(int).collect::<Result<Vec<_>>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return fail(format!("range expected 1 to 3 arguments, got {}", numbers.len())),
    };
    if step == 0 {
        return fail("range() arg 3 must not be zero");
    }
    let range = Range { start, stop, step };
    if range.len() > MAX_TEMPLATE_RANGE {
        return fail(format!(
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_TEMPLATE_RANGE})."
        ));
    }
    Ok(Value::Range(Rc::new(range)))
}
