//! The tree of a template.

/// Where a variable lives: in the function that is running, or `hops` functions out; `index` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) hops: u32,
    pub(crate) index: u32,
}

impl Slot {
    /// Before names are resolved.
    pub(crate) const NOWHERE: Self = Self { hops: 0, index: 0 };
}

#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) name: Box<str>,
    pub(crate) slot: Slot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Debug)]
pub(crate) enum Expr {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string of [`Template::texts`].
    Text(usize),
    Name(Name),
    Tuple(Vec<Expr>),
    List(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, Box<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Box<Arguments>),
    Filter(Box<Filter>),
    Test(Box<Filter>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Not(Box<Expr>),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Binary(Binary, Box<(Expr, Expr)>),
    Concat(Vec<Expr>),
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    /// `then if test else otherwise`
    Condition(Box<(Expr, Expr, Option<Expr>)>),
}

/// `(positional, name=value, *more, **more)`
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) line: usize,
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Box<str>, Expr)>,
    pub(crate) more: Option<Expr>,
    pub(crate) more_named: Option<Expr>,
}

/// `input | name(arguments)` and `input is name(arguments)`. No input: what a block captured.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) input: Option<Expr>,
    pub(crate) name: Box<str>,
    pub(crate) arguments: Arguments,
}

/// What is assigned to.
#[derive(Debug)]
pub(crate) enum Target {
    Name(Name),
    /// `namespace.attribute`
    Attribute(Name, Box<str>),
    Tuple(Vec<Target>),
}

/// How a variable begins when its scope is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Looked up among the rendering's variables by its name, [`Scope::names`].
    Resolve(usize),
    /// What another variable holds.
    Alias(Slot),
    Undefined,
}

/// The variables of a scope, and how each begins.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) loads: Vec<(Slot, Load)>,
    pub(crate) names: Vec<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: Statement,
}

#[derive(Debug)]
pub(crate) enum Statement {
    /// Text of [`Template::texts`].
    Data(usize),
    Print(Expr),
    /// Tests with their bodies, then the body of `else`.
    If(Vec<(Expr, Vec<Node>)>, Vec<Node>),
    /// A loop of [`Template::loops`], over the expression.
    For(usize, Expr),
    Set(Target, Expr),
    SetBlock(Box<SetBlock>),
    With(Box<With>),
    /// `{% generation %}`, `{% autoescape %}`.
    Scope(Box<Scope>, Vec<Node>),
    FilterBlock(Box<FilterBlock>),
    /// Defines a macro of [`Template::macros`].
    Macro(usize),
    /// Calls with a macro of [`Template::macros`] as `caller`: the callee, the arguments.
    CallBlock(usize, Expr, Box<Arguments>),
    /// Renders a block of [`Template::blocks`].
    Block(usize),
    /// `include`, `import`, `extends`: there are no other templates.
    Load(Expr, bool),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct SetBlock {
    pub(crate) target: Target,
    pub(crate) filter: Option<Expr>,
    pub(crate) scope: Scope,
    pub(crate) body: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct With {
    pub(crate) scope: Scope,
    pub(crate) values: Vec<(Target, Expr)>,
    pub(crate) body: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct FilterBlock {
    pub(crate) scope: Scope,
    pub(crate) filter: Expr,
    pub(crate) body: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) target: Target,
    pub(crate) scope: Scope,
    /// The variable `loop`.
    pub(crate) loop_slot: Slot,
    pub(crate) body: Vec<Node>,
    pub(crate) test: Option<LoopTest>,
    pub(crate) otherwise: Option<(Scope, Vec<Node>)>,
    /// Variables of its function, if it is recursive and so has one.
    pub(crate) recursive: Option<usize>,
}

/// `for target in items if test`
#[derive(Debug)]
pub(crate) struct LoopTest {
    pub(crate) target: Target,
    pub(crate) scope: Scope,
    pub(crate) test: Expr,
}

/// A macro or the body of a call block.
#[derive(Debug)]
pub(crate) struct Macro {
    /// Empty for the body of a call block.
    pub(crate) name: Name,
    pub(crate) arguments: Vec<Name>,
    /// Of the last arguments.
    pub(crate) defaults: Vec<Expr>,
    pub(crate) scope: Scope,
    pub(crate) body: Vec<Node>,
    /// Where `caller`, `kwargs` and `varargs` go, if the body uses them.
    pub(crate) caller: Option<Slot>,
    pub(crate) kwargs: Option<Slot>,
    pub(crate) varargs: Option<Slot>,
    /// Variables of its function.
    pub(crate) slots: usize,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) name: Box<str>,
    pub(crate) scope: Scope,
    pub(crate) body: Vec<Node>,
    pub(crate) slots: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) texts: Vec<Box<str>>,
    pub(crate) loops: Vec<Loop>,
    pub(crate) macros: Vec<Macro>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) scope: Scope,
    pub(crate) body: Vec<Node>,
    /// Variables of the template itself.
    pub(crate) slots: usize,
    /// Those of them that blocks see, by name.
    pub(crate) exports: Vec<(Box<str>, u32)>,
}

/// What makes a source no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) detail: String,
}
