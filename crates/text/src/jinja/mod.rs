//! Jinja2 with Python's values, for chat templates: what Hugging Face transformers renders with
//! jinja2 3.1.6 in its immutable sandbox is what comes out here.
//!
//! A source becomes tokens ([`lexer`]), a tree ([`parser`]) whose names are variables ([`scopes`]),
//! and is rendered by walking the tree ([`render`], [`evaluate`], [`lookup`]). Every operation on
//! values charges a [`meter`] while it walks them, operators and filters alike: no template does more
//! work or takes more memory than its rendering was given, and a flag ends it early.

mod args;
mod buffer;
mod compare;
mod dict;
mod escape;
mod evaluate;
mod fault;
mod filters;
mod format;
mod json;
mod lexer;
mod lookup;
mod meter;
mod object;
mod operators;
mod parser;
mod percent;
mod render;
mod scopes;
mod sequences;
mod show;
mod spec;
mod strings;
mod syntax;
mod tests;
mod text_methods;
mod value;
mod walk;

pub(crate) use dict::Dict;
pub(crate) use fault::{Fault, Result};
pub(crate) use meter::{Meter, STEP};
pub(crate) use render::{Clock, Renderer};
pub(crate) use syntax::{SyntaxError, Template};
pub(crate) use value::Value;

/// Compiles `source`.
pub(crate) fn compile(source: &str) -> std::result::Result<Template, SyntaxError> {
    let mut template = parser::parse(source)?;
    scopes::resolve(&mut template)?;
    Ok(template)
}
