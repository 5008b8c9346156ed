//! The two streams to people and programs: everything the program prints passes here.
//!
//! What is printed often quotes files: names, tokens, metadata, the messages of templates. A terminal acts on
//! control characters and turns text around at direction characters, so it is shown escapes in their place.
//! Programs that read a pipe or a file get the bytes.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

/// One of the two streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Console {
    /// Standard output: results.
    Out,
    /// Standard error: everything else.
    Err,
}

impl Console {
    /// Whether somebody looks at it directly.
    pub fn is_terminal(self) -> bool {
        static TERMINALS: OnceLock<[bool; 2]> = OnceLock::new();
        TERMINALS.get_or_init(|| [io::stdout().is_terminal(), io::stderr().is_terminal()])[self as usize]
    }

    /// Prints text as it comes, whole characters.
    ///
    /// # Errors
    /// If the stream is full or closed.
    pub fn print(self, text: &str) -> io::Result<()> {
        match self {
            Self::Out => send(&mut io::stdout().lock(), text, self.is_terminal()),
            Self::Err => send(&mut io::stderr().lock(), text, self.is_terminal()),
        }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// As [`Console::print`].
    pub fn print_line(self, line: impl Display) -> io::Result<()> {
        self.print(&format!("{line}\n"))
    }
}

fn send(stream: &mut impl Write, text: &str, terminal: bool) -> io::Result<()> {
    if terminal {
        write!(stream, "{}", Shown(text))?;
    } else {
        stream.write_all(text.as_bytes())?;
    }
    stream.flush()
}

/// Whether a terminal would act on a character rather than show it: control characters but newline and tab,
/// and those that change the direction of text.
pub fn is_acted_on(c: char) -> bool {
    let directs = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    directs || c.is_control() && !matches!(c, '\n' | '\t')
}

/// Text with an escape such as `\u{1b}` for each character that a terminal would act on.
pub struct Shown<'a>(pub &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_acted_on) {
            let (plain, from) = rest.split_at(at);
            f.write_str(plain)?;
            let mut characters = from.chars();
            for c in characters.by_ref().take(1) {
                write!(f, "{}", c.escape_unicode())?;
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_what_it_would_act_on() {
        let hostile = "a\u{1b}[31mb\u{7}\u{7f}\u{9b}c\u{202a}\u{202e}\u{2066}\u{2069}\r\n\td \u{e9} \u{200d}";
        let shown = "a\\u{1b}[31mb\\u{7}\\u{7f}\\u{9b}c\\u{202a}\\u{202e}\\u{2066}\\u{2069}\\u{d}\n\td \u{e9} \u{200d}";
        assert_eq!(Shown(hostile).to_string(), shown);
        let (mut terminal, mut pipe) = (Vec::new(), Vec::new());
        send(&mut terminal, hostile, true).unwrap();
        send(&mut pipe, hostile, false).unwrap();
        assert_eq!((terminal.as_slice(), pipe.as_slice()), (shown.as_bytes(), hostile.as_bytes()));
    }

    #[test]
    fn every_control_character_is_acted_on_and_no_other_below_the_letters() {
        let acted = (0..=0xa0).filter_map(char::from_u32).filter(|&c| is_acted_on(c));
        assert_eq!(acted.count(), 32 - 2 + 1 + 32);
        assert!(
            ['\u{2029}', '\u{202f}', '\u{2065}', '\u{206a}', '\n', '\t'].iter().all(|&c| !is_acted_on(c))
        );
    }
}
