//! What is checked and changed in a chat template before the engine compiles it.
//!
//! The engine bounds the nesting of blocks and brackets, but chains (`a.b.c...`, `1+1+...`, `elif`
//! after `elif`) become trees as deep as they are long, which overflow the stack when they are
//! compiled or dropped; so do values that a long template wraps into each other.

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::chat::TemplateError;
use crate::generation_tag;
use crate::namespace::SETTER;

/// Tokens of one `{{ }}` or `{% %}`. Published templates stay below 100.
const MAX_TAG_TOKENS: usize = 400;

/// `elif` in one template. Published templates stay below 40.
const MAX_ELIF: usize = 400;

/// `[`, `{` and `,` in one template: each may wrap a value once more. Published templates stay
/// below 500.
const MAX_WRAPS: usize = 3000;

/// Bytes of one line: the engine counts columns in 16 bits. Published templates without line breaks
/// stay below 20,000.
const MAX_LINE: usize = 65_000;

/// The source to compile: within the limits above, `{% generation %}` replaced by a plain scope,
/// `{% set ns.name = value %}` by a call of the namespace's checked setter.
pub(crate) fn prepare(source: &str, syntax: &SyntaxConfig) -> Result<String, TemplateError> {
    let source = generation_tag::strip(source);
    if let Some(line) = source.split('\n').position(|line| line.len() > MAX_LINE) {
        let detail = format!("line is longer than {MAX_LINE} bytes");
        return Err(TemplateError::Syntax { line: Some(line + 1), detail });
    }
    let mut edits = Edits { source: &source, out: String::with_capacity(source.len()), done: 0 };
    let (mut tag, mut elif, mut wraps): (Vec<(Token, Span)>, _, _) = (Vec::new(), 0, 0);
    for next in tokenize(&source, false, syntax.clone()) {
        let (token, span) = next.map_err(|error| TemplateError::Syntax {
            line: error.line(),
            detail: error.detail().unwrap_or("invalid token").to_owned(),
        })?;
        match token {
            Token::TemplateData(_) => continue,
            Token::BlockStart | Token::VariableStart => tag.clear(),
            Token::BlockEnd => edits.assignment(&tag),
            Token::BracketOpen | Token::BraceOpen | Token::Comma => wraps += 1,
            Token::Ident("elif") => elif += 1,
            _ => {}
        }
        tag.push((token, span));
        let too_long = [
            (tag.len(), MAX_TAG_TOKENS, "tokens in one tag"),
            (elif, MAX_ELIF, "uses of elif"),
            (wraps, MAX_WRAPS, "lists, subscripts and commas"),
        ];
        if let Some((_, limit, what)) = too_long.into_iter().find(|(count, limit, _)| count > limit) {
            let detail = format!("more than {limit} {what}");
            return Err(TemplateError::Syntax { line: Some(usize::from(span.start_line)), detail });
        }
    }
    Ok(edits.finish())
}

struct Edits<'s> {
    source: &'s str,
    out: String,
    /// Bytes of the source already copied or replaced.
    done: usize,
}

impl Edits<'_> {
    /// Rewrites `set ns.name = value`; `tag` runs from the start of a block to before its end.
    fn assignment(&mut self, tag: &[(Token, Span)]) {
        let [
            (Token::BlockStart, _),
            (Token::Ident("set"), set),
            (Token::Ident(namespace), _),
            (Token::Dot, _),
            (Token::Ident(name), _),
            (Token::Assign, equals),
            ..,
            (_, last),
        ] = tag
        else {
            return;
        };
        let call = format!("do {namespace}.{SETTER}('{name}', (");
        self.replace(set.start_offset, equals.end_offset, &call);
        self.replace(last.end_offset, last.end_offset, "))");
    }

    fn replace(&mut self, start: u32, end: u32, with: &str) {
        let (start, end) = (start as usize, end as usize); // sources are at most MAX_TEMPLATE long
        self.out.push_str(&self.source[self.done..start]);
        self.out.push_str(with);
        self.done = end;
    }

    fn finish(mut self) -> String {
        self.out.push_str(&self.source[self.done..]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(source: &str) -> Result<String, TemplateError> {
        prepare(source, &SyntaxConfig::default())
    }

    #[test]
    fn assignments_to_namespaces_become_calls() {
        assert_eq!(
            prepared("a{%- set ns.b = c ~ ',' if d else (1, 2) -%}e{% set f = g.h %}").unwrap(),
            "a{%- do ns.set_attribute('b', ( c ~ ',' if d else (1, 2))) -%}e{% set f = g.h %}"
        );
        let same = "{% raw %}{% set a.b = 1 %}{% endraw %}{# {% set a.b = 1 %} #}{{ '{% set a.b = 1 %}' }}";
        assert_eq!(prepared(same).unwrap(), same);
    }

    #[test]
    fn limits_hold_at_the_limit_and_past_it() {
        let sum = |terms: usize| format!("{{{{ 1{} }}}}", "+1".repeat(terms));
        assert!(prepared(&sum(198)).is_ok()); // one start, 397 tokens of the sum, one end
        assert!(prepared(&sum(199)).is_err());
        assert!(prepared(&"x".repeat(MAX_LINE)).is_ok());
        assert!(prepared(&"x".repeat(MAX_LINE + 1)).is_err());
        let lists = |count: usize| "{{ [] }}".repeat(count);
        assert!(prepared(&lists(MAX_WRAPS)).is_ok());
        assert!(prepared(&lists(MAX_WRAPS + 1)).is_err());
        let elif = |count: usize| format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(count));
        assert!(prepared(&elif(MAX_ELIF)).is_ok());
        assert!(prepared(&elif(MAX_ELIF + 1)).is_err());
    }
}
