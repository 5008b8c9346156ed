//! A rendering: statements.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use hotset_base::limits::{MAX_RENDER_DEPTH, MAX_RENDERED};

use crate::jinja::buffer::Buffer;
use crate::jinja::dict::Dict;
use crate::jinja::fault::{Fault, Result, fail};
use crate::jinja::meter::Meter;
use crate::jinja::object::{Activation, Function, LoopState, Object};
use crate::jinja::show;
use crate::jinja::syntax::{Expr, Load, Name, Node, Scope, Slot, Statement, Target, Template};
use crate::jinja::value::Value;

/// Formats the present time by a `strftime` pattern.
pub(crate) type Clock = dyn Fn(&str) -> String + Send + Sync;

pub(crate) struct Renderer<'t> {
    pub(crate) template: &'t Template,
    pub(crate) meter: &'t Meter<'t>,
    pub(crate) clock: Option<&'t Clock>,
    /// The values of `Template::texts`.
    pub(crate) texts: Vec<Value>,
    variables: HashMap<Box<str>, Value>,
    /// The text so far; above it, what blocks capture.
    out: Vec<Buffer<'t>>,
    pub(crate) function: Rc<Activation>,
    root: Rc<Activation>,
    in_block: bool,
    /// What a filter without an input gets.
    pub(crate) captured: Option<Value>,
    depth: usize,
    /// The line that is being rendered.
    pub(crate) line: usize,
    /// What can refer to itself; emptied at the end.
    kept: Vec<Kept>,
}

enum Kept {
    Variables(Rc<Activation>),
    Object(Rc<Object>),
}

/// How a body was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
}

impl Drop for Renderer<'_> {
    /// Everything that holds others is still alive while each is emptied, so nothing that was built
    /// step by step is dropped by recursion.
    fn drop(&mut self) {
        self.kept.push(Kept::Variables(Rc::clone(&self.root)));
        for kept in &self.kept {
            match kept {
                Kept::Variables(variables) => variables.slots.borrow_mut().clear(),
                Kept::Object(object) => match &**object {
                    Object::Namespace(values) => {
                        if let Ok(empty) = Dict::new(self.meter) {
                            values.replace(empty);
                        }
                    }
                    Object::Loop(state) => drop(state.changed.take()),
                    _ => {}
                },
            }
        }
    }
}

impl<'t> Renderer<'t> {
    pub(crate) fn new(
        template: &'t Template,
        meter: &'t Meter<'t>,
        clock: Option<&'t Clock>,
        variables: HashMap<Box<str>, Value>,
    ) -> Result<Self> {
        let texts =
            template.texts.iter().map(|text| Value::text(meter, text.clone())).collect::<Result<_>>()?;
        let root = Activation::new(template.slots, None);
        Ok(Self {
            template,
            meter,
            clock,
            texts,
            variables,
            out: vec![Buffer::new(meter)?],
            function: Rc::clone(&root),
            root,
            in_block: false,
            captured: None,
            depth: 0,
            line: 1,
            kept: Vec::new(),
        })
    }

    /// The text of the whole template.
    pub(crate) fn render(&mut self) -> Result<String> {
        let template = self.template;
        self.enter(&template.scope);
        self.body(&template.body)?;
        Ok(self.out.pop().map(Buffer::into_string).unwrap_or_default())
    }

    /// Runs `step` one level deeper.
    pub(crate) fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.meter.step()?;
        self.depth += 1;
        if self.depth > MAX_RENDER_DEPTH {
            return fail("maximum recursion depth exceeded");
        }
        let result = step(self);
        self.depth -= 1;
        result
    }

    pub(crate) fn keep(&mut self, object: &Rc<Object>) {
        self.kept.push(Kept::Object(Rc::clone(object)));
    }

    /// Keeps the variables that a macro refers to.
    pub(crate) fn keep_variables(&mut self) {
        let function = &self.function;
        if !function.kept.replace(true) {
            self.kept.push(Kept::Variables(Rc::clone(function)));
        }
    }

    fn activation(&self, slot: Slot) -> &Activation {
        let mut function = &self.function;
        for _ in 0..slot.hops {
            function = function.outer.as_ref().unwrap_or(function);
        }
        function
    }

    pub(crate) fn variable(&self, slot: Slot) -> Option<Value> {
        self.activation(slot).slots.borrow().get(slot.index as usize).cloned().flatten()
    }

    pub(crate) fn set_variable(&self, slot: Slot, value: Option<Value>) {
        if let Some(place) = self.activation(slot).slots.borrow_mut().get_mut(slot.index as usize) {
            *place = value;
        }
    }

    pub(crate) fn enter(&self, scope: &Scope) {
        for (slot, load) in &scope.loads {
            let value = match load {
                Load::Resolve(name) => self.resolve(&scope.names[*name]),
                Load::Alias(outside) => self.variable(*outside),
                Load::Undefined => None,
            };
            self.set_variable(*slot, value);
        }
    }

    /// A variable of the rendering, or a function that every template has.
    fn resolve(&self, name: &str) -> Option<Value> {
        if self.in_block {
            let exported = self.template.exports.iter().find(|(export, _)| **export == *name);
            let value = exported.and_then(|(_, index)| self.root.slots.borrow()[*index as usize].clone());
            if value.is_some() {
                return value;
            }
        }
        self.variables.get(name).cloned().or_else(|| {
            if name == "self" {
                return Some(Value::object(Object::Blocks));
            }
            let (_, function) = Function::ALL.into_iter().find(|(candidate, _)| *candidate == name)?;
            let there = function != Function::StrftimeNow || self.clock.is_some();
            there.then(|| Value::object(Object::Function(function)))
        })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let captures = self.out.len() > 1;
        let Some(out) = self.out.last_mut() else { return Ok(()) };
        if !captures && out.len() + text.len() > MAX_RENDERED.index() {
            return Err(Fault::Output);
        }
        out.push(text)
    }

    pub(crate) fn print(&mut self, value: &Value) -> Result<()> {
        if let Some(text) = value.as_str() {
            return self.write(text);
        }
        let mut shown = Buffer::new(self.meter)?;
        show::print(&mut shown, self.meter, value)?;
        self.write(&shown.into_string())
    }

    /// What `step` writes, as a value.
    pub(crate) fn capture(&mut self, step: impl FnOnce(&mut Self) -> Result<Flow>) -> Result<(Value, Flow)> {
        self.out.push(Buffer::new(self.meter)?);
        let flow = step(self)?;
        let text = self.out.pop().map_or_else(|| Value::text(self.meter, ""), Buffer::into_value)?;
        Ok((text, flow))
    }

    pub(crate) fn body(&mut self, nodes: &'t [Node]) -> Result<Flow> {
        for node in nodes {
            self.line = node.line;
            let flow = self.nested(|renderer| renderer.statement(&node.kind))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'t Statement) -> Result<Flow> {
        match statement {
            Statement::Data(text) => {
                let template = self.template;
                self.write(&template.texts[*text])?;
            }
            Statement::Print(value) => {
                let value = self.value(value)?;
                self.print(&value)?;
            }
            Statement::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.value(test)?.truth() {
                        return self.body(body);
                    }
                }
                return self.body(otherwise);
            }
            Statement::For(index, items) => return self.for_loop(*index, items),
            Statement::Set(target, value) => {
                let value = self.value(value)?;
                self.assign(target, value)?;
            }
            Statement::SetBlock(set) => {
                self.enter(&set.scope);
                let (text, flow) = self.capture(|renderer| renderer.body(&set.body))?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                let value = self.filtered(set.filter.as_ref(), text)?;
                self.assign(&set.target, value)?;
            }
            Statement::With(with) => {
                let values =
                    with.values.iter().map(|(_, value)| self.value(value)).collect::<Result<Vec<_>>>()?;
                self.enter(&with.scope);
                for ((target, _), value) in with.values.iter().zip(values) {
                    self.assign(target, value)?;
                }
                return self.body(&with.body);
            }
            Statement::Scope(scope, body) => {
                self.enter(scope);
                return self.body(body);
            }
            Statement::FilterBlock(block) => {
                self.enter(&block.scope);
                let (text, flow) = self.capture(|renderer| renderer.body(&block.body))?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                let value = self.filtered(Some(&block.filter), text)?;
                self.print(&value)?;
            }
            Statement::Macro(index) => {
                let value = self.macro_value(*index);
                self.set_variable(self.template.macros[*index].name.slot, Some(value));
            }
            Statement::CallBlock(index, callee, arguments) => {
                let callee = self.value(callee)?;
                let mut args = self.arguments(arguments)?;
                args.named.push(("caller".into(), self.macro_value(*index)));
                let result = self.call(&callee, args)?;
                self.print(&result)?;
            }
            Statement::Block(index) => self.block(*index)?,
            Statement::Load(template, optional) => {
                self.value(template)?;
                if !optional {
                    return fail("no loader for this environment specified");
                }
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn macro_value(&mut self, index: usize) -> Value {
        self.keep_variables();
        Value::object(Object::Macro(index, Rc::clone(&self.function)))
    }

    /// `text` through the filters of a block.
    fn filtered(&mut self, filter: Option<&'t Expr>, text: Value) -> Result<Value> {
        let Some(filter) = filter else { return Ok(text) };
        let outer = self.captured.replace(text);
        let value = self.value(filter);
        self.captured = outer;
        value
    }

    pub(crate) fn block(&mut self, index: usize) -> Result<()> {
        let block = &self.template.blocks[index];
        let function = std::mem::replace(&mut self.function, Activation::new(block.slots, None));
        let in_block = std::mem::replace(&mut self.in_block, true);
        self.enter(&block.scope);
        let result = self.body(&block.body);
        self.function = function;
        self.in_block = in_block;
        result.map(drop)
    }

    pub(crate) fn assign(&mut self, target: &'t Target, value: Value) -> Result<()> {
        match target {
            Target::Name(Name { slot, .. }) => self.set_variable(*slot, Some(value)),
            Target::Attribute(namespace, attribute) => {
                let namespace = self.variable(namespace.slot);
                let values = match &namespace {
                    Some(Value::Object(object)) => match &**object {
                        Object::Namespace(values) => Some(values),
                        _ => None,
                    },
                    _ => None,
                };
                let Some(values) = values else {
                    return fail("cannot assign attribute on non-namespace object");
                };
                let attribute = Value::text(self.meter, attribute.clone())?;
                values.borrow_mut().insert(self.meter, attribute, value)?;
            }
            Target::Tuple(targets) => {
                if value.iterate().is_err() {
                    return fail(format!("cannot unpack non-iterable {} object", value.type_name()));
                }
                let mut cursor = value.iterate()?;
                for (rank, target) in targets.iter().enumerate() {
                    let Some(item) = cursor.next(self.meter)? else {
                        let expected = targets.len();
                        return fail(format!(
                            "not enough values to unpack (expected {expected}, got {rank})"
                        ));
                    };
                    self.assign(target, item)?;
                }
                if cursor.next(self.meter)?.is_some() {
                    return fail(format!("too many values to unpack (expected {})", targets.len()));
                }
            }
        }
        Ok(())
    }
}

/// Loops.
impl<'t> Renderer<'t> {
    fn for_loop(&mut self, index: usize, items: &'t Expr) -> Result<Flow> {
        let items = self.value(items)?;
        if self.template.loops[index].recursive.is_some() {
            let around = Rc::clone(&self.function);
            let text = self.recursive_loop(index, around, items, 0)?;
            self.print(&text)?;
            return Ok(Flow::Next);
        }
        let state = self.loop_state(index, &items, 0, None)?;
        self.run_loop(&state)
    }

    /// The text of a recursive loop over `items`, in a function of its own.
    pub(crate) fn recursive_loop(
        &mut self,
        index: usize,
        around: Rc<Activation>,
        items: Value,
        depth0: i64,
    ) -> Result<Value> {
        let slots = self.template.loops[index].recursive.unwrap_or(0);
        let _held = self.meter.hold(slots * size_of::<Option<Value>>())?;
        let inside = Activation::new(slots, Some(Rc::clone(&around)));
        let function = std::mem::replace(&mut self.function, inside);
        let result = self.nested(|renderer| {
            let state = renderer.loop_state(index, &items, depth0, Some(around))?;
            renderer.capture(|renderer| renderer.run_loop(&state))
        });
        self.function = function;
        result.map(|(text, _)| text)
    }

    fn loop_state(
        &self,
        node: usize,
        items: &Value,
        depth0: i64,
        recursive: Option<Rc<Activation>>,
    ) -> Result<Rc<Object>> {
        Ok(Rc::new(Object::Loop(LoopState {
            node,
            function: Rc::clone(&self.function),
            items: RefCell::new(items.iterate()?),
            ahead: RefCell::new(None),
            previous: RefCell::new(None),
            current: RefCell::new(None),
            index: Cell::new(0),
            length: Cell::new(None),
            depth0,
            changed: RefCell::new(None),
            recursive,
        })))
    }

    fn run_loop(&mut self, object: &Rc<Object>) -> Result<Flow> {
        let Object::Loop(state) = &**object else { return Ok(Flow::Next) };
        let node = &self.template.loops[state.node];
        // As in Jinja2: a pass that ends by `break` or `continue` does not keep `else` from running.
        let mut finished_none = true;
        while let Some(item) = self.next_item(state)? {
            state.index.set(state.index.get() + 1);
            let before = state.current.replace(Some(item.clone()));
            state.previous.replace(before);
            self.assign(&node.target, item)?;
            self.set_variable(node.loop_slot, Some(Value::Object(Rc::clone(object))));
            self.enter(&node.scope);
            match self.body(&node.body)? {
                Flow::Break => break,
                Flow::Continue => {}
                Flow::Next => finished_none = false,
            }
        }
        match &node.otherwise {
            Some((scope, body)) if finished_none => {
                self.enter(scope);
                self.body(body)
            }
            _ => Ok(Flow::Next),
        }
    }

    fn next_item(&mut self, state: &LoopState) -> Result<Option<Value>> {
        match state.ahead.take() {
            Some(item) => Ok(Some(item)),
            None => self.pull(state),
        }
    }

    /// The next item without going on to it.
    pub(crate) fn look_ahead(&mut self, state: &LoopState) -> Result<Option<Value>> {
        let item = self.next_item(state)?;
        state.ahead.replace(item.clone());
        Ok(item)
    }

    /// The next item that passes the loop's test.
    fn pull(&mut self, state: &LoopState) -> Result<Option<Value>> {
        loop {
            let next = state.items.borrow_mut().next(self.meter)?;
            let Some(item) = next else { return Ok(None) };
            let Some(test) = &self.template.loops[state.node].test else { return Ok(Some(item)) };
            let function = std::mem::replace(&mut self.function, Rc::clone(&state.function));
            self.enter(&test.scope);
            let passed = self.assign(&test.target, item.clone()).and_then(|()| self.value(&test.test));
            self.function = function;
            if passed?.truth() {
                return Ok(Some(item));
            }
        }
    }

    /// `loop.length`: of what has no length, all that is left is read.
    pub(crate) fn loop_length(&mut self, state: &LoopState) -> Result<i64> {
        if let Some(length) = state.length.get() {
            return Ok(length);
        }
        let whole = self.template.loops[state.node].test.is_none();
        let known = if whole { state.items.borrow().value.len(self.meter)? } else { None };
        let length = match known {
            Some(length) => length as i64,
            None => {
                let ahead = state.ahead.take();
                let looked = i64::from(ahead.is_some());
                let mut rest = Vec::new();
                let mut held = self.meter.hold(0)?;
                while let Some(item) = self.pull(state)? {
                    held.grow(size_of::<Value>())?;
                    rest.push(item);
                }
                let length = rest.len() as i64 + state.index.get() + looked;
                state.ahead.replace(ahead);
                // They have passed the test: they are put where no test is asked for again.
                return self.put_back(state, rest, length);
            }
        };
        state.length.set(Some(length));
        Ok(length)
    }

    fn put_back(&self, state: &LoopState, rest: Vec<Value>, length: i64) -> Result<i64> {
        state.items.replace(Value::list(self.meter, rest)?.iterate()?);
        state.length.set(Some(length));
        Ok(length)
    }
}
