//! Text from files, made safe to print.

/// A sentence that may quote a file, made safe to print on one line of a terminal. Unlike a name it
/// keeps its quotation marks.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let safe = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut out: String = text.chars().take(LONGEST).map(safe).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}

/// A name from a file, made safe to print on one line of a terminal.
pub(crate) fn printable(name: &str) -> String {
    const LONGEST: usize = 120;
    let mut out: String = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if name.chars().count() > LONGEST {
        out.push_str("...");
    }
    out
}
