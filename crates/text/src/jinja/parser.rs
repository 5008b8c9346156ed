//! Tokens as a tree, by Jinja2's grammar.

use hotset_base::limits::{MAX_TEMPLATE_DEPTH, MAX_TEMPLATE_NESTING};

use crate::jinja::lexer::{Token, tokenize};
use crate::jinja::syntax::{
    Arguments, Binary, Block, Compare, Expr, Filter, FilterBlock, Loop, LoopTest, Macro, Name, Node, Scope,
    SetBlock, Slot, Statement, SyntaxError, Target, Template, With,
};

type Result<T> = std::result::Result<T, SyntaxError>;

/// The tree of `source`, its names not yet resolved.
pub(crate) fn parse(source: &str) -> Result<Template> {
    let mut parser = Parser { tokens: tokenize(source)?, at: 0, nesting: 0, template: Template::default() };
    let body = parser.body(&[])?;
    parser.template.body = body;
    Ok(parser.template)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    nesting: usize,
    template: Template,
}

/// An expression and how deep its tree is: chains (`1+1+...`) are as deep as they are long.
type Deep = (Expr, usize);

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn ahead(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn line(&self) -> usize {
        self.tokens[self.at].1
    }

    fn skip(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn fail<T>(&self, detail: impl Into<String>) -> Result<T> {
        Err(SyntaxError { line: self.line(), detail: detail.into() })
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.token(), Token::Operator(found) if *found == operator)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token(), Token::Name(found) if found == word)
    }

    fn is_any_word(&self, words: &[&str]) -> bool {
        matches!(self.token(), Token::Name(found) if words.contains(&found.as_str()))
    }

    fn accept(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        if found {
            self.skip();
        }
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.skip();
        }
        found
    }

    fn expect(&mut self, operator: &str) -> Result<()> {
        if self.accept(operator) { Ok(()) } else { self.unexpected(&format!("'{operator}'")) }
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.accept_word(word) { Ok(()) } else { self.unexpected(&format!("'{word}'")) }
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T> {
        match self.token() {
            Token::End => self.fail(format!("unexpected end of template, expected {expected}")),
            token => self.fail(format!("expected {expected}, got {}", describe(token))),
        }
    }

    fn name(&mut self) -> Result<Box<str>> {
        match self.token() {
            Token::Name(name) => {
                let name = name.as_str().into();
                self.skip();
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    fn text(&mut self, text: String) -> usize {
        self.template.texts.push(text.into());
        self.template.texts.len() - 1
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.nesting += 1;
        if self.nesting > MAX_TEMPLATE_NESTING {
            return self.fail(format!("nests deeper than {MAX_TEMPLATE_NESTING}"));
        }
        let parsed = parse(self)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    /// The depth of a tree whose deepest branch is `branch` deep.
    fn deeper(&self, branch: usize) -> Result<usize> {
        if branch >= MAX_TEMPLATE_DEPTH {
            return self.fail(format!("an expression has more than {MAX_TEMPLATE_DEPTH} parts in a row"));
        }
        Ok(branch + 1)
    }
}

/// Statements.
impl Parser {
    /// Nodes up to a tag that is one of `ends` (which is left as the current token), or to the end.
    fn body(&mut self, ends: &[&str]) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let line = self.line();
            match self.token().clone() {
                Token::Data(text) => {
                    self.skip();
                    let text = self.text(text);
                    nodes.push(Node { line, kind: Statement::Data(text) });
                }
                Token::VariableBegin => {
                    self.skip();
                    let value = self.tuple(true, &[], false)?.0;
                    if *self.token() != Token::VariableEnd {
                        return self.unexpected("end of print statement");
                    }
                    self.skip();
                    nodes.push(Node { line, kind: Statement::Print(value) });
                }
                Token::BlockBegin => {
                    self.skip();
                    if self.is_any_word(ends) {
                        return Ok(nodes);
                    }
                    self.nested(|parser| parser.statement(ends, &mut nodes))?;
                    self.block_end()?;
                }
                _ if ends.is_empty() => return Ok(nodes),
                _ => {
                    return self
                        .fail(format!("Unexpected end of template: {} is missing", ends.join(" or ")));
                }
            }
        }
    }

    fn block_end(&mut self) -> Result<()> {
        if *self.token() != Token::BlockEnd {
            return self.unexpected("end of statement block");
        }
        self.skip();
        Ok(())
    }

    /// What follows a tag's head: nodes up to one of `ends`.
    fn statements(&mut self, ends: &[&str]) -> Result<Vec<Node>> {
        self.accept(":");
        self.block_end()?;
        self.body(ends)
    }

    /// The same up to the one tag `end`, which is passed.
    fn statements_to(&mut self, end: &str) -> Result<Vec<Node>> {
        let body = self.statements(&[end])?;
        self.skip();
        Ok(body)
    }

    fn statement(&mut self, ends: &[&str], nodes: &mut Vec<Node>) -> Result<()> {
        let line = self.line();
        let Token::Name(tag) = self.token().clone() else { return self.fail("tag name expected") };
        let parse = match tag.as_str() {
            "if" => Self::if_tag,
            "for" => Self::for_tag,
            "set" => Self::set_tag,
            "with" => Self::with_tag,
            "generation" => Self::generation_tag,
            "autoescape" => Self::autoescape_tag,
            "macro" => Self::macro_tag,
            "call" => Self::call_tag,
            "filter" => Self::filter_tag,
            "block" => Self::block_tag,
            "extends" | "include" | "import" | "from" => Self::load_tag,
            "print" => return self.print_tag(nodes),
            "break" | "continue" => Self::loop_tag,
            _ => {
                let looking = if ends.is_empty() {
                    String::new()
                } else {
                    format!("; looking for {}", ends.join(" or "))
                };
                return self.fail(format!("Encountered unknown tag '{tag}'{looking}"));
            }
        };
        let kind = parse(self)?;
        nodes.push(Node { line, kind });
        Ok(())
    }

    fn if_tag(&mut self) -> Result<Statement> {
        let mut branches = Vec::new();
        loop {
            self.skip();
            let test = self.tuple(false, &[], false)?.0;
            let body = self.statements(&["elif", "else", "endif"])?;
            branches.push((test, body));
            if self.is_word("elif") {
                continue;
            }
            let otherwise = self.is_word("else");
            self.skip();
            let otherwise = if otherwise { self.statements_to("endif")? } else { Vec::new() };
            return Ok(Statement::If(branches, otherwise));
        }
    }

    fn for_tag(&mut self) -> Result<Statement> {
        self.skip();
        let start = self.at;
        let target = self.target(&["in"], false)?;
        let end = self.at;
        self.expect_word("in")?;
        let items = self.tuple(false, &["recursive"], false)?.0;
        let test = if self.accept_word("if") {
            let test = self.expression()?.0;
            // The test has variables of its own: the target is parsed once more for them.
            let after = std::mem::replace(&mut self.at, start);
            let target = self.target(&["in"], false)?;
            debug_assert_eq!(self.at, end);
            self.at = after;
            Some(LoopTest { target, scope: Scope::default(), test })
        } else {
            None
        };
        let recursive = self.accept_word("recursive").then_some(0);
        let body = self.statements(&["endfor", "else"])?;
        let otherwise = self.is_word("else");
        self.skip();
        let otherwise = if otherwise { self.statements_to("endfor")? } else { Vec::new() };
        let otherwise = (!otherwise.is_empty()).then(|| (Scope::default(), otherwise));
        let scope = Scope::default();
        let loop_slot = Slot::NOWHERE;
        self.template.loops.push(Loop { target, scope, loop_slot, body, test, otherwise, recursive });
        Ok(Statement::For(self.template.loops.len() - 1, items))
    }

    fn set_tag(&mut self) -> Result<Statement> {
        self.skip();
        let target = self.target(&[], true)?;
        if self.accept("=") {
            return Ok(Statement::Set(target, self.tuple(true, &[], false)?.0));
        }
        let filter = if self.is("|") { Some(self.filters(None)?.0) } else { None };
        let body = self.statements_to("endset")?;
        let scope = Scope::default();
        Ok(Statement::SetBlock(Box::new(SetBlock { target, filter, scope, body })))
    }

    fn with_tag(&mut self) -> Result<Statement> {
        self.skip();
        let mut values = Vec::new();
        while *self.token() != Token::BlockEnd {
            if !values.is_empty() {
                self.expect(",")?;
            }
            let target = self.target(&[], false)?;
            self.expect("=")?;
            values.push((target, self.expression()?.0));
        }
        let body = self.statements_to("endwith")?;
        Ok(Statement::With(Box::new(With { scope: Scope::default(), values, body })))
    }

    fn generation_tag(&mut self) -> Result<Statement> {
        self.skip();
        let body = self.statements_to("endgeneration")?;
        Ok(Statement::Scope(Box::default(), body))
    }

    /// Nothing is escaped, with or without it.
    fn autoescape_tag(&mut self) -> Result<Statement> {
        self.skip();
        match self.expression()?.0 {
            Expr::Bool(false) => {}
            _ => return self.fail("autoescape is not supported in a chat template"),
        }
        let body = self.statements_to("endautoescape")?;
        Ok(Statement::Scope(Box::default(), body))
    }

    fn macro_tag(&mut self) -> Result<Statement> {
        self.skip();
        let name = self.name()?;
        let (arguments, defaults) = self.signature()?;
        let body = self.statements_to("endmacro")?;
        Ok(Statement::Macro(self.add_macro(name, arguments, defaults, body)))
    }

    fn call_tag(&mut self) -> Result<Statement> {
        self.skip();
        let (arguments, defaults) = if self.is("(") { self.signature()? } else { Default::default() };
        let Expr::Call(callee, call) = self.expression()?.0 else { return self.fail("expected call") };
        let body = self.statements_to("endcall")?;
        let caller = self.add_macro("".into(), arguments, defaults, body);
        Ok(Statement::CallBlock(caller, *callee, call))
    }

    fn add_macro(
        &mut self,
        name: Box<str>,
        arguments: Vec<Name>,
        defaults: Vec<Expr>,
        body: Vec<Node>,
    ) -> usize {
        self.template.macros.push(Macro {
            name: Name { name, slot: Slot::NOWHERE },
            arguments,
            defaults,
            scope: Scope::default(),
            body,
            caller: None,
            kwargs: None,
            varargs: None,
            slots: 0,
        });
        self.template.macros.len() - 1
    }

    fn signature(&mut self) -> Result<(Vec<Name>, Vec<Expr>)> {
        let (mut arguments, mut defaults): (Vec<Name>, Vec<Expr>) = (Vec::new(), Vec::new());
        self.expect("(")?;
        while !self.is(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            let name = self.name()?;
            if arguments.iter().any(|other| other.name == name) {
                return self.fail(format!("duplicate argument '{name}'"));
            }
            if self.accept("=") {
                defaults.push(self.expression()?.0);
            } else if !defaults.is_empty() {
                return self.fail("non-default argument follows default argument");
            }
            arguments.push(Name { name, slot: Slot::NOWHERE });
        }
        self.expect(")")?;
        Ok((arguments, defaults))
    }

    fn filter_tag(&mut self) -> Result<Statement> {
        self.skip();
        let first = self.filter(None)?;
        let filter = self.filters(Some(first))?.0;
        let body = self.statements_to("endfilter")?;
        Ok(Statement::FilterBlock(Box::new(FilterBlock { scope: Scope::default(), filter, body })))
    }

    fn block_tag(&mut self) -> Result<Statement> {
        self.skip();
        let name = self.name()?;
        if self.template.blocks.iter().any(|block| block.name == name) {
            return self.fail(format!("block '{name}' defined twice"));
        }
        if self.is_any_word(&["scoped", "required"]) {
            return self.fail("scoped and required blocks are not supported in a chat template");
        }
        let body = self.statements_to("endblock")?;
        self.accept_word(&name);
        self.template.blocks.push(Block { name, scope: Scope::default(), body, slots: 0 });
        Ok(Statement::Block(self.template.blocks.len() - 1))
    }

    /// Tags that need another template; whether one may be missing.
    fn load_tag(&mut self) -> Result<Statement> {
        let include = self.is_word("include");
        self.skip();
        let template = self.expression()?.0;
        let mut optional = false;
        while *self.token() != Token::BlockEnd {
            optional |= include && self.is_word("ignore");
            match self.token() {
                Token::Name(_) => self.skip(),
                _ if self.is(",") => self.skip(),
                _ => return self.unexpected("end of statement block"),
            }
        }
        Ok(Statement::Load(template, optional))
    }

    fn print_tag(&mut self, nodes: &mut Vec<Node>) -> Result<()> {
        self.skip();
        let mut first = true;
        while *self.token() != Token::BlockEnd {
            if !first {
                self.expect(",")?;
            }
            first = false;
            let line = self.line();
            nodes.push(Node { line, kind: Statement::Print(self.expression()?.0) });
        }
        Ok(())
    }

    fn loop_tag(&mut self) -> Result<Statement> {
        let leave = self.is_word("break");
        self.skip();
        Ok(if leave { Statement::Break } else { Statement::Continue })
    }

    /// What is assigned to: names, namespaces' attributes where `attributes`, tuples of them.
    fn target(&mut self, ends: &[&str], attributes: bool) -> Result<Target> {
        let mut targets = Vec::new();
        let mut tuple = false;
        loop {
            if self.tuple_end(ends) || self.is("=") {
                break;
            }
            targets.push(self.nested(|parser| parser.target_part(attributes))?);
            if !self.accept(",") {
                break;
            }
            tuple = true;
        }
        match targets.pop() {
            None => self.unexpected("an expression"),
            Some(target) if !tuple => Ok(target),
            Some(last) => {
                targets.push(last);
                Ok(Target::Tuple(targets))
            }
        }
    }

    fn target_part(&mut self, attributes: bool) -> Result<Target> {
        if self.accept("(") {
            let target = self.target(&[], false)?;
            self.expect(")")?;
            return Ok(target);
        }
        let Token::Name(name) = self.token().clone() else { return self.unexpected("a name") };
        if matches!(name.as_str(), "true" | "false" | "none" | "True" | "False" | "None") {
            return self.fail("can't assign to 'const'");
        }
        self.skip();
        let name = Name { name: name.into(), slot: Slot::NOWHERE };
        if attributes && self.accept(".") {
            return Ok(Target::Attribute(name, self.name()?));
        }
        Ok(Target::Name(name))
    }
}

/// Expressions, from those that bind least to those that bind most.
impl Parser {
    fn tuple_end(&self, ends: &[&str]) -> bool {
        matches!(self.token(), Token::VariableEnd | Token::BlockEnd) || self.is(")") || self.is_any_word(ends)
    }

    /// An expression, or several between commas. `conditions`: whether `a if b` is one.
    fn tuple(&mut self, conditions: bool, ends: &[&str], parentheses: bool) -> Result<Deep> {
        let (mut items, mut depth, mut tuple) = (Vec::new(), 0, false);
        loop {
            if self.tuple_end(ends) {
                break;
            }
            let (item, deep) =
                if conditions { self.expression()? } else { self.nested(Self::or_expression)? };
            items.push(item);
            depth = depth.max(deep);
            if !self.accept(",") {
                break;
            }
            tuple = true;
        }
        if !tuple {
            if let Some(item) = items.pop() {
                return Ok((item, depth));
            }
            if !parentheses {
                return self.unexpected("an expression");
            }
        }
        Ok((Expr::Tuple(items), self.deeper(depth)?))
    }

    fn expression(&mut self) -> Result<Deep> {
        self.nested(Self::condition)
    }

    fn condition(&mut self) -> Result<Deep> {
        let (mut then, mut depth) = self.or_expression()?;
        while self.accept_word("if") {
            let (test, deep) = self.or_expression()?;
            depth = depth.max(deep);
            let otherwise = if self.accept_word("else") {
                let (otherwise, deep) = self.expression()?;
                depth = depth.max(deep);
                Some(otherwise)
            } else {
                None
            };
            depth = self.deeper(depth)?;
            then = Expr::Condition(Box::new((then, test, otherwise)));
        }
        Ok((then, depth))
    }

    /// `next operator next operator ...`, grouped from the left.
    fn left_to_right(
        &mut self,
        next: fn(&mut Self) -> Result<Deep>,
        operator: impl Fn(&Self) -> Option<fn(Expr, Expr) -> Expr>,
    ) -> Result<Deep> {
        let (mut left, mut depth) = next(self)?;
        while let Some(join) = operator(self) {
            self.skip();
            let (right, deep) = next(self)?;
            depth = self.deeper(depth.max(deep))?;
            left = join(left, right);
        }
        Ok((left, depth))
    }

    fn or_expression(&mut self) -> Result<Deep> {
        self.left_to_right(Self::and_expression, |parser| {
            parser.is_word("or").then_some(|a, b| Expr::Or(Box::new((a, b))))
        })
    }

    fn and_expression(&mut self) -> Result<Deep> {
        self.left_to_right(Self::not_expression, |parser| {
            parser.is_word("and").then_some(|a, b| Expr::And(Box::new((a, b))))
        })
    }

    fn not_expression(&mut self) -> Result<Deep> {
        if !self.accept_word("not") {
            return self.comparison();
        }
        let (value, depth) = self.nested(Self::not_expression)?;
        Ok((Expr::Not(Box::new(value)), self.deeper(depth)?))
    }

    fn comparison(&mut self) -> Result<Deep> {
        let (first, mut depth) = self.sum()?;
        let mut others = Vec::new();
        loop {
            let not_in = self.is_word("not") && matches!(self.ahead(), Token::Name(word) if word == "in");
            let compare = match self.token() {
                Token::Operator("==") => Compare::Equal,
                Token::Operator("!=") => Compare::NotEqual,
                Token::Operator("<") => Compare::Less,
                Token::Operator("<=") => Compare::LessOrEqual,
                Token::Operator(">") => Compare::Greater,
                Token::Operator(">=") => Compare::GreaterOrEqual,
                _ if self.is_word("in") => Compare::In,
                _ if not_in => {
                    self.skip();
                    Compare::NotIn
                }
                _ => break,
            };
            self.skip();
            let (other, deep) = self.sum()?;
            depth = depth.max(deep);
            others.push((compare, other));
        }
        if others.is_empty() {
            return Ok((first, depth));
        }
        Ok((Expr::Compare(Box::new(first), others), self.deeper(depth)?))
    }

    fn sum(&mut self) -> Result<Deep> {
        self.left_to_right(Self::concatenation, |parser| match parser.token() {
            Token::Operator("+") => Some(|a, b| Expr::Binary(Binary::Add, Box::new((a, b)))),
            Token::Operator("-") => Some(|a, b| Expr::Binary(Binary::Sub, Box::new((a, b)))),
            _ => None,
        })
    }

    fn concatenation(&mut self) -> Result<Deep> {
        let (first, mut depth) = self.product()?;
        if !self.is("~") {
            return Ok((first, depth));
        }
        let mut parts = vec![first];
        while self.accept("~") {
            let (part, deep) = self.product()?;
            depth = depth.max(deep);
            parts.push(part);
        }
        Ok((Expr::Concat(parts), self.deeper(depth)?))
    }

    fn product(&mut self) -> Result<Deep> {
        self.left_to_right(Self::power, |parser| match parser.token() {
            Token::Operator("*") => Some(|a, b| Expr::Binary(Binary::Mul, Box::new((a, b)))),
            Token::Operator("/") => Some(|a, b| Expr::Binary(Binary::Div, Box::new((a, b)))),
            Token::Operator("//") => Some(|a, b| Expr::Binary(Binary::FloorDiv, Box::new((a, b)))),
            Token::Operator("%") => Some(|a, b| Expr::Binary(Binary::Mod, Box::new((a, b)))),
            _ => None,
        })
    }

    fn power(&mut self) -> Result<Deep> {
        self.left_to_right(
            |parser| parser.unary(true),
            |parser| parser.is("**").then_some(|a, b| Expr::Binary(Binary::Pow, Box::new((a, b)))),
        )
    }

    fn unary(&mut self, filters: bool) -> Result<Deep> {
        let sign: Option<fn(Box<Expr>) -> Expr> = match self.token() {
            Token::Operator("-") => Some(Expr::Negative),
            Token::Operator("+") => Some(Expr::Positive),
            _ => None,
        };
        let value = match sign {
            Some(sign) => {
                self.skip();
                let (value, depth) = self.nested(|parser| parser.unary(false))?;
                (sign(Box::new(value)), self.deeper(depth)?)
            }
            None => self.primary()?,
        };
        let value = self.postfix(value)?;
        if filters { self.filter_expression(value) } else { Ok(value) }
    }

    fn primary(&mut self) -> Result<Deep> {
        let token = self.token().clone();
        let value = match token {
            Token::Name(name) => {
                self.skip();
                match name.as_str() {
                    "true" | "True" => Expr::Bool(true),
                    "false" | "False" => Expr::Bool(false),
                    "none" | "None" => Expr::None,
                    _ => Expr::Name(Name { name: name.into(), slot: Slot::NOWHERE }),
                }
            }
            Token::Text(mut text) => {
                self.skip();
                while let Token::Text(more) = self.token() {
                    text.push_str(more);
                    self.skip();
                }
                Expr::Text(self.text(text))
            }
            Token::Int(number) => {
                self.skip();
                Expr::Int(number)
            }
            Token::Float(number) => {
                self.skip();
                Expr::Float(number)
            }
            Token::Operator("(") => {
                self.skip();
                let inner = self.tuple(true, &[], true)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Operator("[") => {
                self.skip();
                let (items, depth) = self.items("]", Self::expression)?;
                return Ok((Expr::List(items), self.deeper(depth)?));
            }
            Token::Operator("{") => {
                self.skip();
                let pair = |parser: &mut Self| {
                    let (key, key_depth) = parser.expression()?;
                    parser.expect(":")?;
                    let (value, depth) = parser.expression()?;
                    Ok(((key, value), depth.max(key_depth)))
                };
                let (pairs, depth) = self.items("}", pair)?;
                return Ok((Expr::Dict(pairs), self.deeper(depth)?));
            }
            token => return self.fail(format!("unexpected {}", describe(&token))),
        };
        Ok((value, 1))
    }

    /// Items between commas up to `end`, the last of which may be followed by one.
    fn items<T>(
        &mut self,
        end: &str,
        mut item: impl FnMut(&mut Self) -> Result<(T, usize)>,
    ) -> Result<(Vec<T>, usize)> {
        let (mut items, mut depth) = (Vec::new(), 0);
        while !self.is(end) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.is(end) {
                    break;
                }
            }
            let (next, deep) = item(self)?;
            items.push(next);
            depth = depth.max(deep);
        }
        self.expect(end)?;
        Ok((items, depth))
    }

    /// Attributes, subscripts and calls.
    fn postfix(&mut self, (mut value, mut depth): Deep) -> Result<Deep> {
        loop {
            (value, depth) = if self.accept(".") {
                self.attribute(value, depth)?
            } else if self.accept("[") {
                self.subscript(value, depth)?
            } else if self.is("(") {
                self.call(value, depth)?
            } else {
                return Ok((value, depth));
            };
        }
    }

    fn filter_expression(&mut self, (mut value, mut depth): Deep) -> Result<Deep> {
        loop {
            (value, depth) = if self.is("|") {
                self.filters(Some((value, depth)))?
            } else if self.is_word("is") {
                self.test(value, depth)?
            } else if self.is("(") {
                self.call(value, depth)?
            } else {
                return Ok((value, depth));
            };
        }
    }

    fn attribute(&mut self, value: Expr, depth: usize) -> Result<Deep> {
        let depth = self.deeper(depth)?;
        match self.token().clone() {
            Token::Name(name) => {
                self.skip();
                Ok((Expr::Attribute(Box::new(value), name.into()), depth))
            }
            Token::Int(index) => {
                self.skip();
                Ok((Expr::Item(Box::new(value), Box::new(Expr::Int(index))), depth))
            }
            _ => self.fail("expected name or number"),
        }
    }

    fn subscript(&mut self, value: Expr, depth: usize) -> Result<Deep> {
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        let (mut part, mut deepest, mut slice) = (0, depth, false);
        let mut items = Vec::new();
        while !self.is("]") {
            if self.accept(":") {
                slice = true;
                part += 1;
                if part > 2 {
                    return self.unexpected("']'");
                }
            } else if self.is(",") && !slice && part == 0 {
                let Some(item) = parts[0].take() else { return self.fail("unexpected ','") };
                items.push(item);
                self.skip();
            } else {
                if parts[part].is_some() {
                    return self.unexpected("']'");
                }
                let (value, deep) = self.expression()?;
                parts[part] = Some(value);
                deepest = deepest.max(deep);
            }
        }
        self.skip();
        let depth = self.deeper(deepest)?;
        let value = Box::new(value);
        if slice && items.is_empty() {
            return Ok((Expr::Slice(value, Box::new(parts)), depth));
        }
        let [item, ..] = parts;
        match (item, items.is_empty()) {
            (Some(item), true) if !slice => Ok((Expr::Item(value, Box::new(item)), depth)),
            (Some(item), false) if !slice => {
                items.push(item);
                Ok((Expr::Item(value, Box::new(Expr::Tuple(items))), depth))
            }
            (None, true) => Ok((Expr::Item(value, Box::new(Expr::Tuple(items))), depth)),
            _ => self.fail("invalid subscript"),
        }
    }

    fn call(&mut self, callee: Expr, depth: usize) -> Result<Deep> {
        let (arguments, deep) = self.arguments()?;
        let depth = self.deeper(depth.max(deep))?;
        Ok((Expr::Call(Box::new(callee), Box::new(arguments)), depth))
    }

    fn arguments(&mut self) -> Result<(Arguments, usize)> {
        let mut arguments = Arguments { line: self.line(), ..Arguments::default() };
        let mut depth = 0;
        self.expect("(")?;
        let mut first = true;
        while !self.is(")") {
            if !first {
                self.expect(",")?;
                if self.is(")") {
                    break;
                }
            }
            first = false;
            depth = depth.max(self.argument(&mut arguments)?);
        }
        self.expect(")")?;
        Ok((arguments, depth))
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<usize> {
        const INVALID: &str = "invalid syntax for function call expression";
        let (more, more_named) = (arguments.more.is_some(), arguments.more_named.is_some());
        if self.accept("*") {
            let (value, depth) = self.expression()?;
            if more || more_named {
                return self.fail(INVALID);
            }
            arguments.more = Some(value);
            return Ok(depth);
        }
        if self.accept("**") {
            let (value, depth) = self.expression()?;
            if more_named {
                return self.fail(INVALID);
            }
            arguments.more_named = Some(value);
            return Ok(depth);
        }
        if matches!((self.token(), self.ahead()), (Token::Name(_), Token::Operator("="))) {
            let name = self.name()?;
            self.skip();
            let (value, depth) = self.expression()?;
            if more_named {
                return self.fail(INVALID);
            }
            if arguments.named.iter().any(|(other, _)| *other == name) {
                return self.fail(format!("keyword argument repeated: {name}"));
            }
            arguments.named.push((name, value));
            return Ok(depth);
        }
        let (value, depth) = self.expression()?;
        if more || more_named || !arguments.named.is_empty() {
            return self.fail(INVALID);
        }
        arguments.positional.push(value);
        Ok(depth)
    }

    /// One filter after another, the first of which gets `input`.
    fn filters(&mut self, input: Option<Deep>) -> Result<Deep> {
        let mut value = input;
        while self.accept("|") {
            value = Some(self.filter(value)?);
        }
        value.map_or_else(|| self.unexpected("a filter"), Ok)
    }

    fn filter(&mut self, input: Option<Deep>) -> Result<Deep> {
        let line = self.line();
        let name = self.dotted_name()?;
        let (arguments, deep) =
            if self.is("(") { self.arguments()? } else { (Arguments { line, ..Arguments::default() }, 0) };
        let depth = self.deeper(input.as_ref().map_or(0, |(_, depth)| *depth).max(deep))?;
        let input = input.map(|(value, _)| value);
        Ok((Expr::Filter(Box::new(Filter { input, name, arguments })), depth))
    }

    fn dotted_name(&mut self) -> Result<Box<str>> {
        let mut name = self.name()?.into_string();
        while self.accept(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name.into())
    }

    fn test(&mut self, value: Expr, depth: usize) -> Result<Deep> {
        let line = self.line();
        self.skip();
        let negated = self.accept_word("not");
        let name = self.dotted_name()?;
        let mut arguments = Arguments { line, ..Arguments::default() };
        let mut deepest = depth;
        let operand = match self.token() {
            Token::Name(word) => !matches!(word.as_str(), "else" | "or" | "and"),
            Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            _ => self.is("[") || self.is("{"),
        };
        if self.is("(") {
            let (found, deep) = self.arguments()?;
            (arguments, deepest) = (found, depth.max(deep));
        } else if operand {
            if self.is_word("is") {
                return self.fail("You cannot chain multiple tests with is");
            }
            let operand = self.primary()?;
            let (operand, deep) = self.postfix(operand)?;
            deepest = depth.max(deep);
            arguments.positional.push(operand);
        }
        let depth = self.deeper(deepest)?;
        let test = Expr::Test(Box::new(Filter { input: Some(value), name, arguments }));
        if negated { Ok((Expr::Not(Box::new(test)), self.deeper(depth)?)) } else { Ok((test, depth)) }
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Data(_) => "template data / text".to_owned(),
        Token::VariableBegin => "begin of print statement".to_owned(),
        Token::VariableEnd => "end of print statement".to_owned(),
        Token::BlockBegin => "begin of statement block".to_owned(),
        Token::BlockEnd => "end of statement block".to_owned(),
        Token::Name(name) => format!("'{}'", name.chars().take(60).collect::<String>()),
        Token::Text(_) => "string".to_owned(),
        Token::Int(_) => "integer".to_owned(),
        Token::Float(_) => "float".to_owned(),
        Token::Operator(operator) => format!("'{operator}'"),
        Token::End => "end of template".to_owned(),
    }
}
