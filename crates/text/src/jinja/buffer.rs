//! Text in the making, charged for as it grows.

use crate::jinja::fault::Result;
use crate::jinja::meter::{Held, Meter};
use crate::jinja::value::Value;

/// Work of adding anything at all.
const PUSH: usize = 8;

pub(crate) struct Buffer<'m> {
    meter: &'m Meter<'m>,
    text: String,
    held: Held,
}

impl<'m> Buffer<'m> {
    pub(crate) fn new(meter: &'m Meter<'m>) -> Result<Self> {
        Ok(Self { meter, text: String::new(), held: meter.hold(0)? })
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn push(&mut self, text: &str) -> Result<()> {
        self.meter.bytes(text.len() + PUSH)?;
        self.held.grow(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    pub(crate) fn push_char(&mut self, character: char) -> Result<()> {
        self.push(character.encode_utf8(&mut [0; 4]))
    }

    pub(crate) fn repeat(&mut self, text: &str, count: usize) -> Result<()> {
        let bytes = text.len().saturating_mul(count);
        self.meter.bytes(bytes)?;
        self.held.grow(bytes)?;
        for _ in 0..count {
            self.text.push_str(text);
        }
        Ok(())
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }

    pub(crate) fn into_value(self) -> Result<Value> {
        Value::text(self.meter, self.text)
    }
}
