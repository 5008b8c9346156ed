//! Which variable a name is: Jinja2 decides it before a template runs.
//!
//! A loop, macro, `with` or block has a scope of its own. A name that a scope sets is a variable of
//! that scope from its beginning, where it holds what the same name outside holds (or nothing); a name
//! that it only reads is the nearest scope's outside, or a variable of the rendering. The rules are
//! those of Jinja2's `idtracking` module.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hotset_base::limits::MAX_TEMPLATE_BRANCHES;

use crate::jinja::filters;
use crate::jinja::syntax::{
    Arguments, Block, Expr, Filter, Load, Loop, Macro, Name, Node, Scope, Slot, Statement, SyntaxError,
    Target, Template,
};
use crate::jinja::tests;
use crate::jinja::walk::first_use_is_load;

type Result<T> = std::result::Result<T, SyntaxError>;

/// Resolves every name of `template`.
pub(crate) fn resolve(template: &mut Template) -> Result<()> {
    let mut resolver = Resolver {
        loops: std::mem::take(&mut template.loops).into_iter().map(Some).collect(),
        macros: std::mem::take(&mut template.macros).into_iter().map(Some).collect(),
        symbols: Vec::new(),
        functions: vec![Function { depth: 0, slots: 0 }],
        idents: HashMap::new(),
        scopes: 0,
        copied: 0,
        line: 1,
    };
    let root = resolver.scope(None, 0);
    resolver.visit_nodes(root, &template.body);
    let frame = Frame { symbols: root, function: 0, soft: false, in_loop: false, in_for: false };
    template.scope = resolver.entry(frame);
    resolver.nodes(&mut template.body, frame)?;
    template.exports = resolver.exports(root);
    template.slots = resolver.functions[0].slots as usize;
    for block in &mut template.blocks {
        resolver.block(block)?;
    }
    template.loops = resolver.loops.into_iter().flatten().collect();
    template.macros = resolver.macros.into_iter().flatten().collect();
    Ok(())
}

/// A variable: a place in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ident {
    function: usize,
    index: u32,
}

#[derive(Debug, Clone)]
enum Begin {
    Parameter,
    Resolve(Box<str>),
    Alias(Ident),
    Undefined,
}

/// What is known of the names of a scope, or of one branch of an `if` in it.
#[derive(Debug, Clone)]
struct Symbols {
    parent: Option<usize>,
    scope: usize,
    function: usize,
    refs: HashMap<Box<str>, Ident>,
    loads: BTreeMap<Ident, Begin>,
    stores: BTreeSet<Box<str>>,
}

struct Function {
    depth: u32,
    slots: u32,
}

/// Where a node stands. `soft`: inside an `if`, where unknown filters are an error only once they
/// are used.
#[derive(Clone, Copy)]
struct Frame {
    symbols: usize,
    function: usize,
    soft: bool,
    in_loop: bool,
    in_for: bool,
}

struct Resolver {
    loops: Vec<Option<Loop>>,
    macros: Vec<Option<Macro>>,
    symbols: Vec<Symbols>,
    functions: Vec<Function>,
    idents: HashMap<(usize, Box<str>), Ident>,
    scopes: usize,
    /// Names copied into branches.
    copied: usize,
    line: usize,
}

/// Names of a scope, found before its nodes are resolved.
impl Resolver {
    fn scope(&mut self, parent: Option<usize>, function: usize) -> usize {
        self.scopes += 1;
        self.symbols.push(Symbols {
            parent,
            scope: self.scopes,
            function,
            refs: HashMap::new(),
            loads: BTreeMap::new(),
            stores: BTreeSet::new(),
        });
        self.symbols.len() - 1
    }

    fn function(&mut self, parent: usize) -> usize {
        self.functions.push(Function { depth: self.functions[parent].depth + 1, slots: 0 });
        self.functions.len() - 1
    }

    fn define(&mut self, at: usize, name: &str, begin: Begin) -> Ident {
        let (scope, function) = (self.symbols[at].scope, self.symbols[at].function);
        let slots = &mut self.functions[function].slots;
        let ident = *self.idents.entry((scope, name.into())).or_insert_with(|| {
            *slots += 1;
            Ident { function, index: *slots - 1 }
        });
        self.symbols[at].refs.insert(name.into(), ident);
        self.symbols[at].loads.insert(ident, begin);
        ident
    }

    fn find(&self, at: usize, name: &str) -> Option<Ident> {
        let symbols = &self.symbols[at];
        symbols.refs.get(name).copied().or_else(|| self.find(symbols.parent?, name))
    }

    fn find_outside(&self, at: usize, name: &str) -> Option<Ident> {
        self.find(self.symbols[at].parent?, name)
    }

    fn store(&mut self, at: usize, name: &str) {
        self.symbols[at].stores.insert(name.into());
        if !self.symbols[at].refs.contains_key(name) {
            let begin = self.find_outside(at, name).map_or(Begin::Undefined, Begin::Alias);
            self.define(at, name, begin);
        }
    }

    fn parameter(&mut self, at: usize, name: &str) -> Ident {
        self.symbols[at].stores.insert(name.into());
        self.define(at, name, Begin::Parameter)
    }

    fn load(&mut self, at: usize, name: &str) {
        if self.find(at, name).is_none() {
            self.define(at, name, Begin::Resolve(name.into()));
        }
    }

    fn branch(&mut self, at: usize, visit: impl FnOnce(&mut Self, usize)) -> usize {
        self.copied += 1 + self.symbols[at].refs.len();
        if self.copied > MAX_TEMPLATE_BRANCHES {
            return at;
        }
        let copy = self.symbols[at].clone();
        self.symbols.push(copy);
        let branch = self.symbols.len() - 1;
        visit(self, branch);
        branch
    }

    fn merge(&mut self, at: usize, branches: &[usize]) {
        let mut stores = BTreeSet::new();
        for branch in branches {
            stores.extend(self.symbols[*branch].stores.iter().cloned());
        }
        let stores: Vec<_> = stores.difference(&self.symbols[at].stores).cloned().collect();
        for branch in branches.iter().filter(|branch| **branch != at) {
            let Symbols { refs, loads, stores, .. } = self.symbols[*branch].clone();
            self.symbols[at].refs.extend(refs);
            self.symbols[at].loads.extend(loads);
            self.symbols[at].stores.extend(stores);
        }
        for name in stores {
            let Some(ident) = self.find(at, &name) else { continue };
            let begin = self.find_outside(at, &name).map_or(Begin::Resolve(name), Begin::Alias);
            self.symbols[at].loads.insert(ident, begin);
        }
    }

    fn visit_nodes(&mut self, at: usize, nodes: &[Node]) {
        for node in nodes {
            self.visit_node(at, node);
        }
    }

    fn visit_node(&mut self, at: usize, node: &Node) {
        match &node.kind {
            Statement::Print(value) | Statement::For(_, value) | Statement::Load(value, _) => {
                self.visit(at, value);
            }
            Statement::If(branches, otherwise) => self.visit_if(at, branches, otherwise),
            Statement::Set(target, value) => {
                self.visit(at, value);
                self.visit_target(at, target, false);
            }
            Statement::SetBlock(set) => self.visit_target(at, &set.target, false),
            Statement::With(with) => with.values.iter().for_each(|(_, value)| self.visit(at, value)),
            Statement::FilterBlock(block) => self.visit(at, &block.filter),
            Statement::Macro(index) => {
                let name = self.macros[*index].as_ref().map(|definition| definition.name.name.clone());
                self.store(at, &name.unwrap_or_default());
            }
            Statement::CallBlock(_, callee, arguments) => {
                self.visit(at, callee);
                self.visit_arguments(at, arguments);
            }
            Statement::Data(_)
            | Statement::Scope(..)
            | Statement::Block(_)
            | Statement::Break
            | Statement::Continue => {}
        }
    }

    fn visit_if(&mut self, at: usize, branches: &[(Expr, Vec<Node>)], otherwise: &[Node]) {
        let Some(((test, body), others)) = branches.split_first() else { return };
        if self.copied > MAX_TEMPLATE_BRANCHES {
            return; // refused once the names are looked at
        }
        self.visit(at, test);
        let body = self.branch(at, |resolver, at| resolver.visit_nodes(at, body));
        let elifs = self.branch(at, |resolver, at| {
            for other in others {
                resolver.visit_if(at, std::slice::from_ref(other), &[]);
            }
        });
        let otherwise = self.branch(at, |resolver, at| resolver.visit_nodes(at, otherwise));
        self.merge(at, &[body, elifs, otherwise]);
    }

    fn visit_target(&mut self, at: usize, target: &Target, parameter: bool) {
        match target {
            Target::Name(name) if parameter => {
                self.parameter(at, &name.name);
            }
            Target::Name(name) => self.store(at, &name.name),
            Target::Attribute(name, _) => self.load(at, &name.name),
            Target::Tuple(targets) => {
                targets.iter().for_each(|target| self.visit_target(at, target, parameter));
            }
        }
    }

    fn visit_arguments(&mut self, at: usize, arguments: &Arguments) {
        let named = arguments.named.iter().map(|(_, value)| value);
        let more = arguments.more.iter().chain(&arguments.more_named);
        arguments.positional.iter().chain(named).chain(more).for_each(|value| self.visit(at, value));
    }

    fn visit(&mut self, at: usize, value: &Expr) {
        match value {
            Expr::Name(name) => self.load(at, &name.name),
            Expr::Call(callee, arguments) => {
                self.visit(at, callee);
                self.visit_arguments(at, arguments);
            }
            Expr::Filter(filter) | Expr::Test(filter) => {
                filter.input.iter().for_each(|input| self.visit(at, input));
                self.visit_arguments(at, &filter.arguments);
            }
            _ => value.for_each_part(&mut |part| self.visit(at, part)),
        }
    }
}

/// Nodes with the variables of their names filled in.
impl Resolver {
    fn fail<T>(&self, detail: impl Into<String>) -> Result<T> {
        Err(SyntaxError { line: self.line, detail: detail.into() })
    }

    fn slot(&self, frame: Frame, ident: Ident) -> Slot {
        let hops = self.functions[frame.function].depth - self.functions[ident.function].depth;
        Slot { hops, index: ident.index }
    }

    fn name(&self, name: &mut Name, frame: Frame) {
        if let Some(ident) = self.find(frame.symbols, &name.name) {
            name.slot = self.slot(frame, ident);
        }
    }

    /// How the variables of the scope of `frame` begin.
    fn entry(&self, frame: Frame) -> Scope {
        let mut scope = Scope::default();
        for (ident, begin) in &self.symbols[frame.symbols].loads {
            let load = match begin {
                Begin::Parameter => continue,
                Begin::Undefined => Load::Undefined,
                Begin::Alias(outside) => Load::Alias(self.slot(frame, *outside)),
                Begin::Resolve(name) => {
                    scope.names.push(name.clone());
                    Load::Resolve(scope.names.len() - 1)
                }
            };
            scope.loads.push((self.slot(frame, *ident), load));
        }
        scope
    }

    fn exports(&self, root: usize) -> Vec<(Box<str>, u32)> {
        let symbols = &self.symbols[root];
        let stored = symbols.stores.iter().filter(|name| !name.starts_with('_'));
        stored.filter_map(|name| Some((name.clone(), symbols.refs.get(name)?.index))).collect()
    }

    fn inner(&mut self, frame: Frame) -> Frame {
        Frame { symbols: self.scope(Some(frame.symbols), frame.function), soft: false, ..frame }
    }

    fn inner_function(&mut self, frame: Frame) -> Frame {
        let function = self.function(frame.function);
        let symbols = self.scope(Some(frame.symbols), function);
        Frame { symbols, function, soft: false, in_loop: false, in_for: frame.in_for }
    }

    fn nodes(&mut self, nodes: &mut [Node], frame: Frame) -> Result<()> {
        nodes.iter_mut().try_for_each(|node| {
            self.line = node.line;
            self.node(&mut node.kind, frame)
        })
    }

    fn node(&mut self, node: &mut Statement, frame: Frame) -> Result<()> {
        match node {
            Statement::Data(_) | Statement::Block(_) => Ok(()),
            Statement::Print(value) | Statement::Load(value, _) => self.expr(value, frame),
            Statement::If(..) if self.copied > MAX_TEMPLATE_BRANCHES => {
                self.fail("has too many names and branches")
            }
            Statement::If(branches, otherwise) => {
                let frame = Frame { soft: true, ..frame };
                for (test, body) in branches {
                    self.expr(test, frame)?;
                    self.nodes(body, frame)?;
                }
                self.nodes(otherwise, frame)
            }
            Statement::For(index, items) => {
                self.expr(items, frame)?;
                let Some(mut node) = self.loops[*index].take() else { return Ok(()) };
                self.for_loop(&mut node, frame)?;
                self.loops[*index] = Some(node);
                Ok(())
            }
            Statement::Set(target, value) => {
                self.expr(value, frame)?;
                self.target(target, frame)
            }
            Statement::SetBlock(set) => {
                let inner = self.inner(frame);
                self.visit_nodes(inner.symbols, &set.body);
                set.filter.iter().for_each(|filter| self.visit(inner.symbols, filter));
                set.scope = self.entry(inner);
                self.nodes(&mut set.body, inner)?;
                set.filter.iter_mut().try_for_each(|filter| self.expr(filter, inner))?;
                self.target(&mut set.target, frame)
            }
            Statement::With(with) => {
                let inner = self.inner(frame);
                for (target, _) in &with.values {
                    self.visit_target(inner.symbols, target, true);
                }
                self.visit_nodes(inner.symbols, &with.body);
                with.scope = self.entry(inner);
                for (target, value) in &mut with.values {
                    self.expr(value, frame)?;
                    self.target(target, inner)?;
                }
                self.nodes(&mut with.body, inner)
            }
            Statement::Scope(scope, body) => {
                let inner = self.inner(frame);
                self.visit_nodes(inner.symbols, body);
                **scope = self.entry(inner);
                self.nodes(body, inner)
            }
            Statement::FilterBlock(block) => {
                let inner = self.inner(frame);
                self.visit_nodes(inner.symbols, &block.body);
                self.visit(inner.symbols, &block.filter);
                block.scope = self.entry(inner);
                self.nodes(&mut block.body, inner)?;
                self.expr(&mut block.filter, inner)
            }
            Statement::Macro(index) => {
                let index = *index;
                let Some(mut definition) = self.macros[index].take() else { return Ok(()) };
                self.macro_body(&mut definition, frame)?;
                self.name(&mut definition.name, frame);
                self.macros[index] = Some(definition);
                Ok(())
            }
            Statement::CallBlock(index, callee, arguments) => {
                let Some(mut body) = self.macros[*index].take() else { return Ok(()) };
                self.macro_body(&mut body, frame)?;
                self.macros[*index] = Some(body);
                self.expr(callee, frame)?;
                self.arguments(arguments, frame)
            }
            Statement::Break | Statement::Continue if frame.in_loop => Ok(()),
            Statement::Break => self.fail("'break' outside loop"),
            Statement::Continue => self.fail("'continue' not properly in loop"),
        }
    }

    fn for_loop(&mut self, node: &mut Loop, frame: Frame) -> Result<()> {
        let outer = frame;
        let frame = match node.recursive {
            Some(_) => {
                let function = self.function(frame.function);
                Frame { function, in_loop: false, ..frame }
            }
            None => frame,
        };
        let inside = |resolver: &mut Self| {
            let symbols = resolver.scope(Some(outer.symbols), frame.function);
            Frame { symbols, soft: false, in_for: true, ..frame }
        };
        let body = Frame { in_loop: true, ..inside(self) };
        let loop_ident = self.parameter(body.symbols, "loop");
        self.visit_target(body.symbols, &node.target, true);
        self.visit_nodes(body.symbols, &node.body);
        node.loop_slot = self.slot(body, loop_ident);
        node.scope = self.entry(body);
        if let Some(test) = &mut node.test {
            let inner = inside(self);
            self.visit_target(inner.symbols, &test.target, true);
            self.visit(inner.symbols, &test.test);
            test.scope = self.entry(inner);
            self.target(&mut test.target, Frame { in_for: false, ..inner })?;
            self.expr(&mut test.test, inner)?;
        }
        if let Some((scope, otherwise)) = &mut node.otherwise {
            let inner = inside(self);
            self.visit_nodes(inner.symbols, otherwise);
            *scope = self.entry(inner);
            self.nodes(otherwise, inner)?;
        }
        self.target(&mut node.target, body)?;
        self.nodes(&mut node.body, body)?;
        if node.recursive.is_some() {
            node.recursive = Some(self.functions[frame.function].slots as usize);
        }
        Ok(())
    }

    fn macro_body(&mut self, node: &mut Macro, frame: Frame) -> Result<()> {
        let inner = self.inner_function(frame);
        let analyze = |resolver: &mut Self, node: &Macro| {
            for argument in &node.arguments {
                resolver.parameter(inner.symbols, &argument.name);
            }
            node.defaults.iter().for_each(|value| resolver.visit(inner.symbols, value));
            resolver.visit_nodes(inner.symbols, &node.body);
        };
        analyze(self, node);
        let special = |resolver: &mut Self, name: &str| {
            let argument = node.arguments.iter().position(|argument| &*argument.name == name);
            let used = first_use_is_load(&node.body, name, &resolver.loops, &resolver.macros);
            match argument {
                Some(at) if used && name == "caller" && at + node.defaults.len() < node.arguments.len() => {
                    resolver.fail("the argument caller of a macro must have a default")
                }
                None if used => {
                    let ident = resolver.parameter(inner.symbols, name);
                    Ok(Some(resolver.slot(inner, ident)))
                }
                _ => Ok(None),
            }
        };
        let (caller, kwargs, varargs) =
            (special(self, "caller")?, special(self, "kwargs")?, special(self, "varargs")?);
        (node.caller, node.kwargs, node.varargs) = (caller, kwargs, varargs);
        analyze(self, node);
        node.scope = self.entry(inner);
        for argument in &mut node.arguments {
            self.name(argument, inner);
        }
        node.defaults.iter_mut().try_for_each(|value| self.expr(value, inner))?;
        self.nodes(&mut node.body, inner)?;
        node.slots = self.functions[inner.function].slots as usize;
        Ok(())
    }

    fn block(&mut self, block: &mut Block) -> Result<()> {
        self.functions.push(Function { depth: 0, slots: 0 });
        let function = self.functions.len() - 1;
        let symbols = self.scope(None, function);
        self.visit_nodes(symbols, &block.body);
        let frame = Frame { symbols, function, soft: false, in_loop: false, in_for: false };
        block.scope = self.entry(frame);
        self.nodes(&mut block.body, frame)?;
        block.slots = self.functions[function].slots as usize;
        Ok(())
    }

    fn target(&mut self, target: &mut Target, frame: Frame) -> Result<()> {
        match target {
            Target::Name(name) => {
                if frame.in_for && &*name.name == "loop" {
                    return self.fail("Can't assign to special loop variable in for-loop target");
                }
                self.name(name, frame);
            }
            Target::Attribute(name, _) => self.name(name, frame),
            Target::Tuple(targets) => targets.iter_mut().try_for_each(|target| self.target(target, frame))?,
        }
        Ok(())
    }

    fn arguments(&mut self, arguments: &mut Arguments, frame: Frame) -> Result<()> {
        let named = arguments.named.iter_mut().map(|(_, value)| value);
        let more = arguments.more.iter_mut().chain(&mut arguments.more_named);
        let mut all = arguments.positional.iter_mut().chain(named).chain(more);
        all.try_for_each(|value| self.expr(value, frame))
    }

    fn expr(&mut self, value: &mut Expr, frame: Frame) -> Result<()> {
        match value {
            Expr::Name(name) => self.name(name, frame),
            Expr::Call(callee, arguments) => {
                self.expr(callee, frame)?;
                self.arguments(arguments, frame)?;
            }
            Expr::Filter(filter) => {
                if !filters::exists(&filter.name) && !frame.soft {
                    return self.unknown("filter", filter);
                }
                self.filter(filter, frame)?;
            }
            Expr::Test(test) => {
                if !tests::exists(&test.name) && !frame.soft {
                    return self.unknown("test", test);
                }
                self.filter(test, frame)?;
            }
            Expr::Condition(_) => {
                let frame = Frame { soft: true, ..frame };
                value.try_for_each_part_mut(&mut |part| self.expr(part, frame))?;
            }
            _ => value.try_for_each_part_mut(&mut |part| self.expr(part, frame))?,
        }
        Ok(())
    }

    fn unknown<T>(&self, what: &str, filter: &Filter) -> Result<T> {
        let name = filter.name.chars().take(60).collect::<String>();
        Err(SyntaxError { line: filter.arguments.line, detail: format!("No {what} named '{name}'.") })
    }

    fn filter(&mut self, filter: &mut Filter, frame: Frame) -> Result<()> {
        filter.input.iter_mut().try_for_each(|input| self.expr(input, frame))?;
        self.arguments(&mut filter.arguments, frame)
    }
}
