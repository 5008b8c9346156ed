//! A rendering: expressions.

use std::cmp::Ordering;

use crate::jinja::args::Args;
use crate::jinja::buffer::Buffer;
use crate::jinja::compare::{contains, equal, ordered};
use crate::jinja::dict::Dict;
use crate::jinja::fault::{Result, fail};
use crate::jinja::filters;
use crate::jinja::operators::{binary, negative, positive, slice};
use crate::jinja::render::Renderer;
use crate::jinja::show;
use crate::jinja::syntax::{Arguments, Compare, Expr, Filter, Name};
use crate::jinja::tests;
use crate::jinja::value::Value;

impl<'t> Renderer<'t> {
    pub(crate) fn value(&mut self, expr: &'t Expr) -> Result<Value> {
        self.nested(|renderer| renderer.evaluate(expr))
    }

    fn evaluate(&mut self, expr: &'t Expr) -> Result<Value> {
        match expr {
            Expr::None => Ok(Value::None),
            Expr::Bool(flag) => Ok(Value::Bool(*flag)),
            Expr::Int(number) => Ok(Value::Int(*number)),
            Expr::Float(number) => Ok(Value::Float(*number)),
            Expr::Text(text) => Ok(self.texts[*text].clone()),
            Expr::Name(name) => self.name(name),
            Expr::Tuple(items) => {
                let items = self.values(items)?;
                Value::tuple(self.meter, items)
            }
            Expr::List(items) => {
                let items = self.values(items)?;
                Value::list(self.meter, items)
            }
            Expr::Dict(pairs) => self.dict(pairs),
            Expr::Attribute(value, name) => {
                let value = self.value(value)?;
                self.attribute(&value, name)
            }
            Expr::Item(value, item) => {
                let value = self.value(value)?;
                let item = self.value(item)?;
                self.item(&value, &item)
            }
            Expr::Slice(value, parts) => self.slice(value, parts),
            Expr::Call(callee, arguments) => self.call_expression(callee, arguments),
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::Negative(value) => negative(&self.value(value)?),
            Expr::Positive(value) => positive(&self.value(value)?),
            Expr::Not(value) => Ok(Value::Bool(!self.value(value)?.truth())),
            Expr::And(sides) => {
                let left = self.value(&sides.0)?;
                if left.truth() { self.value(&sides.1) } else { Ok(left) }
            }
            Expr::Or(sides) => {
                let left = self.value(&sides.0)?;
                if left.truth() { Ok(left) } else { self.value(&sides.1) }
            }
            Expr::Binary(operator, sides) => {
                let left = self.value(&sides.0)?;
                let right = self.value(&sides.1)?;
                binary(self.meter, *operator, &left, &right)
            }
            Expr::Concat(parts) => self.concat(parts),
            Expr::Compare(first, others) => self.compare(first, others),
            Expr::Condition(parts) => self.condition(parts),
        }
    }

    fn name(&mut self, name: &Name) -> Result<Value> {
        match self.variable(name.slot) {
            Some(value) => Ok(value),
            None => Value::undefined(self.meter, format!("'{}' is undefined", name.name)),
        }
    }

    fn values(&mut self, items: &'t [Expr]) -> Result<Vec<Value>> {
        items.iter().map(|item| self.value(item)).collect()
    }

    fn dict(&mut self, pairs: &'t [(Expr, Expr)]) -> Result<Value> {
        let mut dict = Dict::new(self.meter)?;
        for (key, value) in pairs {
            let key = self.value(key)?;
            let value = self.value(value)?;
            dict.insert(self.meter, key, value)?;
        }
        Ok(Value::Dict(dict.into()))
    }

    fn slice(&mut self, value: &'t Expr, parts: &'t [Option<Expr>; 3]) -> Result<Value> {
        let value = self.value(value)?;
        let mut bounds = [Value::None, Value::None, Value::None];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            if let Some(part) = part {
                *bound = self.value(part)?;
            }
        }
        slice(self.meter, &value, &bounds)
    }

    fn concat(&mut self, parts: &'t [Expr]) -> Result<Value> {
        let parts = self.values(parts)?;
        let mut out = Buffer::new(self.meter)?;
        for part in &parts {
            show::print(&mut out, self.meter, part)?;
        }
        out.into_value()
    }

    /// `a < b < c`: every pair must hold, and the first that does not ends it.
    fn compare(&mut self, first: &'t Expr, others: &'t [(Compare, Expr)]) -> Result<Value> {
        let mut left = self.value(first)?;
        for (compare, right) in others {
            let right = self.value(right)?;
            let meter = self.meter;
            let holds = match compare {
                Compare::Equal => equal(meter, &left, &right)?,
                Compare::NotEqual => !equal(meter, &left, &right)?,
                Compare::Less => ordered(meter, &left, &right, "<", Ordering::is_lt)?,
                Compare::LessOrEqual => ordered(meter, &left, &right, "<=", Ordering::is_le)?,
                Compare::Greater => ordered(meter, &left, &right, ">", Ordering::is_gt)?,
                Compare::GreaterOrEqual => ordered(meter, &left, &right, ">=", Ordering::is_ge)?,
                Compare::In => contains(meter, &right, &left)?,
                Compare::NotIn => !contains(meter, &right, &left)?,
            };
            if !holds {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn condition(&mut self, parts: &'t (Expr, Expr, Option<Expr>)) -> Result<Value> {
        let (then, test, otherwise) = parts;
        if self.value(test)?.truth() {
            return self.value(then);
        }
        match otherwise {
            Some(otherwise) => self.value(otherwise),
            None => Value::undefined(
                self.meter,
                "the inline if-expression evaluated to false and no else section was defined.",
            ),
        }
    }

    pub(crate) fn arguments(&mut self, arguments: &'t Arguments) -> Result<Args> {
        let positional = self.values(&arguments.positional)?;
        let mut args = Args::positional(positional);
        for (name, value) in &arguments.named {
            args.named.push((name.clone(), self.value(value)?));
        }
        if let Some(more) = &arguments.more {
            let more = self.value(more)?;
            args.positional.extend(more.collect(self.meter)?);
        }
        if let Some(more) = &arguments.more_named {
            let more = self.value(more)?;
            let Value::Dict(dict) = &more else {
                return fail(format!("argument after ** must be a mapping, not {}", more.type_name()));
            };
            for (name, value) in dict.entries() {
                self.meter.step()?;
                let Some(name) = name.as_str() else { return fail("keywords must be strings") };
                if args.named.iter().any(|(other, _)| **other == *name) {
                    return fail(format!("got multiple values for keyword argument '{name}'"));
                }
                self.meter.steps(args.named.len())?;
                args.named.push((name.into(), value.clone()));
            }
        }
        self.line = arguments.line;
        Ok(args)
    }

    fn call_expression(&mut self, callee: &'t Expr, arguments: &'t Arguments) -> Result<Value> {
        if let Expr::Attribute(value, name) = callee {
            let value = self.value(value)?;
            if self.has_method(&value, name) {
                let args = self.arguments(arguments)?;
                return self.call_method(&value, name, args);
            }
            let callee = self.attribute(&value, name)?;
            let args = self.arguments(arguments)?;
            return self.call(&callee, args);
        }
        let callee = self.value(callee)?;
        let args = self.arguments(arguments)?;
        self.call(&callee, args)
    }

    fn input(&mut self, filter: &'t Filter) -> Result<Value> {
        match &filter.input {
            Some(input) => self.value(input),
            None => Ok(self.captured.clone().unwrap_or(Value::None)),
        }
    }

    fn filter(&mut self, filter: &'t Filter) -> Result<Value> {
        let input = self.input(filter)?;
        let args = self.arguments(&filter.arguments)?;
        filters::apply(self, &filter.name, input, args)
    }

    fn test(&mut self, test: &'t Filter) -> Result<Value> {
        let input = self.input(test)?;
        let args = self.arguments(&test.arguments)?;
        tests::apply(self, &test.name, &input, args).map(Value::Bool)
    }
}
