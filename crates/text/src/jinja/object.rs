//! Values that are not plain data: namespaces, loops, macros, functions, methods.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::jinja::dict::Dict;
use crate::jinja::value::{Cursor, Value};

/// Variables of a function that is running, or that a macro has kept.
#[derive(Debug)]
pub(crate) struct Activation {
    pub(crate) slots: RefCell<Vec<Option<Value>>>,
    pub(crate) outer: Option<Rc<Activation>>,
    /// Whether it is cleared when the rendering ends.
    pub(crate) kept: Cell<bool>,
}

impl Activation {
    pub(crate) fn new(slots: usize, outer: Option<Rc<Self>>) -> Rc<Self> {
        Rc::new(Self { slots: RefCell::new(vec![None; slots]), outer, kept: Cell::new(false) })
    }
}

#[derive(Debug)]
pub(crate) enum Object {
    /// `namespace(...)`, the one thing that a template can change after making it.
    Namespace(RefCell<Dict>),
    Loop(LoopState),
    /// A macro of the template, with the variables around it.
    Macro(usize, Rc<Activation>),
    Cycler(Vec<Value>, Cell<usize>),
    /// The separator, and whether it was called.
    Joiner(Value, Cell<bool>),
    Method(Value, Box<str>),
    Function(Function),
    /// `self`, whose attributes are the template's blocks.
    Blocks,
    /// A block, to be rendered where it is called.
    Block(usize),
}

/// Functions that every template has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

impl Function {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("range", Self::Range),
        ("dict", Self::Dict),
        ("namespace", Self::Namespace),
        ("cycler", Self::Cycler),
        ("joiner", Self::Joiner),
        ("raise_exception", Self::RaiseException),
        ("strftime_now", Self::StrftimeNow),
    ];
}

/// The variable `loop`.
#[derive(Debug)]
pub(crate) struct LoopState {
    /// The loop of the template, and the variables of the function it runs in.
    pub(crate) node: usize,
    pub(crate) function: Rc<Activation>,
    pub(crate) items: RefCell<Cursor>,
    /// The next item, if it was looked at.
    pub(crate) ahead: RefCell<Option<Value>>,
    pub(crate) previous: RefCell<Option<Value>>,
    pub(crate) current: RefCell<Option<Value>>,
    /// Items begun; the first has index 1.
    pub(crate) index: Cell<i64>,
    pub(crate) length: Cell<Option<i64>>,
    pub(crate) depth0: i64,
    /// What `changed` was called with last.
    pub(crate) changed: RefCell<Option<Value>>,
    /// The function around a recursive loop.
    pub(crate) recursive: Option<Rc<Activation>>,
}

impl Object {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(..) => "Macro",
            Self::Cycler(..) => "Cycler",
            Self::Joiner(..) => "Joiner",
            Self::Method(..) => "builtin_function_or_method",
            Self::Function(Function::Range | Function::Dict | Function::Namespace) => "type",
            Self::Function(_) => "function",
            Self::Blocks => "TemplateReference",
            Self::Block(_) => "BlockReference",
        }
    }

    pub(crate) fn depth(&self) -> usize {
        match self {
            // These are emptied one by one when the rendering ends, whatever refers to them.
            Self::Namespace(_) | Self::Macro(..) | Self::Function(_) | Self::Blocks | Self::Block(_) => 1,
            Self::Loop(state) => state.items.borrow().value.depth() + 1,
            Self::Cycler(items, _) => items.iter().map(Value::depth).max().unwrap_or(0) + 1,
            Self::Joiner(value, _) | Self::Method(value, _) => value.depth() + 1,
        }
    }
}
