//! Cuts a stream of characters where [`QWEN2_PATTERN`](crate::QWEN2_PATTERN) cuts a text, holding no word.
//!
//! A word is a match of the pattern. Whether a character belongs to the word before it is known as soon as
//! it has come, with three exceptions, for which characters are held:
//! - the first character of a word, unless it is a letter, a number or a line break, may go with letters
//!   behind it; an apostrophe with the letters of a contraction;
//! - the last of several spaces goes with the word behind them;
//! - spaces behind a line break belong to the same word if another line break comes before anything else.

use crate::char_class::{Class, Classes};
use crate::encoder::Halt;
use crate::runs::Runs;

/// Takes words.
pub(crate) trait WordSink {
    /// The word's next character.
    fn push(&mut self, c: char) -> Result<(), Halt>;
    /// The word is complete.
    fn end(&mut self) -> Result<(), Halt>;
}

/// Where in the pattern the text has come to. What is held is not in the sink yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Between two words.
    #[default]
    Between,
    /// In `\p{L}+`.
    Letters,
    /// In `[^\s\p{L}\p{N}]+`.
    Others,
    /// In the `[\r\n]*` behind that.
    LineBreaksAfterOthers,
    /// Holds the first character of a word, not an apostrophe.
    First(char),
    /// Holds an apostrophe.
    Apostrophe,
    /// Holds an apostrophe and the first letter of a contraction of two.
    Contraction(char),
    /// In whitespace without a line break; holds the last character.
    Spaces(char),
    /// In whitespace with a line break; holds what has come behind the last one.
    LineBreaks,
}

/// The cutter. Concatenated, the words are the text.
pub(crate) struct Words {
    state: State,
    /// With [`State::LineBreaks`]: the spaces behind the last line break.
    spaces: Runs,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self { state: State::Between, spaces: Runs::default() }
    }

    /// Takes the next character of the text.
    pub(crate) fn push(&mut self, c: char, classes: &Classes, sink: &mut impl WordSink) -> Result<(), Halt> {
        let class = classes.of(c);
        // Ends words until one takes the character.
        while !self.take(c, class, sink)? {}
        Ok(())
    }

    /// Ends the text. Ready for another one.
    pub(crate) fn finish(&mut self, sink: &mut impl WordSink) -> Result<(), Halt> {
        match std::mem::take(&mut self.state) {
            State::Between => return Ok(()),
            State::First(c) | State::Spaces(c) => sink.push(c)?,
            State::Apostrophe => sink.push('\'')?,
            State::Contraction(c) => {
                sink.push('\'')?;
                sink.push(c)?;
            }
            State::LineBreaks if !self.spaces.is_empty() => {
                sink.end()?;
                self.give_spaces(sink)?;
            }
            State::Letters | State::Others | State::LineBreaksAfterOthers | State::LineBreaks => {}
        }
        sink.end()
    }

    /// One step: takes the character, or changes the state without it.
    fn take(&mut self, c: char, class: Class, sink: &mut impl WordSink) -> Result<bool, Halt> {
        match self.state {
            State::Between => return self.begin(c, class, sink),
            State::Letters if class == Class::Letter => sink.push(c)?,
            State::Others if class == Class::Other => sink.push(c)?,
            State::Others | State::LineBreaksAfterOthers if class == Class::LineBreak => {
                sink.push(c)?;
                self.state = State::LineBreaksAfterOthers;
            }
            State::Letters | State::Others | State::LineBreaksAfterOthers => return self.end(sink),
            State::First(first) => return self.after_first(first, c, class, sink),
            State::Apostrophe => return self.after_apostrophe(c, class, sink),
            State::Contraction(letter) => return self.after_contraction(letter, c, sink),
            State::Spaces(last) => return self.after_spaces(last, c, class, sink),
            State::LineBreaks => return self.after_line_breaks(c, class, sink),
        }
        Ok(true)
    }

    fn end(&mut self, sink: &mut impl WordSink) -> Result<bool, Halt> {
        self.state = State::Between;
        sink.end()?;
        Ok(false)
    }

    fn begin(&mut self, c: char, class: Class, sink: &mut impl WordSink) -> Result<bool, Halt> {
        match class {
            Class::Letter => {
                sink.push(c)?;
                self.state = State::Letters;
            }
            Class::Number => {
                sink.push(c)?;
                sink.end()?;
            }
            Class::LineBreak => {
                sink.push(c)?;
                self.state = State::LineBreaks;
            }
            Class::Space => self.state = State::Spaces(c),
            Class::Other if c == '\'' => self.state = State::Apostrophe,
            Class::Other => self.state = State::First(c),
        }
        Ok(true)
    }

    fn after_first(
        &mut self,
        first: char,
        c: char,
        class: Class,
        sink: &mut impl WordSink,
    ) -> Result<bool, Halt> {
        sink.push(first)?;
        if class != Class::Letter {
            self.state = State::Others;
            return Ok(false);
        }
        sink.push(c)?;
        self.state = State::Letters;
        Ok(true)
    }

    fn after_apostrophe(&mut self, c: char, class: Class, sink: &mut impl WordSink) -> Result<bool, Halt> {
        match c.to_ascii_lowercase() {
            // U+017F is an s to whoever ignores case.
            's' | 't' | 'm' | 'd' | '\u{17F}' => {
                sink.push('\'')?;
                sink.push(c)?;
                self.end(sink)?;
                Ok(true)
            }
            'r' | 'v' | 'l' => {
                self.state = State::Contraction(c);
                Ok(true)
            }
            _ => self.after_first('\'', c, class, sink),
        }
    }

    fn after_contraction(&mut self, letter: char, c: char, sink: &mut impl WordSink) -> Result<bool, Halt> {
        sink.push('\'')?;
        sink.push(letter)?;
        if !matches!((letter.to_ascii_lowercase(), c.to_ascii_lowercase()), ('r' | 'v', 'e') | ('l', 'l')) {
            self.state = State::Letters;
            return Ok(false);
        }
        sink.push(c)?;
        self.end(sink)?;
        Ok(true)
    }

    fn after_spaces(
        &mut self,
        last: char,
        c: char,
        class: Class,
        sink: &mut impl WordSink,
    ) -> Result<bool, Halt> {
        match class {
            Class::Space => {
                sink.push(last)?;
                self.state = State::Spaces(c);
                Ok(true)
            }
            Class::LineBreak => {
                sink.push(last)?;
                sink.push(c)?;
                self.state = State::LineBreaks;
                Ok(true)
            }
            Class::Letter | Class::Number | Class::Other => {
                // The spaces before the last one; there may be none.
                sink.end()?;
                if class == Class::Letter || (class == Class::Other && last == ' ') {
                    return self.after_first(last, c, class, sink);
                }
                sink.push(last)?;
                self.end(sink)
            }
        }
    }

    fn after_line_breaks(&mut self, c: char, class: Class, sink: &mut impl WordSink) -> Result<bool, Halt> {
        match class {
            Class::Space => self.spaces.push(c)?,
            Class::LineBreak => {
                self.give_spaces(sink)?;
                sink.push(c)?;
            }
            Class::Letter | Class::Number | Class::Other => {
                self.end(sink)?;
                let spaces = std::mem::take(&mut self.spaces);
                for (space, count) in spaces.iter() {
                    for _ in 0..count {
                        self.take(space, Class::Space, sink)?;
                    }
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn give_spaces(&mut self, sink: &mut impl WordSink) -> Result<(), Halt> {
        for (space, count) in self.spaces.iter() {
            for _ in 0..count {
                sink.push(space)?;
            }
        }
        self.spaces.clear();
        Ok(())
    }
}
