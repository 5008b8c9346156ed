//! `namespace(...)`: the one thing a template can change after making it.
//!
//! The engine's own namespace can be put into itself or nested without end, and printing,
//! comparing or dropping such a value overflows the stack. This one only takes plain data of small
//! depth, so neither can be built; `template_source` turns assignments into calls of `SETTER`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use crate::python;

/// The method behind `{% set ns.name = value %}`.
pub(crate) const SETTER: &str = "set_attribute";

#[derive(Debug, Default)]
struct Namespace {
    values: Mutex<BTreeMap<String, Value>>,
}

/// `namespace(name=value, ...)`
pub(crate) fn namespace(state: &State, values: Kwargs) -> Result<Value, Error> {
    let namespace = Namespace::default();
    for name in values.args() {
        namespace.set(state, name, &values.get(name)?)?;
    }
    Ok(Value::from_object(namespace))
}

impl Namespace {
    fn set(&self, state: &State, name: &str, value: &Value) -> Result<(), Error> {
        let value = match value.kind() {
            // A lazy sequence may refer to others without end: take its items.
            ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter()? {
                    state.consume_fuel(1)?;
                    items.push(item);
                }
                Value::from(items)
            }
            _ => value.clone(),
        };
        python::charge_plain(state, &value)?;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
        Ok(())
    }
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).get(key.as_str()?).cloned()
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != SETTER {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, value): (&str, &Value) = from_args(args)?;
        self.set(state, name, value)?;
        Ok(Value::UNDEFINED)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("namespace")
    }
}
