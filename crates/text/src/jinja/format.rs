//! `str.format`.

use crate::jinja::args::Args;
use crate::jinja::buffer::Buffer;
use crate::jinja::escape::escaped;
use crate::jinja::fault::{Result, fail};
use crate::jinja::render::Renderer;
use crate::jinja::show;
use crate::jinja::spec::Spec;
use crate::jinja::value::Value;

/// How often a specification may hold fields of its own: `{:{width}}`, as in Python.
const MAX_NESTING: usize = 2;

/// `template.format(args)`
pub(crate) fn format(renderer: &mut Renderer, template: &Value, args: Args) -> Result<Value> {
    let mut fields = Fields { args: &args, next: Some(0), markup: template.is_markup() };
    let mut out = Buffer::new(renderer.meter)?;
    fields.write(renderer, &mut out, template.as_str().unwrap_or_default(), MAX_NESTING)?;
    Value::text_or_markup(renderer.meter, out.into_string(), template.is_markup())
}

struct Fields<'a> {
    args: &'a Args,
    /// The next argument of a field without a name; `None` once a field was numbered by hand.
    next: Option<usize>,
    markup: bool,
}

impl Fields<'_> {
    fn write(&mut self, renderer: &mut Renderer, out: &mut Buffer, text: &str, nesting: usize) -> Result<()> {
        if nesting == 0 {
            return fail("Max string recursion exceeded");
        }
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push(&rest[..at])?;
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                out.push(brace)?;
                rest = after;
                continue;
            }
            if brace == "}" {
                return fail("Single '}' encountered in format string");
            }
            let mut open = 1;
            let end = rest.find(|c: char| {
                open += i32::from(c == '{') - i32::from(c == '}');
                open == 0
            });
            let Some(end) = end else { return fail("expected '}' before end of string") };
            self.field(renderer, out, &rest[..end], nesting)?;
            rest = &rest[end + 1..];
        }
        out.push(rest)
    }

    fn field(
        &mut self,
        renderer: &mut Renderer,
        out: &mut Buffer,
        field: &str,
        nesting: usize,
    ) -> Result<()> {
        let meter = renderer.meter;
        let mut bracket = false;
        let end = field.find(|c: char| {
            bracket = (bracket || c == '[') && c != ']';
            !bracket && matches!(c, ':' | '!')
        });
        let (name, mut rest) = field.split_at(end.unwrap_or(field.len()));
        let mut conversion = None;
        if let Some(after) = rest.strip_prefix('!') {
            conversion = after.chars().next();
            rest = after.get(1..).unwrap_or_default();
            if !rest.is_empty() && !rest.starts_with(':') {
                return fail("expected ':' after conversion specifier");
            }
        }
        let value = self.value(renderer, name)?;
        let value = match conversion {
            None => value,
            Some('s') => show::string(meter, &value)?,
            Some('r' | 'a') => {
                let mut shown = Buffer::new(meter)?;
                show::repr(&mut shown, meter, &value)?;
                shown.into_value()?
            }
            Some(other) => return fail(format!("Unknown conversion specifier {}", other.escape_debug())),
        };
        let mut spec = Buffer::new(meter)?;
        self.write(renderer, &mut spec, rest.strip_prefix(':').unwrap_or_default(), nesting - 1)
            .or_else(|fault| if rest.is_empty() { Ok(()) } else { Err(fault) })?;
        let spec = spec.into_string();
        let mut shown = Buffer::new(meter)?;
        if spec.is_empty() {
            show::print(&mut shown, meter, &value)?;
        } else {
            Spec::parse(&spec)?.write(&mut shown, meter, &value)?;
        }
        let shown = shown.into_string();
        if self.markup && !value.is_markup() { out.push(&escaped(meter, &shown)?) } else { out.push(&shown) }
    }

    /// `0.attribute[item]`
    fn value(&mut self, renderer: &mut Renderer, name: &str) -> Result<Value> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let mut value = self.argument(first)?;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = renderer.attribute(&value, &after[..end])?;
                rest = &after[end..];
            } else {
                let Some((item, after)) = rest[1..].split_once(']') else {
                    return fail("Missing ']' in format string");
                };
                let item = match item.parse::<i64>() {
                    Ok(index) => Value::Int(index),
                    Err(_) => Value::text(renderer.meter, item)?,
                };
                value = renderer.item(&value, &item)?;
                rest = after;
                if !rest.is_empty() && !rest.starts_with(['.', '[']) {
                    return fail("Only '.' or '[' may follow ']' in format field specifier");
                }
            }
        }
        Ok(value)
    }

    fn argument(&mut self, name: &str) -> Result<Value> {
        let index = match name.parse::<usize>() {
            Ok(index) => {
                if self.next.is_some_and(|next| next > 0) {
                    return fail(
                        "cannot switch from automatic field numbering to manual field specification",
                    );
                }
                self.next = None;
                Some(index)
            }
            Err(_) if name.is_empty() => {
                let Some(index) = self.next else {
                    return fail(
                        "cannot switch from manual field specification to automatic field numbering",
                    );
                };
                self.next = Some(index + 1);
                Some(index)
            }
            Err(_) => None,
        };
        let found = match index {
            Some(index) => self.args.positional.get(index),
            None => {
                self.args.named.iter().find(|(candidate, _)| **candidate == *name).map(|(_, value)| value)
            }
        };
        match (found, index) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(index)) => {
                fail(format!("Replacement index {index} out of range for positional args tuple"))
            }
            (None, None) => fail(format!("KeyError: '{}'", name.chars().take(60).collect::<String>())),
        }
    }
}
