//! The classes of characters that the pattern tells apart.

use regex_syntax::hir::{Class as HirClass, HirKind};

/// What [`QWEN2_PATTERN`](crate::QWEN2_PATTERN) can see of a character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `[\r\n]`
    LineBreak,
    /// `\s`, but for line breaks.
    Space,
    /// `[^\s\p{L}\p{N}]`
    Other,
}

/// Letters and numbers, as ranges of characters from first to last, in order.
pub(crate) struct Classes {
    letters: Vec<(char, char)>,
    numbers: Vec<(char, char)>,
    ascii: [Class; 128],
}

impl Classes {
    /// From the tables of regex-syntax: the Unicode data of the regular expressions that the reference runs.
    pub(crate) fn new() -> Self {
        let mut classes =
            Self { letters: ranges(r"\p{L}"), numbers: ranges(r"\p{N}"), ascii: [Class::Other; 128] };
        classes.ascii = std::array::from_fn(|byte| classes.look_up(char::from(byte as u8)));
        classes
    }

    pub(crate) fn of(&self, c: char) -> Class {
        self.ascii.get(c as usize).copied().unwrap_or_else(|| self.look_up(c))
    }

    fn look_up(&self, c: char) -> Class {
        match c {
            '\r' | '\n' => Class::LineBreak,
            c if c.is_whitespace() => Class::Space,
            c if holds(&self.letters, c) => Class::Letter,
            c if holds(&self.numbers, c) => Class::Number,
            _ => Class::Other,
        }
    }
}

fn holds(ranges: &[(char, char)], c: char) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= ranges[after - 1].1
}

fn ranges(class: &str) -> Vec<(char, char)> {
    match regex_syntax::parse(class).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(HirClass::Unicode(class))) => {
            class.ranges().iter().map(|range| (range.start(), range.end())).collect()
        }
        other => unreachable!("{class} is a class of characters: {other:?}"), // a constant of ours
    }
}
