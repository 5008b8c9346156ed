//! Arguments of calls, filters and tests.

use crate::jinja::fault::{Result, fail};
use crate::jinja::value::Value;

#[derive(Debug, Default, Clone)]
pub(crate) struct Args {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(Box<str>, Value)>,
}

impl Args {
    pub(crate) fn positional(positional: Vec<Value>) -> Self {
        Self { positional, named: Vec::new() }
    }

    /// The arguments in the order of `names`, of which the first `required` must be there.
    pub(crate) fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            return fail(format!(
                "{function}() takes at most {N} arguments ({} given)",
                self.positional.len()
            ));
        }
        let mut bound = [const { None }; N];
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            let Some(place) =
                names.iter().position(|candidate| !candidate.is_empty() && *candidate == &*name)
            else {
                return fail(format!("{function}() got an unexpected keyword argument '{name}'"));
            };
            if bound[place].replace(value).is_some() {
                return fail(format!("{function}() got multiple values for argument '{name}'"));
            }
        }
        match bound.iter().take(required).position(Option::is_none) {
            Some(missing) => fail(format!("{function}() is missing its argument '{}'", names[missing])),
            None => Ok(bound),
        }
    }

    /// One argument without a name, or none.
    pub(crate) fn none(self, function: &str) -> Result<()> {
        self.bind(function, [], 0).map(|[]| ())
    }
}

/// An integer, or Python's complaint.
pub(crate) fn int(value: &Value) -> Result<i64> {
    match value.as_int() {
        Some(number) => Ok(number),
        None if value.is_undefined() => undefined(value),
        None => fail(format!("'{}' object cannot be interpreted as an integer", value.type_name())),
    }
}

/// An integer argument, or its default.
pub(crate) fn int_or(value: Option<&Value>, default: i64) -> Result<i64> {
    value.map_or(Ok(default), int)
}

/// A string, or Python's complaint.
pub(crate) fn text(value: &Value) -> Result<&str> {
    match value.as_str() {
        Some(text) => Ok(text),
        None if value.is_undefined() => undefined(value),
        None => fail(format!("expected a string, not {}", value.type_name())),
    }
}

/// What using an undefined value fails with.
pub(crate) fn undefined<T>(value: &Value) -> Result<T> {
    match value {
        Value::Undefined(undefined) => fail(undefined.message.clone()),
        other => fail(format!("unexpected {}", other.type_name())),
    }
}
