//! Walks over the parts of a tree.

use crate::jinja::syntax::{Arguments, Expr, Loop, Macro, Node, Statement, SyntaxError, Target};

impl Expr {
    /// Visits its parts that are expressions, but for those of calls, filters and tests.
    pub(crate) fn for_each_part<'e>(&'e self, visit: &mut impl FnMut(&'e Self)) {
        match self {
            Self::Tuple(items) | Self::List(items) | Self::Concat(items) => items.iter().for_each(visit),
            Self::Dict(pairs) => pairs.iter().for_each(|(key, value)| {
                visit(key);
                visit(value);
            }),
            Self::Attribute(value, _) | Self::Negative(value) | Self::Positive(value) | Self::Not(value) => {
                visit(value);
            }
            Self::Item(value, item) => {
                visit(value);
                visit(item);
            }
            Self::Slice(value, parts) => {
                visit(value);
                parts.iter().flatten().for_each(visit);
            }
            Self::And(sides) | Self::Or(sides) | Self::Binary(_, sides) => {
                visit(&sides.0);
                visit(&sides.1);
            }
            Self::Compare(first, others) => {
                visit(first);
                others.iter().for_each(|(_, other)| visit(other));
            }
            Self::Condition(parts) => {
                visit(&parts.1);
                visit(&parts.0);
                parts.2.iter().for_each(visit);
            }
            _ => {}
        }
    }

    /// The same, to change them.
    pub(crate) fn try_for_each_part_mut(
        &mut self,
        visit: &mut impl FnMut(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        match self {
            Self::Tuple(items) | Self::List(items) | Self::Concat(items) => {
                items.iter_mut().try_for_each(visit)
            }
            Self::Dict(pairs) => pairs.iter_mut().try_for_each(|(key, value)| {
                visit(key)?;
                visit(value)
            }),
            Self::Attribute(value, _) | Self::Negative(value) | Self::Positive(value) | Self::Not(value) => {
                visit(value)
            }
            Self::Item(value, item) => {
                visit(value)?;
                visit(item)
            }
            Self::Slice(value, parts) => {
                visit(value)?;
                parts.iter_mut().flatten().try_for_each(visit)
            }
            Self::And(sides) | Self::Or(sides) | Self::Binary(_, sides) => {
                visit(&mut sides.0)?;
                visit(&mut sides.1)
            }
            Self::Compare(first, others) => {
                visit(first)?;
                others.iter_mut().try_for_each(|(_, other)| visit(other))
            }
            Self::Condition(parts) => {
                visit(&mut parts.1)?;
                visit(&mut parts.0)?;
                parts.2.iter_mut().try_for_each(visit)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the first thing that `nodes` do with `name`, in the order of the source and in nested
/// scopes too, is to read it: how Jinja2 finds that a macro uses `caller`, `kwargs` or `varargs`.
pub(crate) fn first_use_is_load(
    nodes: &[Node],
    name: &str,
    loops: &[Option<Loop>],
    macros: &[Option<Macro>],
) -> bool {
    let mut search = Search { name, loops, macros, found: None };
    search.nodes(nodes);
    search.found == Some(true)
}

struct Search<'s> {
    name: &'s str,
    loops: &'s [Option<Loop>],
    macros: &'s [Option<Macro>],
    /// Whether the first use reads.
    found: Option<bool>,
}

impl Search<'_> {
    fn nodes(&mut self, nodes: &[Node]) {
        nodes.iter().for_each(|node| self.node(&node.kind));
    }

    fn node(&mut self, node: &Statement) {
        match node {
            Statement::Print(value) | Statement::Load(value, _) => self.expr(value),
            Statement::If(branches, otherwise) => {
                for (test, body) in branches {
                    self.expr(test);
                    self.nodes(body);
                }
                self.nodes(otherwise);
            }
            Statement::For(index, items) => {
                let Some(node) = &self.loops[*index] else { return };
                self.target(&node.target);
                self.expr(items);
                self.nodes(&node.body);
                node.otherwise.iter().for_each(|(_, body)| self.nodes(body));
                node.test.iter().for_each(|test| self.expr(&test.test));
            }
            Statement::Set(target, value) => {
                self.target(target);
                self.expr(value);
            }
            Statement::SetBlock(set) => {
                self.target(&set.target);
                set.filter.iter().for_each(|filter| self.expr(filter));
                self.nodes(&set.body);
            }
            Statement::With(with) => {
                with.values.iter().for_each(|(target, _)| self.target(target));
                with.values.iter().for_each(|(_, value)| self.expr(value));
                self.nodes(&with.body);
            }
            Statement::Scope(_, body) => self.nodes(body),
            Statement::FilterBlock(block) => {
                self.nodes(&block.body);
                self.expr(&block.filter);
            }
            Statement::Macro(index) => self.macro_body(*index),
            Statement::CallBlock(index, callee, arguments) => {
                self.expr(callee);
                self.arguments(arguments);
                self.macro_body(*index);
            }
            Statement::Data(_) | Statement::Block(_) | Statement::Break | Statement::Continue => {}
        }
    }

    fn macro_body(&mut self, index: usize) {
        let Some(node) = &self.macros[index] else { return };
        node.arguments.iter().for_each(|argument| self.found(&argument.name, false));
        node.defaults.iter().for_each(|value| self.expr(value));
        self.nodes(&node.body);
    }

    fn found(&mut self, name: &str, load: bool) {
        if self.found.is_none() && name == self.name {
            self.found = Some(load);
        }
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.found(&name.name, false),
            Target::Attribute(..) => {}
            Target::Tuple(targets) => targets.iter().for_each(|target| self.target(target)),
        }
    }

    fn arguments(&mut self, arguments: &Arguments) {
        let named = arguments.named.iter().map(|(_, value)| value);
        let more = arguments.more.iter().chain(&arguments.more_named);
        arguments.positional.iter().chain(named).chain(more).for_each(|value| self.expr(value));
    }

    fn expr(&mut self, value: &Expr) {
        match value {
            Expr::Name(name) => self.found(&name.name, true),
            Expr::Call(callee, arguments) => {
                self.expr(callee);
                self.arguments(arguments);
            }
            Expr::Filter(filter) | Expr::Test(filter) => {
                filter.input.iter().for_each(|input| self.expr(input));
                self.arguments(&filter.arguments);
            }
            _ => value.for_each_part(&mut |part| self.expr(part)),
        }
    }
}
